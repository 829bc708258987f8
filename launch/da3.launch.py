"""
Start da3_node, which brings itself up, and RViz if asked.

    ros2 launch da3_ros da3.launch.py image:=/camera/image_raw rviz:=true

The other launch files include this one.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('da3_ros')
ARGUMENTS = {
    'config': (PathJoinSubstitution([SHARE, 'config', 'da3.yaml']), 'Parameter file.'),
    'model': ('', 'embedded, a Hugging Face id or a path; empty leaves it to the parameter file.'),
    'namespace': ('', 'Namespace of the node and of its topics.'),
    'camera': (
        '',
        'Name of the camera, the prefix of its topics, or several with commas between; empty for '
        "the file's cameras.",
    ),
    'image': ('', 'Image topic to listen to, {camera} is a name; empty for the one named image.'),
    'camera_info': ('', 'CameraInfo topic; empty for camera_info beside the image topic.'),
    'replay': ('', 'realtime or every_frame; empty leaves it to the parameter file.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played.'),
    'log_level': ('info', 'debug, info, warn, error or fatal.'),
    'respawn': ('false', 'Start the node again when it ends, as it does where a GPU refuses it.'),
    'rviz': ('false', 'Start RViz too.'),
    'rviz_config': (PathJoinSubstitution([SHARE, 'config', 'da3.rviz']), 'What RViz shows.'),
}


def remappings(cameras: list[str], image: str, camera_info: str) -> list[tuple[str, str]]:
    """Return the remaps of the cameras' inputs: raw and compressed image, and calibration."""
    if image and not camera_info:
        camera_info = f'{image.rpartition("/")[0]}/camera_info' if '/' in image else 'camera_info'
    remaps = []
    for name in cameras or ['']:
        prefix = f'{name}/' if name else ''
        if image:
            topic = image.replace('{camera}', name)
            remaps.append((f'{prefix}image', topic))
            remaps.append((f'{prefix}image/compressed', f'{topic}/compressed'))
        if camera_info:
            remaps.append((f'{prefix}camera_info', camera_info.replace('{camera}', name)))
    return remaps


def nodes(context: LaunchContext) -> list[Node]:
    """Return the nodes, with only those parameters over the file's that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    is_true = {
        name: given[name].lower() in ('true', '1') for name in ('use_sim_time', 'respawn', 'rviz')
    }
    overrides = {'use_sim_time': is_true['use_sim_time']}
    overrides |= {name: given[name] for name in ('model', 'replay') if given[name]}
    cameras = [name.strip() for name in given['camera'].split(',') if name.strip()]
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
            respawn=is_true['respawn'],
            respawn_delay=2.0,
        )
    ]
    if is_true['rviz']:
        started.append(
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=given['namespace'],
                parameters=[{'use_sim_time': is_true['use_sim_time']}],
                arguments=['-d', given['rviz_config']],
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
