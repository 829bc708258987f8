"""
A network that knows the truth, and gets it wrong in the ways that a network does.

What it predicts for a window is true depth and true poses in a gauge and a scale that are drawn
anew for every window, with errors as large as asked for. Where the poses of all views are known,
it follows them most of the way, be they right or false; its depth stays what it was. Views that
share nothing with the others it can't place, and from one that is black it can't tell anything.
It implements the runner's interface, so engine and node run on it.

Shapes: V views, H W network image.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import zlib

from da3_ros.engine.runner import WindowPrediction, WindowView
from da3_ros.errors import ConfigError
from da3_ros.evaluation.simulated_guess import (
    enlarged,
    followed,
    grid,
    Guess,
    invented,
    misplaced,
    random_rotation,
)
from da3_ros.evaluation.simulated_sight import DESCRIPTOR, Glimpse, Sight
from da3_ros.evaluation.truth import Truth
from da3_ros.geometry.transforms import rigid, Sim3
import numpy as np
from scipy.spatial.transform import Rotation
import torch
from torch.nn.functional import avg_pool2d, interpolate, pad

# Outliers come in blobs of so many pixels, wrong by so much in logarithms.
_BLOB = 8
_OUTLIER_LOG = (0.2, 0.7)
_LARGE_LOG_ERROR = 0.1
# The share of a known pose that is taken over, of rotations and ways alike: what was measured of
# the embedded network, of right poses and of false ones (docs/pose_priors.md).
_FOLLOWED = 0.75
# Views whose places another one may be taken for.
_REMEMBERED_PLACES = 256
_SHARES = ('outliers', 'persistent', 'confidence', 'min_overlap', 'alias')


@dataclass(frozen=True)
class Noise:
    """
    How wrong the simulated network is; all zero is the truth itself.

    ``depth_bias``: standard deviation of the logarithm of a smooth error field, with ``cells``
    nodes along the image's longer side. ``view_scale``: the same of one factor for a whole view.
    ``edge_bleeding``: radius in pixels over which depth runs across edges. ``outliers``: share of
    pixels in blobs that are off by 20 % to 100 %, nearer or farther. ``translation``: standard
    deviation of each coordinate of a camera's position, as a share of the window's median depth;
    ``rotation_deg`` of its rotation about each axis; ``focal`` of the logarithm of its focal
    length. ``persistent``: share of the variance of depth and pose that a view carries with it
    into every window, as a network that errs alike each time; the rest is drawn for each window.
    ``confidence``: 0 to 1, how much of the confidence follows the error. ``min_overlap``: share of
    a view that another must see for the two to be related; what no such links lead to from the
    reference is placed at random, with hardly any confidence. ``place``: length of the error of a
    view's descriptor, as a share of its own. ``alias``: share of the views whose descriptors are
    those of other places.
    """

    depth_bias: float = 0.0
    cells: int = 4
    view_scale: float = 0.0
    edge_bleeding: int = 0
    outliers: float = 0.0
    translation: float = 0.0
    rotation_deg: float = 0.0
    focal: float = 0.0
    persistent: float = 0.0
    confidence: float = 0.8
    min_overlap: float = 0.0
    place: float = 0.0
    alias: float = 0.0

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a value that is out of its range."""
        for name, value in vars(self).items():
            high = 1.0 if name in _SHARES else np.inf
            low = 2 if name == 'cells' else 0
            if not low <= value <= high:
                raise ConfigError(f"'{name}' is {value!r}; expected {low} to {high:g}.")


# About what a large model does indoors.
REALISTIC = Noise(
    depth_bias=0.03,
    view_scale=0.01,
    edge_bleeding=1,
    outliers=0.03,
    translation=0.005,
    rotation_deg=0.2,
    focal=0.01,
    persistent=0.3,
    min_overlap=0.1,
    place=0.3,
    alias=0.02,
)


class NetworkSimulator:
    """Predicts windows from the truth of their views, with noise; a runner for the engine."""

    def __init__(
        self,
        truth: Truth,
        noise: Noise = Noise(),
        seed: int = 0,
        blackouts: Sequence[tuple[int, int]] | Mapping[str, Sequence[tuple[int, int]]] = (),
    ) -> None:
        """
        Take the truth, how wrong to be about it, and the seed of all that is drawn.

        ``blackouts`` are pairs of stamps, first and last, between which cameras see nothing, all
        of them or those that are named: then all that is said of a view is made up, with hardly
        any confidence.
        """
        self.truth, self.noise, self.blackouts = truth, noise, blackouts
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._sight = Sight(truth)
        self._places: deque[np.ndarray] = deque(maxlen=_REMEMBERED_PLACES)

    def infer(
        self, views: Sequence[WindowView], depth_views: Sequence[int] | None = None
    ) -> WindowPrediction:
        """Predict a window in a gauge of its own; NaN in the views that no depth is asked for."""
        gauge = Sim3(
            float(np.exp(self._rng.normal())),
            random_rotation(self._rng),
            self._rng.normal(size=3),
        )
        guesses = self._guesses(views)
        if all(v.world_from_camera is not None and v.intrinsics is not None for v in views):
            given = np.stack([view.world_from_camera for view in views])
            true = [self.truth.world_from_camera(v.camera, v.stamp_ns) for v in views]
            guesses = followed(guesses, given, np.stack(true), _FOLLOWED)
        guesses = [
            _with_padding(guess.moved(gauge), view)
            for guess, view in zip(guesses, views, strict=True)
        ]
        depth = torch.stack([guess.depth for guess in guesses])
        confidence = torch.stack([guess.confidence for guess in guesses])
        if depth_views is not None:
            others = sorted(set(range(len(views))) - set(depth_views))
            depth[others], confidence[others] = torch.nan, torch.nan
        device = views[0].image.device
        there = zip(depth.to(device), confidence.to(device), strict=True)
        return WindowPrediction(
            depth=depth,
            confidence=confidence,
            window_from_camera=np.stack([guess.world_from_camera for guess in guesses]),
            intrinsics=np.stack([guess.intrinsics for guess in guesses]),
            on_device=dict(enumerate(there)),
        )

    def describe(self, view: WindowView) -> torch.Tensor:
        """
        Return a place descriptor (D,) of unit length, alike for views that see the same surfaces.

        That of a black view is random, the same each time.
        """
        own = self._rng_of(view)
        error = own.normal(size=DESCRIPTOR) / DESCRIPTOR**0.5
        if self._is_black(view):
            return _unit(error)
        is_alias, which = own.random() < self.noise.alias, own.random()
        place = self._sight.descriptor(view)
        others = self._places if is_alias and self._places else [place]
        shown = others[int(which * len(others))]
        self._places.append(place)
        return _unit(shown + self.noise.place * error)

    def _is_black(self, view: WindowView) -> bool:
        spans = self.blackouts
        spans = spans.get(view.camera, ()) if isinstance(spans, Mapping) else spans
        return any(first <= view.stamp_ns <= last for first, last in spans)

    def _guesses(self, views: Sequence[WindowView]) -> list[Guess]:
        """Return what is made of each view, the related ones in the world as it is."""
        glimpses = [self._sight.glimpse(view) for view in views]
        seeing = [i for i, view in enumerate(views) if not self._is_black(view)]
        truths = [glimpses[i].depth for i in seeing or range(len(views))]
        median = float(torch.stack(truths).nanmedian())
        around = glimpses[seeing[0] if seeing else 0].world_from_camera[:3, 3]
        guesses = []
        for view, glimpse in zip(views, glimpses, strict=True):
            if self._is_black(view):
                size = tuple(glimpse.depth.shape)
                guesses.append(invented(glimpse.intrinsics, size, around, median, self._rng))
            else:
                guesses.append(self._guess(view, glimpse, median))
        for strangers in self._strangers(views, seeing):
            group = misplaced([guesses[i] for i in strangers], around, median, self._rng)
            for i, guess in zip(strangers, group, strict=True):
                guesses[i] = guess
        return guesses

    def _guess(self, view: WindowView, glimpse: Glimpse, median: float) -> Guess:
        """Return a view with its errors; ``median`` is the window's depth."""
        own, truth = self._rng_of(view), glimpse.depth
        log_error = self._log_error(truth, own)
        wrong = self._bled(truth).log() + log_error
        return Guess(
            depth=wrong.exp(),
            confidence=self._confidence(wrong - truth.log()),
            world_from_camera=self._pose(view, median, own),
            intrinsics=self._intrinsics(glimpse.intrinsics),
        )

    def _strangers(self, views: Sequence[WindowView], seeing: Sequence[int]) -> list[list[int]]:
        """Return the groups of positions that nothing links to the first view that sees."""
        if self.noise.min_overlap == 0 or len(seeing) < 2:
            return []
        groups = self._sight.groups([views[i] for i in seeing], self.noise.min_overlap)
        return [
            [i for i, group in zip(seeing, groups, strict=True) if group == stranger]
            for stranger in np.unique(groups[groups != groups[0]])
        ]

    def _rng_of(self, view: WindowView) -> np.random.Generator:
        """Return a generator that draws the same for a view in every window."""
        return np.random.default_rng(
            [self._seed, zlib.crc32(view.camera.encode()), abs(view.stamp_ns)]
        )

    def _mixed(self, own: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        """Draw standard normal numbers, in part the view's own and in part the window's."""
        share = self.noise.persistent
        return share**0.5 * own.normal(size=size) + (1 - share) ** 0.5 * self._rng.normal(
            size=size
        )

    def _log_error(self, truth: torch.Tensor, own: np.random.Generator) -> torch.Tensor:
        """Return the logarithm (H, W) of the factor by which depth is wrong, edges apart."""
        noise = self.noise
        nodes = self._mixed(own, (1, 1, *grid(truth.shape, noise.cells)))
        error = noise.depth_bias * enlarged(nodes, truth.shape)
        error = error + noise.view_scale * float(self._mixed(own, ()))
        if noise.outliers > 0:
            height, width = (-(-side // _BLOB) for side in truth.shape)
            is_wrong = self._rng.random((height, width)) < noise.outliers
            size = self._rng.uniform(*_OUTLIER_LOG, (height, width))
            sign = self._rng.choice([-1.0, 1.0], (height, width))
            blobs = np.kron(is_wrong * size * sign, np.ones((_BLOB, _BLOB)))
            error = error + torch.from_numpy(blobs[: truth.shape[0], : truth.shape[1]]).float()
        return error

    def _bled(self, truth: torch.Tensor) -> torch.Tensor:
        """Return depth (H, W) that runs across edges; invalid pixels stay invalid."""
        radius = self.noise.edge_bleeding
        if radius == 0:
            return truth
        invalid = ~torch.isfinite(truth)
        log = torch.where(invalid, truth.nanmedian(), truth).log()
        padded = pad(log[None, None], (radius,) * 4, mode='replicate')
        blurred = avg_pool2d(padded, 2 * radius + 1, stride=1)[0, 0].exp()
        return torch.where(invalid, torch.nan, blurred)

    def _confidence(self, log_error: torch.Tensor) -> torch.Tensor:
        """Return a confidence (H, W), 1 and up, that follows the error as far as asked for."""
        follows = self.noise.confidence
        noise = interpolate(
            torch.from_numpy(self._rng.normal(size=(1, 1, *grid(log_error.shape, 16)))).float(),
            tuple(log_error.shape),
            mode='bilinear',
        )[0, 0]
        is_exact = not bool((log_error.nan_to_num() != 0).any())
        if is_exact:
            return torch.full_like(log_error, 2.0)
        size = torch.log1p((log_error.abs() / _LARGE_LOG_ERROR).nan_to_num(nan=10.0).square())
        return 1.0 + torch.exp(-follows * 2.0 * size + (1.0 - follows) * noise)

    def _pose(self, view: WindowView, median: float, own: np.random.Generator) -> np.ndarray:
        """Return world_from_camera (4, 4) with its error, about the camera's own axes."""
        noise = self.noise
        translation = noise.translation * median * self._mixed(own, (3,))
        rotvec = np.radians(noise.rotation_deg) * self._mixed(own, (3,))
        camera_from_wrong = rigid(Rotation.from_rotvec(rotvec).as_matrix(), translation)
        return self.truth.world_from_camera(view.camera, view.stamp_ns) @ camera_from_wrong

    def _intrinsics(self, k: np.ndarray) -> np.ndarray:
        """Return K (3, 3) with an error of its focal length."""
        factor = np.exp(self.noise.focal * self._rng.normal())
        return k * np.array([[factor, 1.0, 1.0], [1.0, factor, 1.0], [1.0, 1.0, 1.0]])


def _with_padding(guess: Guess, view: WindowView) -> Guess:
    """Return a guess with something said of the padding too, as a network can't but do."""
    if view.content is None:
        return guess
    depth = guess.depth.nanmedian().expand_as(guess.depth).clone()
    confidence = torch.full_like(guess.confidence, 2.0)
    depth[view.content.pixels] = guess.depth[view.content.pixels]
    confidence[view.content.pixels] = guess.confidence[view.content.pixels]
    return guess._replace(depth=depth, confidence=confidence)


def _unit(vector: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(vector / max(float(np.linalg.norm(vector)), 1e-12)).float()
