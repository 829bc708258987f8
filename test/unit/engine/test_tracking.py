"""When the stream is lost, when it is found again, and when another part of the map begins."""

from dataclasses import dataclass

from da3_ros.engine.sight import Sight
from da3_ros.engine.tracking import Tracking
from da3_ros.errors import RegistrationError
import pytest

SEEN, HALF, HARDLY, ELSEWHERE = Sight(0.9, 0.9), Sight(0.1, 0.4), Sight(0.03, 0.9), Sight(0.9, 0.1)
PATIENCE = 10


@dataclass(frozen=True)
class Seen:
    """Stands for a placed view: what the map sees of it, and how sure the network is of it."""

    sight: Sight
    certainty: float
    is_carried: bool = False
    rig: str | None = None


def view(seen: Sight = SEEN, certainty: float = 2.0) -> Seen:
    return Seen(seen, certainty)


def tracked(views: int = 40) -> Tracking:
    """Return what has followed a stream for a while."""
    tracking = Tracking()
    tracking.check_first(view())
    for _ in range(views):
        tracking.check([view()])
    return tracking


def test_what_a_rig_carries_is_followed_only_while_another_camera_holds() -> None:
    """And it does not lower what is asked of the others."""
    tracking = tracked()
    carried = Seen(ELSEWHERE, 1e-6, is_carried=True, rig='rig')
    for _ in range(40):
        assert tracking.check([carried, view()]) == [view(), carried]
    with pytest.raises(RegistrationError):
        tracking.check([carried])
    with pytest.raises(RegistrationError):
        tracking.check([view(HALF, 0.05)])


def test_a_carried_view_that_the_map_knows_is_one_like_any_other() -> None:
    obvious = Seen(SEEN, 1e-6, is_carried=True, rig='rig')
    assert tracked().check([obvious]) == [Seen(SEEN, 1e-6, rig='rig')]


def lose(tracking: Tracking, times: int = 1) -> None:
    for _ in range(times):
        tracking.lose()


@pytest.mark.parametrize('seen', [HARDLY, ELSEWHERE], ids=['out of sight', 'other surfaces'])
def test_a_view_that_does_not_hang_together_with_the_map_is_refused(seen: Sight) -> None:
    tracking = tracked()
    with pytest.raises(RegistrationError, match=f'agrees about {100 * seen.agreeing:.0f} %'):
        tracking.check([view(seen)])
    assert not tracking.is_lost  # whoever pushes says so


def test_a_view_that_the_network_is_not_sure_of_is_refused_unless_it_is_obvious() -> None:
    tracking = tracked()
    tracking.check([view(HALF, certainty=0.5)])
    with pytest.raises(RegistrationError, match='0.02 sure of it'):
        tracking.check([view(HALF, certainty=0.02)])
    tracking.check([view(SEEN, certainty=0.02)])


def test_one_camera_that_holds_is_enough_and_only_what_holds_is_returned() -> None:
    tracking = tracked()
    views = [view(HARDLY), view(SEEN), view(ELSEWHERE)]
    assert tracking.check(views) == views[1:2]
    with pytest.raises(RegistrationError):
        tracking.check([view(HARDLY), view(ELSEWHERE)])


def test_more_is_asked_of_a_place_that_is_found_again() -> None:
    tracking = tracked()
    tracking.check([view(HALF)])
    tracking.lose()
    with pytest.raises(RegistrationError):
        tracking.check([view(HALF)])
    assert tracking.is_lost
    tracking.check([view(SEEN)])
    assert not tracking.is_lost
    tracking.check([view(HALF)])


def test_patience_ends_after_some_views_in_a_row() -> None:
    tracking = tracked()
    lose(tracking, PATIENCE - 1)
    assert not tracking.gives_up
    tracking.check([view()])
    lose(tracking, PATIENCE - 1)
    assert not tracking.gives_up
    tracking.lose()
    assert tracking.gives_up and tracking.lost == PATIENCE
    tracking.check_first(view())
    assert not tracking.gives_up and not tracking.is_lost


def test_the_dark_begins_nothing_and_the_light_is_for_looking_round_first() -> None:
    tracking = tracked()
    lose(tracking, PATIENCE)
    with pytest.raises(RegistrationError, match='is 0.01 sure'):
        tracking.check_first(view(certainty=0.01))
    assert not tracking.gives_up
    lose(tracking, PATIENCE)
    assert tracking.gives_up
    with pytest.raises(RegistrationError, match='show something again'):
        tracking.check_first(view())
    assert not tracking.gives_up
    lose(tracking, PATIENCE)
    tracking.check_first(view())
    assert not tracking.is_lost


def test_a_stream_that_stays_dim_is_believed_in_the_end() -> None:
    """What is usual may have changed for good: fog, or another lens."""
    tracking, waits = tracked(), 0
    while waits < 100:
        lose(tracking, PATIENCE)
        try:
            tracking.check_first(view(certainty=0.1))
            break
        except RegistrationError:
            waits += 1
    assert 3 < waits < 20
    tracking.check([view(certainty=0.1)])


def test_what_is_usual_is_learnt_from_views_that_hold_alone() -> None:
    tracking = tracked()
    for _ in range(100):
        tracking.check([view(), view(HARDLY, certainty=0.0)])
    with pytest.raises(RegistrationError):
        tracking.check([view(HALF, certainty=0.08)])


def test_nothing_is_asked_of_the_first_view_of_all() -> None:
    tracking = Tracking()
    tracking.check_first(view(certainty=1e-3))
    assert not tracking.is_lost


def test_clearing_forgets_what_is_usual() -> None:
    tracking = tracked()
    lose(tracking, PATIENCE)
    tracking.clear()
    assert not tracking.is_lost and not tracking.gives_up
    tracking.check_first(view(certainty=1e-3))
