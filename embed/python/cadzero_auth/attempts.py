"""One call at a time for each question; after a slow failure no caller waits again (a circuit breaker).

A caller waits until the daemon has been silent for its timeout, not for its timeout: the first caller waits for a
daemon that hangs or does not start, and the others fail at once, until an attempt in the background gets an answer.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Any

from .calls import Call
from .errors import AuthError

LONGEST_ATTEMPT = 60.0  # seconds; a provider that hangs has given up by then
SLOW_SECONDS = 0.1  # a failure that took longer is not waited for again
GRACE_SECONDS = 0.05  # for a new attempt after a slow failure: a daemon that is back answers within milliseconds

Key = tuple[str, Any, Any]


class Attempts:
    """The attempts of one client."""

    def __init__(self, submit: Callable[[Call], object], reason_to_wait: Callable[[], AuthError]) -> None:
        """Creates the attempts.

        submit: sends a call; raises AuthError if that is impossible.
        reason_to_wait: returns why there is no answer yet.
        """
        self._submit = submit
        self._reason_to_wait = reason_to_wait
        self._lock = threading.Lock()
        self._running: dict[Key, Call] = {}
        self._silent_since: float | None = None  # when the first attempt since the last answer began
        self._failure: AuthError | None = None  # of the last attempt, if it was slow

    def start(self, key: Key, method: str, params: dict[str, Any]) -> Call:
        """Starts an attempt unless one is running; returns it. Raises AuthError if nothing can be sent."""
        return self._join(key, method, params)[0]

    def get(self, key: Key, method: str, params: dict[str, Any], timeout: float) -> Any:
        """Returns the result of the running attempt or of a new one. Raises AuthError, within `timeout`."""
        call, since, is_new = self._join(key, method, params)
        patience = since + timeout - time.monotonic()
        if is_new:
            patience = max(patience, min(timeout, GRACE_SECONDS))
        if not call.done.wait(max(0.0, patience)):
            raise copy.copy(self._failure) or self._reason_to_wait()
        if call.error is not None:
            raise copy.copy(call.error)  # raised in several threads
        return call.result

    def reset(self) -> None:
        """The client was closed: what failed before says nothing about the next attempt."""
        with self._lock:
            self._running.clear()
            self._silent_since = self._failure = None

    def note_answer(self) -> None:
        """The daemon has answered a call: it is neither silent nor gone."""
        self._silent_since = self._failure = None

    def _join(self, key: Key, method: str, params: dict[str, Any]) -> tuple[Call, float, bool]:
        with self._lock:
            call = self._running.get(key)
            if self._silent_since is None:
                self._silent_since = time.monotonic()
            since = self._silent_since
            if call is not None:
                return call, min(since, call.created_at), False  # the daemon may answer others, and its provider hang
            call = Call(method, params, True, LONGEST_ATTEMPT, lambda done: self._end(key, done))
            self._running[key] = call
        try:
            self._submit(call)
        except AuthError:
            self._forget(key, call)
            raise
        return call, since, True

    def _end(self, key: Key, call: Call) -> None:
        is_current = self._forget(key, call)
        if not is_current or call.error is None or call.error.code is not None:
            return  # `note_answer` or `reset` has been called
        if time.monotonic() - call.created_at > SLOW_SECONDS:
            self._failure = call.error
        else:
            self._silent_since = self._failure = None

    def _forget(self, key: Key, call: Call) -> bool:
        with self._lock:
            is_current = self._running.get(key) is call
            if is_current:
                del self._running[key]
        return is_current
