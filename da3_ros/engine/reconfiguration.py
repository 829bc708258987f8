"""What of the configuration may change while an engine runs."""

from da3_ros.config import EngineConfig
from da3_ros.errors import ConfigError
from da3_ros.parameter_tree import leaves


def check_change(before: EngineConfig, after: EngineConfig) -> None:
    """Raise ``ConfigError`` if a parameter differs that an engine reads only when it is made."""
    of_engine = {name for name, _, _ in leaves(EngineConfig())}
    old = {name: value for name, _, value in leaves(before)}
    for name, field, value in leaves(after):
        if name in of_engine and field.metadata['read_only'] and value != old[name]:
            raise ConfigError(
                f"'{name}' cannot change while the engine runs; make a new engine for it."
            )
