"""
The server of the page and of its WebSocket: one port, over ``websockets``.

``websockets`` is pure Python without dependencies, answers plain requests on the port of the
WebSocket, and leaves to us when a browser is sent what. foxglove-sdk would let Foxglove connect
too, but serves no page, and queues what a slow client has not taken, where here nothing does:
Foxglove has foxglove_bridge for a running node, and opens recordings by itself.

Nothing that a request says is looked up anywhere: there are two paths, the page lies in memory.
A browser on another site is turned away by its Origin, and one that was talked into taking us for
another site (DNS rebinding) by the Host that it asks for.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
import ipaddress
import json
import logging
import socket
from typing import Any
from urllib.parse import urlsplit

from da3_ros.errors import Da3Error, InputError
from da3_ros.viewer.board import Board
from da3_ros.viewer.page import Page
import websockets
from websockets.asyncio.server import serve, ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

SOCKET_PATH = '/socket'
# What a browser may send in one message, and how many browsers may look on.
_MAX_COMMAND_BYTES, MAX_BROWSERS = 1024, 16
# What the page says when it has taken a packet, and how many may be on the way to it: browsers
# themselves would take without end what their scripts have no time for.
TAKEN, _MAX_ON_THE_WAY = 'taken', 6
# What asyncio holds for a slow browser beside one packet.
_WRITE_LIMIT = 2**16
# How long a browser may take to say what it wants, and goodbye [s]: some connect in reserve, and
# say nothing.
_OPEN_S, _CLOSE_S = 2.0, 1.0
# What websockets says of browsers that come and go is of no use to anybody.
_LOG = logging.getLogger('da3_ros.viewer')
_LOG.addHandler(logging.NullHandler())
_LOG.propagate = False
_TRY_LATER = 1013
_POLICY_VIOLATION = 1008
_INTERNAL_ERROR = 1011
_FORBIDDEN = (
    b'This page is not served to other sites, nor under names that this machine does not know as '
    b'its own: use its address, or start da3 view with --host and the name.\n'
)

Command = Callable[[Mapping[str, Any]], None]


class ViewServer:
    """
    Serves the page at ``/`` and the board to every browser that opens it.

    ``command`` is called with what a browser wants; it raises ``InputError`` for nonsense.
    """

    def __init__(
        self, board: Board, page: Page, host: str, port: int, command: Command | None = None
    ) -> None:
        self._board = board
        self._page = page
        self._host = host
        self._port = port
        self._command = command
        self._browsers = 0

    async def run(self, on_ready: Callable[[str], None]) -> None:
        """
        Serve until cancelled; ``on_ready`` is told the address.

        Raises:
            OSError: if nobody may listen there, as when the port is in use.

        """
        async with serve(
            self._serve_browser,
            self._host,
            self._port,
            process_request=self._answer,
            compression=None,  # JPEG and depth are dense, and this machine is near
            max_size=_MAX_COMMAND_BYTES,
            max_queue=4,
            write_limit=_WRITE_LIMIT,
            open_timeout=_OPEN_S,
            close_timeout=_CLOSE_S,
            logger=_LOG,
        ) as server:
            host, port = server.sockets[0].getsockname()[:2]
            shown = 'localhost' if ipaddress.ip_address(host).is_loopback else host
            on_ready(f'http://{f"[{shown}]" if ":" in shown else shown}:{port}/')
            await asyncio.get_running_loop().create_future()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request; None lets it become a WebSocket."""
        if not self._is_welcome(request.headers):
            return _response(HTTPStatus.FORBIDDEN, _FORBIDDEN)
        if request.path == SOCKET_PATH:
            return None
        if request.path == '/':
            return _response(HTTPStatus.OK, self._page.html, self._page.headers)
        return _response(HTTPStatus.NOT_FOUND, b'There is nothing here but /.\n')

    def _is_welcome(self, headers: Headers) -> bool:
        """Tell whether a request means us, and comes from our own page if from any."""
        hosts, origins = headers.get_all('Host'), headers.get_all('Origin')
        if len(hosts) != 1 or len(origins) > 1 or not _is_own_name(hosts[0], self._host):
            return False
        return not origins or origins[0] == f'http://{hosts[0]}'

    async def _serve_browser(self, browser: ServerConnection) -> None:
        """Keep one browser up to date, and hear what it wants."""
        if self._browsers >= MAX_BROWSERS:
            await browser.close(_TRY_LATER, f'{MAX_BROWSERS} browsers look on already')
            return
        self._browsers += 1
        room = asyncio.Semaphore(_MAX_ON_THE_WAY)
        sending = asyncio.ensure_future(self._send(browser, room))
        try:
            async for text in browser:
                if text == TAKEN:
                    room.release()
                else:
                    self._obey(text)
        except InputError as error:
            await browser.close(_POLICY_VIOLATION, str(error)[:100])
        except websockets.ConnectionClosed:
            pass
        finally:
            self._browsers -= 1
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, browser: ServerConnection, room: asyncio.Semaphore) -> None:
        """Send what is new whenever there is room for a packet on the way."""
        loop, changed, seen = asyncio.get_running_loop(), asyncio.Event(), 0

        def wake() -> None:
            if not changed.is_set():
                loop.call_soon_threadsafe(changed.set)

        self._board.watch(wake)
        try:
            while True:
                await room.acquire()  # before it is decided what: by then there may be newer news
                while (news := self._board.after(seen)) is None:
                    await changed.wait()
                    changed.clear()
                seen, data = news
                await browser.send(data)
        except websockets.ConnectionClosed:
            pass
        except Exception as error:  # the page says why nothing comes any more, and tries again
            await browser.close(_INTERNAL_ERROR, f'{type(error).__name__}: {error}'[:100])
        finally:
            self._board.unwatch(wake)

    def _obey(self, text: str | bytes) -> None:
        """Pass a command on; raises ``InputError`` for what is none."""
        try:
            wish = json.loads(text)
        except ValueError as error:
            raise InputError('A command is not JSON.') from error
        if not isinstance(wish, dict) or self._command is None:
            raise InputError('A command is not an object, or there is nothing to command.')
        self._command(wish)


def run_server(server: ViewServer, on_ready: Callable[[str], None]) -> None:
    """Run a server in this thread until Ctrl-C or SIGTERM; raises ``Da3Error`` if it cannot."""
    try:
        asyncio.run(server.run(on_ready))
    except OSError as error:
        raise Da3Error(
            f'The viewer cannot listen ({error.strerror or error}); choose another --port.'
        ) from error


def _is_own_name(host: str, bound: str) -> bool:
    """Tell whether the Host of a request is an address, this machine, or what we listen as."""
    try:
        name = urlsplit(f'//{host}').hostname or ''
    except ValueError:
        return False
    machine = socket.gethostname().lower()
    if name in ('localhost', machine, f'{machine}.local', bound.lower()):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _response(status: HTTPStatus, body: bytes, more: Mapping[str, str] | None = None) -> Response:
    """Return a response that no cache keeps and no other page frames."""
    headers = Headers(
        {
            'Content-Type': 'text/plain; charset=utf-8',
            'Content-Length': str(len(body)),
            'Cache-Control': 'no-store',
            'X-Content-Type-Options': 'nosniff',
            'X-Frame-Options': 'DENY',
            'Referrer-Policy': 'no-referrer',
            'Connection': 'close',
        }
    )
    for name, value in (more or {}).items():
        if name in headers:
            del headers[name]
        headers[name] = value
    return Response(status.value, status.phrase, headers, body)
