"""Rigid transforms as a translation (3,) and a unit quaternion (4,) in the order x y z w."""

from dataclasses import dataclass

from geometry_msgs.msg import Transform
import numpy as np


@dataclass(frozen=True)
class Rigid:
    """``a_from_b``: maps points in frame b to frame a."""

    translation: np.ndarray
    rotation: np.ndarray

    def __matmul__(self, b_from_c: 'Rigid') -> 'Rigid':
        """Return ``a_from_c``."""
        translation = self.translation + rotate(self.rotation, b_from_c.translation)
        return Rigid(translation, multiply(self.rotation, b_from_c.rotation))

    def inverse(self) -> 'Rigid':
        """Return ``b_from_a``."""
        conjugate = self.rotation * (-1, -1, -1, 1)
        return Rigid(-rotate(conjugate, self.translation), conjugate)

    def message(self) -> Transform:
        """Return the geometry_msgs form."""
        message = Transform()
        t, q = message.translation, message.rotation
        t.x, t.y, t.z = map(float, self.translation)
        q.x, q.y, q.z, q.w = map(float, self.rotation)
        return message


IDENTITY = Rigid(np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))


def from_message(message: Transform) -> Rigid:
    """Return the transform of a message as it stands, valid or not."""
    t, q = message.translation, message.rotation
    return Rigid(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


def multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the Hamilton product: first q, then p."""
    vector = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.append(vector, p[3] * q[3] - p[:3] @ q[:3])


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rotate a vector by a unit quaternion."""
    doubled = 2.0 * np.cross(q[:3], v)
    return v + q[3] * doubled + np.cross(q[:3], doubled)


def interpolate(start: Rigid, end: Rigid, share: float) -> Rigid:
    """Return the transform ``share`` (0 to 1) of the way: linear, and on the shorter great arc."""
    translation = (1 - share) * start.translation + share * end.translation
    cosine = float(start.rotation @ end.rotation)
    target = end.rotation if cosine >= 0 else -end.rotation
    angle = np.arccos(min(abs(cosine), 1.0))
    if angle < 1e-6:  # the sine below would vanish, and the chord is the arc
        rotation = (1 - share) * start.rotation + share * target
    else:
        weights = np.sin(((1 - share) * angle, share * angle)) / np.sin(angle)
        rotation = weights[0] * start.rotation + weights[1] * target
    return Rigid(translation, rotation / np.linalg.norm(rotation))
