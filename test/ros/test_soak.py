"""The soak: a few seconds of it, and that it would see what is lost."""

from collections.abc import Callable
import json
import os
from pathlib import Path
import subprocess
import sys

from da3_ros.msg import Status
from da3_ros.ros.convert import header_at
from da3_ros.ros.replay import PER_FRAME_TOPICS
from nav_msgs.msg import Odometry
from peer import Peer
import pytest
from rclpy.serialization import serialize_message

from benchmarks.soak import growth, Heard, Listener, Sample, there_and_back, TOPICS

ROOT = Path(__file__).parents[2]


def test_some_seconds_of_it(tmp_path: Path) -> None:
    """Real node, camera and listener: every processed image is heard once on each output."""
    results = tmp_path / 'soak.jsonl'
    options = ['--minutes', '0.1', '--lap', '4', '--size', '112x84', '--every', '2']
    done = subprocess.run(
        [sys.executable, '-m', 'benchmarks.soak', *options, '--results', str(results)],
        cwd=ROOT,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    row = json.loads(results.read_text())
    assert row['sent'] == 180 and row['received'] > 90
    assert row['received'] == row['processed'] + sum(row['drops'].values())
    assert set(row['drops']) <= {'frame_superseded'}
    assert row['published'] == row['processed'] > 5
    assert all(row['heard'][topic] == row['published'] for topic in PER_FRAME_TOPICS)
    assert all(row['heard'][topic] for topic in TOPICS)
    assert len(row['samples']) >= 4 and row['samples'][0][1] > 50
    assert 'keyframes' in done.stdout


@pytest.fixture
def make_listener() -> Callable[[int], Listener]:
    """Return what makes a listener whose node has published so many frames."""
    peers = []

    def make(published: int) -> Listener:
        peers.append(Peer())
        listener = Listener(peers[-1])
        listener.status = Status(
            frames_received=published, frames_processed=published, frames_published=published
        )
        for topic in PER_FRAME_TOPICS:
            listener.heard[topic].count = published
        return listener

    yield make
    for peer in peers:
        peer.destroy_node()


def test_what_is_missing_or_comes_twice_is_seen(make_listener: Callable[[int], Listener]) -> None:
    listener = make_listener(3)
    assert listener.is_settled and listener.lost() == {}
    listener.heard['/points'].count -= 1
    listener.heard['/tf'].count += 1
    assert not listener.is_settled and listener.lost() == {'/points': 1, '/tf': -1}
    listener = make_listener(3)
    listener.status.frames_received += 1
    assert not listener.is_settled


def test_stamps_must_grow() -> None:
    heard = Heard()
    for stamp in (5, 7, 7, 6, 8):
        heard.take('/odometry', serialize_message(Odometry(header=header_at(stamp, 'map'))))
    assert (heard.count, heard.disordered, heard.newest_ns) == (5, 2, 8)


def test_growth_is_from_the_second_quarter_to_the_last() -> None:
    """In MiB an hour; neither loading nor a moment is growth."""
    samples = [Sample(10.0 * i, 100.0 * min(i, 10) + 0.1 * i, 9, 9, 0) for i in range(40)]
    samples[35].rss_mib -= 50.0
    assert growth(samples) == pytest.approx(36.0, rel=0.1)
    assert growth(samples[:3]) == 0.0


def test_the_lap_loops_without_a_jump() -> None:
    assert [there_and_back(i, 4) for i in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert there_and_back(7, 1) == 0
