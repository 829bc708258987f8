"""Build rosidl message packages with the wheels' CMake files, without colcon."""

import os
from pathlib import Path
import re
import subprocess
import sysconfig
import tempfile

from problems import run

# Include folders of the machine that built the wheels, as their CMake files name them.
FOREIGN_NUMPY = re.compile(r'/opt/python/cp\d+-cp\d+/lib/python[\d.]+/site-packages/numpy/[\w/]+')
FOREIGN_PYTHON = re.compile(r'/opt/python/cp\d+-cp\d+/include/python[\d.]+')


def repair_include_paths(venv: Path, python: Path) -> None:
    """Replace the include folders baked into the wheels' CMake files by those of this machine."""
    ask_numpy = [python, '-c', 'import numpy; print(numpy.get_include())']
    numpy_include = subprocess.check_output(ask_numpy, text=True).strip()
    python_include = sysconfig.get_paths()['include']
    for cmake_file in (venv / 'share').rglob('*.cmake'):
        text = cmake_file.read_text()
        repaired = FOREIGN_NUMPY.sub(lambda _: numpy_include, text)
        repaired = FOREIGN_PYTHON.sub(lambda _: python_include, repaired)
        if repaired != text:
            cmake_file.write_text(repaired)


def build_interfaces(source: Path, venv: Path, python_dir: Path, *options: str) -> None:
    """
    Generate, build and install the message package at ``source`` into ``venv``.

    Its libraries go where those of the wheels are, its Python module into ``python_dir``.
    """
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    env |= {
        'AMENT_PREFIX_PATH': str(venv),
        'CMAKE_PREFIX_PATH': str(venv),
        'PATH': f'{venv}/bin{os.pathsep}{os.environ["PATH"]}',
    }
    cmake = venv / 'bin' / 'cmake'
    with tempfile.TemporaryDirectory(prefix='da3_ros_messages_') as build:
        settings = {
            'BUILD_TESTING': 'OFF',
            'CMAKE_BUILD_TYPE': 'Release',
            'CMAKE_INSTALL_PREFIX': venv,
            'PYTHON_INSTALL_DIR': python_dir.relative_to(venv),
        }
        definitions = [f'-D{name}={value}' for name, value in settings.items()]
        configure = [cmake, '-G', 'Ninja', '-S', source, '-B', build, *definitions, *options]
        run(configure, cwd=source, env=env)
        run([cmake, '--build', build, '--target', 'install'], cwd=source, env=env)
