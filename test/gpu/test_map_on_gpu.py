"""The map of a network on a GPU: the pictures of its window are there, the rest is not."""

from da3_ros.evaluation.simulator import Noise
from da3_ros.parameter_tree import replaced
from doubles.ring_corridor import CONFIG, on_ring, Stream
import numpy as np
import pytest

pytestmark = pytest.mark.gpu


def test_loops_are_closed_and_places_found_again_on_a_gpu() -> None:
    """More than a lap, and a leap to a place of which all keyframes are archived."""
    laps = [*np.linspace(0, 1.3, 160), *np.linspace(0.6, 0.65, 10)]
    noise = Noise(min_overlap=0.03, place=0.3, depth_bias=0.01)
    stream = Stream(on_ring(laps), noise, config=replaced(CONFIG, {'device': 'cuda'}))
    stream.network.turn_deg_per_m = -0.6
    stream.run()
    assert stream.told('loop') != []
    assert [i for i in stream.told('known again') if i >= 160] != []
    for k in stream.engine._mapper.map:
        assert k.depth.is_cpu and k.view.image.is_cuda
