"""
Start da3_node for a rig of several cameras, and RViz if asked.

    ros2 launch da3_ros rig.launch.py cameras:=front,left image:='/{camera}/image_raw' rviz:=true
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('da3_ros')
ARGUMENTS = {
    'config': (PathJoinSubstitution([SHARE, 'config', 'rig.yaml']), 'Parameter file.'),
    'model': ('', 'embedded, a Hugging Face id or a path; empty leaves it to the parameter file.'),
    'namespace': ('', 'Namespace of the node and of its topics.'),
    'cameras': ('', "Names of the cameras, with commas between; empty for the file's cameras."),
    'image': (
        '',
        "Image topics, with {camera} for a name of 'cameras'; empty for {camera}/image.",
    ),
    'camera_info': ('', 'CameraInfo topics, likewise; empty for camera_info beside the images.'),
    'replay': ('', 'realtime or every_frame; empty leaves it to the parameter file.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played.'),
    'log_level': ('info', 'debug, info, warn, error or fatal.'),
    'rviz': ('false', 'Start RViz too, for cameras of the names in config/rig.yaml.'),
}


def remappings(cameras: list[str], image: str, camera_info: str) -> list[tuple[str, str]]:
    """Return the remaps of the cameras' inputs: raw and compressed image, and calibration."""
    if image and not camera_info:
        camera_info = f'{image.rpartition("/")[0]}/camera_info' if '/' in image else 'camera_info'
    remaps = []
    for name in cameras:
        if image:
            topic = image.replace('{camera}', name)
            remaps.append((f'{name}/image', topic))
            remaps.append((f'{name}/image/compressed', f'{topic}/compressed'))
        if camera_info:
            remaps.append((f'{name}/camera_info', camera_info.replace('{camera}', name)))
    return remaps


def nodes(context: LaunchContext) -> list[Node]:
    """Return the nodes, with only those parameters over the file's that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    is_true = {name: given[name].lower() in ('true', '1') for name in ('use_sim_time', 'rviz')}
    cameras = [name.strip() for name in given['cameras'].split(',') if name.strip()]
    if (given['image'] or given['camera_info']) and not cameras:
        raise ValueError(
            "'image' or 'camera_info' is given without 'cameras'; expected the names that "
            '{camera} stands for, such as cameras:=front,left.'
        )
    overrides = {'use_sim_time': is_true['use_sim_time']}
    overrides |= {name: given[name] for name in ('model', 'replay') if given[name]}
    if cameras:
        overrides['cameras'] = cameras
    started = [
        Node(
            package='da3_ros',
            executable='da3_node',
            name='da3',
            namespace=given['namespace'],
            parameters=[given['config'], overrides],
            remappings=remappings(cameras, given['image'], given['camera_info']),
            arguments=['--ros-args', '--log-level', given['log_level']],
            output='screen',
        )
    ]
    if is_true['rviz']:
        started.append(
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=given['namespace'],
                parameters=[{'use_sim_time': is_true['use_sim_time']}],
                arguments=['-d', PathJoinSubstitution([SHARE, 'config', 'rig.rviz'])],
            )
        )
    return started


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])
