"""From a window that was predicted to new views in the map."""

from collections.abc import Sequence

from da3_ros.engine.camera_groups import register_cameras
from da3_ros.engine.intake import Intake, NewView
from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.placed_view import PlacedView
from da3_ros.engine.placement import first_keyframe, place
from da3_ros.engine.registration import check_finite, Registration
from da3_ros.engine.rigging import Rigging
from da3_ros.engine.runner import WindowPrediction
from da3_ros.engine.scale.map_scale import ScaleStatus
from da3_ros.engine.tracking import Tracking
from da3_ros.engine.window import Company
import numpy as np


class Placer:
    """
    Registers windows, settles the intrinsics of new views, and tells whether they hold.

    ``intake`` knows the cameras, ``rigging`` how they hang together, and ``tracking`` what is
    usual.
    """

    def __init__(self, intake: Intake, rigging: Rigging, tracking: Tracking) -> None:
        """Take who knows the stream."""
        self._intake = intake
        self._rigging = rigging
        self._tracking = tracking

    def place(
        self,
        prediction: WindowPrediction,
        company: Company,
        newest: Sequence[NewView],
        before: Keyframe | None,
        begin_at: np.ndarray | None,
        scale: ScaleStatus,
    ) -> tuple[Registration, list[PlacedView]]:
        """
        Place the new views of a window by those of its ``company`` that the map knows.

        Without any, the first new view begins the map, or where the camera was ``before`` another
        part of it.

        Args:
            prediction: What the network says of the window.
            company: Who goes with the new views, at the first slots.
            newest: The new views.
            before: Where a camera was last; None where there is no map yet.
            begin_at: Where the first new view is then (4, 4), in the map's own lengths, if known.
            scale: What is known of the map's scale.

        Raises:
            RegistrationError: if it fits nowhere.

        """
        check_finite(prediction)
        cameras = prediction.intrinsics[len(company) :]
        newest = list(map(self._intake.with_intrinsics, newest, cameras))
        anchors = company.known or [first_keyframe(newest[0], prediction, before, begin_at)]
        registration = register_cameras(prediction, anchors, self._rigging.is_rigid)
        placed = [
            place(new, len(company) + i, prediction, registration, company.known)
            for i, new in enumerate(newest)
        ]
        placed = self._rigging.settle(
            placed, registration, company.known, scale, self._tracking.holds
        )
        if company.known:
            return registration, self._tracking.check(placed)
        self._tracking.check_first(placed[0])
        return registration, placed
