"""
The viewer and the report in a headless Chromium: what is drawn, and what is asked for.

``DA3_SCREENSHOTS`` names a folder that the pictures go to, to be looked at.
"""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys

import cv2
from da3_ros.tools.main import main
import numpy as np
import pytest

pytest.importorskip('websockets')

from browser import browser, CHROMIUM, Page  # noqa: E402
from view_bag import write_view_bag  # noqa: E402

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed')
pytestmark = needs_browser
NO_WEBGL = """
  const getContext = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
    return kind === 'webgl2' ? null : getContext.call(this, kind, ...more);
  };"""
DRAWN = 'window.da3?.stage?.framesDrawn > 0'


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Return the page of a browser."""
    with browser(tmp_path / 'profile') as page:
        yield page


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a small recording of a rig."""
    write_view_bag(tmp_path / 'bag', ('front', 'left'), count=8)
    return tmp_path / 'bag'


class Viewer:
    """``da3 view`` in a process of its own."""

    def __init__(self, recording: Path, port: int = 0) -> None:
        command = [sys.executable, '-m', 'da3_ros.tools.main', 'view', str(recording)]
        self._process = subprocess.Popen(
            [*command, '--port', str(port)], stdout=subprocess.PIPE, text=True
        )
        self.address = re.search(r'http://\S+', self._process.stdout.readline())[0]
        self.port = int(self.address.rstrip('/').rpartition(':')[2])

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as Ctrl-C does; returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(20)
        self._process.stdout.close()
        return code


@pytest.fixture
def viewer(recording: Path) -> Iterator[Viewer]:
    """Return a viewer of the recording."""
    viewer = Viewer(recording)
    yield viewer
    viewer.stop(signal.SIGKILL)


def keep(name: str, picture: np.ndarray) -> None:
    """Keep a picture where somebody wants to look at it."""
    if folder := os.environ.get('DA3_SCREENSHOTS'):
        cv2.imwrite(str(Path(folder) / name), picture[..., ::-1])


def share_of(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Return how much of a picture has about the hue of a colour."""
    wanted = np.array(colour, float) / np.linalg.norm(colour)
    flat = picture.reshape(-1, 3).astype(float)
    length = np.linalg.norm(flat, axis=1)
    return float(((flat @ wanted > 0.985 * length) & (length > 90)).mean())


def test_a_recording_is_drawn(page: Page, viewer: Viewer) -> None:
    page.open(viewer.address)
    page.wait_for('window.da3?.model.player?.playing === false')
    page.wait_for('da3.model.clouds.size === 6 && da3.model.views.size === 2')
    page.wait_for('[...da3.stage.uploads.values()].every((uploaded) => uploaded.colour)')
    page.evaluate('new Promise((done) => { da3.stage.ask(); setTimeout(done, 300); })')
    picture = page.screenshot()
    keep('viewer.png', picture)
    # The images are of one blue, and so is the cloud in the middle.
    middle = picture[250:680, 320:1150]
    assert share_of(middle, (10, 120, 240)) > 0.15
    assert page.evaluate("document.querySelectorAll('.camera').length") == 2
    assert page.evaluate("document.getElementById('state').textContent") == 'tracking'
    assert 'keyframes' in page.evaluate("document.getElementById('status').textContent")
    assert page.complaints == []
    assert {re.sub(r'^ws', 'http', url) for url in page.requests} <= {
        viewer.address.replace('localhost', host) for host in ('localhost', '127.0.0.1')
    } | {'data:,'}


def test_controls_change_what_is_drawn(page: Page, viewer: Viewer) -> None:
    page.open(viewer.address)
    page.wait_for('window.da3?.model.player?.playing === false && da3.model.clouds.size === 6')

    def drawn() -> np.ndarray:
        page.evaluate('new Promise((done) => setTimeout(done, 300))')
        return page.screenshot()[250:680, 320:1150].astype(int)

    def click(code: str) -> None:
        page.evaluate(f"document.querySelector('{code}').click()")

    before = drawn()
    click('[value=depth]')
    by_depth = drawn()
    assert np.abs(by_depth - before).mean() > 3, 'colours of depth'
    click('[value=colour]')
    assert np.abs(drawn() - before).mean() < 0.5, 'the same as before'
    page.evaluate(
        "(() => { const slider = document.getElementById('confidence'); slider.value = 1;"
        " slider.dispatchEvent(new Event('input')); })()"
    )
    assert share_of(drawn(), (10, 120, 240)) < 0.5 * share_of(before, (10, 120, 240))
    for name in ('keyframes', 'live'):
        click(f'[name={name}]')
    for name in ('frusta', 'path', 'grid'):
        click(f'[name={name}]')
    keep('background.png', page.screenshot())
    assert np.ptp(drawn(), axis=1).max() < 4, 'nothing but the background is left'
    assert page.complaints == []


def test_the_player_is_moved_from_the_page(page: Page, viewer: Viewer) -> None:
    page.open(viewer.address)
    page.wait_for('window.da3?.model.player?.playing === false')
    page.evaluate(
        "(() => { const slider = document.getElementById('seek'); slider.value = 0.35;"
        " slider.dispatchEvent(new Event('change')); })()"
    )
    page.wait_for('da3.model.player?.position_s === 0.35')
    page.wait_for('da3.model.keyframes.size === 4')
    page.evaluate("document.getElementById('play').click()")
    page.wait_for('da3.model.keyframes.size === 6 && da3.model.player?.playing === false')


def test_the_page_connects_again(page: Page, viewer: Viewer, recording: Path) -> None:
    page.open(viewer.address)
    page.wait_for('window.da3?.model.hello')
    assert viewer.stop() == 130
    page.wait_for("!document.getElementById('banner').hidden")
    page.evaluate('da3.model.clear()')
    again = Viewer(recording, viewer.port)
    try:
        page.wait_for('da3.model.hello !== null')
        page.wait_for("document.getElementById('banner').hidden")
    finally:
        again.stop(signal.SIGKILL)


def test_without_webgl_the_page_says_so_and_shows_the_pictures(page: Page, viewer: Viewer) -> None:
    page.run_first(NO_WEBGL)
    page.open(viewer.address)
    page.wait_for("document.querySelectorAll('.camera').length === 2")
    words = page.evaluate("document.getElementById('hint').textContent")
    assert 'no WebGL 2' in words
    assert page.evaluate("document.getElementById('hint').hidden") is False
    page.wait_for("document.querySelector('.camera canvas').width > 0")
    keep('no_webgl.png', page.screenshot())


def test_a_report_is_drawn_from_its_own_file(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        shown = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (96, 72))
        cv2.imwrite(str(tmp_path / f'{i}.png'), shown)
    output = tmp_path / 'out'
    arguments = ['--device', 'cpu', '--resolution', '84', '--window', '2']
    assert main(['infer', str(tmp_path), '--output', str(output), *arguments]) == 0
    report = (output / 'report.html').as_uri()
    page.open(report)
    page.wait_for(DRAWN)
    assert page.evaluate('da3.model.clouds.size') == page.evaluate('da3.model.keyframes.size') > 0
    page.wait_for('[...da3.stage.uploads.values()].every((uploaded) => uploaded.colour)')
    page.evaluate('new Promise((done) => setTimeout(done, 300))')
    page.evaluate("document.querySelector('[value=depth]').click()")
    page.evaluate('new Promise((done) => setTimeout(done, 300))')
    picture = page.screenshot()
    keep('report.png', picture)
    stage = page.evaluate(
        'JSON.stringify(document.getElementById("stage").getBoundingClientRect())'
    )
    box = {name: int(value) for name, value in json.loads(stage).items()}
    map_shown = picture[box['top'] : min(box['bottom'], len(picture)), box['left'] : box['right']]
    assert (np.ptp(map_shown.astype(int), axis=2) > 60).mean() > 0.02, 'colours of depth'
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(('data:', 'blob:'))] == [report]


def test_sigterm_ends_the_viewer(viewer: Viewer) -> None:
    assert viewer.stop(signal.SIGTERM) == 143
