"""
Start da3_node for a rig of several cameras, and RViz if asked.

    ros2 launch da3_ros rig.launch.py cameras:=front,left image:='/{camera}/image_raw' rviz:=true
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('da3_ros')
# What da3.launch.py is given as it is.
PASSED_ON = {
    'config': (PathJoinSubstitution([SHARE, 'config', 'rig.yaml']), 'Parameter file.'),
    'model': ('', 'embedded, a Hugging Face id or a path; empty leaves it to the parameter file.'),
    'namespace': ('', 'Namespace of the node and of its topics.'),
    'image': (
        '',
        "Image topics, with {camera} for a name of 'cameras'; empty for {camera}/image.",
    ),
    'camera_info': ('', 'CameraInfo topics, likewise; empty for camera_info beside the images.'),
    'replay': ('', 'realtime or every_frame; empty leaves it to the parameter file.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played.'),
    'log_level': ('info', 'debug, info, warn, error or fatal.'),
    'respawn': ('false', 'Start the node again when it ends, as it does where a GPU refuses it.'),
    'rviz': ('false', 'Start RViz too, for cameras of the names in config/rig.yaml.'),
}
ARGUMENTS = {
    'cameras': ('', "Names of the cameras, with commas between; empty for the file's cameras."),
    **PASSED_ON,
}


def check(context: LaunchContext) -> None:
    """Raise ``ValueError`` for topics of cameras that have no names."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if (given['image'] or given['camera_info']) and not given['cameras'].strip(' ,'):
        raise ValueError(
            "'image' or 'camera_info' is given without 'cameras'; expected the names that "
            '{camera} stands for, such as cameras:=front,left.'
        )


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PathJoinSubstitution([SHARE, 'launch', 'da3.launch.py']),
        launch_arguments=[
            ('camera', LaunchConfiguration('cameras')),
            ('rviz_config', PathJoinSubstitution([SHARE, 'config', 'rig.rviz'])),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=check), node])
