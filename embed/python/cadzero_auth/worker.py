"""The background thread that owns a connection: it sends the queued calls, and connects again after a loss."""

from __future__ import annotations

import collections
import json
import logging
import threading
import time
from typing import Any, Protocol

from .calls import Call, timed_out
from .connector import Connector
from .errors import (
    AuthError,
    ConnectionLostError,
    NoDaemonError,
    error_from_response,
    invalid_response,
    resource_exhausted,
)
from .waker import READ, WRITE, Waker, wait_for
from .websocket import ProtocolError, WebSocket

log = logging.getLogger('cadzero_auth')

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0  # seconds between two attempts to connect that no call waits for
STABLE_SECONDS = 1.0  # a connection that was lost sooner counts as a failed attempt


class Observer(Protocol):
    """Is told what happens on the connection. All methods are called in the worker's thread."""

    def wants_connection(self) -> bool:
        """Returns whether to stay connected without a call."""

    def note_connected(self) -> None:
        """A connection is open."""

    def note_lost(self) -> None:
        """The connection was lost."""

    def note_answer(self, call: Call) -> None:
        """The daemon has answered; `call` is not finished yet."""

    def note_notification(self, method: str, params: dict[str, Any]) -> None:
        """A notification has arrived."""


class Worker:
    """One thread and its connection. The lock guards the calls; no thread waits while it holds the lock."""

    def __init__(self, connector: Connector, observer: Observer, after: threading.Thread | None) -> None:
        """Starts the thread. Raises NoDaemonError if the system gives no socket or no thread.

        after: the thread that used the connector before, and is to end first.
        """
        self.connector = connector
        self._observer = observer
        self._after = after
        self._lock = threading.Lock()
        self._queue: collections.deque[Call] = collections.deque()
        self._sent: dict[int, Call] = {}
        self._number = 0
        self._is_stopped = False
        self._connection: WebSocket | None = None
        self._opened_at = 0.0  # monotonic
        self._pause = 0.0
        waker = None
        try:
            self._waker = waker = Waker()
            self._thread = threading.Thread(target=self._run, name='cadzero-auth', daemon=True)
            self._thread.start()
        except (OSError, RuntimeError) as error:
            if waker is not None:
                waker.close()
            raise resource_exhausted(error) from None

    @property
    def is_alive(self) -> bool:
        """Whether it takes calls."""
        return not self._is_stopped and self._thread.is_alive()

    def submit(self, call: Call) -> None:
        """Queues a call."""
        with self._lock:
            if self._is_stopped:
                error: NoDaemonError | None = is_closed()
            else:
                self._queue.append(call)
                error = None
        if error is not None:
            call.finish(error=error)
        self._waker.wake()

    def abandon(self, call: Call) -> None:
        """Forgets a call: its answer is ignored, and it is not sent if that has not happened."""
        with self._lock:
            if call in self._queue:
                self._queue.remove(call)
            for number in [number for number, sent in self._sent.items() if sent is call]:
                del self._sent[number]

    def wake(self) -> None:
        """Makes the thread look again whether the connection is wanted."""
        self._waker.wake()

    def stop(self, seconds: float) -> threading.Thread | None:
        """Closes the connection, fails the calls in progress, and waits up to `seconds` for the end of the thread.

        Returns the thread if it has not ended: it may be connecting, or installing the program.
        """
        self._is_stopped = True
        self._waker.wake()
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return self._thread if self._thread.is_alive() else None

    # Everything below runs in the thread.

    def _run(self) -> None:
        try:
            if self._after is not None:
                self._after.join()
                self._after = None
            while not self._is_stopped:
                if self._connection is None:
                    self._open_connection()
                else:
                    self._use_connection(self._connection)
        except Exception as error:  # a bug here must not keep callers until their timeout
            log.error('the connection thread failed: %s', type(error).__name__)
        finally:
            self._is_stopped = True
            self._close_connection()
            self.connector.launcher.close()
            self._fail_all(is_closed())
            self._waker.close()

    def _open_connection(self) -> None:
        has_calls, is_wanted = self._has_calls(), self._observer.wants_connection()
        if not has_calls:
            wait_for({self._waker: READ}, self._pause if is_wanted else None)
        self._waker.drain()
        if self._is_stopped or not (self._has_calls() or self._observer.wants_connection()):
            return
        try:
            self._connection = self.connector.connect(self._has_calls)
        except AuthError as error:
            log.debug('not connected: %s: %s', type(error).__name__, error)
            self._fail_all(error)
            self._lengthen_pause()
            return
        self._opened_at = time.monotonic()
        self._observer.note_connected()

    def _use_connection(self, connection: WebSocket) -> None:
        try:
            self._exchange(connection)
        except (ProtocolError, OSError):
            self._close_connection()
            if time.monotonic() - self._opened_at > STABLE_SECONDS:
                self._pause = 0.0
            else:
                self._lengthen_pause()  # or a server that closes each connection would keep this thread busy
            self._requeue_or_fail()

    def _lengthen_pause(self) -> None:
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self._pause * 2))

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._observer.note_lost()

    def _has_calls(self) -> bool:
        with self._lock:
            return bool(self._queue) and not self._is_stopped

    def _exchange(self, connection: WebSocket) -> None:
        """Sends the queued calls, handles the messages that have arrived, and waits for more of either."""
        for text in self._take_queue():
            connection.queue(text)
        for message in connection.messages():  # before the wait: the upgrade may have read the first ones
            self._handle(message)
        writes = WRITE if connection.wants_to_send else 0
        events = wait_for({connection: READ | writes, self._waker: READ}, self._expire_calls())
        if self._waker in events:
            self._waker.drain()
        if events.get(connection, 0) & WRITE:
            connection.send()
        if events.get(connection, 0) & READ:
            connection.read()

    def _take_queue(self) -> list[str]:
        texts = []
        with self._lock:
            for call in self._queue:
                self._number += 1
                call.tries -= 1
                self._sent[self._number] = call
                texts.append(call.text(self._number))
            self._queue.clear()
        return texts

    def _expire_calls(self) -> float | None:
        """Fails the calls whose time is over; returns the seconds until the next of them ends, if there is one."""
        now = time.monotonic()
        with self._lock:
            ends = {number: call.ends_at for number, call in self._sent.items() if call.ends_at is not None}
            late = [self._sent.pop(number) for number, end in ends.items() if end <= now]
        for call in late:
            call.finish(error=timed_out())
        return min((end - now for end in ends.values() if end > now), default=None)

    def _handle(self, text: str) -> None:
        try:
            message = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ProtocolError('a message that is not JSON') from None
        if not isinstance(message, dict):
            return
        try:
            self._apply(message)
        except Exception as error:  # values that fit no contract, such as a number without end, must not end the thread
            log.error('a message of the daemon is invalid: %s', type(error).__name__)
            raise ProtocolError('a message that does not fit the contract') from None

    def _apply(self, message: dict[str, Any]) -> None:
        if 'method' in message:
            if isinstance(message['method'], str) and isinstance(message.get('params'), dict):
                self._observer.note_notification(message['method'], message['params'])
            return
        with self._lock:
            call = self._sent.pop(message['id'], None) if isinstance(message.get('id'), int) else None
        if call is None:
            return  # its caller has timed out
        error = error_from_response(message['error']) if 'error' in message else None
        call.result, call.error = (message.get('result') if error is None else None), error
        try:
            self._observer.note_answer(call)
        except Exception:
            call.finish(error=invalid_response())
            raise
        call.finish(call.result, error)

    def _requeue_or_fail(self) -> None:
        """After a loss of the connection: sends a call once more if that is harmless, and fails the others."""
        with self._lock:
            calls, self._sent = list(self._sent.values()), {}
            self._queue.extendleft(reversed([call for call in calls if call.tries > 0]))
        for call in calls:
            if call.tries == 0:
                call.finish(error=ConnectionLostError('the daemon closed the connection before it answered'))

    def _fail_all(self, error: AuthError) -> None:
        with self._lock:
            calls = [*self._queue, *self._sent.values()]
            self._queue.clear()
            self._sent.clear()
        for call in calls:
            call.finish(error=error)


def is_closed() -> NoDaemonError:
    """Returns the error of a call that `close` has ended."""
    return NoDaemonError('the client was closed', 'closed')


def _refuse(name: str) -> None:
    """Python reads NaN and Infinity, which are no JSON: a header would never expire."""
    raise ValueError(name)
