"""Placing a window whose cameras look different ways, so that its keyframes share nothing."""

from collections.abc import Sequence
from dataclasses import replace

from da3_ros.engine.keyframes import Keyframe
from da3_ros.engine.registration import register, Registration
from da3_ros.engine.runner import WindowPrediction
from da3_ros.errors import RegistrationError
import numpy as np

# Of a window that the network could not relate to the map, less than this agrees with it.
MIN_INLIERS = 0.1


def register_cameras(
    prediction: WindowPrediction, known: Sequence[Keyframe], is_rig: bool
) -> Registration:
    """
    Register a window by ``known`` keyframes at its first slots; those of a rig alone if need be.

    Where the keyframes of several cameras see different things, the network puts them anywhere
    to each other, and what they say together is nothing. Of a rig, those of the one camera count
    then that agree best among themselves: where that is the other cameras follow from.

    Raises:
        RegistrationError: if there is not enough depth, or they agree about nothing.

    """
    shared = list(enumerate(known))
    registration = register(prediction, shared)
    if registration.inliers >= MIN_INLIERS:
        return registration
    cameras = {keyframe.view.camera for keyframe in known}
    for camera in sorted(cameras) if is_rig and len(cameras) > 1 else ():
        own = [(slot, keyframe) for slot, keyframe in shared if keyframe.view.camera == camera]
        try:
            alone = register(prediction, own)
        except RegistrationError:  # none of its keyframes has depth in this window
            continue
        if alone.inliers > registration.inliers:
            registration = _among(alone, [slot for slot, _ in own], len(known))
    if registration.inliers < MIN_INLIERS:
        raise RegistrationError(
            f'{100 * registration.inliers:.0f} % of the window agrees with the map; expected at '
            f'least {100 * MIN_INLIERS:.0f} %.'
        )
    return registration


def _among(registration: Registration, slots: Sequence[int], known: int) -> Registration:
    """Return a registration by some of the keyframes as one of all, the others taking no part."""
    agreement, has_depth = np.zeros(known), np.zeros(known, dtype=bool)
    agreement[slots], has_depth[slots] = registration.fit.agreement, registration.has_depth
    fit = replace(registration.fit, agreement=agreement)
    return replace(registration, fit=fit, has_depth=has_depth)
