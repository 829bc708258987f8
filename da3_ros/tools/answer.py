"""``--json``: the answer of a command as one JSON text on stdout, its words on stderr."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
import json
import math
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


def answer(arguments: argparse.Namespace, value: Any) -> None:
    """Print ``value`` to stdout as JSON, if that was asked for; what is not finite is null."""
    if arguments.json:
        text = json.dumps(_plain(value), indent=1, allow_nan=False)
        print(text, file=arguments.json, flush=True)


def _plain(value: Any) -> Any:
    """Return a value that JSON has, made of dictionaries, lists, texts, numbers and null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(part) for part in value]
    if hasattr(value, 'tolist'):  # of NumPy
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
