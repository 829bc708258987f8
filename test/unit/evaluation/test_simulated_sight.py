"""A simulated network relates what shares surfaces, and sees nothing in the dark."""

from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.evaluation.courses import corridor, SIZE
from da3_ros.evaluation.footage import Footage
from da3_ros.evaluation.simulated_sight import Sight
from da3_ros.evaluation.simulated_stream import camera_at, FURNISHED_ROOM
from da3_ros.evaluation.simulator import NetworkSimulator, Noise
from da3_ros.evaluation.truth import BoxRoom, RoomTruth
from da3_ros.geometry.transforms import invert
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr
import torch

WIDTH, HEIGHT = SIZE
K = np.array([[54.0, 0.0, 42.0], [0.0, 54.0, 28.0], [0.0, 0.0, 1.0]])  # 76 degrees wide
# Two that look ahead, two that look back, and one between them, by the yaw of each.
YAWS = {1: 0.0, 2: 15.0, 3: 180.0, 4: 165.0, 5: 55.0, 6: 110.0}
POSES = {stamp: camera_at([0.1 * stamp, 0.0, 0.0], yaw) for stamp, yaw in YAWS.items()}
TRUTH = RoomTruth(FURNISHED_ROOM, {'': POSES}, K, SIZE)
BLIND = Noise(min_overlap=0.1)


def film(footage: Footage) -> list[WindowView]:
    """Return the views of footage, small ones."""
    image = torch.zeros(3, HEIGHT // 2, WIDTH // 2)
    return [WindowView(i, '', int(s), image) for i, s in enumerate(footage.stamps_ns)]


def views(*stamps: int) -> list[WindowView]:
    return [WindowView(s, '', s, torch.zeros(3, HEIGHT, WIDTH)) for s in stamps]


def assert_related(prediction: WindowPrediction, stamps: dict[int, int]) -> None:
    """Check that views, by position in the window, are in one similarity of the truth."""
    (first, *others), true = stamps, TRUTH.depth_m
    scales = [
        np.median(prediction.depth[i].numpy() / true('', s, HEIGHT, WIDTH))
        for i, s in stamps.items()
    ]
    np.testing.assert_allclose(scales, scales[0], rtol=1e-4)
    for other in others:
        relative = (
            invert(prediction.window_from_camera[first]) @ (prediction.window_from_camera[other])
        )
        expected = invert(POSES[stamps[first]]) @ POSES[stamps[other]]
        np.testing.assert_allclose(relative[:3, :3], expected[:3, :3], atol=1e-6)
        np.testing.assert_allclose(relative[:3, 3], scales[0] * expected[:3, 3], atol=1e-5)


def turn_between(prediction: WindowPrediction, first: int, second: int) -> float:
    """Return the angle between two views, in degrees."""
    poses = prediction.window_from_camera
    relative = poses[first, :3, :3].T @ poses[second, :3, :3]
    return float(np.degrees(Rotation.from_matrix(relative).magnitude()))


def test_overlap_is_the_share_of_points_that_the_other_sees() -> None:
    sight = Sight(TRUTH)
    one, two, back, _, aside, _ = views(*YAWS)
    assert sight.overlap(one, one) == 1.0
    assert sight.overlap(one, back) == sight.overlap(back, one) == 0.0
    assert 0.6 < sight.overlap(one, two) < 0.95
    assert 0.05 < sight.overlap(one, aside) < 0.5


def test_what_stands_before_a_point_hides_it() -> None:
    """Past a board, one camera sees the wall behind it; the other sees the board alone."""
    board = [[[1.0, -4.0, -1.0], [1.1, 4.0, 2.0]]]
    poses = {1: camera_at([2.0, 0.0, 0.5]), 2: camera_at([0.0, 0.0, 0.5])}
    open_room, divided = (
        Sight(RoomTruth(BoxRoom([-3.0, -4.0, -1.0], [5.0, 4.0, 2.0], boxes), {'': poses}, K, SIZE))
        for boxes in (np.empty((0, 2, 3)), np.array(board))
    )
    beyond, before = views(1, 2)
    assert open_room.overlap(beyond, before) > 0.9
    assert divided.overlap(beyond, before) == divided.overlap(before, beyond) == 0.0


def test_views_are_in_one_group_through_others() -> None:
    sight = Sight(TRUTH)
    apart = sight.groups(views(1, 2, 3, 4), 0.1)
    assert apart[0] == apart[1] != apart[2] == apart[3]
    assert len(set(sight.groups(views(1, 2, 3, 4, 5, 6), 0.1))) == 1
    assert len(set(sight.groups(views(1, 5), 0.99))) == 2


def test_what_the_reference_shares_nothing_with_is_placed_at_random() -> None:
    network = NetworkSimulator(TRUTH, BLIND)
    turns = []
    for _ in range(8):
        prediction = network.infer(views(1, 3, 2, 4))
        assert_related(prediction, {0: 1, 2: 2})
        assert_related(prediction, {1: 3, 3: 4})  # among themselves they are
        turns.append(turn_between(prediction, 0, 1))
        assert (prediction.confidence[[0, 2]] == 2.0).all()
        assert (prediction.confidence[[1, 3]] < 1.05).all()
    assert np.std(turns) > 10.0
    assert np.abs(np.array(turns) - 180.0).max() > 30.0


def test_views_in_between_hold_a_window_together() -> None:
    prediction = NetworkSimulator(TRUTH, BLIND).infer(views(1, 3, 4, 5, 6))
    assert_related(prediction, dict(enumerate((1, 3, 4, 5, 6))))
    assert (prediction.confidence == 2.0).all()


def test_without_a_least_overlap_everything_is_related() -> None:
    assert_related(NetworkSimulator(TRUTH).infer(views(1, 3)), {0: 1, 1: 3})


@pytest.mark.parametrize('at', [0, 1, 2])
def test_a_black_view_is_made_up_and_disturbs_no_other(at: int) -> None:
    stamps = [1, 2]
    stamps.insert(at, 5)
    network = NetworkSimulator(TRUTH, BLIND, blackouts=[(5, 6)])
    errors, turns = [], []
    for _ in range(6):
        prediction = network.infer(views(*stamps))
        assert_related(prediction, {i: s for i, s in enumerate(stamps) if s != 5})
        others = [i for i in range(3) if i != at]
        assert (prediction.confidence[others] == 2.0).all()
        assert (prediction.confidence[at] >= 1.0).all()
        assert float(prediction.confidence[at].median()) < 1.1
        ratio = prediction.depth[at].numpy() / TRUTH.depth_m('', 5, HEIGHT, WIDTH)
        errors.append(np.std(np.log(ratio)))
        turns.append(turn_between(prediction, at, others[0]))
    assert np.isfinite(errors).all() and np.mean(errors) > 0.2
    assert np.std(turns) > 10.0


def test_a_black_view_links_nothing() -> None:
    black = NetworkSimulator(TRUTH, BLIND, blackouts=[(6, 6)]).infer(views(1, 5, 6, 3, 4))
    assert (black.confidence[[3, 4]] < 1.05).all()
    assert (black.confidence[[0, 1]] == 2.0).all()


def test_a_window_of_black_views_is_still_a_window() -> None:
    prediction = NetworkSimulator(TRUTH, BLIND, blackouts=[(0, 9)]).infer(views(1, 2), [1])
    assert torch.isfinite(prediction.depth[1]).all() and torch.isnan(prediction.depth[0]).all()
    assert np.isfinite(prediction.window_from_camera).all()


@pytest.mark.parametrize(('error', 'least'), [(0.0, 0.85), (0.3, 0.75)])
def test_descriptors_are_as_alike_as_the_views_overlap(error: float, least: float) -> None:
    lap = corridor(50)
    network, sight = NetworkSimulator(lap.truth, Noise(place=error)), Sight(lap.truth)
    seen = film(lap)
    descriptors = torch.stack([network.describe(view) for view in seen])
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(len(seen)))
    above = np.triu_indices(len(seen), 1)
    alike = (descriptors @ descriptors.T).numpy()[above]
    shares = np.array([[sight.overlap(a, b) for b in seen] for a in seen])
    overlap = np.minimum(shares, shares.T)[above]
    shared = overlap > 0.05
    assert spearmanr(alike[shared], overlap[shared]).statistic > least
    assert alike[overlap > 0.6].min() > 0.5 > alike[overlap == 0.0].max()


def test_a_view_is_described_alike_each_time() -> None:
    network = NetworkSimulator(TRUTH, Noise(place=0.3), seed=4, blackouts=[(5, 5)])
    for view in views(1, 5):
        assert torch.equal(network.describe(view), network.describe(view))
    first, second, black = (network.describe(v) for v in views(1, 2, 5))
    assert float(first @ second) > 0.4 > 0.2 > abs(float(first @ black))
    assert float(black.norm()) == pytest.approx(1.0)


def test_places_are_mistaken_for_others_as_often_as_asked_for() -> None:
    lap = corridor(80)
    exact, mistaken = (
        NetworkSimulator(lap.truth, Noise(alias=share), seed=1) for share in (0.0, 0.3)
    )
    seen = film(lap)
    true = torch.stack([exact.describe(view) for view in seen])
    said = torch.stack([mistaken.describe(view) for view in seen])
    is_wrong = (said - true).norm(dim=1) > 1e-6
    assert float(is_wrong.float().mean()) == pytest.approx(0.3, abs=0.12)
    assert float((said[is_wrong] @ true.T).amax(dim=1).min()) > 0.999, 'places there are'
