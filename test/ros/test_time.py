"""Time: the simulation's clock where there is one, the steady one for what must tick anyway."""

from collections.abc import Callable
import math

from da3_ros.msg import Status
from diagnostic_msgs.msg import DiagnosticStatus
import pytest
from rclpy.qos import QoSProfile
from rig import image, Rig, wait_for
from rosgraph_msgs.msg import Clock

SECOND_NS = 10**9


class Simulation:
    """A node on simulated time, and the clock of that simulation."""

    def __init__(self, make_rig: Callable[..., Rig]) -> None:
        """Start the node; its clock has no time yet."""
        self.rig = make_rig(parameters={'use_sim_time': True})
        self._publisher = self.rig.peer.create_publisher(Clock, '/clock', QoSProfile(depth=1))
        wait_for(self._publisher.get_subscription_count, 'the node to listen to /clock')

    def set_clock(self, now_s: float) -> None:
        """Let it be so late, and wait until the node knows."""
        clock, now_ns = Clock(), round(now_s * SECOND_NS)
        clock.clock.sec, clock.clock.nanosec = divmod(now_ns, SECOND_NS)
        self._publisher.publish(clock)
        wait_for(lambda: self.rig.node.get_clock().now().nanoseconds == now_ns, 'the clock')

    def send(self, now_s: float, age_s: float = 0.25) -> None:
        """Set the clock, send an image that is some time old, and wait until it is out."""
        self.set_clock(now_s)
        published = self.rig.counts().frames_published
        self.rig.send(image(round((now_s - age_s) * SECOND_NS)))
        wait_for(lambda: self.rig.counts().frames_published > published, 'what came of it')

    def status(self, published: int) -> Status:
        """Return the status after so many published images."""
        return wait_for(
            lambda: [s for s in self.rig.messages['status'] if s.frames_published == published],
            f'the status of {published} images',
        )[-1]


@pytest.fixture
def simulation(make_rig: Callable[..., Rig]) -> Simulation:
    """Return a simulation whose node is listened to."""
    simulation = Simulation(make_rig)
    simulation.rig.listen()
    return simulation


def test_latency_is_measured_on_the_clock_of_the_simulation(simulation: Simulation) -> None:
    """A quarter of a simulated second after the stamp."""
    simulation.send(50.25)
    assert simulation.status(1).latency_p50_ms == pytest.approx(250.0)


def test_status_and_diagnostics_tick_without_a_clock(make_rig: Callable[..., Rig]) -> None:
    """A simulation that is paused is no reason to look dead."""
    rig = make_rig(parameters={'use_sim_time': True})
    rig.listen('status', '/diagnostics')
    rig.heard('status', 2)
    assert rig.heard('/diagnostics', 2)[-1].header.stamp.sec == 0
    rig.send()
    assert rig.counts().frames_processed == 1


def test_there_is_no_latency_without_a_clock(simulation: Simulation) -> None:
    """The images are processed, but nobody knows how late; with a clock, those that follow are."""
    simulation.rig.send(image(50 * SECOND_NS))
    assert math.isnan(simulation.status(1).latency_p95_ms)
    simulation.send(51.0)
    assert simulation.status(2).latency_p95_ms == pytest.approx(250.0)


def test_a_clock_that_jumps_ahead_keeps_the_map(simulation: Simulation) -> None:
    """Somebody paused the bag, or skipped a part; the images say whether the place is known."""
    for now_s in (50.0, 50.1, 50.2, 3650.0, 3650.1):
        simulation.send(now_s)
    assert simulation.rig.counts().frames_processed == 5
    assert not simulation.rig.counts().drops
    seconds = [k.stamp_ns / SECOND_NS for k in simulation.rig.engine.keyframes]
    assert seconds == [49.75, 3649.75]  # every third image: nothing was forgotten
    assert simulation.status(5).latency_p95_ms == pytest.approx(250.0)
    assert [m.header.stamp.sec for m in simulation.rig.heard('odometry', 5)][-1] == 3649


def test_a_clock_that_jumps_back_starts_a_new_map_once(
    simulation: Simulation, capfd: pytest.CaptureFixture
) -> None:
    """A bag that loops: everything goes on with the stamps of the second round."""
    for now_s in 2 * (50.0, 50.5, 51.0, 51.5, 52.0):
        simulation.send(now_s)
    assert simulation.rig.counts().frames_processed == 10
    assert not simulation.rig.counts().drops
    assert capfd.readouterr().err.count('The map starts anew') == 1
    assert len(simulation.rig.engine.keyframes) == 2  # of the second round alone
    assert simulation.status(10).latency_p95_ms == pytest.approx(250.0)
    stamps = [m.header.stamp.sec for m in simulation.rig.heard('odometry', 10)]
    assert stamps == 2 * [49, 50, 50, 51, 51]


def test_a_clock_that_stops_while_images_come_is_a_warning(simulation: Simulation) -> None:
    """They are processed all the same, and the warning ends with its cause."""
    rig = simulation.rig
    rig.listen('/diagnostics')
    simulation.set_clock(50.0)

    def told(level: bytes, words: str) -> bool:
        newest = rig.messages['/diagnostics'][-1:]
        return any(words in m.status[0].message and m.status[0].level == level for m in newest)

    def is_told_of_the_clock() -> bool:
        rig.send()
        return told(DiagnosticStatus.WARN, 'the clock stands still')

    wait_for(is_told_of_the_clock, 'the warning')
    assert rig.counts().frames_processed == rig.counts().frames_received
    now_s = iter(range(51, 10_000))

    def is_told_that_all_is_well() -> bool:
        simulation.set_clock(next(now_s))
        rig.send()
        return told(DiagnosticStatus.OK, 'Tracking')

    wait_for(is_told_that_all_is_well, 'the warning to end')
