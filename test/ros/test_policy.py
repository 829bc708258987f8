"""config/sros2_policy.xml allows what the node does, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

from peer import wait_for
import pytest
from rclpy.node import Node
from rig import Rig

POLICY = Path(__file__).parents[2] / 'config/sros2_policy.xml'
# Nodes have it from Jazzy on.
NEWER = {'/da3/get_type_description'}


def allowed(kind: str) -> set[str]:
    """Return the full names of topics or services that the policy allows to publish and so on."""
    (profile,) = ElementTree.parse(POLICY).iter('profile')
    prefixes = {'/': '', '~': f'/{profile.get("node")}'}
    names = [rule.text for rules in profile if rules.get(kind) == 'ALLOW' for rule in rules]
    return {
        prefixes[name[0]] + name.removeprefix('~') if name[0] in prefixes else f'/{name}'
        for name in names
    }


def is_discovered(node: Node) -> bool:
    """Tell whether the graph, which learns of a node by and by, knows its own endpoints."""
    of = node.get_name(), node.get_namespace()
    published = {name for name, _ in node.get_publisher_names_and_types_by_node(*of)}
    subscribed = {name for name, _ in node.get_subscriber_names_and_types_by_node(*of)}
    served = {name for name, _ in node.get_service_names_and_types_by_node(*of)}
    return (
        {p.topic_name for p in node.publishers} <= published
        and {s.topic_name for s in node.subscriptions} <= subscribed
        and allowed('reply') - NEWER <= served
    )


def test_the_policy_fits_the_node(make_rig: Callable[..., Rig]) -> None:
    """For every transport, depth sensor and clock."""
    published, subscribed, served = set(), set(), set()
    for transport, sensor in (
        ('raw', 'depth_image'),
        ('compressed', 'laser_scan'),
        ('raw', 'point_cloud'),
    ):
        parameters = {'transport': transport, 'scale.depth_sensor': sensor, 'use_sim_time': True}
        node = make_rig(parameters=parameters).node
        of = node.get_name(), node.get_namespace()
        wait_for(lambda: is_discovered(node), 'the discovery of all that the node has')
        published |= {name for name, _ in node.get_publisher_names_and_types_by_node(*of)}
        subscribed |= {name for name, _ in node.get_subscriber_names_and_types_by_node(*of)}
        served |= {name for name, _ in node.get_service_names_and_types_by_node(*of)}
        assert not node.get_client_names_and_types_by_node(*of)
    assert allowed('publish') == published
    assert allowed('subscribe') == subscribed
    assert allowed('reply') - NEWER == served - NEWER


@pytest.mark.parametrize('kind', ['request', 'call', 'execute'])
def test_the_policy_lets_the_node_ask_nothing_of_others(kind: str) -> None:
    assert not allowed(kind)
