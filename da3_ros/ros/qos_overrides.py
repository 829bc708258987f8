"""Quality of service that a user overrides topic by topic, by ROS's own ``qos_overrides``."""

from collections.abc import Callable
from typing import Any

from da3_ros.errors import ConfigError
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

_CHOICES = {
    'reliability': (ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE),
    'durability': (DurabilityPolicy.VOLATILE, DurabilityPolicy.TRANSIENT_LOCAL),
    'history': (HistoryPolicy.KEEP_LAST, HistoryPolicy.KEEP_ALL),
}
_POLICIES = (*_CHOICES, 'depth')


class QosOverrides:
    """
    Parameters ``qos_overrides.<topic>.<publisher or subscription>.<policy>``, as rclpy names them.

    They stand from configure to cleanup and are given at start. rclpy's own
    ``QoSOverridingOptions`` declares them for good: a node that is configured anew with another
    ``qos.*`` would go on with the old defaults.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._names: list[str] = []
        node.add_on_set_parameters_callback(self._refuse)

    def apply(self, entity: str, topic: str, default: QoSProfile) -> QoSProfile:
        """
        Return ``default`` with what the user wants to be different about one topic.

        Args:
            entity: 'publisher' or 'subscription'.
            topic: The full name of the topic, after remapping.
            default: The quality of service where the user says nothing.

        Raises:
            ConfigError: if an override is not a value of its policy.

        """
        values = {
            policy: self._override(f'qos_overrides.{topic}.{entity}.{policy}', policy, default)
            for policy in _POLICIES
        }
        return QoSProfile(**values)

    def undeclare(self) -> None:
        """Take the parameters back from the node."""
        self._node.remove_on_set_parameters_callback(self._refuse)
        for name in self._names:
            self._node.undeclare_parameter(name)
        self._names = []

    def _override(self, name: str, policy: str, default: QoSProfile) -> Any:
        before = getattr(default, policy)
        parse = _parse_depth if policy == 'depth' else _parser(policy)
        descriptor = ParameterDescriptor(
            description=f'Overrides the {policy} of one topic.',
            additional_constraints='Given at start, read when the node is configured.',
        )
        shown = before if policy == 'depth' else before.name.lower()
        try:
            value = self._node.declare_parameter(name, shown, descriptor).value
        except ParameterException as error:
            raise ConfigError(f"Parameter '{name}': {error}.") from error
        self._names.append(name)
        try:
            return before if value == shown else parse(value)
        except ValueError as error:
            raise ConfigError(f"Parameter '{name}' is {value!r}; expected {error}.") from error

    def _refuse(self, parameters: list[Parameter]) -> SetParametersResult:
        """Refuse to change what was already read."""
        late = [p.name for p in parameters if p.name in self._names]
        if not late:
            return SetParametersResult(successful=True)
        reason = f"'{late[0]}' was read when the node was configured; give it at start."
        return SetParametersResult(successful=False, reason=reason)


def _parser(policy: str) -> Callable[[str], Any]:
    """Return what makes a policy of its name."""
    choices = {choice.name.lower(): choice for choice in _CHOICES[policy]}

    def parse(text: str) -> Any:
        if text not in choices:
            raise ValueError(' or '.join(repr(name) for name in choices))
        return choices[text]

    return parse


def _parse_depth(value: int) -> int:
    if value < 1:
        raise ValueError('1 or more messages')
    return value
