"""The size of the map: who knows metres, how well, and which of them is believed."""

from da3_ros.engine.scale.map_scale import MapScale
from da3_ros.engine.scale.metric_model import MetricPrediction, MetricRunner
from da3_ros.engine.scale.part_scales import PartScales
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.scale.sources import new_scale

__all__ = [
    'MapScale',
    'MetricPrediction',
    'MetricRunner',
    'new_scale',
    'PartScales',
    'Robot',
]
