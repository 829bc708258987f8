"""What a browser would know of a board."""

import json

from da3_ros.viewer.board import Board
import numpy as np
from peer import wait_for


class BoardListener:
    """Reads a board as a browser does; ``packets`` are the newest of each kind and key."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._version = 0
        self.packets: dict[tuple, tuple[dict, dict]] = {}
        self.order: list[str] = []

    def read(self) -> 'BoardListener':
        """Take what is new; hello begins anew, as in the page."""
        while (news := self._board.after(self._version)) is not None:
            self._version, data = news
            size = int.from_bytes(data[:4], 'little')
            header = json.loads(data[4 : 4 + size])
            places = header.pop('buffers')
            body = data[4 + size :]
            buffers = {name: body[at : at + n] for name, (at, n) in places.items()}
            if header['kind'] == 'hello':
                self.packets.clear()
            self.order.append(header['kind'])
            which = header['key'] if header['kind'] == 'cloud' else header.get('camera')
            self.packets[header['kind'], which] = header, buffers
        return self

    def header(self, kind: str, which: str | None = None) -> dict | None:
        """Return the newest packet of a kind, or None."""
        self.read()
        return self.packets.get((kind, which), (None, None))[0]

    def clouds(self) -> set[str]:
        """Return the keyframes that have clouds."""
        self.read()
        return {which for kind, which in self.packets if kind == 'cloud'}

    def wait_for_stamp(self, stamp_ns: int, camera: str = '') -> tuple[dict, dict]:
        """Wait for the view of a stamp and return it."""

        def is_there() -> bool:
            header = self.header('view', camera)
            return header is not None and abs(header['stamp_s'] - stamp_ns / 1e9) < 1e-6

        wait_for(is_there, f'the view of {stamp_ns}')
        return self.packets['view', camera]


def pixels(header: dict, buffers: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (H, W), 0 where invalid, and which pixels are points."""
    packed = np.frombuffer(buffers['depth'], '<u2').reshape(header['height'], header['width'])
    return (packed >> 1) * header['depth_unit'], (packed & 1).astype(bool)
