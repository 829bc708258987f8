"""Message types by name: their Python classes, and their definitions for bags."""

from collections.abc import Iterator
import importlib
from pathlib import Path

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from da3_ros.errors import InputError
from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosbags.typesys.store import Typestore


def message_class(type_name: str) -> type:
    """
    Return the class of a type such as ``sensor_msgs/msg/Image``.

    Raises:
        InputError: if the package is not installed or has no such message.

    """
    package, _, name = type_name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(
            f"There is no message '{type_name}' here; install and source the ROS package "
            f"'{package}' that holds it."
        ) from error


def type_name_of(message_type: type) -> str:
    """Return the name of a message class: ``sensor_msgs/msg/Image``."""
    package, kind = message_type.__module__.split('.')[:2]
    return f'{package}/{kind}/{message_type.__name__}'


class MessageDefinitions:
    """Definitions that bags carry along: the common ones built in, others from where they lie."""

    def __init__(self) -> None:
        """Start with the definitions that every ROS 2 distribution shares."""
        self._store = get_typestore(Stores.ROS2_JAZZY)

    def store_with(self, type_name: str) -> Typestore:
        """
        Return a type store that knows a type and everything that it is made of.

        Raises:
            InputError: if no installed package has the definition.

        """
        waiting = [type_name]
        while waiting:
            name = waiting.pop()
            if name in self._store.fielddefs:
                continue
            types = get_types_from_msg(_definition_file(name).read_text(), name)
            self._store.register(types)
            waiting += _members(types[name][1])
        return self._store


def _members(fields: list) -> Iterator[str]:
    """Yield the names of the messages that fields are made of, also inside arrays."""
    for _, (kind, detail) in fields:
        while kind in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            kind, detail = detail[0]
        if kind == Nodetype.NAME:
            yield detail


def _definition_file(type_name: str) -> Path:
    """Return the .msg file of a type, in the share folder of its package."""
    package, _, name = type_name.partition('/msg/')
    try:
        path = Path(get_package_share_directory(package)) / 'msg' / f'{name}.msg'
    except (PackageNotFoundError, ValueError) as error:
        raise InputError(
            f"The definition of '{type_name}' is not to be found: package '{package}' is not "
            'installed, or not sourced.'
        ) from error
    if not path.is_file():
        raise InputError(f"The definition of '{type_name}' is not to be found at {path}.")
    return path
