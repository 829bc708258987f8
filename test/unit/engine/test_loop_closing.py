"""What a loop does to a drifted map, with the keyframes, links and loops of a real one."""

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.loop_closing import Correction, LoopCloser
from da3_ros.engine.map import Loop, Map
from da3_ros.geometry.transforms import rigid, Sim3
from doubles.box_keyframes import descriptor, keyframe
from doubles.box_room import pose_at
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

COUNT = 40


class Ring:
    """Keyframes on a circle, of which each lies a little wrong to the one before."""

    def __init__(self, turn_deg: float = 0.0, growth: float = 1.0) -> None:
        """Take what a step turns too far, and makes everything larger than the step before."""
        angles = np.linspace(0, 330, COUNT)
        self.truth = [
            pose_at([2 * np.sin(np.radians(a)), -2 * np.cos(np.radians(a)), 0.1], a)
            for a in angles
        ]
        # Where things are by what each camera sees, in the unit that its depth has by now.
        self.nodes = [Sim3.from_rigid(pose, 1 / growth**i) for i, pose in enumerate(self.truth)]
        wrong = Sim3.from_rigid(
            rigid(Rotation.from_euler('y', turn_deg, degrees=True).as_matrix(), np.zeros(3))
        )
        self.map = Map(100)
        at = Sim3.from_rigid(self.truth[0])
        for i in range(COUNT):
            if i:
                step = self.nodes[i - 1].inverse() @ self.nodes[i]
                at = at @ wrong @ Sim3(1.0, step.rotation, step.translation)
            self._add(i, rigid(at.rotation, at.translation), growth**i)

    def _add(self, key: int, pose: np.ndarray, size: float) -> None:
        new = keyframe(self.truth[key], key)
        new.map_from_camera, new.depth = pose, size * new.depth
        before = self.map.newest(3)
        self.map.add(new, descriptor(key), [(k, 0.8 - 0.2 * i) for i, k in enumerate(before)])

    def loop(self, first: int, second: int, off: Sim3 | None = None) -> Loop:
        """Return what is true of two keyframes, or ``off`` from that."""
        measured = self.nodes[first].inverse() @ self.nodes[second]
        return Loop(first, second, measured @ off if off else measured)

    @property
    def errors(self) -> np.ndarray:
        return np.array(
            [
                np.linalg.norm(k.map_from_camera[:3, 3] - pose[:3, 3])
                for k, pose in zip(self.map, self.truth, strict=True)
            ]
        )

    def close(self, *loops: Loop) -> Correction:
        self.map.loops += loops
        correction = self.correction()
        for loop in correction.rejected:
            self.map.loops.remove(loop)
        self.map.move(correction.now_from_then)
        return correction

    def correction(self) -> Correction:
        closer = LoopCloser()
        closer.start(self.map, 0)
        assert closer.is_busy
        correction = closer.finish()
        assert not closer.is_busy and closer.finish() is None
        return correction


def depth_error(k: Keyframe, pose: np.ndarray) -> float:
    """Return the logarithm of a keyframe's depth over the true one."""
    return float((k.depth / keyframe(pose).depth).log().nanmedian())


def largest_move(correction: Correction) -> float:
    return max(
        max(np.linalg.norm(by.translation), abs(np.log(by.scale)))
        for by in correction.now_from_then.values()
    )


def test_a_loop_takes_a_drifted_ring_together() -> None:
    ring = Ring(turn_deg=0.5)
    before = ring.errors
    correction = ring.close(ring.loop(COUNT - 1, 0))
    assert before[-1] > 0.5
    assert correction.rejected == ()
    assert ring.errors[-1] < 0.25 * before[-1]
    assert ring.errors.max() < 0.5 * before.max()
    np.testing.assert_array_equal(ring.errors[0], 0.0)  # the map's origin stays


def test_more_loops_take_it_closer_together() -> None:
    one, four = Ring(turn_deg=0.5), Ring(turn_deg=0.5)
    one.close(one.loop(COUNT - 1, 0))
    four.close(*(four.loop(COUNT - 1 - i, i) for i in range(4)))
    assert four.errors[-1] < 0.5 * one.errors[-1]


def test_drift_of_scale_is_taken_out_of_poses_and_depth() -> None:
    ring = Ring(growth=1.01)
    before = [depth_error(k, pose) for k, pose in zip(ring.map, ring.truth, strict=True)]
    ring.close(*(ring.loop(COUNT - 1 - i, i) for i in range(4)))
    after = [depth_error(k, pose) for k, pose in zip(ring.map, ring.truth, strict=True)]
    assert before[-1] == pytest.approx(0.01 * (COUNT - 1), rel=0.02)
    assert abs(after[-1]) < 0.25 * before[-1]
    assert np.abs(after).max() < 0.5 * np.abs(before).max()
    sizes = np.log([k.size for k in ring.map])
    np.testing.assert_allclose(sizes, np.subtract(after, before), atol=1e-4)


def test_corrections_by_the_same_loops_come_to_rest_where_these_are_right() -> None:
    """What a loop says holds after the units of its keyframes have changed."""
    ring = Ring(turn_deg=0.3, growth=1.01)
    first = ring.close(*(ring.loop(COUNT - 1 - i, i) for i in range(4)))
    for _ in range(8):
        last = ring.close()
        assert last.rejected == ()
    assert largest_move(last) < 0.01 * largest_move(first)
    assert abs(depth_error(ring.map[COUNT - 1], ring.truth[-1])) < 0.005
    assert ring.errors[-1] < 0.01


def test_a_hundred_corrections_leave_rotations_rotations() -> None:
    """Rounding must not add up: of the keyframe that holds the map it would by powers of three."""
    ring = Ring(turn_deg=0.3)
    ring.map[0].map_from_camera = ring.map[0].map_from_camera * (1 + 1e-15)
    ring.close(ring.loop(COUNT - 1, 0))
    for _ in range(100):
        ring.close()
    for k in ring.map:
        rotation = k.map_from_camera[:3, :3]
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert ring.errors.max() < 0.1


def test_a_wrong_loop_among_right_ones_is_taken_back() -> None:
    ring = Ring(turn_deg=0.3, growth=1.003)
    right = [ring.loop(COUNT - 1 - i, i) for i in range(4)]
    wrong = ring.loop(COUNT // 2, 3, Sim3.from_rigid(pose_at([1.5, -1.0, 0.5], 70.0), 1.3))
    before = ring.errors
    correction = ring.close(*right, wrong)
    assert correction.rejected == (wrong,)
    assert ring.map.loops != [] and len(ring.map.loops) == 4
    assert ring.errors.max() < 0.3 * before.max()


def test_a_loop_that_would_tear_the_map_apart_is_taken_back_though_it_is_the_only_one() -> None:
    """Another place that looks the same: no drift is so large."""
    ring = Ring(turn_deg=0.3, growth=1.003)
    before = ring.errors
    alike = Loop(COUNT // 2, 0, Sim3.identity())
    assert ring.close(alike).rejected == (alike,)
    np.testing.assert_allclose(ring.errors, before, atol=1e-9)
    assert ring.close(ring.loop(COUNT - 1, 0)).rejected == ()


@pytest.mark.parametrize(('turn_deg', 'growth'), [(2.0, 1.0), (0.0, 1.03), (-1.0, 0.98)])
def test_drift_that_is_large_is_no_reason_to_take_a_loop_back(
    turn_deg: float, growth: float
) -> None:
    """Degrees and percents with every keyframe."""
    ring = Ring(turn_deg, growth)
    before = ring.errors
    assert ring.close(ring.loop(COUNT - 1, 0)).rejected == ()
    assert ring.errors[-1] < 0.5 * before[-1]


def test_the_part_that_is_corrected_is_corrected_alone() -> None:
    ring = Ring(turn_deg=0.5)
    other = keyframe(pose_at([0, 0, 0]), COUNT, part=1)
    ring.map.add(other, descriptor(COUNT), [])
    correction = ring.close(ring.loop(COUNT - 1, 0))
    assert correction.now_from_then.keys() == set(range(COUNT))
    np.testing.assert_array_equal(other.map_from_camera, pose_at([0, 0, 0]))


def test_a_snapshot_does_not_change_with_the_map() -> None:
    ring, same = Ring(turn_deg=0.5), Ring(turn_deg=0.5)
    expected = same.close(same.loop(COUNT - 1, 0))
    ring.map.loops.append(ring.loop(COUNT - 1, 0))
    closer = LoopCloser()
    closer.start(ring.map, 0)
    for k in ring.map:
        k.move(Sim3.from_rigid(pose_at([9, 9, 9], 90.0), 2.0))
    ring.map.forget_part(0)
    correction = closer.finish()
    for key, move in expected.now_from_then.items():
        found = correction.now_from_then[key]
        np.testing.assert_allclose(found.translation, move.translation, atol=1e-9)


def test_what_was_begun_before_a_reset_is_not_heard_of() -> None:
    ring = Ring(turn_deg=0.5)
    ring.map.loops.append(ring.loop(COUNT - 1, 0))
    closer = LoopCloser()
    closer.start(ring.map, 0)
    closer.cancel()
    assert not closer.is_busy and closer.finish() is None
    closer.start(ring.map, 0)
    assert closer.finish().now_from_then.keys() == set(range(COUNT))


@pytest.mark.parametrize('key', [0, COUNT // 2, COUNT - 1])
def test_a_keyframe_without_depth_is_moved_with_the_others(key: int) -> None:
    """One of the sky, say: how far the scene is there nobody knows."""
    ring = Ring(turn_deg=0.5)
    ring.map[key].depth = torch.full_like(ring.map[key].depth, torch.nan)
    before = ring.errors
    ring.close(ring.loop(COUNT - 1, 0))
    assert ring.errors[-1] < 0.3 * before[-1]
