"""Who is let into a window as a guest, and when a guest is believed."""

import dataclasses

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.map import Map
from da3_ros.engine.registration import register, Registration
from da3_ros.engine.revisits import Revisits
from da3_ros.engine.runner import WindowPrediction
from da3_ros.geometry.transforms import Sim3
from doubles.box_keyframes import descriptor, K, keyframe
from doubles.box_room import pose_at
import numpy as np
import pytest
import torch

HERE = pose_at([0, 0, 0])
RECENT = 3
LOOKS, MAX_LOOKS = 3, 6


def map_of(*poses: np.ndarray, parts: dict[int, int] | None = None) -> Map:
    """Return a map of archived keyframes, none linked to another, that all look different."""
    keyframes = Map(100)
    for i, pose in enumerate(poses):
        new = keyframe(pose, i, (parts or {}).get(i, 0))
        new.archive()
        keyframes.add(new, descriptor(i), [])
    return keyframes


def turned(count: int, first: float = 90.0) -> list[np.ndarray]:
    """Return cameras that see nothing of what ``HERE`` sees."""
    return [pose_at([0, 0, 0], first + 10.0 * i) for i in range(count)]


def invited(
    keyframes: Map, host: Keyframe, looks: torch.Tensor | None = None, revisits=None
) -> Keyframe | None:
    """Add a host with its descriptor and return the guest that it gets."""
    described = descriptor(host.view.key) if looks is None else looks
    keyframes.add(host, described, [])
    revisits = revisits or Revisits(keyframes, RECENT)
    revisits.invite(host, described, [host])
    return revisits.guest.keyframe if revisits.guest else None


def test_the_keyframe_that_sees_most_of_the_host_is_invited() -> None:
    keyframes = map_of(pose_at([0, 0, 0], 25), pose_at([0, 0, 0], 5), *turned(4))
    guest = invited(keyframes, keyframe(HERE, 9))
    assert guest.view.key == 1
    assert not guest.is_archived
    assert sum(not k.is_archived for k in keyframes) == 2  # guest and host


def test_the_recent_are_no_news() -> None:
    keyframes = map_of(*turned(4), HERE, HERE)
    assert invited(keyframes, keyframe(HERE, 9)) is None


def test_what_is_in_the_window_is_not_invited() -> None:
    keyframes = map_of(HERE, *turned(4))
    host = keyframe(HERE, 9)
    keyframes.add(host, descriptor(9), [])
    revisits = Revisits(keyframes, RECENT)
    revisits.invite(host, descriptor(9), [keyframes[0], host])
    assert revisits.guest is None


def test_a_guest_sees_more_than_the_least_helpful_of_the_window() -> None:
    keyframes = map_of(pose_at([0, 0, 0], 25), *turned(4))
    host, present = keyframe(HERE, 9), keyframe(pose_at([0, 0, 0], 5), 8)
    keyframes.add(present, descriptor(8), [])
    keyframes.add(host, descriptor(9), [(present, 0.9)])
    revisits = Revisits(keyframes, RECENT)
    revisits.invite(host, descriptor(9), [present, host])
    assert revisits.guest is None
    present.map_from_camera = pose_at([0, 0, 0], 40)
    revisits.invite(host, descriptor(9), [present, host])
    assert revisits.guest.keyframe.view.key == 0


def test_one_that_looks_like_the_host_is_invited_wherever_the_map_has_it() -> None:
    keyframes = map_of(*turned(12), parts={4: 1})
    guest = invited(keyframes, keyframe(HERE, 20), looks=descriptor(4))
    assert guest.view.key == 4


def test_one_that_looks_unlike_the_host_is_not() -> None:
    keyframes = map_of(*turned(12))
    assert invited(keyframes, keyframe(HERE, 20)) is None


def test_neighbours_need_no_introduction() -> None:
    """What the host hangs together with is likely to look like it, and tells nothing."""
    keyframes = map_of(*turned(12))
    host = keyframe(HERE, 20)
    keyframes.add(host, descriptor(4), [(keyframes[5], 0.3)])
    keyframes.link(keyframes[5], keyframes[4], 0.3)
    revisits = Revisits(keyframes, RECENT)
    revisits.invite(host, descriptor(4), [host])
    assert revisits.guest is None
    keyframes.add(keyframe(pose_at([0, 0, 0], -70), 21), descriptor(21), [])
    revisits.invite(keyframes[21], descriptor(4), [])
    assert revisits.guest.keyframe.view.key == 4


def test_one_guest_at_a_time() -> None:
    keyframes = map_of(HERE, *turned(5))
    revisits = Revisits(keyframes, RECENT)
    assert invited(keyframes, keyframe(HERE, 9), revisits=revisits).view.key == 0
    assert invited(keyframes, keyframe(HERE, 10), descriptor(3), revisits).view.key == 0


def test_a_guest_that_was_no_help_is_passed_over_until_nobody_else_is_left() -> None:
    keyframes = map_of(HERE, pose_at([0, 0, 0], 5), *turned(8))
    revisits = Revisits(keyframes, RECENT)
    host = keyframe(HERE, 20)
    assert invited(keyframes, host, revisits=revisits).view.key == 0
    assert revisits.dismiss().view.key == 0 and revisits.guest is None
    revisits.invite(host, descriptor(20), [host])
    assert revisits.guest.keyframe.view.key == 1
    revisits.dismiss()
    revisits.invite(host, descriptor(20), [host])
    assert revisits.guest is None
    revisits.invite(host, descriptor(20), [host])
    assert revisits.guest.keyframe.view.key == 0
    assert revisits.dismiss() is not None and revisits.dismiss() is None


def test_clearing_forgets_the_guest_and_who_was_passed_over() -> None:
    keyframes = map_of(HERE, *turned(8))
    revisits = Revisits(keyframes, RECENT)
    host = keyframe(HERE, 20)
    invited(keyframes, host, revisits=revisits)
    revisits.dismiss()
    revisits.clear()
    revisits.invite(host, descriptor(20), [host])
    assert revisits.guest.keyframe.view.key == 0


class Stage:
    """A window of a reference, a guest and a new view, seen by a network as it is told."""

    def __init__(self, drift: Sim3 | None = None) -> None:
        """Take where the map has the guest, as seen from where it is."""
        self.drift = drift or Sim3.identity()
        self.map = map_of(pose_at([0.1, 0, 0], 5), *turned(6))
        self.guest = self.map[0]
        self.truth = self.guest.map_from_camera
        self.guest.move(self.drift)
        self.host = keyframe(HERE, 9)
        looks = descriptor(0)  # by looks, wherever it is
        self.map.add(self.host, looks, [])
        self.revisits = Revisits(self.map, RECENT)
        self.revisits.invite(self.host, looks, [self.host])
        assert self.revisits.guest.keyframe is self.guest
        self.rng = np.random.default_rng(0)

    def look(
        self,
        off: Sim3 | None = None,
        certainty: float = 1.0,
        noise: float = 0.0,
        holes: float = 0.0,
    ) -> Sim3 | None:
        """Show a window in a gauge and scale of its own; ``off`` is how wrong it has the guest."""
        gauge = Sim3(float(np.exp(self.rng.normal())), np.eye(3), self.rng.normal(size=3))
        wrong = off or Sim3.identity()
        poses = [HERE, wrong.apply_to_pose(self.truth), pose_at([0, 0.05, 0], -3)]
        depth = torch.stack([keyframe(p).depth for p in (HERE, self.truth, poses[2])])
        depth[1] *= wrong.scale
        shape = depth[1].shape
        depth[1] *= torch.from_numpy(np.exp(noise * self.rng.normal(size=shape))).float()
        depth[1][torch.from_numpy(self.rng.random(shape) < holes)] = torch.nan
        confidence = torch.full_like(depth, 2.0)
        confidence[1] = 1.0 + certainty
        prediction = WindowPrediction(
            depth=gauge.scale * depth,
            confidence=confidence,
            window_from_camera=np.stack([gauge.apply_to_pose(p) for p in poses]),
            intrinsics=np.stack([K] * 3),
        )
        newest = keyframe(poses[2], 10)
        return self.revisits.look(1, prediction, self._registered(prediction), newest)

    def _registered(self, prediction: WindowPrediction) -> Registration:
        return register(prediction, [(0, self.host)])


def assert_true(found: Sim3, stage: Stage) -> None:
    """Check that a guest is taken to where it truly is, and its depth to what it truly is."""
    there = found.apply_to_pose(stage.guest.map_from_camera)
    np.testing.assert_allclose(there, stage.truth, atol=0.02)
    assert found.scale * stage.drift.scale == pytest.approx(1.0, rel=0.02)


DRIFTS = {
    'none': Sim3.identity(),
    'near': Sim3.from_rigid(pose_at([0.4, 0.3, 0], 8.0) @ np.linalg.inv(HERE), 1.1),
    'far': Sim3.from_rigid(pose_at([20, 5, 1], 130.0) @ np.linalg.inv(HERE), 0.5),
}


@pytest.mark.parametrize('drift', DRIFTS.values(), ids=DRIFTS)
def test_looks_that_agree_are_believed_whatever_the_map_says(drift: Sim3) -> None:
    stage = Stage(drift)
    assert [stage.look(noise=0.02) for _ in range(LOOKS - 1)] == [None] * (LOOKS - 1)
    assert_true(stage.look(noise=0.02), stage)
    assert stage.revisits.guest is None


@pytest.mark.parametrize(
    'bad',
    [
        {'certainty': 0.05},
        {'noise': 0.8},
        {'holes': 1.0},
        {'off': Sim3.from_rigid(pose_at([0, 0, 0], 120.0) @ np.linalg.inv(HERE))},
        {'off': Sim3(3.0, np.eye(3), np.zeros(3))},
    ],
    ids=['unsure', 'noisy', 'without depth', 'looking elsewhere', 'other surfaces'],
)
def test_bad_looks_never_make_a_guest_believed(bad: dict) -> None:
    stage = Stage()
    for _ in range(MAX_LOOKS):
        assert not stage.revisits.is_exhausted
        assert stage.look(**bad) is None
    assert stage.revisits.is_exhausted
    assert not any(look.is_good for look in stage.revisits.guest.looks)


def test_looks_that_tell_different_things_are_not_believed() -> None:
    stage = Stage()
    for i in range(MAX_LOOKS):
        off = Sim3(1.0, np.eye(3), np.array([0, 0.5 * (-1) ** i, 0]))
        assert stage.look(off) is None
    assert stage.revisits.is_exhausted
    assert sum(look.is_good for look in stage.revisits.guest.looks) >= LOOKS


def test_a_bad_look_in_between_does_no_harm() -> None:
    stage = Stage(DRIFTS['near'])
    found = [stage.look(certainty=certainty) for certainty in (1.0, 0.01, 1.0, 0.01, 1.0)]
    assert found[:-1] == [None] * 4
    assert_true(found[-1], stage)


def test_the_last_looks_count() -> None:
    """The first ones may have been from where little was to be seen."""
    stage = Stage()
    off = Sim3(1.0, np.eye(3), np.array([0, 0.6, 0]))
    assert stage.look(off) is None
    found = [stage.look() for _ in range(LOOKS)]
    assert found[:-1] == [None] * (LOOKS - 1)
    assert_true(found[-1], stage)


def test_a_guest_with_no_depth_in_the_map_is_never_believed() -> None:
    stage = Stage()
    stage.guest.depth = torch.full_like(stage.guest.depth, torch.nan)
    assert [stage.look() for _ in range(MAX_LOOKS)] == [None] * MAX_LOOKS


def test_looking_leaves_map_and_guest_as_they_are() -> None:
    stage = Stage(DRIFTS['near'])
    before = dataclasses.replace(stage.guest)
    for _ in range(LOOKS):
        stage.look()
    np.testing.assert_array_equal(before.map_from_camera, stage.guest.map_from_camera)
    assert before.depth is stage.guest.depth
