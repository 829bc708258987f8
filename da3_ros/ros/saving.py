"""What ``~/save_map`` asks of the engine, and what it answers."""

from collections.abc import Callable
from pathlib import Path

from da3_ros.engine import Engine
from da3_ros.errors import ConfigError, Da3Error


def saving(directory: str) -> Callable[[Engine], str]:
    """
    Return what saves the map of an engine in a directory and says where; ~ is the user's home.

    It raises ``ConfigError`` without a home, and ``Da3Error`` with what the disk or the
    permissions did not allow.
    """

    def save(engine: Engine) -> str:
        try:
            return f"The map was saved in '{engine.save_map(_expanded(directory))}'."
        except OSError as error:
            raise Da3Error(
                f"The map could not be saved in '{directory}': {error.strerror or error}. No part "
                "of it is left there; see to it, or set 'save_directory' to another directory."
            ) from error

    return save


def _expanded(directory: str) -> Path:
    try:
        return Path(directory).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"'save_directory': '{directory}' has no home ({error}).") from error
