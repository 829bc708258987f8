"""A recording as a live scene: played, paused, sought in and sped up from any browser."""

from collections.abc import Mapping
from pathlib import Path
import threading
import time
from typing import Any

from da3_ros.errors import InputError
from da3_ros.ros.bag import BagReader
from da3_ros.ros.message_types import type_name_of
from da3_ros.ros.scene_feed import SceneFeed
from da3_ros.ros.view_topics import find_topics
from da3_ros.viewer.board import Board
from da3_ros.viewer.packets import encode
from da3_ros.viewer.scene import Scene

SLOWEST, FASTEST = 0.1, 20.0
# How often browsers are told where the player is [s].
_TELL_S = 0.1


class RecordedView:
    """
    Plays a bag into a board from a thread of its own, at the stamps of its recording.

    Seeking reads on, or again from the start, without pause: only keyframes' pictures are made on
    the way. Playing at the end begins anew.
    """

    def __init__(
        self, path: Path, namespace: str | None, board: Board, title: str | None = None
    ) -> None:
        """
        Open the bag; raises ``InputError`` if it cannot be read or has no depth in it.

        It is closed by ``close``.
        """
        self._bag = BagReader(path)
        topics = find_topics(self._bag.topics, namespace)
        if topics is None:
            self._bag.__exit__()
            raise InputError(
                f'{path} has no depth/image_rect{f" in {namespace}" if namespace else ""}: record '
                f"the node's outputs. Its topics: {', '.join(sorted(self._bag.topics)) or 'none'}."
            )
        self._topics = topics
        self._board = board
        self._scene = Scene(board, {'mode': 'recorded', 'title': title or path.name})
        self._feed = SceneFeed(self._scene, topics)
        self._names = [
            t
            for t, kind in self._feed.kinds.items()
            if self._bag.topics.get(t) == type_name_of(kind)
        ]
        self._duration_ns = max(self._bag.duration_ns, 1)
        self._changed = threading.Condition()
        self._position_ns, self._since, self._told_at = 0, time.monotonic(), -float('inf')
        self._is_playing, self._speed = True, 1.0
        self._seek_ns: int | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name='recorded view', daemon=True)

    @property
    def ignored(self) -> int:
        """Messages that contradict themselves, since the recording was last begun."""
        return self._feed.ignored

    def start(self) -> None:
        """Start to play."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and close the bag."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._bag.__exit__()

    def command(self, wish: Mapping[str, Any]) -> None:
        """
        Do what a browser wants: ``playing`` bool, ``seek`` [s], ``speed``, any of them.

        Raises:
            InputError: if a value is none of these.

        """
        playing, seek, speed = (wish.get(name) for name in ('playing', 'seek', 'speed'))
        if playing is not None and not isinstance(playing, bool):
            raise InputError(f'playing is {playing!r}; expected true or false.')
        for name, number in (('seek', seek), ('speed', speed)):
            if number is not None and (
                isinstance(number, bool) or not isinstance(number, int | float)
            ):
                raise InputError(f'{name} is {number!r}; expected a number.')
        with self._changed:
            self._settle()
            if playing is not None:
                self._is_playing = playing
                if playing and self._position_ns >= self._duration_ns and seek is None:
                    self._seek_ns = 0
            if speed is not None:
                self._speed = min(max(float(speed), SLOWEST), FASTEST)
            if seek is not None:
                self._seek_ns = int(min(max(float(seek) * 1e9, 0), self._duration_ns))
                self._position_ns = self._seek_ns
            self._changed.notify_all()
        self._tell()

    def _run(self) -> None:
        """Play, from the start whenever somebody seeks back, until closed."""
        skip_to_ns = 0
        while not self._is_closing:
            self._scene.clear()
            self._feed = SceneFeed(self._scene, self._topics)
            self._tell()
            read_ns = 0
            for message in self._bag.messages(self._names):
                read_ns = message.stamp_ns - self._bag.start_ns
                if (sought := self._wait_for(read_ns, skip_to_ns)) is not None:
                    skip_to_ns = sought
                if self._is_closing or skip_to_ns < read_ns and sought is not None:
                    break
                self._feed.take(message.topic, message.message)
            else:
                self._feed.flush()
                skip_to_ns = self._wait_at_end()

    def _wait_for(self, due_ns: int, skip_to_ns: int) -> int | None:
        """Wait until the recording is at ``due_ns``; returns where somebody seeks to before."""
        with self._changed:
            while not self._is_closing:
                if (sought := self._take_seek()) is not None:
                    return sought
                self._settle()
                if due_ns <= max(skip_to_ns, self._position_ns):
                    break
                wait_s = (due_ns - self._position_ns) / 1e9 / self._speed
                self._changed.wait(min(wait_s, _TELL_S) if self._is_playing else None)
                if time.monotonic() - self._told_at > _TELL_S:
                    self._tell()
        if time.monotonic() - self._told_at > _TELL_S:
            self._tell()
        return None

    def _wait_at_end(self) -> int:
        """Wait until somebody seeks; returns where to."""
        with self._changed:
            self._settle()
            self._is_playing, self._position_ns = False, self._duration_ns
            self._tell()
            while not self._is_closing:
                if (sought := self._take_seek()) is not None:
                    return sought
                self._changed.wait()
        return 0

    def _take_seek(self) -> int | None:
        """Return where somebody wants to go, once, and be there."""
        sought, self._seek_ns = self._seek_ns, None
        if sought is not None:
            self._position_ns, self._since = sought, time.monotonic()
        return sought

    def _settle(self) -> None:
        """Move the position on by the time that has passed."""
        now = time.monotonic()
        if self._is_playing:
            passed_ns = int((now - self._since) * 1e9 * self._speed)
            self._position_ns = min(self._position_ns + passed_ns, self._duration_ns)
        self._since = now

    def _tell(self) -> None:
        """Tell browsers where the player is and what it does."""
        self._told_at = time.monotonic()
        state = {
            'position_s': self._position_ns / 1e9,
            'duration_s': self._duration_ns / 1e9,
            'playing': self._is_playing,
            'speed': self._speed,
        }
        self._board.put('player', encode('player', state))
