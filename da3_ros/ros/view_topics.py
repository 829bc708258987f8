"""Which topics of a system or of a bag are those of one node, by their names and types."""

from collections.abc import Mapping
from dataclasses import dataclass

from da3_ros.errors import InputError
from da3_ros.msg import Status
from da3_ros.ros.cameras import topic
from nav_msgs.msg import Odometry, Path
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

# What a camera publishes, relative to its name: part of a view, and type.
PARTS = {
    'depth/image_rect': ('depth', Image),
    'depth/camera_info': ('info', CameraInfo),
    'confidence/image_rect': ('confidence', Image),
    'points': ('points', PointCloud2),
    'odometry': ('odometry', Odometry),
}
# What a node publishes besides.
SHARED = {'keyframes': Path, 'map_points': PointCloud2, 'status': Status}

_DEPTH = 'depth/image_rect'
_IMAGE = 'sensor_msgs/msg/Image'


@dataclass(frozen=True)
class ViewTopics:
    """
    The topics of one node: ``cameras`` names of cameras, '' for one without; all in ``namespace``.

    ``namespace`` ends in a slash.
    """

    namespace: str
    cameras: tuple[str, ...]

    def part(self, camera: str, name: str) -> str:
        """Return the full topic of a camera's part."""
        return f'{self.namespace}{topic(camera, name)}'


def find_topics(types: Mapping[str, str], namespace: str | None) -> ViewTopics | None:
    """
    Return the topics of the node in ``namespace``, or of the only node; None when there is none.

    ``types`` has the type name of every topic. A node is known by its ``status``; without one, as
    in a recording of some topics, the namespace is what the depth images have in common.

    Raises:
        InputError: if several nodes publish and no namespace says which one is meant.

    """
    depth = [t for t, name in types.items() if name == _IMAGE and t.endswith(f'/{_DEPTH}')]
    homes = sorted(
        t.removesuffix('status')
        for t, name in types.items()
        if name == 'da3_ros/msg/Status' and t.endswith('/status')
    )
    if namespace is not None:
        home = f'/{namespace.strip("/")}/'.replace('//', '/')
    elif len(homes) > 1:
        listed = ', '.join(name.rstrip('/') or '/' for name in homes)
        raise InputError(
            f'Several da3 nodes publish, in {listed}; choose one of these with --namespace.'
        )
    else:
        home = homes[0] if homes else _common(depth)
    prefixes = sorted(t.removesuffix(_DEPTH) for t in depth if t.startswith(home))
    cameras = tuple(prefix.removeprefix(home).rstrip('/') for prefix in prefixes)
    return ViewTopics(home, cameras) if cameras else None


def _common(depth: list[str]) -> str:
    """Return the namespace that holds all depth images; a camera's own where there is one."""
    folders = [t.removesuffix(_DEPTH).split('/')[:-1] for t in depth]
    shared = []
    for names in zip(*folders, strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return '/'.join([*shared, '']) or '/'
