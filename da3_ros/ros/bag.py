"""rosbag2 folders (MCAP or sqlite3): serialized messages in and out, and cameras as bags."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from da3_ros.errors import InputError
from da3_ros.ros.message_types import message_class, MessageDefinitions, type_name_of
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, ReaderError, StoragePlugin, Writer

# What Humble's rosbag2 can read too; 9 only spells the qualities of service differently.
_BAG_VERSION = 8
_FOREVER = QosTime(9223372036, 854775807)


@dataclass(frozen=True)
class BagMessage:
    """One message of a bag: ``stamp_ns`` when it was recorded, ``data`` serialized (CDR)."""

    topic: str
    type_name: str
    stamp_ns: int
    data: bytes

    def message(self) -> object:
        """Return the message itself; raises ``InputError`` when its package is not installed."""
        return deserialize_message(self.data, message_class(self.type_name))


class BagReader:
    """Reads a bag: a folder with metadata.yaml, or a single .mcap or .db3 file."""

    def __init__(self, path: Path) -> None:
        """Open the bag; raises ``InputError`` if it is not one, or is damaged."""
        self.path = path
        try:
            self._reader = Reader(path)
            self._reader.open()
        except (ReaderError, OSError) as error:
            raise InputError(f'{path} is not a rosbag2 that can be read: {error}') from error
        self.topics = {c.topic: c.msgtype for c in self._reader.connections}
        self.start_ns = self._reader.start_time
        self.duration_ns = self._reader.duration

    def __enter__(self) -> 'BagReader':
        """Return the open bag."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bag."""
        self._reader.close()

    def count(self, topics: Collection[str] | None = None) -> int:
        """Return how many messages the given topics have, or all."""
        return sum(c.msgcount for c in self._connections(topics))

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield the messages of the given topics, or of all, in the order of their stamps."""
        connections = self._connections(topics)
        if not connections:
            return
        for connection, stamp_ns, data in self._reader.messages(connections):
            yield BagMessage(connection.topic, connection.msgtype, stamp_ns, bytes(data))

    def qos(self, topic: str) -> QoSProfile:
        """Return what a topic was published with; reliable where the bag does not say."""
        offered = [q for c in self._connections([topic]) for q in c.ext.offered_qos_profiles]
        is_best_effort = any(q.reliability == QosReliability.BEST_EFFORT for q in offered)
        is_latched = any(q.durability == QosDurability.TRANSIENT_LOCAL for q in offered)
        return QoSProfile(
            depth=10,
            reliability=(
                ReliabilityPolicy.BEST_EFFORT if is_best_effort else ReliabilityPolicy.RELIABLE
            ),
            durability=(
                DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE
            ),
        )

    def _connections(self, topics: Collection[str] | None) -> list[Connection]:
        """Return the reader's connections of the given topics, or all."""
        return [c for c in self._reader.connections if topics is None or c.topic in topics]


class BagWriter:
    """Writes a new MCAP bag; whatever ends the ``with`` block, the bag is readable."""

    def __init__(self, path: Path) -> None:
        """Create the folder; raises ``InputError`` if it is there already."""
        if path.exists():
            raise InputError(f'{path} exists already; remove it or write the bag elsewhere.')
        self._writer = Writer(path, version=_BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._definitions = MessageDefinitions()
        self._connections: dict[str, Connection] = {}
        self._writer.open()

    def __enter__(self) -> 'BagWriter':
        """Return the open bag."""
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the bag, also on an error or Ctrl-C: what was recorded up to then is kept."""
        self._writer.close()

    def add_topic(self, topic: str, type_name: str, qos: QoSProfile | None = None) -> None:
        """Declare a topic, so that it is in the bag even without a message."""
        if topic not in self._connections:
            store = self._definitions.store_with(type_name)
            self._connections[topic] = self._writer.add_connection(
                topic,
                type_name,
                typestore=store,
                offered_qos_profiles=() if qos is None else [_bag_qos(qos)],
            )

    def write_serialized(self, topic: str, type_name: str, stamp_ns: int, data: bytes) -> None:
        """Append a serialized message; topics that were not declared are declared by it."""
        self.add_topic(topic, type_name)
        self._writer.write(self._connections[topic], stamp_ns, data)

    def write(self, topic: str, stamp_ns: int, message: object) -> None:
        """Append a message."""
        data = serialize_message(message)
        self.write_serialized(topic, type_name_of(type(message)), stamp_ns, data)


def write_bag(path: Path, messages: Iterable[tuple[str, int, object]]) -> None:
    """Write (topic, stamp in nanoseconds, message) as a new bag."""
    with BagWriter(path) as writer:
        for topic, stamp_ns, message in messages:
            writer.write(topic, stamp_ns, message)


def _bag_qos(qos: QoSProfile) -> Qos:
    """Return a quality of service as bags note it."""
    is_best_effort = qos.reliability == ReliabilityPolicy.BEST_EFFORT
    is_latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=qos.depth,
        reliability=QosReliability.BEST_EFFORT if is_best_effort else QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if is_latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
