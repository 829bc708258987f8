"""The cloud of the whole map, and the thread that makes and publishes it."""

from dataclasses import dataclass
import threading
import time
import traceback

from da3_ros.config import NodeConfig
from da3_ros.engine import MapCloud, Surface
from da3_ros.ros.clouds import coloured_cloud
from da3_ros.ros.convert import header_at
from da3_ros.ros.drops import DropLog
from da3_ros.ros.endpoints import Endpoints
from da3_ros.ros.qos import latched_qos
from sensor_msgs.msg import PointCloud2

# How long somebody who starts to listen waits at most for a map that stopped changing [s].
_POLL_S = 0.2


@dataclass(frozen=True)
class _Map:
    """The map at one moment; ``stamp_ns`` is that of the newest image in it."""

    surfaces: tuple[Surface, ...]
    config: NodeConfig
    stamp_ns: int


class MapPoints:
    """
    Publishes ``map_points``, latched: a map that changed, no more often than its period.

    The cloud is made in a thread of its own, from what the engine said its map is made of, and
    only while somebody listens: the network waits for none of it. Only the newest map waits to be
    published. Nothing is published after ``close`` has returned.
    """

    def __init__(self, endpoints: Endpoints, drops: DropLog) -> None:
        self._publisher = endpoints.publisher(PointCloud2, 'map_points', latched_qos())
        self._drops = drops
        self._cloud = MapCloud()
        self._changed = threading.Condition()
        self._publishing = threading.Lock()
        self._waiting: _Map | None = None
        self._published_at = -float('inf')
        self._is_open = False
        self._is_shut = False
        # A daemon, as the worker is: a subscriber that blocks must not keep the process.
        self._thread = threading.Thread(target=self._run, name='da3_map_points', daemon=True)
        self._thread.start()

    def put(self, surfaces: tuple[Surface, ...], config: NodeConfig, stamp_ns: int) -> None:
        """Say what the map is made of since it changed; never waits."""
        with self._changed:
            self._waiting = _Map(surfaces, config, stamp_ns)
            self._changed.notify_all()

    def open(self) -> None:  # noqa: A003
        """Publish from now on."""
        with self._changed:
            self._is_open = not self._is_shut
            self._changed.notify_all()

    def close(self) -> None:
        """Publish nothing more; the newest map waits for the next ``open``."""
        with self._changed, self._publishing:
            self._is_open = False

    def shut(self, timeout_s: float) -> bool:
        """Close for good and end the thread; False when it is still busy after ``timeout_s``."""
        with self._changed:
            self._is_open, self._is_shut, self._waiting = False, True, None
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take(self) -> _Map | None:
        """Wait until a map is to be published; None when shut."""
        with self._changed:
            while not self._is_shut and not self._is_due():
                is_polling = self._is_open and self._waiting is not None
                self._changed.wait(_POLL_S if is_polling else None)
            taken, self._waiting = self._waiting, None
            return taken

    def _is_due(self) -> bool:
        """Tell whether a map waits, its time has come, and somebody listens."""
        if not self._is_open or self._waiting is None:
            return False
        age_s = time.monotonic() - self._published_at
        is_time = age_s >= self._waiting.config.map_points.period_s
        return is_time and self._publisher.get_subscription_count() > 0

    def _run(self) -> None:
        """Publish until shut; survives any exception, as the worker does."""
        while (taken := self._take()) is not None:
            try:
                self._publish(taken)
            except Exception:
                self._drops.drop('map_points_error', traceback.format_exc())

    def _publish(self, taken: _Map) -> None:
        self._published_at = time.monotonic()
        config = taken.config
        points, colours = self._cloud.fuse(
            taken.surfaces, config.points, config.map_points.voxel_m
        )
        header = header_at(taken.stamp_ns, config.frames.map)
        message = coloured_cloud(points, colours, header)
        with self._publishing:
            if self._is_open:
                self._publisher.publish(message)
                return
        with self._changed:  # closed meanwhile: it is still to be said
            self._waiting = self._waiting or taken
