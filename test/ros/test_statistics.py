"""Medians and percentiles of what the node measures of itself."""

from da3_ros.ros.statistics import SAMPLES, Statistics
import numpy as np
import pytest


@pytest.mark.parametrize('count', [1, 2, 3, 20, 57, SAMPLES, 2 * SAMPLES])
def test_percentiles_are_numpys_over_the_newest_samples(count: int) -> None:
    statistics, times = Statistics(), np.random.default_rng(count).exponential(20.0, count)
    for ms in times.tolist():
        statistics.publish(ms)
        statistics.time({'network': 2 * ms})
    seen, found = times[-SAMPLES:], statistics.snapshot()
    assert found.latency_p50_ms == pytest.approx(np.median(seen))
    assert found.latency_p95_ms == pytest.approx(np.percentile(seen, 95))
    assert found.stage_ms == {'network': pytest.approx(2 * np.median(seen))}


def test_nothing_measured_is_not_a_number() -> None:
    found = Statistics().snapshot()
    assert np.isnan([found.latency_p50_ms, found.latency_p95_ms]).all() and found.stage_ms == {}
