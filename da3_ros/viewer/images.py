"""
One view as the page draws it: a cloud is its depth image, unprojected in the browser.

H rows, W columns of the depth image. Three bytes a pixel and a JPEG say all of a view, several
times less than its PointCloud2, and the page has the pictures at the same time.
"""

from dataclasses import dataclass

import cv2
from da3_ros.viewer.packets import encode
import numpy as np

# Confidence goes over the wire as the logarithm of what it is, from 1 to this, in 256 steps.
CONFIDENCE_HIGH = 64.0
# Depth has 15 bits; the lowest of 16 tells whether the pixel is a point of the cloud.
_DEPTH_STEPS = 2**15 - 1
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class ViewImages:
    """
    What is known of one image of one camera.

    ``depth_m`` (H, W) float32, NaN where invalid; ``is_point`` (H, W) tells which pixels are
    points of the cloud; ``confidence`` (H, W) float32, 1 and up, and ``rgb`` (H, W, 3) uint8, or
    None; ``intrinsics`` (3, 3) pixels of the depth; ``map_from_camera`` (4, 4), or None.
    """

    camera: str
    stamp_ns: int
    depth_m: np.ndarray
    is_point: np.ndarray
    confidence: np.ndarray | None
    rgb: np.ndarray | None
    intrinsics: np.ndarray
    map_from_camera: np.ndarray | None

    def thinned(self, max_pixels: int) -> 'ViewImages':
        """Return the view with every n-th row and column, so many that few enough are left."""
        stride = 1
        height, width = self.depth_m.shape
        while -(-height // stride) * -(-width // stride) > max_pixels:
            stride += 1
        if stride == 1:
            return self
        thin = (slice(None, None, stride),) * 2
        return ViewImages(
            camera=self.camera,
            stamp_ns=self.stamp_ns,
            depth_m=self.depth_m[thin],
            is_point=self.is_point[thin],
            confidence=None if self.confidence is None else self.confidence[thin],
            rgb=None if self.rgb is None else self.rgb[thin],
            # Pixel u of the thinned image is pixel stride * u of the full one.
            intrinsics=self.intrinsics / np.array([[stride], [stride], [1.0]]),
            map_from_camera=self.map_from_camera,
        )

    def packet(self, kind: str, key: str) -> bytes:
        """Return the view as a packet ``kind`` under the name that keyframes go by."""
        (fx, _, cx), (_, fy, cy), _ = self.intrinsics.tolist()
        depth, unit = _packed_depth(self.depth_m, self.is_point)
        header = {
            'key': key,
            'camera': self.camera,
            'stamp_s': self.stamp_ns / 1e9,
            'width': self.depth_m.shape[1],
            'height': self.depth_m.shape[0],
            'k': [fx, fy, cx, cy],
            'pose': None if self.map_from_camera is None else self.map_from_camera.ravel(),
            'depth_unit': unit,
        }
        buffers: dict[str, np.ndarray | bytes] = {'depth': depth}
        if self.confidence is not None:
            buffers['confidence'] = _packed_confidence(self.confidence)
        if self.rgb is not None:
            buffers['jpeg'] = jpeg(self.rgb)
        return encode(kind, header, buffers)


def jpeg(rgb: np.ndarray, quality: int = _JPEG_QUALITY) -> bytes:
    """Return colours (H, W, 3) uint8 as a JPEG."""
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _packed_depth(depth_m: np.ndarray, is_point: np.ndarray) -> tuple[np.ndarray, float]:
    """Return depth (H, W) uint16 and its unit [m]: 2 * steps, plus 1 for points; 0 is invalid."""
    is_valid = np.isfinite(depth_m) & (depth_m > 0)
    highest = float(depth_m[is_valid].max()) if is_valid.any() else 1.0
    unit = highest / _DEPTH_STEPS
    steps = np.rint(np.where(is_valid, depth_m, 0.0) / unit).clip(0, _DEPTH_STEPS)
    steps = steps.astype(np.uint16)
    steps[is_valid & (steps == 0)] = 1
    return (steps << 1) | (is_point & is_valid), unit


def _packed_confidence(confidence: np.ndarray) -> np.ndarray:
    """Return confidence (H, W) as uint8, 0 for 1 and 255 for ``CONFIDENCE_HIGH`` and above."""
    known = np.nan_to_num(confidence, nan=1.0).clip(1.0, CONFIDENCE_HIGH)
    return np.rint(np.log(known) * (255.0 / np.log(CONFIDENCE_HIGH))).astype(np.uint8)
