"""Quality of service: every pair of peers over DDS, overrides by topic, and what does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer import wait_for
import pytest
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    qos_profile_sensor_data,
    QoSProfile,
    ReliabilityPolicy,
)
from rig import image, Rig
from sensor_msgs.msg import Image, PointCloud2

RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
PEERS = {'reliable': RELIABLE, 'best_effort': BEST_EFFORT}
DEPTH = '/depth/image_rect'


def overrides(topic: str, entity: str, **policies: Any) -> dict[str, Any]:
    """Return the parameters that override one topic."""
    return {f'qos_overrides.{topic}.{entity}.{name}': value for name, value in policies.items()}


def profile(rig: Rig, topic: str) -> QoSProfile:
    """Return the QoS of the node's only endpoint of a topic."""
    ends = [*rig.node.publishers, *rig.node.subscriptions]
    (end,) = [e for e in ends if e.topic_name == topic]
    return end.qos_profile


@pytest.mark.parametrize('output', PEERS)
@pytest.mark.parametrize('source', PEERS)
def test_default_qos_serves_every_camera_and_every_subscriber(
    make_rig: Callable[..., Rig], source: str, output: str
) -> None:
    """Reliable and best-effort peers on both sides."""
    rig = make_rig()
    heard: list[Image] = []
    rig.peer.create_subscription(Image, DEPTH, heard.append, PEERS[output])
    publisher = rig.peer.create_publisher(Image, '/image', PEERS[source])
    wait_for(publisher.get_subscription_count, 'the node to listen')
    wait_for(lambda: rig.peer.count_subscribers(DEPTH), 'the peer to be known')

    def is_heard() -> bool:  # best effort may lose one
        publisher.publish(image(rig.next_stamp_ns()))
        return bool(heard)

    wait_for(is_heard, 'a depth image')
    assert not {'qos_input', 'qos_output'} & set(rig.counts().drops)


@pytest.mark.parametrize('asked', PEERS)
@pytest.mark.parametrize('offered', PEERS)
def test_overrides_make_any_pair_and_only_the_impossible_one_is_named(
    make_rig: Callable[..., Rig], offered: str, asked: str
) -> None:
    """On the output's side: a reliable subscriber cannot hear a best-effort publisher."""
    rig = make_rig(parameters=overrides(DEPTH, 'publisher', reliability=offered))
    rig.peer.create_subscription(Image, DEPTH, lambda _: None, PEERS[asked])
    (publisher,) = [p for p in rig.node.publishers if p.topic_name == DEPTH]
    if (offered, asked) == ('best_effort', 'reliable'):
        wait_for(lambda: rig.counts().drops.get('qos_output'), 'the misfit to be counted')
        assert publisher.get_subscription_count() == 0
    else:
        wait_for(publisher.get_subscription_count, 'a match')
        assert 'qos_output' not in rig.counts().drops


def test_a_camera_that_does_not_fit_is_named_once_and_counted_each_time(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what to set; diagnostics count."""
    rig = make_rig(parameters=overrides('/image', 'subscription', reliability='reliable', depth=2))
    rig.listen('/diagnostics')
    said: list[str] = []
    monkeypatch.setattr(rig.node.get_logger(), 'warning', said.append)
    for _ in range(2):
        rig.peer.create_publisher(Image, '/image', BEST_EFFORT)
    wait_for(lambda: rig.counts().drops.get('qos_input') == 2, 'two misfits')
    (sentence,) = wait_for(lambda: said, 'a warning')
    name = 'qos_overrides./image.subscription.reliability'
    assert "publisher of '/image'" in sentence and f"'{name}' set to 'best_effort'" in sentence
    wait_for(
        lambda: any(
            (v.key, v.value) == ('dropped qos_input', '2')
            for message in rig.messages['/diagnostics']
            for v in message.status[0].values
        ),
        'the count in the diagnostics',
    )


def test_a_latched_wish_is_named_by_its_policy(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Durability has a remedy of its own."""
    rig = make_rig()
    said: list[str] = []
    monkeypatch.setattr(rig.node.get_logger(), 'warning', said.append)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rig.peer.create_subscription(PointCloud2, '/points', lambda _: None, latched)
    wait_for(lambda: said, 'a warning')
    assert "'qos_overrides./points.publisher.durability' set to 'transient_local'" in said[0]


def test_an_override_is_of_one_topic_and_keeps_the_others(make_rig: Callable[..., Rig]) -> None:
    """By the full name after remapping, for what goes in and what goes out."""
    parameters = (
        overrides('/robot/eye', 'subscription', reliability='reliable', depth=3)
        | overrides('/camera_info', 'subscription', durability='transient_local')
        | overrides('/points', 'publisher', reliability='best_effort', depth=1)
        | overrides('/status', 'publisher', history='keep_all')
        | overrides('/map_points', 'publisher', durability='volatile')
        | {'qos.output_depth': 7}
    )
    rig = make_rig(parameters=parameters, cli_args=['--ros-args', '-r', 'image:=/robot/eye'])
    eye, info, points = (profile(rig, t) for t in ('/robot/eye', '/camera_info', '/points'))
    assert (eye.reliability, eye.depth) == (ReliabilityPolicy.RELIABLE, 3)
    assert info.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert info.reliability == ReliabilityPolicy.BEST_EFFORT
    assert (points.reliability, points.depth) == (ReliabilityPolicy.BEST_EFFORT, 1)
    assert profile(rig, '/status').history == HistoryPolicy.KEEP_ALL
    assert profile(rig, '/map_points').durability == DurabilityPolicy.VOLATILE
    assert profile(rig, '/keyframes').durability == DurabilityPolicy.TRANSIENT_LOCAL
    for topic in ('/depth/image_rect', '/confidence/image_rect', '/odometry'):
        depth = profile(rig, topic)
        assert (depth.reliability, depth.depth) == (ReliabilityPolicy.RELIABLE, 7)


def test_overrides_come_from_a_parameter_file(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """As the README and config/da3.yaml write them."""
    path = tmp_path / 'da3.yaml'
    path.write_text(
        '/**:\n  ros__parameters:\n    qos_overrides:\n      /points:\n'
        '        publisher: {reliability: best_effort, depth: 1}\n'
    )
    points = profile(make_rig(cli_args=['--ros-args', '--params-file', str(path)]), '/points')
    assert (points.reliability, points.depth) == (ReliabilityPolicy.BEST_EFFORT, 1)


def test_a_node_that_is_configured_anew_has_new_defaults_and_the_same_overrides(
    make_rig: Callable[..., Rig],
) -> None:
    """Nothing of the first life sticks; while configured, an override is refused."""
    rig = make_rig(parameters=overrides('/points', 'publisher', depth=2), is_active=False)
    assert rig.node.trigger_configure().name == 'SUCCESS'
    name = f'qos_overrides.{DEPTH}.publisher.depth'
    refused = rig.node.set_parameters([rig.parameter(name, 9)])[0]
    assert not refused.successful and 'give it at start' in refused.reason
    assert rig.node.trigger_cleanup().name == 'SUCCESS'
    assert not rig.node.has_parameter(name)
    assert rig.node.set_parameters([rig.parameter('qos.output_depth', 9)])[0].successful
    assert rig.node.trigger_configure().name == 'SUCCESS'
    assert (profile(rig, DEPTH).depth, profile(rig, '/points').depth) == (9, 2)


@pytest.mark.parametrize(
    ('policy', 'value', 'words'),
    [
        ('reliability', 'relaible', "is 'relaible'; expected 'best_effort' or 'reliable'"),
        ('depth', 0, 'is 0; expected 1 or more'),
        ('history', 3, 'keep_last'),
    ],
)
@pytest.mark.parametrize(
    ('topic', 'entity'), [('/map_points', 'publisher'), ('/image', 'subscription')]
)
def test_a_wrong_override_stops_configure_with_a_sentence(
    make_rig: Callable[..., Rig], topic: str, entity: str, policy: str, value: Any, words: str
) -> None:
    """And leaves nothing behind."""
    rig = make_rig(parameters=overrides(topic, entity, **{policy: value}), is_active=False)
    before = {p.topic_name for p in rig.node.publishers}
    assert rig.node.trigger_configure().name == 'FAILURE'
    assert f'qos_overrides.{topic}.{entity}.{policy}' in rig.node.problem
    if policy != 'history':
        assert words in rig.node.problem
    assert {p.topic_name for p in rig.node.publishers} == before
    assert not rig.node.get_parameters_by_prefix('qos_overrides')


def test_sensor_data_subscribers_are_served_after_reactivation(
    make_rig: Callable[..., Rig],
) -> None:
    """Deactivated, activated: the same QoS, the same peers."""
    rig = make_rig()
    heard: list[Image] = []
    rig.peer.create_subscription(Image, DEPTH, heard.append, qos_profile_sensor_data)
    assert rig.node.trigger_deactivate().name == 'SUCCESS'
    assert rig.node.trigger_activate().name == 'SUCCESS'
    wait_for(lambda: rig.send() and heard, 'a depth image')
