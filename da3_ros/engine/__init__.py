"""The streaming engine: frames in, depth and poses in one map out; knows nothing of ROS."""

from da3_ros.config import EngineConfig
from da3_ros.engine.factory import Engine, make_engine
from da3_ros.engine.frame import (
    EngineStatus,
    Frame,
    KeyframePose,
    TrackingState,
    Update,
    View,
)
from da3_ros.engine.licence import licence_line
from da3_ros.engine.map_cloud import MapCloud, Surface
from da3_ros.engine.prior_status import PriorStatus
from da3_ros.engine.single_view import SingleViewEngine
from da3_ros.engine.streaming import StreamingEngine

__all__ = [
    'Engine',
    'EngineConfig',
    'EngineStatus',
    'Frame',
    'KeyframePose',
    'licence_line',
    'make_engine',
    'MapCloud',
    'PriorStatus',
    'SingleViewEngine',
    'StreamingEngine',
    'Surface',
    'TrackingState',
    'Update',
    'View',
]
