"""From the configuration to the sources that it asks for, in its order."""

from da3_ros.config import ScaleConfig
from da3_ros.engine.scale.depth_sensor import DepthSensorSource
from da3_ros.engine.scale.fixed import FixedSource
from da3_ros.engine.scale.map_scale import MapScale
from da3_ros.engine.scale.metric_model import MetricModelSource, MetricRunner
from da3_ros.engine.scale.odometry import OdometrySource
from da3_ros.engine.scale.rig import RigSource
from da3_ros.engine.scale.robot import Robot
from da3_ros.engine.scale.source import ScaleSource


def make_sources(
    config: ScaleConfig, robot: Robot | None, metric_runner: MetricRunner | None
) -> list[ScaleSource]:
    """Return the sources of ``scale.sources`` that have what they need, best first."""
    made: dict[str, ScaleSource] = {}
    if robot is not None:
        made['rig'] = RigSource(robot)
        made['odometry'] = OdometrySource(robot, config.min_motion_m)
        if config.depth_sensor != 'none':
            made['depth_sensor'] = DepthSensorSource(robot)
    if metric_runner is not None:
        made['metric_model'] = MetricModelSource(metric_runner)
    if config.fixed > 0:
        made['fixed'] = FixedSource(config.fixed)
    return [made[name] for name in config.sources if name in made]


def new_scale(
    config: ScaleConfig, robot: Robot | None, metric_runner: MetricRunner | None
) -> MapScale:
    """Return the scale of a part of the map of which nothing is known."""
    return MapScale(make_sources(config, robot, metric_runner), config.max_spread)
