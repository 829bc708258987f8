"""Options that commands share: the network, where it runs, any parameter by its name."""

import argparse
from typing import Any

from da3_ros.config import EngineConfig
from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import Config, leaves, replaced

# Option: the parameter that it sets.
_OPTIONS = {
    '--model': 'model',
    '--device': 'device',
    '--precision': 'precision',
    '--resolution': 'resolution',
    '--window': 'window.size',
}


def add_options(parser: argparse.ArgumentParser, *options: str, **defaults: Any) -> None:
    """Add some of the options above; what they mean and may be stands in the configuration."""
    parameters = {name: (field, value) for name, field, value in leaves(EngineConfig())}
    for option in options:
        name = _OPTIONS[option]
        field, value = parameters[name]
        parser.add_argument(
            option,
            default=defaults.get(name, value),
            type=type(value),
            choices=field.metadata['choices'],
            help=field.metadata['description'],
        )


def add_engine_options(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Add all of the engine's options, and ``--set`` for its other parameters."""
    add_options(parser, *_OPTIONS, **defaults)
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        dest='assignments',
        help='any other parameter, by the name that it has in the node: keyframe.max_overlap=0.6',
    )


def configured(config: Config, arguments: argparse.Namespace) -> Config:
    """
    Return ``config`` with what the command line says.

    Raises:
        ConfigError: if a parameter does not exist or may not have the value.

    """
    values = {
        name: getattr(arguments, option.removeprefix('--')) for option, name in _OPTIONS.items()
    }
    types = {name: type(value) for name, _, value in leaves(config)}
    for assignment in arguments.assignments:
        name, equals, text = assignment.partition('=')
        if not equals:
            raise ConfigError(f"--set got '{assignment}'; expected NAME=VALUE.")
        values[name] = _parsed(name, text, types.get(name, str))
    return replaced(config, values)


def changed(config: Config) -> dict[str, Any]:
    """Return the parameters that differ from their defaults, by dotted name."""
    defaults = {name: value for name, _, value in leaves(type(config)())}
    return {name: value for name, _, value in leaves(config) if value != defaults[name]}


def _parsed(name: str, text: str, wanted: type) -> Any:
    """Return text as the type of a parameter."""
    if wanted is bool:
        if text not in ('true', 'false'):
            raise ConfigError(f"'{name}' is '{text}'; expected true or false.")
        return text == 'true'
    if wanted is tuple:
        return tuple(text.split(','))
    try:
        return wanted(text)
    except ValueError as error:
        raise ConfigError(f"'{name}' is '{text}'; expected {wanted.__name__}.") from error
