"""
Trees of parameters as frozen values: how they are declared, checked, listed and changed.

A group is a frozen dataclass whose fields are leaves, declared with their description and what
they may be, or other groups. The dotted path of a leaf is its name.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from da3_ros.errors import ConfigError


def parameter(
    default: Any,
    description: str,
    *,
    choices: tuple | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    dynamic: bool = False,
) -> Any:
    """Declare one leaf of the tree; ``dynamic`` ones may change while the node is running."""
    metadata = {
        'description': description,
        'choices': choices,
        'minimum': minimum,
        'maximum': maximum,
        'read_only': not dynamic,
    }
    return field(default=default, metadata=metadata)


def group(config_type: type) -> Any:
    """Declare one branch of the tree."""
    return field(default_factory=config_type)


@dataclass(frozen=True)
class Config:
    """Base of every group: checks types, choices and ranges once, when the value is made."""

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for the first field whose value is not allowed."""
        for f in dataclasses.fields(self):
            if f.metadata:
                object.__setattr__(self, f.name, _checked(f, getattr(self, f.name)))


def _checked(f: dataclasses.Field, value: Any) -> Any:
    """Return ``value`` in the type of the field's default, or raise a ``ConfigError``."""
    wanted = type(f.default)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is tuple and isinstance(value, list):
        value = tuple(value)
    if type(value) is not wanted:
        raise ConfigError(
            f"'{f.name}' is {value!r} of type {type(value).__name__}; expected {wanted.__name__}."
        )
    choices, low, high = (f.metadata[key] for key in ('choices', 'minimum', 'maximum'))
    if choices is not None and value not in choices:
        allowed = ', '.join(repr(c) for c in choices)
        raise ConfigError(f"'{f.name}' is {value!r}; allowed are {allowed}.")
    # Written so that NaN fails too.
    if low is not None and not value >= low:
        raise ConfigError(f"'{f.name}' is {value!r}; expected at least {low}.")
    if high is not None and not value <= high:
        raise ConfigError(f"'{f.name}' is {value!r}; expected at most {high}.")
    return value


def leaves(config: Config, prefix: str = '') -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Yield (dotted name, field, value) of every parameter of a tree, as declared."""
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if isinstance(value, Config):
            yield from leaves(value, f'{prefix}{f.name}.')
        else:
            yield prefix + f.name, f, value


def replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """
    Return a new tree in which the parameters named by dotted paths have new values.

    Raises:
        ConfigError: if a name does not exist or a value is not allowed; ``config`` is untouched.

    """
    own: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    names = {f.name for f in dataclasses.fields(config)}
    for name, value in values.items():
        head, _, tail = name.partition('.')
        if head not in names or bool(tail) != isinstance(getattr(config, head), Config):
            raise ConfigError(f"There is no parameter '{name}' in {type(config).__name__}.")
        if tail:
            nested.setdefault(head, {})[tail] = value
        else:
            own[head] = value
    for head, inner in nested.items():
        own[head] = replaced(getattr(config, head), inner)
    return dataclasses.replace(config, **own)
