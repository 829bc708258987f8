"""The interactive map of a report: keyframes' clouds as packets, in a bounded size."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import gzip
import struct

from da3_ros.tools.evenly import evenly
from da3_ros.viewer.images import ViewImages
from da3_ros.viewer.packets import encode
import numpy as np

# Bytes of all clouds before they are compressed; base64 makes a third more of the rest.
_MAX_BYTES = 5_500_000
# A pixel is two bytes of depth, one of confidence, and a third of a byte or so of JPEG.
_BYTES_PER_PIXEL = 3.5
_MAX_CLOUDS, _MAX_PIXELS = 120, 50_000
_MAX_WAY = 3000


@dataclass(frozen=True)
class SceneKeyframe:
    """
    A keyframe where it is believed to be in the end; ``map_from_camera`` (4, 4).

    ``scale`` is what the depth of ``images`` has to be multiplied by since it was published.
    """

    images: ViewImages
    map_from_camera: np.ndarray
    scale: float = 1.0


def scene_text(
    keyframes: Sequence[SceneKeyframe],
    ways: Mapping[str, np.ndarray],
    view: ViewImages | None = None,
) -> str:
    """
    Return the scene as the page holds it: packets, compressed, as base64.

    Args:
        keyframes: What the map is made of; of very many, some evenly over all.
        ways: Positions (N, 3) in the map that each camera took.
        view: One view without a pose, for a network that makes no map.

    """
    chosen = [keyframes[i] for i in evenly(len(keyframes), _MAX_CLOUDS)]
    pixels = int(_MAX_BYTES / _BYTES_PER_PIXEL / max(len(chosen), 1))
    pixels = min(pixels, _MAX_PIXELS)
    packets, items = [encode('hello', {'mode': 'report', 'title': ''})], []
    for i, keyframe in enumerate(chosen):
        key = str(i)
        packets.append(keyframe.images.thinned(pixels).packet('cloud', key))
        pose = keyframe.map_from_camera.ravel()
        camera = keyframe.images.camera
        items.append({'key': key, 'camera': camera, 'pose': pose, 'scale': keyframe.scale})
    packets.append(encode('keyframes', {'items': items}))
    if view is not None:
        packets.append(view.thinned(_MAX_PIXELS).packet('view', 'view'))
    packets.append(_trail(ways))
    data = b''.join(struct.pack('<Q', len(packet)) + packet for packet in packets)
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _trail(ways: Mapping[str, np.ndarray]) -> bytes:
    """Return the packet of the ways, which nothing moves any more."""
    rows = [np.empty((0, 5), np.float32)]
    for i, way in enumerate(ways.values()):
        shown = np.asarray(way, np.float32).reshape(-1, 3)[evenly(len(way), _MAX_WAY)]
        rows.append(np.hstack([np.full((len(shown), 1), i), np.zeros((len(shown), 1)), shown]))
    header = {'cameras': list(ways), 'anchors': ['']}
    return encode('trail', header, {'points': np.concatenate(rows).astype(np.float32)})
