"""A small recording of a node's outputs, for one camera or for a rig, made by the fake engine."""

from collections.abc import Sequence
from pathlib import Path

from da3_ros.config import NodeConfig
from da3_ros.engine import Frame
from da3_ros.ros.bag import BagWriter
from da3_ros.ros.clouds import view_to_cloud
from da3_ros.ros.convert import float_image, header_at, intrinsics_to_info
from da3_ros.ros.diagnostics import status_message
from da3_ros.ros.poses import odometry_message, PathBuilder
from da3_ros.ros.statistics import Statistics
from fake_engine import FakeEngine
import numpy as np

START_NS, PERIOD_NS = 10**12, 10**8
SIZE = (24, 32)  # of the fake's depth, rows and columns


def write_view_bag(
    path: Path, cameras: Sequence[str] = ('',), count: int = 8, namespace: str = '/'
) -> list[int]:
    """Write what a node with these cameras publishes for ``count`` sets of images; the stamps."""
    config = NodeConfig()
    engine, paths = FakeEngine(config), PathBuilder()
    statistics = Statistics()
    stamps = [START_NS + i * PERIOD_NS for i in range(count)]
    with BagWriter(path) as writer:
        for stamp in stamps:
            rgb = np.zeros((2 * SIZE[0], 2 * SIZE[1], 3), np.uint8) + (10, 120, 240)
            frames = [Frame(c, stamp, rgb.astype(np.uint8)) for c in cameras]
            update = engine.push(frames)
            statistics.time(update.status.stage_ms)
            header = header_at(stamp, 'optical')
            for view in update.views:
                prefix = f'{namespace}{view.camera}/' if view.camera else namespace
                messages = {
                    'odometry': odometry_message(
                        view.map_from_camera,
                        view.pose_covariance,
                        header_at(stamp, 'map'),
                        'optical',
                    ),
                    'points': view_to_cloud(view, view.depth_m, config, 'optical'),
                    'confidence/image_rect': float_image(view.confidence, header),
                    'depth/camera_info': intrinsics_to_info(view.intrinsics, SIZE[::-1], header),
                    'depth/image_rect': float_image(view.depth_m, header),
                }
                for name, message in messages.items():
                    writer.write(f'{prefix}{name}', stamp, message)
            if update.keyframes_changed:
                keyframes = paths.build(engine.keyframes, header_at(stamp, 'map'))
                writer.write(f'{namespace}keyframes', stamp, keyframes)
            status = status_message(engine, statistics.snapshot(), stamp, 'map')
            writer.write(f'{namespace}status', stamp, status)
    return stamps
