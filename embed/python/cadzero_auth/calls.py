"""A call to the daemon in progress."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import AuthError, DaemonTimeoutError


class Call:
    """Its result or its error arrives once. It is sent at most twice, and twice only if that is harmless."""

    def __init__(
        self,
        method: str,
        params: dict[str, Any],
        harmless: bool,
        limit: float | None = None,
        on_done: Callable[[Call], None] | None = None,
    ) -> None:
        """Creates a call that is not sent yet.

        harmless: whether it may be sent once more if the connection is lost before the daemon answers.
        limit: the seconds after which it fails without an answer; None: its caller abandons it.
        on_done: is called in the background thread, after `result` or `error` is set.
        """
        self.method = method
        self.params = params
        self.tries = 2 if harmless else 1
        self.created_at = time.monotonic()
        self.ends_at = None if limit is None else self.created_at + limit
        self.done = threading.Event()
        self.result: Any = None
        self.error: AuthError | None = None
        self._on_done = on_done

    def text(self, number: int) -> str:
        """Returns the JSON-RPC request with this id."""
        return json.dumps({'jsonrpc': '2.0', 'id': number, 'method': self.method, 'params': self.params})

    def finish(self, result: Any = None, error: AuthError | None = None) -> None:
        """Sets the outcome, and wakes the caller."""
        self.result, self.error = result, error
        self.done.set()
        if self._on_done is not None:
            self._on_done(self)


def timed_out() -> DaemonTimeoutError:
    """Returns the error of a call that the daemon has not answered in time."""
    return DaemonTimeoutError('the daemon did not answer in time', data={'reason': 'timeout'})
