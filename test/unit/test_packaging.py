"""What leaves the checkout is whole: the wheel, the image, what bloom and colcon read."""

import json
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree
import zipfile

from pages import launch_arguments, ROOT
import pytest
import yaml

PACKAGE = ElementTree.parse(ROOT / 'package.xml')
VERSION = PACKAGE.findtext('version')
DOCKER = ROOT / 'docker'
BUILD_WHEEL = 'from setuptools.build_meta import build_wheel; print(build_wheel("."))'


def sources(folder: str) -> set[str]:
    """Return the files under a folder of the checkout that people wrote."""
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob('*') if path.is_file())
    return {str(path) for path in found if '__pycache__' not in path.parts}


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy, since setuptools leaves things beside the sources."""
    pytest.importorskip('setuptools', '64', reason='older ones do not read pyproject.toml')
    copy = tmp_path_factory.mktemp('sources') / 'da3_ros'
    no_caches = shutil.ignore_patterns('__pycache__')
    for folder in ('da3_ros', 'launch', 'config'):
        shutil.copytree(ROOT / folder, copy / folder, ignore=no_caches)
    for name in ('LICENSE', 'README.md', 'package.xml', 'pyproject.toml', 'setup.py'):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, '-c', BUILD_WHEEL]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(copy / done.stdout.splitlines()[-1])


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert sources('da3_ros') - names == set()
    assert {n for n in names if n.startswith('da3_ros/')} - sources('da3_ros') == set()
    data = f'da3_ros-{VERSION}.data/data/share/da3_ros/'
    shared = {n.removeprefix(data) for n in names if n.startswith(data)}
    assert shared == sources('launch') | sources('config')


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    about = f'da3_ros-{VERSION}.dist-info/'
    metadata = wheel.read(about + 'METADATA').decode()
    assert f'\nVersion: {VERSION}\n' in metadata
    points = wheel.read(about + 'entry_points.txt').decode()
    assert 'da3 = da3_ros.tools.main:main' in points
    needed = set(re.findall(r'^Requires-Dist: ([\w-]+)', metadata, re.MULTILINE))
    assert {'torch', 'numpy', 'safetensors', 'scipy', 'tqdm'} <= needed
    assert not {name for name in needed if name.startswith('ros-')}


def test_package_xml_has_what_bloom_asks_for() -> None:
    root = PACKAGE.getroot()
    assert root.findtext('description') and root.findtext('license') == 'Apache-2.0'
    assert root.find('maintainer').get('email') and root.find('author') is not None
    assert re.fullmatch(r'\d+\.\d+\.\d+', VERSION)
    changelog = (ROOT / 'CHANGELOG.rst').read_text().splitlines()
    assert changelog[1] == 'Changelog for package da3_ros'
    assert 'Forthcoming' in changelog or any(line.startswith(VERSION) for line in changelog)


def test_colcon_tests_what_make_test_does() -> None:
    """But for the tests of the GPU, which no build farm has."""
    tested = re.findall(r'ament_add_pytest_test\(\w+ (\S+)', (ROOT / 'CMakeLists.txt').read_text())
    folders = {path.parent for path in (ROOT / 'test').rglob('test_*.py')}
    tops = {'/'.join(path.relative_to(ROOT).parts[:2]) for path in folders}
    assert tops - set(tested) == {'test/gpu'}


def test_the_image_copies_what_is_there_and_let_in() -> None:
    text = (DOCKER / 'Dockerfile').read_text()
    copied = {
        name for line in re.findall(r'^COPY (?!--)(.+) \S+$', text, re.M) for name in line.split()
    }
    allowed = {line[1:] for line in (ROOT / '.dockerignore').read_text().split() if line[0] == '!'}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    # All that CMakeLists.txt installs is there to be installed.
    cmake = (ROOT / 'CMakeLists.txt').read_text()
    installed = re.findall(r'install\(DIRECTORY ([\w/ ]+?)\s+DESTINATION', cmake)
    assert {name.rstrip('/') for names in installed for name in names.split()} <= copied


def test_the_image_starts_the_launch_file_with_arguments_it_has() -> None:
    command = json.loads(re.findall(r'^CMD (.+)$', (DOCKER / 'Dockerfile').read_text(), re.M)[-1])
    service = yaml.safe_load((DOCKER / 'compose.yaml').read_text())['services']['da3']
    for words in (command, service['command'].split()):
        assert words[:3] == ['ros2', 'launch', 'da3_ros']
        names = launch_arguments(ROOT / 'launch' / words[3])
        assert {word.partition(':=')[0] for word in words[4:]} <= names
    assert (DOCKER / service['build']['context']).resolve() == ROOT.resolve()
    assert (ROOT / service['build']['dockerfile']).is_file()


def test_the_image_and_the_pages_install_the_same_from_pip() -> None:
    """What has no rosdep key: on a robot by hand, in the image by its Dockerfile."""
    wanted = {}
    for path in (DOCKER / 'Dockerfile', ROOT / 'README.md', ROOT / 'docs' / 'start.md'):
        text = path.read_text().replace('\\\n', ' ')
        line = re.findall(r'pip install .*torch.*', text)[0].partition('#')[0]
        names = set(re.findall(r"""['" ]([a-z_]+)(?=[>=<]|'| |$)""", line))
        wanted[path.name] = names - {'install', 'numpy', 'pip'}
    assert len(wanted['README.md']) > 3
    assert wanted['Dockerfile'] == wanted['README.md'] == wanted['start.md']
