"""Sends calls to the daemon from any thread, over one connection that is made when a call or a listener needs it."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from .calls import Call, timed_out
from .connector import Connector
from .errors import AuthError, NoDaemonError
from .launcher import Command, Launcher
from .worker import Worker

log = logging.getLogger('cadzero_auth')

Listener = Callable[[dict[str, Any]], None]


class View(Protocol):
    """What a client remembers of the daemon's answers. All methods are called in the background thread."""

    def wants_connection(self) -> bool:
        """Returns whether to stay connected without a call."""

    def note_connected(self) -> None:
        """A connection is open."""

    def note_lost(self) -> None:
        """The connection was lost."""

    def note_answer(self, call: Call) -> None:
        """The daemon has answered a call."""

    def note_status(self, status: dict[str, Any]) -> None:
        """The daemon has notified the client of a change."""


class Transport:
    """Calls the daemon's methods. `close` ends the background thread; the next call starts another one."""

    def __init__(
        self, command: Command, start: bool, discovery: str | None, prepare: Callable[[], AuthError | None] | None
    ) -> None:
        self.view: View  # set before the first call
        self._new_connector: Callable[[], Connector] = lambda: Connector(Launcher(command, start, prepare), discovery)
        self._listeners: list[Listener] = []
        self.reset()

    def reset(self) -> None:
        """Forgets the connection and the calls of the parent: a fork copies no thread."""
        self._lock = threading.Lock()  # guards the three below; no thread waits while it holds the lock
        self._worker: Worker | None = None
        self._connector: Connector | None = None
        self._ending: threading.Thread | None = None  # of a worker that was closed, but has not ended

    def call(self, method: str, params: dict[str, Any], timeout: float, harmless: bool) -> Any:
        """Returns the result of the call. Raises AuthError, at the latest after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        call = Call(method, params, harmless)
        worker = self.submit(call)
        if not call.done.wait(max(0.0, deadline - time.monotonic())):
            worker.abandon(call)
            if not call.done.is_set():
                raise self.reason_to_wait()
        if call.error is not None:
            raise call.error
        return call.result

    def submit(self, call: Call) -> Worker:
        """Sends a call without waiting for its result. Raises NoDaemonError if the system gives no thread."""
        worker = self._running_worker()
        worker.submit(call)
        return worker

    def reason_to_wait(self) -> AuthError:
        """Returns why a call that waits has no answer yet."""
        connector = self._connector
        if connector is None:
            return timed_out()
        if connector.obstacle is not None:
            return copy.copy(connector.obstacle)
        return NoDaemonError('the daemon is starting', 'starting') if connector.is_starting else timed_out()

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with the params of each `sessionChanged`; returns the function that removes it."""
        worker = self._running_worker()
        self._listeners.append(listener)
        worker.wake()

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def close(self, seconds: float) -> None:
        """Closes the connection, ends the thread and fails the calls in progress."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is None:
            return
        thread = worker.stop(seconds)
        with self._lock:
            self._ending = thread or self._ending

    def abandon(self, call: Call) -> None:
        """Forgets a call: it is not sent if that has not happened."""
        with self._lock:
            worker = self._worker
        if worker is not None:
            worker.abandon(call)

    def _running_worker(self) -> Worker:
        with self._lock:
            if self._worker is None or not self._worker.is_alive:
                self._worker = None
                # Kept over `close`, because it knows which program did not start, and which server was refused.
                self._connector = self._connector or self._new_connector()
                self._worker = Worker(self._connector, self, self._ending)
                self._ending = None
            return self._worker

    # The worker calls the methods below in its thread.

    def wants_connection(self) -> bool:
        """Returns whether a listener or the view needs the connection."""
        return bool(self._listeners) or self.view.wants_connection()

    def note_connected(self) -> None:
        """Tells the view."""
        self.view.note_connected()

    def note_lost(self) -> None:
        """Tells the view."""
        self.view.note_lost()

    def note_answer(self, call: Call) -> None:
        """Tells the view."""
        self.view.note_answer(call)

    def note_notification(self, method: str, params: dict[str, Any]) -> None:
        """Tells the view, then the listeners."""
        if method != 'sessionChanged':
            return
        self.view.note_status(params)
        for listener in list(self._listeners):
            try:
                listener(dict(params))
            except Exception as error:
                log.error('a listener failed: %s', type(error).__name__)
