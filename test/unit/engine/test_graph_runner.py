"""The runner for streams gives what the plain runner gives, and computes less for it."""

from collections.abc import Sequence
import dataclasses

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.plan import Capacity, WindowPlan
from da3_ros.engine.runner import EagerRunner, WindowPrediction, WindowView
from da3_ros.engine.stages import DirectStages
from da3_ros.engine.window import Window
from da3_ros.geometry.transforms import rigid
from da3_ros.model.da3 import AnyViewNetwork
from da3_ros.model.presets import ModelConfig
from doubles.miniatures import TINY
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
import torch

K = np.array([[40.0, 0.0, 28.0], [0.0, 40.0, 21.0], [0.0, 0.0, 1.0]])
EVEN = dataclasses.replace(TINY, name='even', embed_dim=128, heads=2)
# As in the giant: no block knows of the role before views are mixed.
ODD = dataclasses.replace(
    EVEN, name='odd', alt_start=3, qk_norm_start=3, rope_start=3, ffn='swiglu'
)


def network(config: ModelConfig) -> AnyViewNetwork:
    """Return a network in which every part matters: nothing fades on its way."""
    torch.manual_seed(0)
    net = AnyViewNetwork(config).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if name.endswith('gamma'):
            parameter.normal_(0.5, 0.2)
        elif 'norm' in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
        elif 'token' in name or 'pos_embed' in name:
            parameter.normal_()
        elif parameter.ndim >= 2 and 'camera_decoder' not in name:
            parameter.normal_(std=parameter[0].numel() ** -0.5)
    return net


@pytest.fixture(scope='module', params=[EVEN, ODD], ids=lambda c: c.name)
def net(request: pytest.FixtureRequest) -> AnyViewNetwork:
    return network(request.param)


def view(key: int, height: int = 42, width: int = 56) -> WindowView:
    generator = torch.Generator().manual_seed(key)
    return WindowView(key, 'front', key, torch.randn(3, height, width, generator=generator))


def posed(key: int) -> WindowView:
    turn = Rotation.from_rotvec([0, 0.2 * key, 0]).as_matrix()
    pose = rigid(turn, np.array([1.0 * key, 0.3, 2.0]))
    return dataclasses.replace(view(key), intrinsics=K, world_from_camera=pose)


def assert_same(got: WindowPrediction, expected: WindowPrediction) -> None:
    torch.testing.assert_close(got.depth, expected.depth, equal_nan=True, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        got.confidence, expected.confidence, equal_nan=True, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(got.window_from_camera, expected.window_from_camera, atol=2e-5)
    np.testing.assert_allclose(got.intrinsics, expected.intrinsics, rtol=1e-4)


STREAMS = {
    'the window fills, then slides': [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 3, 4, 5]],
    'the reference moves': [[1, 2, 3], [2, 3, 4], [4, 3, 5], [2, 4, 5]],
    'two cameras': [[1, 2], [1, 3, 4], [1, 3, 5, 6]],
    'nothing is known': [[1, 2, 3, 4], [5, 6, 7, 8]],
    'more views than planned': [[1, 2], [1, 2, 3, 4, 5, 6], [1, 7]],
    'an old view comes back': [[1, 2, 3], [1, 4, 5], [1, 6, 7], [1, 2, 8]],
}


@pytest.mark.parametrize('windows', STREAMS.values(), ids=STREAMS.keys())
def test_stream_is_the_eager_one(net: AnyViewNetwork, windows: list[list[int]]) -> None:
    runner, eager = GraphRunner(net, views=4), EagerRunner(net)
    for keys in windows:
        views = [view(key) for key in keys]
        assert_same(runner.infer(views), eager.infer(views))


@pytest.mark.parametrize('dense', [[3], [0, 3], [2, 1], [3, 0, 1]])
def test_depth_of_some_views(net: AnyViewNetwork, dense: Sequence[int]) -> None:
    views = [view(key) for key in range(4)]
    got = GraphRunner(net, views=4).infer(views, dense)
    assert_same(got, EagerRunner(net).infer(views, dense))
    missing = [i for i, depth in enumerate(got.depth) if depth.isnan().all()]
    assert missing == sorted(set(range(4)) - set(dense))


def test_known_poses_come_and_go(net: AnyViewNetwork) -> None:
    runner, eager = GraphRunner(net, views=4), EagerRunner(net)
    for views in (
        [view(1), view(2)],
        [posed(1), posed(2), posed(3)],
        [posed(1), posed(3), posed(4)],
        [posed(1), posed(3), view(5)],
    ):
        assert_same(runner.infer(views), eager.infer(views))


def test_known_poses_matter(net: AnyViewNetwork) -> None:
    """Otherwise the test above could not tell whether they arrive."""
    runner = GraphRunner(net, views=4)
    known = runner.infer([posed(1), posed(2)]).depth
    assert not torch.allclose(runner.infer([view(1), view(2)]).depth, known, rtol=1e-3)


def test_images_of_another_size_start_anew(net: AnyViewNetwork) -> None:
    runner, eager = GraphRunner(net, views=2), EagerRunner(net)
    for size in ((42, 56), (56, 42), (42, 56)):
        views = [view(1, *size), view(2, *size)]
        assert_same(runner.infer(views), eager.infer(views))


def test_results_are_the_callers_own(net: AnyViewNetwork) -> None:
    runner = GraphRunner(net, views=2)
    first = runner.infer([view(1), view(2)])
    kept = first.depth.clone(), first.confidence.clone(), first.window_from_camera.copy()
    runner.infer([view(1), view(3)])
    assert torch.equal(first.depth, kept[0])
    assert torch.equal(first.confidence, kept[1])
    np.testing.assert_array_equal(first.window_from_camera, kept[2])


def test_prefix_is_kept_bit_for_bit(net: AnyViewNetwork) -> None:
    """A frame's tokens are the same in every window, whatever else is in it."""
    runner = GraphRunner(net, views=3)
    for keys in ([1], [1, 2], [1, 2, 3], [2, 3, 4]):
        runner.infer([view(key) for key in keys])
        slots = runner._slots.place(keys).slots
        with torch.inference_mode():
            for key, slot in zip(keys, slots, strict=True):
                alone = net.backbone.prefix(view(key).image[None, None]).tokens[0, 0]
                assert torch.equal(runner._plan.tokens[slot], alone)


def test_each_view_is_seen_once(net: AnyViewNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {'prefix': 0, 'enter': 0, 'dense': 0}
    for name in counts:
        original = getattr(WindowPlan, name)

        def counted(plan, number, *args, name=name, original=original) -> None:
            counts[name] += number
            original(plan, number, *args)

        monkeypatch.setattr(WindowPlan, name, counted)
    runner = GraphRunner(net, views=4)
    for newest in range(2, 8):
        runner.infer([view(key) for key in (0, newest - 1, newest)], [2])
    # Keys 0 to 7 in six windows of three views.
    assert counts == {'prefix': 8, 'enter': 8, 'dense': 6}


def test_preparing_leaves_no_trace(net: AnyViewNetwork) -> None:
    runner, steps = GraphRunner(net, views=3), []
    expected = [Capacity(views, 1) for views in (3, 2, 1)]
    runner.prepare((42, 56), expected, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 1)], 'one window is enough where nothing is captured'
    views = [view(1), view(2)]
    assert_same(runner.infer(views), EagerRunner(net).infer(views))


class RecordingStages(DirectStages):
    """Notes which stages run."""

    def __init__(self) -> None:
        self.runs: list[tuple] = []

    def run(self, stage, *arguments, attends=None) -> None:
        self.runs.append((stage.__name__, *arguments))
        super().run(stage, *arguments)


@pytest.mark.parametrize('is_posed', [False, True])
def test_everything_that_a_stream_needs_is_prepared(net: AnyViewNetwork, is_posed: bool) -> None:
    """Whatever a stage is run with later was run before: on a GPU, nothing is captured late."""
    runner, window = GraphRunner(net, views=4, posed=is_posed), Window(4, 2)
    runner._graphs = True  # as on a GPU, but with stages that are only called
    stages = RecordingStages()
    runner._new_stages = lambda: stages
    runner.prepare((42, 56), window.shapes(1))
    prepared = set(stages.runs)
    for make in (view, posed) if is_posed else (view,):
        for keys in ([1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 3, 4, 5], [3, 4, 5, 6]):
            known = len(keys) - 1
            runner.infer([make(key) for key in keys], window.dense_slots(known, 1))
    assert set(stages.runs) == prepared


def test_indices_go_to_their_stages(net: AnyViewNetwork) -> None:
    """In one copy; what is not told is 0, whatever was there before."""
    plan = WindowPlan(net, (42, 56), Capacity(views=4, dense=2, new=2))
    plan.point_to(new=[3, 1], turned={True: [2], False: [3, 1, 0]}, window=[2, 3], dense=[1, 0])
    buffers = plan.reference_slot, plan.other_slots, plan.window_slots, plan.dense_views
    told = [buffer.tolist() for buffer in (plan.new_slots, *buffers)]
    assert told == [[3, 1], [2], [3, 1, 0, 0], [2, 3, 0, 0], [1, 0]]
    plan.point_to(new=[1], turned={True: [], False: []}, window=[3], dense=[1])
    told = [buffer.tolist() for buffer in (plan.new_slots, *buffers)]
    assert told == [[1, 0], [0], [0, 0, 0, 0], [3, 0, 0, 0], [1, 0]]
