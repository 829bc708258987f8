"""``da3 demo``: a rendered scene through the real node over DDS, compared with the truth."""

import argparse
from contextlib import nullcontext
from pathlib import Path
import shutil
from typing import TYPE_CHECKING

from da3_ros.config import NodeConfig
from da3_ros.errors import Da3Error, InputError
from da3_ros.tools.answer import add_json_option, answer
from da3_ros.tools.options import add_engine_options, changed, configured

if TYPE_CHECKING:
    from da3_ros.ros.replay import Replay, ReplayCounts

# What the demo leaves in its folder; nothing else there is ever removed.
PARTS = (
    *('scene', 'input', 'output', 'node.log'),
    *('report.txt', 'report.html', 'contact_sheet.png', 'film.gif'),
)

_FRAME_ID = 'camera_optical_frame'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes; the defaults are for two CPU cores."""
    parser.add_argument(
        '--output', type=Path, default=Path('demo_output'), metavar='DIR', help='where it all goes'
    )
    parser.add_argument('--frames', type=int, default=36, help='length of the film')
    parser.add_argument('--width', type=int, default=256, help='of the images, in pixels')
    parser.add_argument('--height', type=int, default=192, help='of the images, in pixels')
    parser.add_argument('--fps', type=float, default=3.0, help='frames per second of the film')
    parser.add_argument('--rate', type=float, default=1.0, help='play so many times faster')
    parser.add_argument('--seed', type=int, default=12, help='which scene, and the way through it')
    parser.add_argument(
        '--domain-id',
        type=int,
        help='DDS domain, for watching with other ROS tools; default: one that is unused',
    )
    add_json_option(parser)
    parser.add_argument(
        '--film', action='store_true', help='also write film.gif, the map as it grows'
    )
    add_engine_options(parser, **{'resolution': 224, 'window.size': 4})


def run(arguments: argparse.Namespace) -> int:
    """Render, play, record, compare; returns the exit code."""
    try:
        from da3_ros.ros.camera_bag import write_camera_bag
        from da3_ros.ros.domain import private_domain
        from da3_ros.ros.recording import read_recording
        from da3_ros.ros.replay import Replay
    except ImportError as error:
        raise Da3Error(
            f'The demo needs the Python packages of ROS 2 and rosbags ({error}); source your '
            'ROS 2 installation, or run inside the environment that make setup builds.'
        ) from error
    from da3_ros.model.sources import resolve
    from da3_ros.tools.comparison import compare
    from da3_ros.tools.contact_sheet import write_contact_sheet
    from da3_ros.tools.demo_page import write_demo_page
    from da3_ros.tools.demo_report import report_json, report_text
    from da3_ros.tools.film import render_film
    from da3_ros.tools.moving_picture import write_moving_picture

    config = configured(NodeConfig(), arguments)
    if arguments.frames < 2:
        raise InputError(f'--frames is {arguments.frames}; a trajectory needs at least 2.')
    # Before anything long: what is wrong with the weights is said here, and not in the node's log.
    is_trained = resolve(config.model).weights is not None
    output = _emptied(arguments.output)
    film = render_film(
        arguments.frames, arguments.width, arguments.height, arguments.fps, arguments.seed
    )
    film.write(output / 'scene')
    write_camera_bag(output / 'input', film.frames(), _FRAME_ID)
    domain = private_domain() if arguments.domain_id is None else nullcontext(arguments.domain_id)
    with domain as domain_id:
        replay = Replay(
            bag=output / 'input',
            output=output / 'output',
            log=output / 'node.log',
            rate=arguments.rate,
            domain_id=domain_id,
            parameters=changed(config),
        )
        counts = _played(replay, len(film))
    recording = read_recording(output / 'output')
    problems = recording.problems(film.stamps_ns.tolist(), counts.status.frames_published)
    if problems:
        raise Da3Error(_listed(problems, output / 'output'))
    comparison = compare(film, recording, arguments.rate)
    text = report_text(config.model, is_trained, counts, comparison)
    (output / 'report.txt').write_text(text)
    write_contact_sheet(output / 'contact_sheet.png', film, recording, comparison, is_trained)
    page = output / 'report.html'
    write_demo_page(page, film, recording, comparison, counts, config, is_trained)
    if arguments.film:
        write_moving_picture(output / 'film.gif', film, recording, comparison)
    print(text, end='')
    print(f'page: {page}   picture: {output / "contact_sheet.png"}')
    print(f'bags: {output / "input"}, {output / "output"}; to see them: da3 view {output}')
    summary = report_json(config.model, is_trained, counts, comparison)
    answer(arguments, summary | {'output': str(output)})
    return 0


def _played(replay: 'Replay', frames: int) -> 'ReplayCounts':
    """Run the replay under a progress bar."""
    from tqdm import tqdm

    with tqdm(desc='node', total=frames, unit='frame') as bar:
        return replay.run(lambda done: bar.update(done - bar.n))


def _listed(problems: list[str], recording: Path) -> str:
    """Return what is wrong with a recording, the first ten of it."""
    lines = '\n  '.join(problems[:10])
    return f'{len(problems)} things in the recording {recording} are wrong:\n  {lines}'


def _emptied(output: Path) -> Path:
    """Return the folder, made if need be, without the parts of an earlier demo."""
    output.mkdir(parents=True, exist_ok=True)
    for path in (output / part for part in PARTS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return output
