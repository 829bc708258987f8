"""A headless Chromium, driven over its DevTools protocol; nothing but websockets is needed."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import time
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
from websockets.sync.client import connect

CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
PATIENCE_S = 60.0
_FLAGS = (
    *('--headless', '--no-sandbox', '--remote-debugging-port=0', '--window-size=1440,900'),
    *(
        '--use-angle=swiftshader',
        '--enable-unsafe-swiftshader',
        '--disable-quic',
        '--no-first-run',
    ),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
)


class Page:
    """One page: what it evaluates, complains of, asks for and looks like."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ('Page', 'Runtime', 'Network', 'Log'):
            self._call(f'{domain}.enable')

    def open(self, url: str) -> None:  # noqa: A003
        """Go to an address."""
        self._call('Page.navigate', url=url)

    def evaluate(self, code: str) -> Any:
        """Return what an expression is in the page; what it throws is an error here."""
        done = self._call(
            'Runtime.evaluate', expression=code, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in done, done
        return done['result'].get('value')

    def wait_for(self, code: str) -> Any:
        """Return the first true value of an expression."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if value := self.evaluate(code):
                return value
            time.sleep(0.05)
        raise AssertionError(f'Waited in vain for {code}; the page says {self.complaints}')

    def screenshot(self) -> np.ndarray:
        """Return what it looks like, (H, W, 3) uint8."""
        data = base64.b64decode(self._call('Page.captureScreenshot', format='png')['data'])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    def run_first(self, code: str) -> None:
        """Run a script in every page before its own."""
        self._call('Page.addScriptToEvaluateOnNewDocument', source=code)

    def _call(self, method: str, **parameters: Any) -> dict:
        """Call a method, and take note of what happens meanwhile."""
        number = next(self._numbers)
        self._socket.send(json.dumps({'id': number, 'method': method, 'params': parameters}))
        while True:
            message = json.loads(self._socket.recv(PATIENCE_S))
            if message.get('id') == number:
                assert 'error' not in message, message
                return message['result']
            self._note(message.get('method'), message.get('params', {}))

    def _note(self, method: str, what: dict) -> None:
        if method == 'Runtime.exceptionThrown':
            self.complaints.append(json.dumps(what['exceptionDetails'])[:500])
        elif method == 'Runtime.consoleAPICalled' and what['type'] in ('error', 'warning'):
            self.complaints.append(json.dumps(what['args'])[:500])
        elif method == 'Log.entryAdded' and what['entry']['level'] == 'error':
            self.complaints.append(what['entry']['text'])
        elif method == 'Network.requestWillBeSent':
            self.requests.append(what['request']['url'])


@contextmanager
def browser(folder: Path, *flags: str) -> Iterator[Page]:
    """Run a browser with an empty profile in ``folder``; gives its one page."""
    command = [CHROMIUM, *_FLAGS, *flags, f'--user-data-dir={folder}', 'about:blank']
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        port_file = folder / 'DevToolsActivePort'
        port = _first(lambda: port_file.is_file() and port_file.read_text().split('\n')[0])
        pages = _first(lambda: [t for t in _targets(port) if t['type'] == 'page'])
        with connect(pages[0]['webSocketDebuggerUrl'], max_size=2**27) as socket:
            yield Page(socket)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _targets(port: str) -> list[dict]:
    with urlopen(f'http://127.0.0.1:{port}/json/list', timeout=PATIENCE_S) as response:
        return json.load(response)


def _first(condition: Callable[[], Any]) -> Any:
    """Return the first true value of a condition."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError('The browser does not start.')
