"""``da3 infer``: images, a video or a bag in; depth, poses, a map and a bag out."""

import argparse
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
import signal
import sys
import time
from typing import TYPE_CHECKING
import warnings

from da3_ros.config import NodeConfig
from da3_ros.errors import ConfigError, FrameError
from da3_ros.tools.answer import add_json_option, answer
from da3_ros.tools.interruption import stop_asked
from da3_ros.tools.options import add_engine_options, configured

if TYPE_CHECKING:
    from da3_ros.engine import Engine
    from da3_ros.ros.output_bag import OutputBag
    from da3_ros.tools.gaussian_map import GaussianMap
    from da3_ros.tools.infer_page import InferPage
    from da3_ros.tools.results import Results
    from da3_ros.tools.sources import Calibrate, Source

_EXIT_INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        'input',
        type=Path,
        metavar='INPUT',
        help='a folder of images, a video, or a rosbag2 (folder, .mcap or .db3)',
    )
    parser.add_argument(
        '--output', type=Path, required=True, metavar='DIR', help='where the results go'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace earlier results there')
    add_engine_options(parser)
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='use every N-th frame only'
    )
    parser.add_argument('--topic', help='image topic of a bag that has several')
    parser.add_argument(
        '--fps', type=float, default=10.0, help='frames per second of a folder without stamps'
    )
    parser.add_argument(
        '--gaussians',
        action='store_true',
        help='also write gaussians.ply, 3D Gaussians of all keyframes (DA3-GIANT and the nested '
        'model)',
    )
    add_json_option(parser)
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        '--camera-info',
        type=Path,
        metavar='FILE',
        help='calibration of the camera: a camera_info YAML or a JSON file with fx fy cx cy',
    )
    camera.add_argument(
        '--fov', type=float, metavar='DEG', help='horizontal field of view, for an ideal camera'
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the engine over the input; returns the exit code."""
    from da3_ros.tools.gaussian_map import GaussianMap
    from da3_ros.tools.infer_page import InferPage
    from da3_ros.tools.results import Results
    from da3_ros.tools.sources import open_source

    _check(arguments)
    config = configured(NodeConfig(), arguments)
    calibrate = _calibrate(arguments)
    source = open_source(arguments.input, arguments.topic, arguments.fps)
    with ExitStack() as stack:
        gaussians = stack.enter_context(GaussianMap()) if arguments.gaussians else None
        engine = _make_engine(config, gaussians)
        _introduce(engine)
        results = stack.enter_context(Results(arguments.output, arguments.overwrite))
        bag = _output_bag(results.directory / 'outputs', config, source.frame_id)
        if bag is not None:
            stack.enter_context(bag)
        page = InferPage(config, arguments.input.resolve().name)
        job = _Job(source, engine, results, bag, calibrate, gaussians, page)
        code = job.run(arguments.every)
        if engine.has_map:
            engine.save_map(results.directory)
        job.write_gaussians()
        page.write(results.directory / 'report.html', engine, sum(job.drops.values()))
    job.report()
    answer(arguments, job.summary() | {'is_interrupted': code == _EXIT_INTERRUPTED})
    return code


def _make_engine(config: NodeConfig, gaussians: 'GaussianMap | None') -> 'Engine':
    """Return the engine; one whose runner leaves its Gaussians to the map of them, if any."""
    from da3_ros.engine import make_engine
    from da3_ros.model.weights import UntrainedModelWarning

    parts = {} if gaussians is None else {'make_runner': gaussians.make_runner}
    with warnings.catch_warnings():  # of untrained weights: said by the caller
        warnings.simplefilter('ignore', UntrainedModelWarning)
        engine = make_engine(config, **parts)
    if gaussians is not None and not engine.has_map:
        raise ConfigError(
            f"'{config.model}' sees each view alone; --gaussians needs DA3-GIANT or "
            'DA3NESTED-GIANT-LARGE as the model.'
        )
    return engine


def _introduce(engine: 'Engine') -> None:
    """Say what runs where, and on what terms."""
    from da3_ros.engine import licence_line

    trained = (
        '' if engine.is_trained else ' (untrained, seeded random weights: its depth means nothing)'
    )
    print(f'{engine.model_name} on {engine.device}{trained}')
    print(licence_line(engine.model_name, engine.licence))


def _check(arguments: argparse.Namespace) -> None:
    """Raise ``ConfigError`` for numbers that make no sense."""
    if arguments.every < 1:
        raise ConfigError(f'--every is {arguments.every}; expected at least 1.')
    if not arguments.fps > 0:
        raise ConfigError(f'--fps is {arguments.fps:g}; expected a positive number.')


def _calibrate(arguments: argparse.Namespace) -> 'Calibrate | None':
    """Return what the user says of the camera, if anything; raises ``InputError`` if wrong."""
    from da3_ros.tools.calibration import from_fov, read_calibration

    if arguments.fov is not None:
        from_fov(arguments.fov, 1, 1)
        return lambda width, height: from_fov(arguments.fov, width, height)
    if arguments.camera_info is not None:
        model = read_calibration(arguments.camera_info)
        return lambda width, height: model
    return None


def _output_bag(path: Path, config: NodeConfig, frame_id: str) -> 'OutputBag | None':
    """Return the bag of outputs, or None, with a word about it, where ROS is not installed."""
    try:
        from da3_ros.ros.output_bag import OutputBag
    except ImportError as error:
        print(f'No bag is written: ROS 2 messages or rosbags are not installed ({error}).')
        return None
    return OutputBag(path, config, frame_id)


@dataclass
class _Job:
    """One input on its way through the engine, and what became of its frames."""

    source: 'Source'
    engine: 'Engine'
    results: 'Results'
    bag: 'OutputBag | None'
    calibrate: 'Calibrate | None'
    gaussians: 'GaussianMap | None'
    page: 'InferPage'
    gaussians_written: int = 0
    done: int = 0
    elapsed_s: float = 0.0
    drops: Counter = field(default_factory=Counter)
    first_problem: dict[str, str] = field(default_factory=dict)

    def run(self, every: int) -> int:
        """Process every N-th frame; Ctrl-C ends that early and keeps what is there."""
        from tqdm import tqdm

        total = -(-len(self.source) // every) or None
        frames = islice(enumerate(self.source.frames()), 0, None, every)
        started = time.perf_counter()
        is_cut = False
        try:
            # Between two frames, so that files and poses go together; the second time at once.
            with stop_asked(signal.SIGINT) as is_asked:
                for index, frame in tqdm(frames, total=total, unit='frame', desc='infer'):
                    self._process(index, frame)
                    is_cut = is_asked()
                    if is_cut:
                        break
        except KeyboardInterrupt:
            is_cut = True
        self.elapsed_s = time.perf_counter() - started
        if is_cut:
            print('Interrupted; finishing what is there ...', file=sys.stderr)
        return _EXIT_INTERRUPTED if is_cut else 0

    def _process(self, index: int, frame: object) -> None:
        """Push one frame and write what comes of it; a bad frame is counted."""
        from da3_ros.tools.sources import calibrated

        try:
            if isinstance(frame, FrameError):
                raise frame
            frame = calibrated(frame, self.calibrate)
            started = time.perf_counter()
            update = self.engine.push([frame])
        except FrameError as error:
            self.drops[error.reason] += 1
            self.first_problem.setdefault(error.reason, f'frame {index}: {error}')
            if self.bag is not None:
                self.bag.drop(error.reason, self.engine)
            return
        elapsed_ms = (time.perf_counter() - started) * 1e3
        self.results.write(index, update.views, update.status.is_metric)
        if self.gaussians is not None and update.views[0].is_keyframe:
            self.gaussians.keep(update.views[0], update.status.scale)
        if self.bag is not None:
            self.bag.write(update, self.engine, elapsed_ms)
        self.page.add(update, elapsed_ms)
        self.done += 1

    def write_gaussians(self) -> None:
        """Write the Gaussians of the keyframes where these are believed to be now."""
        if self.gaussians is not None:
            path = self.results.directory / 'gaussians.ply'
            self.gaussians_written = self.gaussians.write(path, self.engine.keyframes)

    def report(self) -> None:
        """Say what was done, what was not and why, and where it lies."""
        rate = self.done / self.elapsed_s if self.elapsed_s else 0.0
        print(f'{self.done} frames in {self.elapsed_s:.1f} s ({rate:.1f} frames/s)')
        for reason, count in self.drops.items():
            print(f'{count} dropped, {reason}; the first: {self.first_problem[reason]}')
        is_metric, parts = (
            self.engine.status.is_metric,
            'report.html, frames/, poses.txt, intrinsics.json, map/',
        )
        if self.engine.has_map:
            unit = 'metres' if is_metric else 'units of the map, not metres'
            print(f'Depth and poses are in {unit}; {len(self.engine.keyframes)} keyframes.')
        else:
            unit = 'metres' if is_metric else 'units of each frame, not metres'
            print(f'Depth is in {unit}; the network sees each view alone, so there are no poses.')
            parts = 'report.html, frames/, intrinsics.json'
        if self.gaussians is not None:
            print(f'{self.gaussians_written} Gaussians of the keyframes are in gaussians.ply.')
        print(f'Results are in {self.results.directory}: {parts}')
        if self.bag is not None:
            print(f'All topics of the node are in {self.results.directory / "outputs"} (MCAP).')

    def summary(self) -> dict[str, object]:
        """Return for ``--json`` what ``report`` says."""
        status = self.engine.status
        return {
            'model': self.engine.model_name,
            'is_trained': self.engine.is_trained,
            'licence': self.engine.licence,
            'device': str(self.engine.device),
            'frames': self.done,
            'elapsed_s': self.elapsed_s,
            'drops': dict(self.drops),
            'first_problems': self.first_problem,
            'is_metric': status.is_metric,
            'scale': status.scale,
            'scale_source': status.scale_source,
            'keyframes': len(self.engine.keyframes) if self.engine.has_map else None,
            'gaussians': self.gaussians_written if self.gaussians is not None else None,
            'output': str(self.results.directory),
        }
