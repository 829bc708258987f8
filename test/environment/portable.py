"""
Pack what the node needs of ROS 2 into one archive, for a machine that has PyTorch and no network.

    python3.12 test/environment/portable.py ros.tar.xz [--keep DIR]

Run it with the Python version of that machine. There, unpack the archive anywhere and source its
``activate``: the checkout's own Python then finds ROS 2, our messages and the stand-ins.
"""

import argparse
import hashlib
import os
from pathlib import Path
import shutil
import sys
import tarfile
import tempfile
import venv

from interfaces import build_interfaces, repair_include_paths
from problems import check_machine, run

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OVERLAY = ROOT / 'test' / 'overlay'
# Requirements that neither the node needs nor the messages.
LEFT_OUT = ('addict', 'einops', 'omegaconf', 'triton')
# What only building needs, or the machine has: begins of names in site-packages.
NOT_PACKED = (
    *('__pycache__', '_distutils_hack', 'ament_cmake', 'catkin_pkg', 'cmake', 'dateutil'),
    *('distutils', 'docutils', 'ninja', 'numpy', 'pip', 'pyparsing', 'setuptools', 'tzdata'),
)
ACTIVATE = """\
# Source this with bash; the checkout is the current folder.
R=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
S=$R/lib/{python}/site-packages
export PYTHONPATH=$PWD:$PWD/test/overlay:$S:$R/share/da3_ros/python${{PYTHONPATH:+:$PYTHONPATH}}
L=$R/lib:$(echo $S/ros_*.libs | tr ' ' :)
export LD_LIBRARY_PATH=$L${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}
export AMENT_PREFIX_PATH=$R ROS_DISTRO=kilted ROS_VERSION=2 ROS_PYTHON_VERSION=3
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
export FASTDDS_DEFAULT_PROFILES_FILE=$PWD/config/fastdds.xml
"""


def build(prefix: Path) -> None:
    """Install ROS 2 and build the messages at ``prefix``."""
    venv.create(prefix, symlinks=True, with_pip=True)
    python = prefix / 'bin' / 'python'
    lines = (HERE / 'requirements.txt').read_text().splitlines()
    wanted = [line for line in lines if line and line[0] != '#' and line not in LEFT_OUT]
    pip = [python, '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check']
    run([*pip, '--constraint', HERE / 'constraints.txt', *wanted, 'numpy'], cwd=ROOT)
    repair_include_paths(prefix, python)
    build_interfaces(OVERLAY / 'tf2_msgs', prefix, site_packages(prefix))
    python_dir = prefix / 'share' / 'da3_ros' / 'python'
    build_interfaces(ROOT, prefix, python_dir, '-DDA3_ROS_INTERFACES_ONLY=ON')


def site_packages(prefix: Path) -> Path:
    """Return where Python packages are."""
    return prefix / 'lib' / 'python{}.{}'.format(*sys.version_info) / 'site-packages'


def copy_needed(prefix: Path, target: Path) -> None:
    """Copy what is needed at run time, each file once, and write ``activate``."""
    target.mkdir()
    (target / 'lib').mkdir()
    for library in prefix.glob('lib/*.so*'):
        shutil.copy2(library, target / 'lib')
    shutil.copytree(prefix / 'share' / 'ament_index', target / 'share' / 'ament_index')
    ours = Path('share', 'da3_ros', 'python')
    shutil.copytree(prefix / ours, target / ours)
    packages = site_packages(target)
    packages.mkdir(parents=True)
    unneeded = shutil.ignore_patterns('__pycache__', '*.h', '*.hpp', '*.a', '*.c', '*.cmake')
    for item in site_packages(prefix).iterdir():
        if item.name.startswith(NOT_PACKED) or item.suffix in ('.dist-info', '.egg-info'):
            continue
        if item.is_dir():
            shutil.copytree(item, packages / item.name, ignore=unneeded)
        elif item.suffix == '.py':
            shutil.copy2(item, packages)
    text = ACTIVATE.format(python=packages.parent.name)
    (target / 'activate').write_text(text)
    link_copies(target)


def link_copies(folder: Path) -> None:
    """Replace libraries that are there more than once by links to the first."""
    first: dict[str, Path] = {}
    for library in sorted(folder.rglob('*.so*')):
        digest = hashlib.sha256(library.read_bytes()).hexdigest()
        original = first.setdefault(digest, library)
        if original is not library:
            library.unlink()
            library.symlink_to(os.path.relpath(original, library.parent))


def main() -> None:
    """Build in a temporary folder, or in one that is kept, and pack."""
    parser = argparse.ArgumentParser(description='Pack ROS 2 for a machine without a network.')
    parser.add_argument('archive', type=Path)
    parser.add_argument('--keep', type=Path, metavar='DIR', help='where it is built, and stays')
    arguments = parser.parse_args()
    check_machine()
    with tempfile.TemporaryDirectory(prefix='da3_ros_portable_') as temporary:
        prefix = (arguments.keep or Path(temporary) / 'venv').resolve()
        if not prefix.exists():
            build(prefix)
        target = Path(temporary) / 'ros'
        copy_needed(prefix, target)
        arguments.archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(arguments.archive, 'w:xz', preset=6) as archive:
            archive.add(target, 'ros')
    print(f'{arguments.archive}: {arguments.archive.stat().st_size / 2**20:.1f} MiB')


if __name__ == '__main__':
    main()
