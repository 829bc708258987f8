"""
Set up .venv: ROS 2 from wheels, da3_ros from this checkout, its messages, the stand-ins.

Needs nothing but Python's standard library. A step runs again only when one of its inputs changed
or a step before it ran, so a second run takes a moment. ``make setup`` calls this.
"""

from collections.abc import Callable
from dataclasses import dataclass
import fcntl
import hashlib
from pathlib import Path
import shutil
import sys
import time
import venv

from interfaces import build_interfaces, repair_include_paths
from problems import check_machine, run, SetupError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OVERLAY = ROOT / 'test' / 'overlay'
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
SITE_PACKAGES = VENV / 'lib' / 'python{}.{}'.format(*sys.version_info) / 'site-packages'

# What the parity tests compare with. Its declared dependencies are those of a whole application;
# the few that the network imports stand in requirements.txt. e3nn turns its spherical harmonics.
OFFICIAL_NETWORK = ('depth-anything-3==0.1.1', 'e3nn==0.6.0', 'opt_einsum_fx', 'opt_einsum')


@dataclass(frozen=True)
class Step:
    """One thing to do, and everything that decides whether it must be done again."""

    name: str
    action: Callable[[], None]
    inputs: tuple[Path | str, ...] = ()

    @property
    def stamp(self) -> Path:
        """The file that holds the digest of the last run that succeeded."""
        return VENV / '.stamps' / self.name.replace(' ', '_')

    def digest(self, previous: str) -> str:
        """Return a digest of the inputs and of the digest of the step before."""
        parts = [previous.encode(), self.name.encode()]
        parts += [p.read_bytes() if isinstance(p, Path) else p.encode() for p in self.inputs]
        return hashlib.sha256(b''.join(b'%d:%b' % (len(part), part) for part in parts)).hexdigest()

    def is_done(self, digest: str) -> bool:
        """Tell whether the step ran to its end with these very inputs."""
        return self.stamp.is_file() and self.stamp.read_text() == digest

    def run(self, digest: str) -> None:
        """Do it, say how long it took, and leave a stamp."""
        print(f'setup: {self.name} ...', end=' ', flush=True)
        started = time.monotonic()
        self.action()
        self.stamp.parent.mkdir(exist_ok=True)
        self.stamp.write_text(digest)
        print(f'{time.monotonic() - started:.1f} s', flush=True)


def all_steps() -> tuple[Step, ...]:
    """Return the steps in their order; each builds on all before it."""
    package_xml = ROOT / 'package.xml'
    requirements = (HERE / 'requirements.txt', HERE / 'constraints.txt')
    project = (ROOT / 'pyproject.toml', ROOT / 'setup.py', package_xml)
    messages = (ROOT / 'CMakeLists.txt', package_xml, *files_in(ROOT / 'msg'))
    place = (sys.version, sys.base_prefix, str(ROOT))
    return (
        Step('virtual environment', make_venv, place),
        Step('ROS 2 and build tools', install_ros, (*requirements, *sorted(HERE.glob('*.py')))),
        Step('da3_ros, PyTorch and test tools', install_project, project),
        Step('messages of tf2_msgs', build_tf2_msgs, files_in(OVERLAY / 'tf2_msgs')),
        Step('messages of da3_ros', build_da3_ros_msgs, messages),
        Step('stand-ins and ROS environment', link_overlay),
        Step('check', check_imports),
    )


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return all files under ``folder``, sorted."""
    return tuple(sorted(path for path in folder.rglob('*') if path.is_file()))


def make_venv() -> None:
    """Create an empty .venv, whatever was there before."""
    shutil.rmtree(VENV, ignore_errors=True)
    venv.create(VENV, symlinks=True, with_pip=True)


def install_ros() -> None:
    """Install the ROS 2 wheels and make their CMake files fit this machine."""
    pip_install('--requirement', HERE / 'requirements.txt')
    repair_include_paths(VENV, PYTHON)


def install_project() -> None:
    """Install da3_ros in place with all its extras, and the official network."""
    # First, because it brings a command of the name da3 that ours has to overwrite.
    pip_install('--no-deps', *OFFICIAL_NETWORK)
    pip_install('--no-build-isolation', '--editable', f'{ROOT}[dev]')


def build_tf2_msgs() -> None:
    """Build the message package that has no wheel."""
    build_interfaces(OVERLAY / 'tf2_msgs', VENV, SITE_PACKAGES)


def build_da3_ros_msgs() -> None:
    """Build msg/ apart from the sources; a .pkg file tells pkgutil where the generated half is."""
    python_dir = VENV / 'share' / 'da3_ros' / 'python'
    build_interfaces(ROOT, VENV, python_dir, '-DDA3_ROS_INTERFACES_ONLY=ON')
    (SITE_PACKAGES / 'da3_ros.pkg').write_text(f'{python_dir / "da3_ros"}\n')


def link_overlay() -> None:
    """Put the stand-ins at the end of the path, where any real package of the same name wins."""
    # Python reads these files in alphabetical order: ros_environment has made its exports when
    # ros_wheels_bootstrapper.pth starts the interpreter anew with the libraries' path.
    (SITE_PACKAGES / 'da3_ros_overlay.pth').write_text(f'{OVERLAY}\nimport ros_environment\n')


def check_imports() -> None:
    """Import, from outside the checkout, what everything else needs."""
    code = 'import cv2, da3_ros.msg, rclpy, tf2_msgs.msg, tf2_ros, torch'
    run([PYTHON, '-c', code], cwd=VENV)


def pip_install(*arguments: Path | str) -> None:
    """Run pip in .venv under our constraints."""
    pip = [PYTHON, '-m', 'pip', 'install', '--no-input', '--disable-pip-version-check']
    run([*pip, '--constraint', HERE / 'constraints.txt', *arguments], cwd=ROOT)


def bring_up_to_date() -> None:
    """Run the first step whose inputs changed, and all after it."""
    digest, stale = '', False
    for step in all_steps():
        digest = step.digest(digest)
        if not stale and step.is_done(digest):
            continue
        if not stale:
            check_machine()
            stale = True
        step.run(digest)
    if stale:
        print("setup: .venv is ready; '. .venv/bin/activate' to use it yourself.")


def main() -> int:
    """Bring .venv up to date, one process at a time."""
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            bring_up_to_date()
        except SetupError as error:
            print(f'\nsetup: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
