"""ROS parameters made from the configuration tree, and the configuration made from them."""

from collections.abc import Callable, Mapping
import dataclasses
import sys
from typing import Any

from da3_ros.config import NodeConfig
from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import leaves, replaced
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

_INT64_MAX = 2**63 - 1


def descriptor(field: dataclasses.Field) -> ParameterDescriptor:
    """
    Return what ``ros2 param describe`` shows of a leaf of the configuration.

    Typing is dynamic for ROS: ``1`` is then accepted for ``1.0``, and a wrong type is refused by
    the configuration, in a sentence. ``read_only`` stays False because it holds only while
    configured.
    """
    metadata = field.metadata
    constraints = []
    if metadata['choices']:
        constraints.append('One of ' + ', '.join(repr(c) for c in metadata['choices']) + '.')
    if metadata['read_only']:
        constraints.append('Read-only while the node is configured.')
    described = ParameterDescriptor(
        description=metadata['description'],
        additional_constraints=' '.join(constraints),
        dynamic_typing=True,
    )
    low, high = metadata['minimum'], metadata['maximum']
    if (low, high) == (None, None):
        return described
    if isinstance(field.default, int):
        low = -_INT64_MAX if low is None else low
        high = _INT64_MAX if high is None else high
        described.integer_range = [IntegerRange(from_value=low, to_value=high)]
    else:
        low = -sys.float_info.max if low is None else low
        high = sys.float_info.max if high is None else high
        described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return described


def value_of(parameter: Parameter) -> Any:
    """
    Return a parameter's value as the configuration wants it.

    rclpy gives arrays as lists or array.array, and types an empty array as bytes; a single empty
    name and no name at all mean the same to all arrays that there are.
    """
    value = parameter.value
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    return tuple(value) or ('',)


class Parameters:
    """
    The node's parameters and the configuration that they add up to.

    ``config`` is always valid. Values that a launch file got wrong are remembered instead of
    raised, so that the node is there to be told better; ``checked`` raises them when it is to be
    configured. While ``is_locked``, only dynamic parameters may change.
    """

    def __init__(self, node: Node, on_change: Callable[[NodeConfig], None]) -> None:
        self.config = NodeConfig()
        self.is_locked = False
        self._on_change = on_change
        self._problems: dict[str, str] = {}
        self._fields = {name: field for name, field, _ in leaves(self.config)}
        for name, field in self._fields.items():
            self._declare(node, name, field)
        node.add_on_set_parameters_callback(self._validate)
        if hasattr(node, 'add_post_set_parameters_callback'):
            node.add_post_set_parameters_callback(self._apply)
            self._applies_in_validation = False
        else:  # Humble has no such callback; validation is then the last that we hear.
            self._applies_in_validation = True

    def checked(self) -> NodeConfig:
        """Return the configuration; raises ``ConfigError`` while it cannot be used as it is."""
        for name, problem in self._problems.items():
            raise ConfigError(f"Parameter '{name}': {problem}")
        self.config.check()
        return self.config

    def _declare(self, node: Node, name: str, field: dataclasses.Field) -> None:
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        try:
            parameter = node.declare_parameter(name, default, descriptor(field))
            self.config = replaced(self.config, {name: value_of(parameter)})
        except ParameterException as error:  # out of the range in the descriptor
            node.declare_parameter(name, default, descriptor(field), ignore_override=True)
            self._problems[name] = f'{error}.'
        except ConfigError as error:
            self._problems[name] = str(error)

    def _changes(self, parameters: list[Parameter]) -> Mapping[str, Any]:
        """Return name and value of those that are ours; use_sim_time and the like are not."""
        return {p.name: value_of(p) for p in parameters if p.name in self._fields}

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        """Accept or refuse a set of changes as a whole, with the reason in a sentence."""
        changes = self._changes(parameters)
        try:
            candidate = replaced(self.config, changes)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        before, after = ({n: v for n, _, v in leaves(c)} for c in (self.config, candidate))
        for name in changes:
            is_fixed = self.is_locked and self._fields[name].metadata['read_only']
            if is_fixed and before[name] != after[name]:
                reason = (
                    f"'{name}' is read-only while the node is configured or active; "
                    'deactivate and clean up first.'
                )
                return SetParametersResult(successful=False, reason=reason)
        if self._applies_in_validation:
            self._apply(parameters)
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter]) -> None:
        """Make validated changes the configuration and tell the node."""
        changes = self._changes(parameters)
        if not changes:
            return
        for name in changes:
            self._problems.pop(name, None)
        self.config = replaced(self.config, changes)
        self._on_change(self.config)
