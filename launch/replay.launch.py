"""
Play a bag through da3_node, every stamp in the bag's time, and look at it in RViz.

    ros2 launch da3_ros replay.launch.py bag:=my_bag image:=/camera/image_raw

The bag starts when the network is loaded. With replay:=every_frame no image is left out, however
slow the network is; the bag's images are then published reliably.
"""

from pathlib import Path
import tempfile

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessIO
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare('da3_ros')
# What da3.launch.py is given as it is.
PASSED_ON = {
    'config': (PathJoinSubstitution([SHARE, 'config', 'da3.yaml']), 'Parameter file.'),
    'model': ('', 'embedded, a Hugging Face id or a path; empty leaves it to the parameter file.'),
    'camera': ('', "Name of the camera, the prefix of its topics; empty for the file's cameras."),
    'image': ('/image', 'Image topic of the bag, without /compressed.'),
    'camera_info': ('', 'CameraInfo topic of the bag; empty for camera_info beside the images.'),
    'replay': ('realtime', 'realtime: the newest image goes first; every_frame: all, in order.'),
    'rviz': ('true', 'Start RViz too.'),
}
ARGUMENTS = {
    'bag': (None, 'The bag: a folder with metadata.yaml.'),
    'rate': ('1.0', 'Seconds of the bag in a second.'),
    'loop': ('false', 'Start again at the end; the node then begins a new map.'),
    **PASSED_ON,
}
# What the node says when it is about to listen, and the time that DDS may take to connect [s].
READY = b'is ready on'
CONNECTING_S = '2.0'


def overrides(image: str) -> str:
    """Write the QoS with which every image waits for the node, and return the file's path."""
    path = Path(tempfile.mkdtemp(prefix='da3_ros_replay_')) / 'qos.yaml'
    qos = '{reliability: reliable, history: keep_all, durability: volatile}'
    path.write_text(''.join(f'{topic}: {qos}\n' for topic in (image, f'{image}/compressed')))
    return str(path)


def player(given: dict[str, str]) -> ExecuteProcess:
    """Return what plays the bag."""
    command = ['ros2', 'bag', 'play', given['bag'], '--clock', '100', '--rate', given['rate']]
    command += ['--delay', CONNECTING_S]
    if given['loop'].lower() in ('true', '1'):
        command.append('--loop')
    if given['replay'] == 'every_frame':
        command += ['--qos-profile-overrides-path', overrides(given['image'])]
    return ExecuteProcess(cmd=command, output='screen')


def handlers(context: LaunchContext) -> list[RegisterEventHandler]:
    """Return what starts the bag, once, when the node is ready."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    waiting = [player(given)]

    def on_output(event: ProcessIO) -> list[ExecuteProcess] | None:
        if 'da3_node' in event.process_name and READY in event.text and waiting:
            return [waiting.pop()]
        return None

    return [RegisterEventHandler(OnProcessIO(on_stdout=on_output, on_stderr=on_output))]


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PathJoinSubstitution([SHARE, 'launch', 'da3.launch.py']),
        launch_arguments=[
            ('use_sim_time', 'true'),
            *((name, LaunchConfiguration(name)) for name in PASSED_ON),
        ],
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=handlers), node])
