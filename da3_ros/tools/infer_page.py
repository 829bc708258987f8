"""What ``da3 infer`` made, as one HTML page; collected while it runs, within a bound."""

from pathlib import Path

from da3_ros.config import NodeConfig
from da3_ros.engine import Engine, Update, View
from da3_ros.geometry.flying import is_flying
from da3_ros.tools.evenly import evenly
from da3_ros.tools.html_report import Column, Report
from da3_ros.tools.report_scene import scene_text, SceneKeyframe
from da3_ros.viewer.images import ViewImages
import numpy as np

_ROWS = 6
# What is kept of a keyframe until the end: 300 kB each.
_KEPT_PIXELS, _MAX_KEYFRAMES = 25_000, 500
_UNTRAINED = 'The weights are untrained, seeded and random: the depth means nothing.'


class InferPage:
    """
    Collects what a page says of a stream, then writes it.

    Pictures are of frames evenly over the stream, however long it gets: when there are twice as
    many as needed, every second one is forgotten.
    """

    def __init__(self, config: NodeConfig, title: str) -> None:
        self._config = config
        self._title = title
        self._pictures: list[tuple[int, View]] = []
        self._every = 1
        self._seen = 0
        self._keyframes: dict[int, tuple[ViewImages, float]] = {}
        self._way: list[np.ndarray] = []
        self._stamps_ns: list[int] = []
        self._latency_ms: list[float] = []
        self._scales: list[float] = []

    def add(self, update: Update, elapsed_ms: float) -> None:
        """Take note of an update that took so long."""
        self._latency_ms.append(elapsed_ms)
        for view in update.views:
            self._keep_picture(view)
            self._stamps_ns.append(view.stamp_ns)
            self._scales.append(update.status.scale)
            if view.map_from_camera is not None:
                self._way.append(view.map_from_camera[:3, 3])
            if view.is_keyframe and view.intrinsics is not None:
                images = self._images(view).thinned(_KEPT_PIXELS)
                self._keyframes[view.stamp_ns] = images, update.status.scale
        for forgotten in list(self._keyframes)[:-_MAX_KEYFRAMES]:
            del self._keyframes[forgotten]

    def write(self, path: Path, engine: Engine, drops: int) -> None:
        """Write the page; nothing when there was no frame."""
        if not self._pictures:
            return
        start_ns, status = self._stamps_ns[0], engine.status
        seconds = (np.array(self._stamps_ns) - start_ns) / 1e9
        chosen = [self._pictures[i] for i in evenly(len(self._pictures), _ROWS)]
        unit = 'm' if status.is_metric else 'units'
        plan, labels = self._plan(unit)
        newest = self._pictures[-1][1]
        is_flat = not engine.has_map and newest.intrinsics is not None
        Report(
            title=self._title,
            subtitle=f'{engine.model_name} on {engine.device}, da3 infer',
            tiles=self._tiles(engine, seconds, drops),
            seconds=[(stamp_ns - start_ns) / 1e9 for stamp_ns, _ in chosen],
            columns=[
                Column('image', [view.rgb for _, view in chosen]),
                Column('depth', [view.depth_m for _, view in chosen], 'log', unit),
                Column('confidence', [view.confidence for _, view in chosen]),
            ],
            scene=scene_text(
                self._scene(engine),
                {'camera': np.array(self._way)} if self._way else {},
                self._images(newest) if is_flat else None,
            ),
            config=self._config,
            latency_ms=np.array(self._latency_ms),
            latency_name='of the engine, for each frame',
            ways=plan,
            way_labels=labels,
            scale=(seconds, np.array(self._scales)),
            facts={
                'model': engine.model_name,
                'licence of its weights': engine.licence or 'not known',
                'device': str(engine.device),
                'scale': status.scale_source if status.is_metric else 'not metric',
            },
            notice='' if engine.is_trained else _UNTRAINED,
        ).write(path)

    def _keep_picture(self, view: View) -> None:
        """Keep every n-th view, with a growing n."""
        if self._seen % self._every == 0:
            self._pictures.append((view.stamp_ns, view))
        self._seen += 1
        if len(self._pictures) >= 4 * _ROWS:
            self._pictures = self._pictures[::2]
            self._every *= 2

    def _images(self, view: View) -> ViewImages:
        """Return a view as the page draws it."""
        flying = is_flying(view.depth_m, self._config.points.max_edge)
        return ViewImages(
            camera='',
            stamp_ns=view.stamp_ns,
            depth_m=view.depth_m,
            is_point=np.isfinite(view.depth_m) & ~flying,
            confidence=view.confidence,
            rgb=view.rgb,
            intrinsics=view.intrinsics,
            map_from_camera=view.map_from_camera,
        )

    def _scene(self, engine: Engine) -> list[SceneKeyframe]:
        """Return the keyframes that the map still has, where it believes them to be."""
        scene = []
        for keyframe in engine.keyframes:
            images, scale = self._keyframes.get(keyframe.stamp_ns, (None, 1.0))
            if images is not None:
                pose = keyframe.map_from_camera
                scene.append(SceneKeyframe(images, pose, keyframe.scale / scale))
        return scene

    def _plan(self, unit: str) -> tuple[dict[str, np.ndarray], tuple[str, str]]:
        """Return the way along the two axes of the map in which it is longest."""
        if len(self._way) < 2:
            return {}, ('', '')
        way = np.array(self._way)
        axes = sorted(np.argsort(np.ptp(way, axis=0))[1:].tolist())
        return {'camera': way[:, axes]}, tuple(f'{"xyz"[axis]} [{unit}]' for axis in axes)

    def _tiles(
        self, engine: Engine, seconds: np.ndarray, drops: int
    ) -> list[tuple[str, str, str]]:
        """Return the figures that matter most."""
        p50, p95 = np.percentile(self._latency_ms, (50, 95))
        tiles = [
            ('frames', str(len(seconds)), f'{drops} dropped, {seconds[-1]:.1f} s of stamps'),
            ('time of a frame', f'{p50:.0f} ms', f'{p95:.0f} ms at 95 %'),
        ]
        if engine.has_map:
            status = engine.status
            tiles.append(('keyframes', str(len(engine.keyframes)), ''))
            tiles.append(('loops closed', str(status.loops_closed), ''))
            length = np.linalg.norm(np.diff(np.array(self._way), axis=0), axis=1).sum()
            unit = 'm' if status.is_metric else 'units'
            tiles.append(('way', f'{length:.2f} {unit}', 'of the camera'))
        return tiles
