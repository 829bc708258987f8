"""The layouts for Foxglove and RViz show what the node publishes, and nothing that it does not."""

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from da3_ros.msg import Status
import pytest
from rig import Rig
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / 'docs/foxglove.py'


def published(rig: Rig) -> dict[str, str]:
    """Return the topics that the node publishes, with their types."""
    return {p.topic_name: p.msg_type.__name__ for p in rig.node.publishers}


def layout(path: Path, *arguments: str) -> dict:
    """Return the layout that the script writes."""
    command = [sys.executable, str(SCRIPT), *arguments, '--output', str(path)]
    subprocess.run(command, check=True)
    return json.loads(path.read_text())


def topics_of(panels: dict[str, dict]) -> dict[str, set[str]]:
    """Return the topics that a layout shows, by kind of panel."""
    found: dict[str, set[str]] = {}
    for name, panel in panels.items():
        topics = found.setdefault(name.partition('!')[0], set())
        topics |= set(panel.get('topics', ()))
        topics |= {path['value'].partition('.')[0] for path in panel.get('paths', ())}
        topics |= {t for t in (panel.get('topicPath'),) if t}
        topics |= {t for t in (panel.get('imageMode', {}).get('imageTopic'),) if t}
    return found


def leaves(part: Any) -> Iterator[str]:
    """Yield the panels of a part of the window."""
    if isinstance(part, str):
        yield part
        return
    assert 0 < part['splitPercentage'] < 100 and part['direction'] in ('row', 'column')
    yield from leaves(part['first'])
    yield from leaves(part['second'])


def test_the_foxglove_layout_is_what_its_script_writes() -> None:
    assert subprocess.run([sys.executable, str(SCRIPT), '--check']).returncode == 0


@pytest.mark.parametrize('cameras', [(), ('front', 'left')])
def test_foxglove_shows_topics_of_the_node(
    cameras: tuple[str, ...], make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make_rig(parameters={'cameras': list(cameras)} if cameras else {})
    found = layout(tmp_path / 'layout.json', *cameras)
    panels, known = found['configById'], published(rig)
    shown = topics_of(panels)
    assert set.union(*shown.values()) <= set(known)
    assert sorted(leaves(found['layout'])) == sorted(panels), 'every panel has its place'
    prefixes = [f'/{camera}/' for camera in cameras] or ['/']
    for prefix in prefixes:
        assert {f'{prefix}points', f'{prefix}odometry'} <= shown['3D']
        assert {f'{prefix}depth/image_rect', f'{prefix}confidence/image_rect'} <= shown['Image']
    assert {'/keyframes', '/map_points'} <= shown['3D']
    assert shown['Plot'] == {'/status'} and panels['3D!map']['followTf'] == 'map'
    fields = Status.get_fields_and_field_types()
    plots = [panel for name, panel in panels.items() if name.startswith('Plot!')]
    assert all(p['value'].partition('.')[2] in fields for plot in plots for p in plot['paths'])


def test_foxglove_in_a_namespace(tmp_path: Path) -> None:
    found = layout(tmp_path / 'layout.json', '--namespace', '/robot')
    topics = set.union(*topics_of(found['configById']).values())
    assert topics and all(topic.startswith('/robot/') for topic in topics)


def test_rviz_shows_cloud_frames_path_and_depth_of_the_node(make_rig: Callable[..., Rig]) -> None:
    known = published(make_rig())
    manager = yaml.safe_load((ROOT / 'config/da3.rviz').read_text())['Visualization Manager']
    displays = {d['Name']: d for d in manager['Displays']}
    kinds = {
        'PointCloud2': 'PointCloud2',
        'Path': 'Path',
        'Odometry': 'Odometry',
        'Image': 'Image',
    }
    shown = set()
    for display in displays.values():
        kind = display['Class'].partition('/')[2]
        if kind in kinds:
            topic = f'/{display["Topic"]["Value"]}'
            assert known[topic] == kind, topic
            shown.add(topic)
    assert {'/points', '/keyframes', '/depth/image_rect'} <= shown
    assert displays['TF']['Enabled'] and manager['Global Options']['Fixed Frame'] == 'map'
    assert displays['Grid']['Plane'] == 'XY', 'the map has z up'
