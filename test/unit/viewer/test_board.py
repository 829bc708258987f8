"""The board: what is superseded is never read, and nobody waits."""

import threading

from da3_ros.viewer.board import Board


def all_after(board: Board, version: int = 0) -> list[bytes]:
    """Return everything that somebody who saw ``version`` is sent."""
    found = []
    while (news := board.after(version)) is not None:
        version, data = news
        found.append(data)
    return found


def test_news_come_once_in_their_order() -> None:
    board = Board()
    for name in 'abc':
        board.put(name, name.encode())
    assert all_after(board) == [b'a', b'b', b'c']
    version, _ = board.after(0)
    assert all_after(board, version) == [b'b', b'c']


def test_what_is_superseded_is_not_sent() -> None:
    board = Board()
    board.put('a', b'old')
    board.put('b', b'b')
    for i in range(1000):
        board.put('a', str(i).encode())
    assert all_after(board) == [b'b', b'999']
    assert board.names() == ('b', 'a')


def test_a_packet_is_made_once_and_only_when_wanted() -> None:
    board, made = Board(), []

    def make(name: str) -> bytes:
        made.append(name)
        return name.encode()

    board.put('a', lambda: make('unseen'))
    board.put('a', lambda: make('seen'))
    assert made == []
    assert all_after(board) == all_after(board) == [b'seen']
    assert made == ['seen']


def test_what_is_removed_is_not_sent() -> None:
    board = Board()
    board.put('a', b'a')
    board.put('b', b'b')
    board.remove('a')
    board.remove('never there')
    assert all_after(board) == [b'b']
    board.clear()
    assert all_after(board) == []
    board.put('c', b'c')
    assert board.after(2) is not None, 'versions go on after clear'


def test_watchers_are_woken_in_whatever_thread() -> None:
    board, woken = Board(), threading.Event()
    board.watch(woken.set)
    threading.Thread(target=board.put, args=('a', b'a')).start()
    assert woken.wait(10)
    woken.clear()
    board.unwatch(woken.set)
    board.put('a', b'b')
    assert not woken.is_set()
