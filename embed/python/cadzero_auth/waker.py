"""Waiting for sockets, and waking a thread that waits."""

from __future__ import annotations

import contextlib
import selectors
import socket
from typing import Protocol

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

# poll() takes descriptors above 1023, unlike select(), and needs none of its own, unlike epoll. On Windows,
# select() counts sockets and is not limited by their numbers.
_Selector: type[selectors.BaseSelector] = getattr(selectors, 'PollSelector', selectors.SelectSelector)


class Source(Protocol):
    """What a selector can wait for."""

    def fileno(self) -> int:
        """Returns the descriptor."""


class Waker:
    """Wakes a thread that waits for events."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Returns the descriptor for a selector."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Makes the waiting thread return; does nothing if that thread has ended."""
        with contextlib.suppress(OSError):  # its buffer is full, so that the thread wakes anyway; or it is closed
            self._writer.send(b'.')

    def drain(self) -> None:
        """Forgets the calls of `wake` until now."""
        with contextlib.suppress(OSError):  # it is empty, or closed
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        """Closes both ends."""
        self._reader.close()
        self._writer.close()


def wait_for(events: dict[Source, int], seconds: float | None) -> dict[object, int]:
    """Waits for one of the `events` (a mask for each source), and returns those that have happened."""
    with _Selector() as selector:
        for source, mask in events.items():
            selector.register(source, mask)
        return {key.fileobj: mask for key, mask in selector.select(seconds)}
