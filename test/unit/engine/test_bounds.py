"""What is kept of a stream that never ends."""

from da3_ros.evaluation.simulator import REALISTIC
from da3_ros.parameter_tree import replaced
from doubles.ring_corridor import CONFIG, on_ring, Stream
import numpy as np

MOST, LAP, FRAMES = 16, 110, 440


def kept(stream: Stream) -> dict[str, int]:
    """Return how much of everything there is."""
    mapper = stream.engine._mapper
    tensors = [x for k in mapper.map for x in (k.depth, k.weight, k.view.image)]
    return {
        'keyframes': len(mapper.map),
        'descriptors': len(mapper.map.places),
        'rows': len(mapper.map.places._matrix),
        'bytes': sum(t.numel() * t.element_size() for t in tensors),
        'scales': len(stream.engine._scales._scales),
    }


def test_a_map_that_is_full_stays_as_large_as_it_is_however_many_laps_are_walked() -> None:
    config = replaced(CONFIG, {'keyframe.max_count': MOST, 'window.size': 5})
    stream = Stream(on_ring(np.arange(FRAMES) / LAP), REALISTIC, config=config)
    found = [kept(stream.run(until)) for until in range(2 * LAP, FRAMES + 1, 20)]
    assert {k['keyframes'] for k in found} == {k['descriptors'] for k in found} == {MOST}
    assert {k['rows'] for k in found} == {64}
    assert max(k['scales'] for k in found) <= 2
    # Those of the window and a guest are kept in full, the others in less.
    image = 3 * 84 * 56 * 4
    assert max(k['bytes'] for k in found) <= 7 * (image + 2 * image // 3) + MOST * image // 3
    keyframes = stream.engine._mapper.map
    assert len(keyframes.loops) <= 2 * MOST
    ends = {key for loop in keyframes.loops for key in (loop.first, loop.second)}
    assert all(key in keyframes for key in ends)
    assert len(stream.views) > 0.95 * FRAMES
