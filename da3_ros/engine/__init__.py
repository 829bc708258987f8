"""The streaming engine: frames in, depth and poses in one map out; knows nothing of ROS."""

from da3_ros.config import EngineConfig
from da3_ros.engine.frame import (
    EngineStatus,
    Frame,
    KeyframePose,
    TrackingState,
    Update,
    View,
)
from da3_ros.engine.streaming import StreamingEngine

__all__ = [
    'EngineConfig',
    'EngineStatus',
    'Frame',
    'KeyframePose',
    'StreamingEngine',
    'TrackingState',
    'Update',
    'View',
]
