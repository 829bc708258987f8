"""Messages of one stamp become one view, whatever order, layout or loss they come with."""

from dataclasses import replace
from itertools import permutations

from da3_ros.config import NodeConfig
from da3_ros.engine import Frame
from da3_ros.ros.clouds import view_to_cloud
from da3_ros.ros.convert import depth_to_image, float_image, header_at, intrinsics_to_info
from da3_ros.ros.poses import odometry_message
from da3_ros.ros.view_assembly import ViewAssembler
from fake_engine import FakeEngine
import numpy as np
import pytest

CONFIG = NodeConfig()


def parts_at(stamp: int, config: NodeConfig = CONFIG, encoding: str = '32FC1') -> dict:
    """Return the messages of one image."""
    v, u = np.mgrid[:48, :64]
    rgb = np.stack([4 * u, 5 * v, u + v], axis=-1).astype(np.uint8)
    (view,) = FakeEngine(config).push([Frame('', stamp, rgb)]).views
    header = header_at(stamp, 'optical')
    height, width = view.depth_m.shape
    return {
        'odometry': odometry_message(
            view.map_from_camera, view.pose_covariance, header_at(stamp, 'map'), 'optical'
        ),
        'points': view_to_cloud(view, view.depth_m, config, 'optical'),
        'confidence': float_image(view.confidence, header),
        'info': intrinsics_to_info(view.intrinsics, (width, height), header),
        'depth': depth_to_image(view.depth_m, encoding, header),
    }


def assembled(*stamps_and_parts: tuple[int, str]) -> list[tuple[int, set[str]]]:
    """Return stamp and parts of the views that come of messages in an order."""
    assembler = ViewAssembler('')
    messages = {stamp: parts_at(stamp) for stamp, _ in stamps_and_parts}
    views = []
    for stamp, part in stamps_and_parts:
        views += assembler.add(part, messages[stamp][part])
    return [(view.stamp_ns, set(view._parts)) for view in views]


ALL = ('depth', 'info', 'confidence', 'points', 'odometry')


@pytest.mark.parametrize('order', list(permutations(ALL))[::17])
def test_a_view_comes_with_its_last_message(order: tuple[str, ...]) -> None:
    assert assembled(*((5, part) for part in order[:-1])) == []
    assert assembled(*((5, part) for part in order)) == [(5, set(ALL))]


def test_what_is_lost_is_waited_for_while_two_newer_begin() -> None:
    first = [(1, part) for part in ALL if part != 'points']
    assert assembled(*first, (2, 'depth')) == []
    views = assembled(*first, (2, 'depth'), (3, 'depth'))
    assert views == [(1, set(ALL) - {'points'})]


def test_older_messages_are_given_up_when_a_newer_view_is_whole() -> None:
    newer = [(2, part) for part in ALL]
    late = [(1, part) for part in ALL]
    assert [stamp for stamp, _ in assembled((1, 'depth'), *newer, *late)] == [2]


def test_stamps_that_begin_anew_are_no_late_ones() -> None:
    late, new = 9 * 10**9, 10**9
    views = assembled(*((late, part) for part in ALL), *((new, part) for part in ALL))
    assert [stamp for stamp, _ in views] == [late, new]


def test_without_depth_and_its_camera_info_there_is_no_view() -> None:
    some = [(stamp, 'depth') for stamp in (1, 2, 3, 4)]
    assert assembled(*some) == []


def test_at_the_end_what_is_there_is_shown() -> None:
    assembler = ViewAssembler('')
    parts = parts_at(1)
    for part in ('depth', 'info'):
        assert list(assembler.add(part, parts[part])) == []
    (view,) = assembler.flush()
    images = view.images()
    assert images.rgb is None and images.map_from_camera is None and images.confidence is None
    assert images.is_point.sum() > 0.9 * np.isfinite(images.depth_m).sum()
    assert list(assembler.flush()) == []


def view_of(parts: dict):
    """Return the pictures of whole messages."""
    assembler = ViewAssembler('')
    (view,) = [view for part, message in parts.items() for view in assembler.add(part, message)]
    return view.images()


@pytest.mark.parametrize('layout', ['organised', 'compact'])
@pytest.mark.parametrize('frame', ['camera', 'map'])
def test_points_fall_back_onto_their_pixels(layout: str, frame: str) -> None:
    points = replace(CONFIG.points, layout=layout, frame=frame, max_edge=0.0)
    images = view_of(parts_at(1, replace(CONFIG, points=points)))
    reference = view_of(parts_at(1, replace(CONFIG, points=replace(CONFIG.points, max_edge=0.0))))
    assert (images.is_point == np.isfinite(images.depth_m)).all()
    np.testing.assert_array_equal(images.rgb[images.is_point], reference.rgb[images.is_point])
    v, u = 10, 20
    assert (
        np.abs(images.rgb[v, u].astype(int) - (8 * u + 2, 10 * v + 2, 2 * (u + v) + 1)).max() <= 1
    )


def test_a_thinned_cloud_is_points_at_its_pixels() -> None:
    thin = replace(CONFIG, points=replace(CONFIG.points, stride=3, max_edge=0.0))
    images = view_of(parts_at(1, thin))
    at = np.argwhere(images.is_point)
    assert len(at) > 70 and not (at % 3).any()


def test_depth_in_millimetres_is_the_same() -> None:
    images = view_of(parts_at(1, encoding='16UC1'))
    np.testing.assert_allclose(images.depth_m, view_of(parts_at(1)).depth_m, atol=6e-4)
