"""Captured graphs give what the called stages give; stages never wait for the device."""

from collections.abc import Callable
import logging

from da3_ros.engine.graph_runner import GraphRunner
from da3_ros.engine.runner import EagerRunner, WindowPrediction
from da3_ros.engine.stages import DirectStages
from da3_ros.engine.window import Window
from da3_ros.model.presets import EMBEDDED
import numpy as np
import pytest
import torch

pytestmark = pytest.mark.gpu
SIZE = 126, 168
WINDOWS = ([1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 3, 4, 5], [3, 4, 5, 6], [3, 4, 7, 8])


def assert_close(got: WindowPrediction, expected: WindowPrediction, tolerance: float) -> None:
    torch.testing.assert_close(
        got.depth, expected.depth, rtol=tolerance, atol=tolerance, equal_nan=True
    )
    np.testing.assert_allclose(
        got.window_from_camera, expected.window_from_camera, atol=tolerance, rtol=0
    )


@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 2e-3), (torch.bfloat16, 0.1), (torch.float16, 0.02)]
)
def test_graphs_are_the_eager_network(
    dtype: torch.dtype, tolerance: float, network_of: Callable, view_of: Callable, exact: None
) -> None:
    """To rounding: batches of another size take other kernels, and random weights amplify it."""
    net = network_of(EMBEDDED, dtype)
    runner, eager, window = GraphRunner(net, views=4), EagerRunner(net), Window(4, 2)
    runner.prepare(SIZE, window.shapes(1))
    for keys in WINDOWS:
        views = [view_of(key) for key in keys]
        dense = window.dense_slots(len(views) - 1, 1)
        assert_close(runner.infer(views, dense), eager.infer(views, dense), tolerance)


def test_graphs_are_the_called_stages(network_of: Callable, view_of: Callable) -> None:
    """Same kernels, same shapes: nearly the same bits."""
    net = network_of(EMBEDDED, torch.bfloat16)
    graphs, direct = GraphRunner(net, views=4), GraphRunner(net, views=4, graphs=False)
    for keys in WINDOWS:
        views = [view_of(key) for key in keys]
        assert_close(graphs.infer(views), direct.infer(views), 0.05)


def test_nothing_is_captured_after_preparing(
    network_of: Callable, view_of: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    runner, window = GraphRunner(network_of(EMBEDDED, torch.bfloat16), views=4), Window(4, 2)
    with caplog.at_level(logging.INFO, 'da3_ros.engine.stages'):
        runner.prepare(SIZE, window.shapes(1))
        assert 'Captured mix' in caplog.text
        caplog.clear()
        for keys in WINDOWS[:-1]:  # in the last one two views are new at a time
            runner.infer([view_of(key) for key in keys], window.dense_slots(len(keys) - 1, 1))
    assert 'Captured' not in caplog.text


def test_stages_never_wait_for_the_device(network_of: Callable, view_of: Callable) -> None:
    runner = GraphRunner(network_of(EMBEDDED, torch.bfloat16), views=3, graphs=False)
    runner.infer([view_of(key) for key in range(3)])  # tables are made

    class Watched(DirectStages):
        def run(self, stage, *arguments, attends=None) -> None:
            torch.cuda.set_sync_debug_mode('error')
            try:
                super().run(stage, *arguments)
            finally:
                torch.cuda.set_sync_debug_mode('default')

    runner.stages = Watched()
    runner.infer([view_of(key) for key in (0, 2, 3)])


def test_prefix_is_kept_bit_for_bit(network_of: Callable, view_of: Callable) -> None:
    net = network_of(EMBEDDED, torch.bfloat16)
    runner = GraphRunner(net, views=3, graphs=False)
    for keys in ([1], [1, 2], [1, 2, 3], [2, 3, 4]):
        runner.infer([view_of(key) for key in keys])
        slots = runner._slots.place(keys).slots
        with torch.inference_mode():
            for key, slot in zip(keys, slots, strict=True):
                alone = net.backbone.prefix(view_of(key).image[None, None]).tokens[0, 0]
                assert torch.equal(runner._plan.tokens[slot], alone)


@pytest.mark.parametrize('way', ['compiled', 'fused'])
def test_faster_blocks_are_the_eager_network(
    way: str, network_of: Callable, view_of: Callable
) -> None:
    eager = EagerRunner(network_of(EMBEDDED, torch.float16))
    net = network_of(EMBEDDED, torch.float16)
    runner = GraphRunner(net, views=3, blocks=way)
    runner.prepare(SIZE, Window(3, 2).shapes(1)[:1])
    views = [view_of(key) for key in range(3)]
    assert_close(runner.infer(views, [0, 2]), eager.infer(views, [0, 2]), 0.02)
