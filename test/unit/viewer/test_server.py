"""The server: a page, a socket, nobody else's pages, and no memory for slow browsers."""

import asyncio
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
import json
import socket as sockets
import threading
import time

from da3_ros.errors import Da3Error, InputError
from da3_ros.viewer.board import Board
from da3_ros.viewer.packets import encode
from da3_ros.viewer.page import Page
import pytest

websockets = pytest.importorskip('websockets')

from da3_ros.viewer import server as server_module  # noqa: E402
from da3_ros.viewer.server import run_server, TAKEN, ViewServer  # noqa: E402
from packet_reader import read_packet  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

PATIENCE_S = 20.0
PAGE = Page(b'<p>the page', {'Content-Type': 'text/html'})


class Served:
    """A server in a thread of its own."""

    def __init__(self, host: str = '127.0.0.1') -> None:
        self.board, self.wishes = Board(), []
        self.server = ViewServer(self.board, PAGE, host, 0, self._wish)
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.address = ''

        def on_ready(address: str) -> None:
            self.address = address
            ready.set()

        self._task = self._loop.create_task(self.server.run(on_ready))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert ready.wait(PATIENCE_S)
        self.port = int(self.address.rstrip('/').rpartition(':')[2])

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass

    def _wish(self, wish: dict) -> None:
        if wish.get('speed') == 'fast':
            raise InputError("speed is 'fast'; expected a number.")
        self.wishes.append(wish)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Ask for a path, as written; returns status, body and headers."""
        connection = HTTPConnection('127.0.0.1', self.port, timeout=PATIENCE_S)
        connection.putrequest('GET', path, skip_host='Host' in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())

    def connect(self, **options) -> ClientConnection:
        return connect(f'ws://127.0.0.1:{self.port}/socket', max_size=2**24, **options)


@pytest.fixture
def served() -> Iterator[Served]:
    """Return a running server."""
    served = Served()
    yield served
    served.close()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, or fail."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def take(client: ClientConnection) -> dict:
    """Return the header of the next packet, and say that it is taken, as the page does."""
    header, _ = read_packet(client.recv(PATIENCE_S))
    client.send(TAKEN)
    return header


def kinds(client: ClientConnection, count: int) -> list[str]:
    """Return the kinds of the next packets."""
    return [take(client)['kind'] for _ in range(count)]


def test_the_page_is_served_with_its_headers(served: Served) -> None:
    status, body, headers = served.get('/')
    assert (status, body) == (200, PAGE.html)
    assert headers['Content-Type'] == 'text/html'
    assert headers['X-Frame-Options'] == 'DENY' and headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize(
    'path',
    ['/etc/passwd', '/../server.py', '/%2e%2e/page.py', '//', '/?a', '/page/viewer.mjs', '*'],
)
def test_no_other_path_is_anything(path: str, served: Served) -> None:
    status, body, _ = served.get(path)
    assert status == 404 and body == b'There is nothing here but /.\n'


@pytest.mark.parametrize('path', ['/', '/socket'])
@pytest.mark.parametrize(
    'headers',
    [
        {'Origin': 'http://evil.example'},
        {'Origin': 'null'},
        {'Origin': 'https://127.0.0.1'},
        {'Host': 'evil.example', 'Origin': 'http://evil.example'},  # DNS rebinding
        {'Host': 'localhost.evil.example'},
        {'Host': '['},
    ],
)
def test_other_sites_are_turned_away(path: str, headers: dict[str, str], served: Served) -> None:
    assert served.get(path, **headers)[0] == 403


def test_a_socket_opens_for_our_own_page_alone(served: Served) -> None:
    own = f'http://127.0.0.1:{served.port}'
    with served.connect(origin=own):
        pass
    with pytest.raises(websockets.InvalidStatus, match='403'):
        served.connect(origin='http://127.0.0.1:1')


NAME = sockets.gethostname()


@pytest.mark.parametrize(
    'host', ['localhost', '127.0.0.1', '[::1]', '192.168.1.5', NAME, f'{NAME}.local']
)
def test_our_own_names_are_welcome(host: str, served: Served) -> None:
    host = f'{host}:{served.port}'
    assert served.get('/', Host=host, Origin=f'http://{host}')[0] == 200


def test_every_browser_gets_everything_and_then_what_is_new(served: Served) -> None:
    for kind in ('hello', 'status'):
        served.board.put(kind, encode(kind, {}))
    with served.connect() as one, served.connect() as other:
        assert kinds(one, 2) == kinds(other, 2) == ['hello', 'status']
        served.board.put('view', encode('view', {}))
        assert kinds(one, 1) == kinds(other, 1) == ['view']


def test_a_slow_browser_skips_what_is_superseded(served: Served) -> None:
    """Megabytes for a browser that does not read: it holds nobody up, and sees the newest."""
    view = b'x' * 1_000_000
    with served.connect(max_queue=1) as slow, served.connect() as swift:
        for i in range(200):
            served.board.put('view', encode('view', {'number': i}, {'pixels': view}))
            while take(swift)['number'] < i:
                pass
        numbers = [take(slow)['number']]
        while numbers[-1] < 199:
            numbers.append(take(slow)['number'])
    assert numbers == sorted(set(numbers)) and len(numbers) < 10


def test_a_browser_that_reads_and_does_not_draw_is_not_flooded(served: Served) -> None:
    with served.connect(max_queue=None) as idle, served.connect() as swift:
        for i in range(100):
            served.board.put('view', encode('view', {'number': i}))
            while take(swift)['number'] < i:
                pass
        first = [read_packet(idle.recv(PATIENCE_S))[0]['number'] for _ in range(6)]
        with pytest.raises(TimeoutError):
            idle.recv(0.2)
        for _ in first:
            idle.send(TAKEN)
        while (number := take(idle)['number']) < 99:
            assert number > first[-1]


def test_commands_are_passed_on(served: Served) -> None:
    with served.connect() as client:
        client.send(json.dumps({'playing': False}))
        wait_for(lambda: served.wishes == [{'playing': False}])


@pytest.mark.parametrize('text', ['', '{', '[]', '1', b'\xff\xfe', '{"speed": "fast"}', '"a"'])
def test_nonsense_closes_the_connection_with_a_reason(text: str | bytes, served: Served) -> None:
    with served.connect() as client:
        client.send(text)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(PATIENCE_S)
    assert closed.value.rcvd.code == 1008 and closed.value.rcvd.reason
    assert served.wishes == []
    assert served.get('/')[0] == 200, 'others are not concerned'


def test_a_packet_that_cannot_be_made_closes_the_connection(
    served: Served,
) -> None:
    def broken() -> bytes:
        raise RuntimeError('no JPEG today')

    served.board.put('depth', broken)
    with served.connect() as client:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(PATIENCE_S)
    assert closed.value.rcvd.code == 1011 and 'no JPEG today' in closed.value.rcvd.reason
    served.board.put('depth', encode('depth', {}))
    with served.connect() as client:
        assert kinds(client, 1) == ['depth']


def test_a_long_command_is_not_read(served: Served) -> None:
    with served.connect() as client:
        client.send(json.dumps({'a': 'x' * 2000}))
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv(PATIENCE_S)
    assert closed.value.rcvd.code == 1009


def test_so_many_browsers_and_no_more(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, 'MAX_BROWSERS', 1)
    served.board.put('hello', encode('hello', {}))
    with served.connect() as first:
        assert kinds(first, 1) == ['hello']
        with served.connect() as second:
            with pytest.raises(websockets.ConnectionClosed) as closed:
                second.recv(PATIENCE_S)
        assert closed.value.rcvd.code == 1013

    def is_welcome() -> bool:
        with served.connect() as third:
            try:
                return kinds(third, 1) == ['hello']
            except websockets.ConnectionClosed:
                return False

    wait_for(is_welcome)


def test_a_browser_that_vanishes_is_forgotten(served: Served) -> None:
    with served.connect():
        wait_for(lambda: len(served.board._wakers) == 1)
    wait_for(lambda: not served.board._wakers)


def test_a_port_in_use_is_a_sentence() -> None:
    with sockets.create_server(('127.0.0.1', 0)) as taken:
        server = ViewServer(Board(), PAGE, '127.0.0.1', taken.getsockname()[1])
        with pytest.raises(Da3Error, match='cannot listen.*--port'):
            run_server(server, lambda address: None)
