"""The one exception tree of the package: every error raised on purpose is a ``Da3Error``."""


class Da3Error(Exception):
    """Base of every error that the package raises on purpose; its text is one full sentence."""


class ConfigError(Da3Error, ValueError):
    """A parameter has a value that it may not have."""


class InputError(Da3Error, ValueError):
    """An argument of a public function has the wrong shape, type or range."""


class WeightsError(Da3Error):
    """Network weights are missing, damaged or belong to another network."""


class DeviceError(Da3Error):
    """The device failed, and no engine can be made on it in the place of the one that ran."""


class DeviceMemoryError(Da3Error):
    """The device has less memory than the smallest engine of a configuration needs."""


class FrameError(InputError):
    """
    One frame cannot be used; the stream goes on without it.

    ``reason`` is the short name under which such drops are counted, e.g. ``frame_stamp``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CameraInfoError(InputError):
    """One CameraInfo cannot be used; ``reason`` is the name under which it is counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RegistrationError(Da3Error):
    """A window has too little in common with the map to be placed in it."""
