"""``--json``: the answer of a command as one JSON text on stdout, its words on stderr."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
import json
import sys
from typing import Any


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``, for a command that gives its results to ``answer``."""
    parser.add_argument(
        '--json',
        action='store_true',
        help='print the results as JSON, and nothing else, to stdout; words go to stderr',
    )


@contextmanager
def words_aside(arguments: argparse.Namespace) -> Iterator[None]:
    """With ``--json``, send all that is printed to stderr and keep stdout for the answer."""
    if not getattr(arguments, 'json', False):
        yield
        return
    arguments.json = sys.stdout
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def kept(
    arguments: argparse.Namespace, show: Callable[[list[dict]], None]
) -> Iterator[list[dict]]:
    """
    Give a list for the results of a long command; what is in it is never lost.

    However the block ends, Ctrl-C included, ``show`` is told and ``--output`` has them as JSON.
    """
    results: list[dict] = []
    try:
        yield results
    finally:
        if results:
            write_results(arguments, results)
            show(results)


def write_results(arguments: argparse.Namespace, results: Sequence[dict]) -> None:
    """Write results as JSON to ``--output``, if that was asked for."""
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(results, indent=1) + '\n')


def answer(arguments: argparse.Namespace, value: Any) -> None:
    """Print ``value`` to stdout as JSON, if that was asked for; what is not finite is null."""
    if arguments.json:
        from da3_ros.viewer.packets import finite  # NumPy is not needed for help

        text = json.dumps(finite(value), indent=1, allow_nan=False, default=str)
        print(text, file=arguments.json, flush=True)
