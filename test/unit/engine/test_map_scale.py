"""Which source is believed, when that changes, and how the scale follows it."""

from collections.abc import Sequence
import math

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.scale.estimate import ScaleEstimate
from da3_ros.engine.scale.map_scale import MapScale
from da3_ros.engine.scale.source import Evidence, ScaleSource
from da3_ros.errors import FrameError
import pytest
import torch

PUSH = (object(),)  # stands for views that nobody looks at


class Told(ScaleSource):
    """Says what the test tells it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.told: ScaleEstimate | None = None
        self.evidence = Evidence.FRESH
        self.asked = 0

    @property
    def estimate(self) -> ScaleEstimate | None:
        return self.told

    def tell(self, scale: float, spread: float) -> None:
        self.told = ScaleEstimate(math.log(scale), spread)

    def _take(self, views: Sequence[Keyframe], kept: Sequence[Keyframe]) -> Evidence:
        self.asked += 1
        return self.evidence if self.told else Evidence.ABSENT

    def _forget(self) -> None:
        pass


def made(*names: str, max_spread: float = 0.2) -> tuple[MapScale, list[Told]]:
    sources = [Told(name) for name in names]
    scale = MapScale(sources, max_spread)
    scale.set_unit(torch.full((4, 4), 4.0))
    return scale, sources


def keyframes(scale: MapScale, count: int = 1) -> list[str]:
    return [scale.observe(PUSH, PUSH) for _ in range(count)]


def test_without_a_source_the_first_median_is_one() -> None:
    scale, _ = made()
    keyframes(scale, 3)
    assert scale.scale == pytest.approx(0.25)
    assert (scale.status.source, scale.status.is_metric) == ('none', False)
    assert math.isnan(scale.status.spread)
    with pytest.raises(FrameError, match='no valid depth'):
        scale.set_unit(torch.full((4, 4), math.nan))


def test_the_first_word_is_taken_at_once_and_reported() -> None:
    scale, (odometry,) = made('odometry')
    odometry.tell(3.0, 0.05)
    assert "known from 'odometry'" in scale.observe(PUSH, ())
    assert scale.scale == pytest.approx(3.0)
    assert scale.status.is_metric
    assert scale.status.spread == pytest.approx(0.05)
    assert scale.observe(PUSH, ()) == ''


def test_the_scale_moves_at_keyframes_only_and_by_no_more_than_its_spread() -> None:
    scale, (rig,) = made('rig')
    rig.tell(2.0, 0.02)
    keyframes(scale)
    rig.tell(3.0, 0.02)
    scale.observe(PUSH, ())
    assert scale.scale == pytest.approx(2.0)
    for _ in range(20):
        before, allowed = scale.scale, scale.status.spread
        keyframes(scale)
        assert 0 < math.log(scale.scale / before) <= allowed + 1e-12
    assert scale.scale == pytest.approx(3.0, rel=1e-3)
    assert scale.status.spread == pytest.approx(0.02, rel=0.1)


def test_a_spread_that_is_too_large_is_not_metric() -> None:
    scale, (rig,) = made('rig', max_spread=0.1)
    rig.tell(2.0, 0.15)
    keyframes(scale)
    assert not scale.status.is_metric
    assert scale.scale == pytest.approx(0.25)


def test_a_better_source_takes_over_after_three_keyframes() -> None:
    scale, (rig, network) = made('rig', 'metric_model')
    network.tell(2.0, 0.1)
    keyframes(scale)
    assert scale.status.source == 'metric_model'
    rig.tell(2.1, 0.01)
    reports = keyframes(scale, 3)
    assert reports[:2] == ['', '']
    assert "'rig' instead of 'metric_model'" in reports[2]
    assert scale.status.source == 'rig'


def test_a_better_source_that_comes_and_goes_does_not_take_over() -> None:
    scale, (rig, network) = made('rig', 'metric_model')
    network.tell(2.0, 0.1)
    keyframes(scale)
    for spread in (0.01, 0.5) * 4:
        rig.tell(2.1, spread)
        assert keyframes(scale) == ['']


def test_a_lesser_source_is_asked_only_when_it_is_needed() -> None:
    scale, (odometry, network) = made('odometry', 'metric_model')
    odometry.tell(2.0, 0.01)
    network.tell(2.2, 0.1)
    keyframes(scale, 4)
    assert network.asked == 1  # with the first keyframe, when nobody was believed yet
    odometry.evidence = Evidence.ABSENT
    assert keyframes(scale, 9) == [''] * 9
    assert scale.status.source == 'odometry'
    assert network.asked > 5
    before, allowed = scale.scale, scale.status.spread
    assert "'metric_model' instead of 'odometry'" in keyframes(scale)[0]
    assert math.log(scale.scale / before) <= allowed + 1e-12


def test_a_source_that_is_there_but_says_nothing_is_kept() -> None:
    """A robot that turns on the spot has odometry; only the spread grows."""
    scale, (odometry, network) = made('odometry', 'metric_model')
    odometry.tell(2.0, 0.01)
    network.tell(2.2, 0.1)
    keyframes(scale)
    odometry.evidence = Evidence.IDLE
    assert keyframes(scale, 50) == [''] * 50
    assert scale.status.source == 'odometry'
    assert scale.status.spread == pytest.approx(0.01 * math.sqrt(51), rel=0.01)


def test_the_last_source_is_held_until_its_spread_is_too_large() -> None:
    scale, (odometry,) = made('odometry', max_spread=0.05)
    odometry.tell(2.0, 0.01)
    keyframes(scale)
    odometry.evidence = Evidence.ABSENT
    keyframes(scale, 12)
    assert scale.status.is_metric
    assert 'silent since 12 keyframes' in scale.status.warning
    reports = keyframes(scale, 20)
    assert sum('not known any more' in report for report in reports) == 1
    assert (scale.status.source, scale.status.is_metric) == ('none', False)
    assert scale.scale == pytest.approx(2.0)
    odometry.tell(3.0, 0.01)
    odometry.evidence = Evidence.FRESH
    keyframes(scale)
    assert scale.status.is_metric
    assert scale.scale < 2.1  # found again, it does not jump


def test_a_new_map_starts_without_a_scale() -> None:
    scale, (rig,) = made('rig')
    rig.tell(2.0, 0.01)
    keyframes(scale)
    rig.told = None
    scale.set_unit(torch.full((4, 4), 2.0))
    assert scale.scale == pytest.approx(0.5)
    assert (scale.status.source, scale.status.warning) == ('none', '')
