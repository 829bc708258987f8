"""``da3 view``: a running node, or a recording of one, in a browser."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from da3_ros.errors import Da3Error, InputError

if TYPE_CHECKING:
    from da3_ros.ros.live_view import LiveView
    from da3_ros.ros.recorded_view import RecordedView
    from da3_ros.viewer.board import Board

_LAST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        'recording',
        type=Path,
        nargs='?',
        metavar='BAG',
        help='a bag of outputs (folder or .mcap), or the folder of a demo or of da3 infer; '
        'without one, the node that runs now',
    )
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at')
    parser.add_argument('--port', type=int, default=8043, help='port to listen at; 0 is any')
    parser.add_argument(
        '--namespace', metavar='NS', help='which da3 node, where there are several'
    )
    parser.add_argument(
        '--domain-id', type=int, help='DDS domain of the node; default: ROS_DOMAIN_ID'
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; returns the exit code."""
    if not 0 <= arguments.port <= _LAST_PORT:
        raise InputError(f'--port is {arguments.port}; expected 0 to {_LAST_PORT}.')
    try:
        from da3_ros.viewer.server import run_server, ViewServer
    except ImportError as error:
        raise Da3Error(
            f"The viewer needs websockets ({error}): pip install 'websockets>=14'."
        ) from error
    from da3_ros.viewer.board import Board
    from da3_ros.viewer.page import viewer_page

    board = Board()
    view = _view(arguments, board)
    name = 'live' if arguments.recording is None else arguments.recording.resolve().name
    try:
        server = ViewServer(
            board,
            viewer_page(f'{name} · da3 view'),
            arguments.host,
            arguments.port,
            getattr(view, 'command', None),
        )
        view.start()
        run_server(server, lambda address: print(f'{name}: {address}  (Ctrl-C ends)', flush=True))
    finally:
        view.close()
    return 0


def _view(arguments: argparse.Namespace, board: 'Board') -> 'LiveView | RecordedView':
    """Return what fills the board."""
    try:
        from da3_ros.ros.live_view import LiveView
        from da3_ros.ros.recorded_view import RecordedView
    except ImportError as error:
        raise Da3Error(
            f'The viewer needs the Python packages of ROS 2 and rosbags ({error}); source your '
            'ROS 2 installation, or run inside the environment that make setup builds.'
        ) from error
    if arguments.recording is None:
        return LiveView(arguments.namespace, board, domain_id=arguments.domain_id)
    path = arguments.recording
    return RecordedView(_bag_in(path), arguments.namespace, board, path.resolve().name)


def _bag_in(path: Path) -> Path:
    """Return the bag of outputs that a demo or ``da3 infer`` left in a folder, or the path."""
    if (path / 'metadata.yaml').is_file():
        return path
    inside = [path / name for name in ('output', 'outputs')]
    return next((bag for bag in inside if (bag / 'metadata.yaml').is_file()), path)
