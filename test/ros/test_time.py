"""Time: the simulation's clock where there is one, the steady one for what must tick anyway."""

from collections.abc import Callable

import pytest
from rclpy.qos import QoSProfile
from rig import image, Rig, wait_for
from rosgraph_msgs.msg import Clock


def test_latency_is_measured_on_the_clock_of_the_simulation(make_rig: Callable[..., Rig]) -> None:
    """A quarter of a simulated second after the stamp."""
    rig = make_rig(parameters={'use_sim_time': True})
    rig.listen()
    publisher = rig.peer.create_publisher(Clock, '/clock', QoSProfile(depth=1))
    wait_for(publisher.get_subscription_count, 'the node to listen to /clock')
    clock = Clock()
    clock.clock.sec, clock.clock.nanosec = 50, 250_000_000
    publisher.publish(clock)
    wait_for(lambda: rig.node.get_clock().now().nanoseconds == 50_250_000_000, 'the clock')
    rig.send(image(50 * 10**9))
    status = wait_for(
        lambda: [s for s in rig.messages['status'] if s.frames_published], 'a status'
    )[-1]
    assert status.latency_p50_ms == pytest.approx(250.0)


def test_status_and_diagnostics_tick_without_a_clock(make_rig: Callable[..., Rig]) -> None:
    """A simulation that is paused is no reason to look dead."""
    rig = make_rig(parameters={'use_sim_time': True})
    rig.listen('status', '/diagnostics')
    rig.heard('status', 2)
    assert rig.heard('/diagnostics', 2)[-1].header.stamp.sec == 0
    rig.send()
    assert rig.counts().frames_processed == 1
