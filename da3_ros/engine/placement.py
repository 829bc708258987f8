"""From a window that was predicted to views in the map."""

from collections.abc import Sequence

from da3_ros.engine.device_view import DeviceView
from da3_ros.engine.intake import NewView
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.registration import Registration
from da3_ros.engine.runner import WindowPrediction
from da3_ros.engine.scale.depths import median_depth
from da3_ros.errors import RegistrationError
from da3_ros.geometry.rays import valid_depth
from da3_ros.geometry.transforms import BODY_FROM_OPTICAL
import numpy as np
import torch


def first_keyframe(
    new: NewView,
    prediction: WindowPrediction,
    before: Keyframe | None,
    map_from_camera: np.ndarray | None,
) -> Keyframe:
    """
    Return the first view of a window as what fixes origin and unit of the map, or of a part of it.

    A part begins at ``map_from_camera`` (4, 4), or where the camera was ``before``, with as much
    depth as it saw there: a guess, until a place is seen again.

    Raises:
        RegistrationError: if the view has no depth.

    """
    pose, depth, unit = map_from_camera, prediction.depth[0], 1.0
    if before is not None:
        here = median_depth(depth)
        if not here > 0:
            raise RegistrationError('The new view has no depth; expected some, to begin with.')
        unit = median_depth(before.depth) / here
        pose = before.map_from_camera if pose is None else pose
    return Keyframe(
        view=new.view,
        rgb=new.prepared.rgb,
        intrinsics=new.intrinsics,
        depth=unit * depth,
        weight=prediction.confidence[0],
        map_from_camera=BODY_FROM_OPTICAL if pose is None else pose,
    )


def place(
    new: NewView,
    slot: int,
    prediction: WindowPrediction,
    registration: Registration,
    known: Sequence[Keyframe],
) -> PlacedView:
    """Put a new view, at a ``slot`` of its window, into the map's gauge."""
    map_from_window = registration.map_from_window
    map_from_camera = map_from_window.apply_to_pose(prediction.window_from_camera[slot])
    depth = np.float32(map_from_window.scale) * prediction.depth[slot].numpy()
    keyframe = Keyframe(
        view=new.view,
        rgb=new.prepared.rgb,
        intrinsics=new.intrinsics,
        depth=torch.from_numpy(valid_depth(depth)),
        weight=prediction.confidence[slot],
        map_from_camera=map_from_camera,
    )
    on_device = None
    if slot in prediction.on_device:
        images = (*prediction.on_device[slot], new.view.image)
        on_device = DeviceView(*images, scale=map_from_window.scale)
    return PlacedView.among(
        keyframe,
        prediction.confidence[slot],
        registration.pose_covariance(map_from_camera),
        known,
        on_device,
    )
