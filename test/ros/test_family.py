"""Who is whose child in TF, heard from others."""

from da3_ros.ros.family import Family
from da3_ros.ros.poses import transform_message
from geometry_msgs.msg import TransformStamped
import numpy as np


def link(parent: str, child: str, stamp: int = 0, x: float = 0.0) -> TransformStamped:
    """Return a transform."""
    pose = np.eye(4)
    pose[0, 3] = x
    return transform_message(pose, parent, child, stamp)


def names(family: Family, frame: str) -> list[str]:
    """Return the frames above a frame."""
    return [parent.frame for parent in family.above(frame)]


def test_the_way_up_is_nearest_first() -> None:
    """With the slash of ROS 1 or without; a frame that nobody spoke of has nothing above it."""
    family = Family()
    family.hear(link('/odom', '/base'), is_static=False)
    family.hear(link('base', 'camera'), is_static=True)
    assert names(family, 'camera') == ['base', 'odom']
    assert [parent.is_static for parent in family.above('camera')] == [True, False]
    assert names(family, 'odom') == names(family, 'other') == []


def test_frames_that_loop_end() -> None:
    """Nobody should send such, but anybody can."""
    family = Family()
    for parent, child in (('a', 'b'), ('b', 'c'), ('c', 'a')):
        family.hear(link(parent, child), is_static=False)
    assert names(family, 'b') == ['a', 'c']


def test_own_transforms_are_told_from_those_of_others() -> None:
    """The same frames at the same stamp may come from a bag; they have other values then."""
    family = Family()
    family.note_own(link('map', 'camera', 5, 1.0))
    family.hear(link('map', 'camera', 5, 1.0), is_static=False)
    assert names(family, 'camera') == []
    family.hear(link('map', 'camera', 5, 2.0), is_static=False)
    assert names(family, 'camera') == ['map']


def test_what_moves_is_forgotten_when_it_falls_silent_or_time_goes_back() -> None:
    """What is static stays."""
    now = [0.0]
    family = Family(lambda: now[0])
    family.hear(link('odom', 'base'), is_static=False)
    family.hear(link('base', 'camera'), is_static=True)
    now[0] = 9.0
    assert names(family, 'camera') == ['base', 'odom']
    now[0] = 11.0
    assert names(family, 'camera') == ['base']
    family.hear(link('odom', 'base'), is_static=False)
    assert names(family, 'camera') == ['base', 'odom']
    family.forget()
    assert names(family, 'camera') == ['base']


def test_a_flood_of_names_is_bounded() -> None:
    """Those that are known stay."""
    family = Family()
    family.hear(link('base', 'camera'), is_static=True)
    for i in range(20_000):
        family.hear(link('base', f'f{i}'), is_static=False)
    assert len(family._parents) == 10_000 and names(family, 'camera') == ['base']
