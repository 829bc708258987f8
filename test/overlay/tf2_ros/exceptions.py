"""The exceptions of tf2, which the real tf2_ros re-exports from tf2_py."""


class TransformException(Exception):
    """Base of everything that a lookup can raise."""


class ConnectivityException(TransformException):
    """The two frames are in different trees."""


class LookupException(TransformException):
    """A frame does not exist."""


class ExtrapolationException(TransformException):
    """The time asked for is outside what the buffer holds."""


class InvalidArgumentException(TransformException):
    """A frame name is not allowed."""


class TimeoutException(TransformException):
    """Nothing came in time."""
