"""The command ``da3``: finds the subcommand, and turns errors into sentences and exit codes."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import importlib
import os
import signal
import sys

from da3_ros.errors import Da3Error
from da3_ros.tools.answer import words_aside
from da3_ros.tools.version import version

# Name: the module that has add_arguments(parser) and run(arguments) -> exit code, and what it
# does. Modules are imported when their command is called, so that help comes at once.
COMMANDS = {
    'bench': (
        'da3_ros.tools.bench',
        'measure the time of a new frame, stage by stage, beside what the hardware allows',
    ),
    'completion': (
        'da3_ros.tools.completion',
        'print what makes a shell complete the commands and options of da3',
    ),
    'demo': (
        'da3_ros.tools.demo',
        'render a scene, play it through the real node over DDS, and compare with the truth',
    ),
    'evaluate': (
        'da3_ros.tools.evaluate',
        'measure depth and poses on held-out scenes or on sequences with truth',
    ),
    'infer': (
        'da3_ros.tools.infer',
        'turn a folder of images, a video or a bag into depth, poses, a map and a bag',
    ),
    'train': (
        'da3_ros.tools.train',
        'train a network from scratch on procedural scenes',
    ),
    'view': (
        'da3_ros.tools.view',
        'show a running node, or a recording of one, in a browser',
    ),
}

_DESCRIPTION = 'Depth, camera poses and one coloured map from any camera, with Depth Anything 3.'

_EPILOG = """\
start here:
  da3 demo                          see all of it work, on a scene with known truth (a minute)
  da3 infer VIDEO --output OUT      depth and poses of a video, and a map to look at
  da3 infer BAG --output OUT        the same for a rosbag2; CameraInfo in it is used
  da3 view OUT                      look at a result, or, without OUT, at the node that runs
  da3 COMMAND --help                every option of a command

which network:
  --model embedded                  ships with da3_ros: small, for trying things out (the default)
  --model depth-anything/DA3-SMALL  an official one, downloaded once; a path works too
  --set NAME=VALUE                  any parameter of the node: --set keyframe.max_overlap=0.6

scripts:
  --json                            results as JSON on stdout, words and progress on stderr
  exit codes                        0, 2 after an error, 130 after Ctrl-C; errors are sentences on
                                    stderr; Ctrl-C leaves what infer, evaluate, bench and
                                    train have done

in the shell:
  . <(da3 completion bash)          complete commands and options; zsh and fish: see its --help

live, on a robot:
  ros2 launch da3_ros da3.launch.py
"""

_EXIT_ERROR = 2
_EXIT_INTERRUPTED = 130
_EXIT_TERMINATED = 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 2 after an error said in a sentence, 130 after Ctrl-C."""
    # Read when torch is loaded, here and in child processes: threads that wait for each other must
    # not spin, for that makes a busy machine ten times slower and an idle one hardly faster.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(argv).parse_args(argv)
    module = importlib.import_module(COMMANDS[arguments.command][0])
    try:
        with _sigterm_raises(), words_aside(arguments):
            return module.run(arguments)
    except (Da3Error, OSError) as error:
        print(f'da3 {arguments.command}: {error}', file=sys.stderr)
        return _EXIT_ERROR
    except KeyboardInterrupt:
        print(f'da3 {arguments.command}: interrupted.', file=sys.stderr)
        return _EXIT_INTERRUPTED


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command by its name, with all options."""
    found = {}
    for name, (module, _) in COMMANDS.items():
        found[name] = argparse.ArgumentParser(prog=f'da3 {name}')
        importlib.import_module(module).add_arguments(found[name])
    return found


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; only the command that is called gets its options."""
    parser = argparse.ArgumentParser(
        prog='da3',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'da3_ros {version()}')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + '.',
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        if argv and argv[0] == name:
            importlib.import_module(module).add_arguments(command)
    return parser


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Let SIGTERM leave through every ``with`` block, as Ctrl-C does."""

    def leave(*_: object) -> None:
        raise SystemExit(_EXIT_TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == '__main__':
    sys.exit(main())
