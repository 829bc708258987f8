"""Stand-ins for launch and launch_ros, which have no wheel: they remember what they are given."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
import runpy
import sys
from types import ModuleType
from typing import Any
from unittest.mock import patch

LAUNCH = Path(__file__).parents[2] / 'launch'


class Entity:
    """Anything that a launch file makes: its arguments by position and by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def perform(self, context: Mapping[str, str]) -> str:
        """Return the text of a substitution: a configuration's value, a path, a package's name."""
        if isinstance(self, LaunchConfiguration):
            return context[self.args[0]]
        return '/'.join(text(part, context) for part in _flat(self.args))


class LaunchConfiguration(Entity):
    """A launch argument's value."""


class DeclareLaunchArgument(Entity):
    """A launch argument."""


class OpaqueFunction(Entity):
    """A function that returns entities."""


class Node(Entity):
    """A ROS node."""


class ExecuteProcess(Entity):
    """A process."""


class IncludeLaunchDescription(Entity):
    """Another launch file."""


class OnProcessIO(Entity):
    """Who is told what processes print."""


_MODULES = {
    'launch': ('LaunchContext', 'LaunchDescription'),
    'launch.actions': (
        DeclareLaunchArgument,
        ExecuteProcess,
        IncludeLaunchDescription,
        OpaqueFunction,
        'RegisterEventHandler',
    ),
    'launch.event_handlers': (OnProcessIO,),
    'launch.events': (),
    'launch.events.process': ('ProcessIO',),
    'launch.substitutions': (LaunchConfiguration, 'PathJoinSubstitution'),
    'launch_ros': (),
    'launch_ros.actions': (Node,),
    'launch_ros.substitutions': ('FindPackageShare',),
}


def text(value: Any, context: Mapping[str, str]) -> str:
    """Return what a string or a substitution says."""
    return value.perform(context) if isinstance(value, Entity) else str(value)


def launched(name: str, **arguments: str) -> tuple[dict[str, Entity], list[Entity]]:
    """Return the arguments that a launch file has, and the entities that it starts with some."""
    with _stand_ins():
        made = runpy.run_path(str(LAUNCH / name))['generate_launch_description']().args[0]
        declared = {e.args[0]: e for e in made if isinstance(e, DeclareLaunchArgument)}
        defaults = {n: d.kwargs['default_value'] for n, d in declared.items()}
        unknown = set(arguments) - set(declared)
        assert not unknown, f'{name} has no argument {unknown}'
        context = {n: text(v, {}) for n, v in defaults.items() if v is not None} | arguments
        missing = set(declared) - set(context)
        assert not missing, f'{name} wants {missing}'
        entities = []
        for entity in made:
            if isinstance(entity, OpaqueFunction):
                entities += entity.kwargs['function'](context) or ()
            elif not isinstance(entity, DeclareLaunchArgument):
                entities.append(entity)
    for entity in entities:
        entity.context = context
    return declared, entities


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Have the modules imported from here."""
    modules = {}
    for name, classes in _MODULES.items():
        modules[name] = ModuleType(name)
        for kind in classes:
            made = type(kind, (Entity,), {}) if isinstance(kind, str) else kind
            setattr(modules[name], made.__name__, made)
    with patch.dict(sys.modules, modules):
        yield


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (list, tuple)):
            yield from _flat(value)
        else:
            yield value
