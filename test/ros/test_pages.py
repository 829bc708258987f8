"""What a reader types is run as it is written, unless the page says why it is not."""

import os
from pathlib import Path
import subprocess
import sys

import cv2
from da3_ros.ros.camera_bag import write_camera_bag
from da3_ros.tools.film import Film, render_film
from pages import Block, ROOT, shell_blocks
import pytest

FRAMES, WIDTH, HEIGHT = 4, 112, 84
TIMEOUT_S = 240  # what takes a minute at most, on a busy machine
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(
    not (BIN / 'da3').is_file() or sys.prefix == sys.base_prefix,
    reason='the command da3 is in no virtual environment that could be activated',
)


@pytest.fixture(scope='module')
def film() -> Film:
    return render_film(FRAMES, WIDTH, HEIGHT, 4.0, 12)


@pytest.fixture
def desk(film: Film, tmp_path: Path) -> Path:
    """Return a folder with what a reader has: a checkout's Makefile, and things to look at."""
    for name, target in (('Makefile', ROOT / 'Makefile'), ('.venv', sys.prefix)):
        (tmp_path / name).symlink_to(target)
    for bag in ('demo_output/input', 'my_bag'):
        (tmp_path / bag).parent.mkdir(exist_ok=True)
        write_camera_bag(tmp_path / bag, film.frames(), 'camera_optical_frame')
    (tmp_path / 'images').mkdir()
    for index, frame in enumerate(film.frames()):
        cv2.imwrite(str(tmp_path / 'images' / f'{index:03d}.png'), frame.rgb)
    return tmp_path


@pytest.mark.parametrize('block', [b for b in shell_blocks() if not b.reason], ids=str)
def test_what_a_page_says_works(block: Block, desk: Path) -> None:
    environment = os.environ | {'PATH': f'{BIN}:{os.environ["PATH"]}'}
    command = ['bash', '-e', '-o', 'pipefail', '-c', block.text]
    done = subprocess.run(
        command, cwd=desk, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
