"""What can go wrong while .venv is set up, each said in one sentence."""

from collections.abc import Sequence
import importlib.util
import os
from pathlib import Path
import platform
import shutil
import subprocess
import sys
import sysconfig

COMPILERS = {
    'C': ('CC', ('cc', 'gcc', 'clang')),
    'C++': ('CXX', ('c++', 'g++', 'clang++')),
}


class SetupError(Exception):
    """The environment cannot be set up; the text says why and what to do."""


def check_machine() -> None:
    """Raise ``SetupError`` for the first thing that this machine lacks."""
    if (sys.platform, platform.machine()) != ('linux', 'x86_64'):
        raise SetupError(
            f'the ROS 2 wheels are for Linux on x86_64 and this is {platform.system()} on '
            f'{platform.machine()}: install ROS 2 itself and build with colcon (see README.md).'
        )
    if importlib.util.find_spec('ensurepip') is None:
        raise SetupError(
            f'{sys.executable} cannot make virtual environments: '
            "install its venv package ('apt install python3-venv')."
        )
    headers = sysconfig.get_paths()['include']
    if not (Path(headers) / 'Python.h').is_file():
        raise SetupError(
            f'the messages are built against Python.h, which is not in {headers}: '
            "install the headers of this Python ('apt install python3-dev')."
        )
    for language, (variable, names) in COMPILERS.items():
        candidates = (os.environ[variable],) if os.environ.get(variable) else names
        if not any(shutil.which(name) for name in candidates):
            raise SetupError(
                f'no {language} compiler to build the messages with (looked for '
                f"{', '.join(candidates)}): install one ('apt install build-essential')."
            )


def run(command: Sequence[Path | str], cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run a command without showing its output; raise ``SetupError`` with its end on failure."""
    words = [str(word) for word in command]
    result = subprocess.run(
        words, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if result.returncode != 0:
        last_lines = '\n'.join(result.stdout.splitlines()[-25:])
        raise SetupError(f"'{' '.join(words)}' failed; its last lines:\n{last_lines}")
