"""
The map as a viewer knows it: keyframes' clouds in their cameras, placed by the poses of now.

A view becomes a keyframe when the list of keyframes names its stamp. Its cloud is then kept as the
camera saw it, so a keyframe that a loop moves takes its cloud along; when the scale of the map
changes, depth that was published before is resized by the ratio. What is kept is bounded.
"""

from collections import deque, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from da3_ros.geometry.transforms import invert
from da3_ros.viewer.board import Board
from da3_ros.viewer.images import ViewImages
from da3_ros.viewer.packets import encode
import numpy as np

# A keyframe's cloud is 150 kB at this size, so all of them are 75 MB at most.
_MAX_KEYFRAME_PIXELS, _MAX_CLOUDS = 50_000, 500
# A map is thinned until it is at most that large, 16 bytes a point.
_MAX_MAP_POINTS = 400_000
# The list of keyframes comes with the view that became one, before it or some views after it.
_RECENT_VIEWS = 8
_MAX_TRAIL = 4000


class ViewSource(Protocol):
    """One view, whose pictures are made when somebody wants them."""

    camera: str
    stamp_ns: int
    map_from_camera: np.ndarray | None

    def images(self) -> ViewImages:
        """Return the pictures."""
        ...


@dataclass
class _Keyframe:
    """One keyframe: ``scale`` of the map when its depth was published, None until it is known."""

    camera: str
    stamp_ns: int
    map_from_camera: np.ndarray
    scale: float | None = None
    has_cloud: bool = False


def key_of(camera: str, stamp_ns: int) -> str:
    """Return the name of a keyframe."""
    return f'{camera}@{stamp_ns}'


class Scene:
    """Turns views, keyframes, status and map into packets on a board; one thread calls it."""

    def __init__(self, board: Board, hello: Mapping[str, Any]) -> None:
        """Begin with nothing; ``hello`` is what the page is told first, and after ``clear``."""
        self._board = board
        self._hello = dict(hello)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._recent: dict[str, OrderedDict[int, ViewSource]] = {}
        self._keyframes: dict[str, _Keyframe] = {}
        self._trail: deque[tuple[str, str, float, np.ndarray]] = deque()
        self._scale = float('nan')
        self._board.clear()
        self._board.put('hello', encode('hello', self._hello))

    def add_view(self, view: ViewSource) -> None:
        """Show the newest view of a camera."""
        recent = self._recent.setdefault(view.camera, OrderedDict())
        recent[view.stamp_ns] = view
        while len(recent) > _RECENT_VIEWS:
            recent.popitem(last=False)
        key = key_of(view.camera, view.stamp_ns)
        self._board.put(f'view/{view.camera}', lambda: view.images().packet('view', key))
        if key in self._keyframes:  # the list of keyframes came first
            self._keep_cloud(self._keyframes[key])
        if view.map_from_camera is not None:
            self._extend_trail(view)

    def set_keyframes(self, stamps_ns: Sequence[int], poses: np.ndarray) -> None:
        """Place all keyframes: stamps (K,) and map_from_camera (K, 4, 4), in the same order."""
        known, self._keyframes = self._keyframes, {}
        by_stamp: dict[int, list[int]] = {}
        for i, stamp_ns in enumerate(stamps_ns):
            by_stamp.setdefault(int(stamp_ns), []).append(i)
        known_at: dict[int, list[_Keyframe]] = {}
        for keyframe in known.values():
            known_at.setdefault(keyframe.stamp_ns, []).append(keyframe)
        for stamp_ns, places in by_stamp.items():
            cameras = self._cameras_at(stamp_ns, poses[places], known_at.get(stamp_ns, ()))
            for i, camera in zip(places, cameras, strict=True):
                key = key_of(camera, stamp_ns)
                keyframe = known.get(key) or _Keyframe(camera, stamp_ns, poses[i])
                keyframe.map_from_camera = poses[i]
                self._keyframes[key] = keyframe
                self._keep_cloud(keyframe)
        for key in known.keys() - self._keyframes.keys():
            self._board.remove(f'cloud/{key}')
        if known and not known.keys() & self._keyframes.keys():
            self._trail.clear()  # the map was begun anew
        with_clouds = [key for key, k in self._keyframes.items() if k.has_cloud]
        for key in with_clouds[:-_MAX_CLOUDS]:
            self._keyframes[key].has_cloud = False
            self._board.remove(f'cloud/{key}')
        self._put_keyframes()

    def set_status(self, status: Mapping[str, Any], stamp_ns: int, scale: float) -> None:
        """Show the status of the image at ``stamp_ns``; ``scale`` is that of the map since."""
        self._board.put('status', encode('status', {'status': status}))
        is_new = np.isfinite(scale) and scale > 0 and scale != self._scale
        self._scale = scale if is_new else self._scale
        waiting = [
            k for k in self._keyframes.values() if k.scale is None and k.stamp_ns <= stamp_ns
        ]
        for keyframe in waiting:
            keyframe.scale = self._scale
        if is_new and self._keyframes:
            self._put_keyframes()

    def set_map(self, points: np.ndarray, rgb: np.ndarray) -> None:
        """Show the cloud of the whole map: points (N, 3) float32 and colours (N, 3) uint8."""
        self._board.put('map', lambda: _map_packet(points, rgb))

    def _cameras_at(
        self, stamp_ns: int, poses: np.ndarray, known: Sequence[_Keyframe]
    ) -> list[str]:
        """
        Return the camera of each of the keyframes (N, 4, 4) that have one stamp.

        The list of keyframes does not name cameras: each goes to the view of that stamp that is,
        or was last, nearest to its pose. One without any view goes to a camera without a name.
        """
        candidates = {
            camera: views[stamp_ns].map_from_camera
            for camera, views in self._recent.items()
            if stamp_ns in views and views[stamp_ns].map_from_camera is not None
        }
        candidates |= {keyframe.camera: keyframe.map_from_camera for keyframe in known}
        cameras = []
        for i, pose in enumerate(poses):
            nearest = min(
                candidates, key=lambda name: np.linalg.norm(candidates[name] - pose), default=None
            )
            if nearest is None:
                nearest = '' if i == 0 else f'?{i}'
            candidates.pop(nearest, None)
            cameras.append(nearest)
        return cameras

    def _keep_cloud(self, keyframe: _Keyframe) -> None:
        """Keep the cloud of a keyframe, if its view is still here."""
        view = self._recent.get(keyframe.camera, {}).get(keyframe.stamp_ns)
        if keyframe.has_cloud or view is None:
            return
        key = key_of(keyframe.camera, keyframe.stamp_ns)
        packet = view.images().thinned(_MAX_KEYFRAME_PIXELS).packet('cloud', key)
        self._board.put(f'cloud/{key}', packet)
        keyframe.has_cloud = True

    def _put_keyframes(self) -> None:
        """Say where every keyframe is."""
        items = []
        for key, k in self._keyframes.items():
            ratio = 1.0 if k.scale is None else self._scale / k.scale
            ratio = ratio if np.isfinite(ratio) else 1.0
            pose = k.map_from_camera.ravel()
            items.append({'key': key, 'camera': k.camera, 'pose': pose, 'scale': ratio})
        self._board.put('keyframes', lambda: encode('keyframes', {'items': items}))

    def _extend_trail(self, view: ViewSource) -> None:
        """Add where a camera was, seen from the newest keyframe, which may move."""
        anchor, position = '', view.map_from_camera[:3, 3]
        if self._keyframes:
            anchor, keyframe = next(reversed(self._keyframes.items()))
            position = (invert(keyframe.map_from_camera) @ view.map_from_camera)[:3, 3]
        self._trail.append((view.camera, anchor, view.stamp_ns / 1e9, position))
        if len(self._trail) > _MAX_TRAIL:
            self._trail = deque(list(self._trail)[::2])
        self._board.put('trail', _trail_maker(tuple(self._trail)))


def _trail_maker(
    trail: tuple[tuple[str, str, float, np.ndarray], ...],
) -> Callable[[], bytes]:
    """Return what makes the packet of the way that the cameras took."""

    def make() -> bytes:
        cameras = sorted({camera for camera, _, _, _ in trail})
        anchors = sorted({anchor for _, anchor, _, _ in trail})
        camera_at, anchor_at = (
            {n: i for i, n in enumerate(names)} for names in (cameras, anchors)
        )
        numbers = [(camera_at[c], anchor_at[a], *position) for c, a, _, position in trail]
        points = np.array(numbers, np.float32).reshape(-1, 5)
        header = {'cameras': cameras, 'anchors': anchors}
        return encode('trail', header, {'points': points})

    return make


def _map_packet(points: np.ndarray, rgb: np.ndarray) -> bytes:
    """Return the cloud of the map, thinned where it is too large to be drawn swiftly."""
    every = -(-len(points) // _MAX_MAP_POINTS) or 1
    points, rgb = points[::every], rgb[::every]
    rgba = np.concatenate([rgb, np.full((len(rgb), 1), 255, np.uint8)], axis=1)
    header = {'count': len(points)}
    return encode('map', header, {'points': points.astype(np.float32), 'colours': rgba})
