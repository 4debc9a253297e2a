"""A lock between the programs of one user, in a file that is removed with it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator

if sys.platform == 'win32':
    import msvcrt

    def _try_to_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_to_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


POLL_SECONDS = 0.1


@contextlib.contextmanager
def locked(path: str, seconds: float) -> Iterator[None]:
    """Holds the lock of the file `path`. Raises TimeoutError after `seconds`, or another OSError."""
    deadline = time.monotonic() + seconds
    handle = _open_locked(path)
    while handle is None:
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(POLL_SECONDS)
        handle = _open_locked(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file
            os.remove(path)
        os.close(handle)


def _open_locked(path: str) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, 'O_CLOEXEC', 0), 0o600)
    try:
        # The previous holder may have removed the file after it was opened here: then that is no lock any more.
        if _try_to_lock(handle) and os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
    except FileNotFoundError:
        pass
    os.close(handle)
    return None
