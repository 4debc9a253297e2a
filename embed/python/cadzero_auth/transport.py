"""The thread that owns the connection: it sends the queued calls, connects again after a loss, and tells listeners."""

from __future__ import annotations

import collections
import contextlib
import copy
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from .discovery import discovery_file, read_endpoint
from .errors import (
    AuthError,
    ConnectionLostError,
    DaemonTimeoutError,
    NoDaemonError,
    NotGenuineError,
    error_from_response,
    resource_exhausted,
)
from .launcher import Command, Launcher
from .reachability import other_host
from .websocket import ProtocolError, WebSocket, not_genuine

log = logging.getLogger('cadzero_auth')

CONNECT_SECONDS = 5.0
START_SECONDS = 15.0  # a keyring may take a while to unlock
START_POLL_SECONDS = 0.02
MAX_RECONNECT_PAUSE = 30.0  # seconds between two attempts, when only listeners want a connection

# poll() takes descriptors above 1023, unlike select(), and needs none of its own, unlike epoll. On Windows,
# select() counts sockets and is not limited by their numbers.
_Selector: type[selectors.BaseSelector] = getattr(selectors, 'PollSelector', selectors.SelectSelector)

Listener = Callable[[dict[str, Any]], None]


class _Call:
    """A call in progress. It is sent at most twice, and twice only if that is harmless."""

    def __init__(self, number: int, method: str, params: dict[str, Any], harmless: bool) -> None:
        self.number = number
        self.text = json.dumps({'jsonrpc': '2.0', 'id': number, 'method': method, 'params': params})
        self.tries = 2 if harmless else 1
        self.done = threading.Event()
        self.result: Any = None
        self.error: AuthError | None = None

    def finish(self, result: Any = None, error: AuthError | None = None) -> None:
        self.result, self.error = result, error
        self.done.set()


class _Waker:
    """Wakes a thread that waits for events."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # its buffer is full, so that the thread wakes anyway; or the thread has ended
            self._writer.send(b'.')

    def drain(self) -> None:
        with contextlib.suppress(OSError):  # it is empty, or closed
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Transport:
    """Calls the daemon's methods, from any thread, over one connection, made when a call or a listener needs it.

    The lock guards the queue, the calls sent and the listeners; nothing waits while it holds the lock. The connection
    belongs to the background thread.
    """

    def __init__(self, command: Command, start: bool, discovery: str | None) -> None:
        self._command = command
        self._start = start
        self._discovery = discovery
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._number = 0
        self._queue: collections.deque[_Call] = collections.deque()
        self._sent: dict[int, _Call] = {}
        self._thread: threading.Thread | None = None
        self._waker: _Waker | None = None
        self._rejected_instance: str | None = None
        self._obstacle: NoDaemonError | None = None  # why the last attempt to connect failed, if a start may not help
        self._launcher = Launcher(self._command, self._start)

    def call(self, method: str, params: dict[str, Any], timeout: float, harmless: bool) -> Any:
        """Returns the result of the call. Raises AuthError, at the latest after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=max(0.0, timeout)):
            raise _timed_out()
        try:
            if self._pid != os.getpid():
                self._reset()  # a fork does not copy the thread
            if self._closed:
                raise _is_closed()
            self._number += 1
            call = _Call(self._number, method, params, harmless)
            self._wake_thread()
            self._queue.append(call)
        finally:
            self._lock.release()
        if not call.done.wait(max(0.0, deadline - time.monotonic())):
            self._abandon(call)
            if not call.done.is_set():
                raise copy.copy(self._obstacle) or _timed_out()
        if call.error is not None:
            raise call.error
        return call.result

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with the params of each `sessionChanged`; returns the function that removes it."""
        with self._lock:
            self._wake_thread()
            self._listeners.append(listener)

        def remove() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return remove

    def close(self) -> None:
        """Closes the connection, ends the thread and fails the calls in progress."""
        with self._lock:
            self._closed = True
            thread = self._thread
            if self._waker is not None:
                self._waker.wake()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def _abandon(self, call: _Call) -> None:
        with self._lock:
            self._sent.pop(call.number, None)
            if call in self._queue:
                self._queue.remove(call)

    def _wake_thread(self) -> None:
        """Wakes the background thread, or starts it. The caller holds the lock until it has added its work.

        Raises NoDaemonError if the system gives no socket or no thread.
        """
        if self._waker is not None and self._thread is not None and self._thread.is_alive():
            self._waker.wake()
            return
        self._waker = self._thread = None
        waker = None
        try:
            waker = _Waker()
            thread = threading.Thread(target=self._run, args=(waker,), name='cadzero-auth', daemon=True)
            thread.start()
        except (OSError, RuntimeError) as error:
            if waker is not None:
                waker.close()
            raise resource_exhausted(error) from None
        self._waker, self._thread = waker, thread

    # Everything below runs in the background thread.

    def _run(self, waker: _Waker) -> None:
        pause = 0.0
        connection: WebSocket | None = None
        try:
            while not self._closed:
                if connection is None:
                    self._sleep(waker, pause)
                    if self._closed or not self._is_needed():
                        continue
                    try:
                        connection, pause = self._connect(), 0.0
                    except AuthError as error:
                        log.debug('not connected: %s: %s', type(error).__name__, error)
                        self._fail_all(error)
                        pause = min(MAX_RECONNECT_PAUSE, max(0.1, pause * 2))
                        continue
                try:
                    self._exchange(connection, waker)
                except (ProtocolError, OSError):
                    connection.close()
                    connection = None
                    self._requeue_or_fail()
        except Exception as error:  # a bug here must not keep callers until their timeout
            log.error('the connection thread failed: %s', type(error).__name__)
        finally:
            if connection is not None:
                connection.close()
            waker.close()
            self._launcher.close()
            self._fail_all(_is_closed())

    def _is_needed(self) -> bool:
        with self._lock:
            return bool(self._queue or self._listeners)

    def _sleep(self, waker: _Waker, seconds: float) -> None:
        """Waits for a call; if there are listeners, at most until the next attempt to connect."""
        with self._lock:
            has_calls, has_listeners = bool(self._queue), bool(self._listeners)
        if not has_calls:
            _wait({waker: selectors.EVENT_READ}, seconds if has_listeners else None)
        waker.drain()

    def _exchange(self, connection: WebSocket, waker: _Waker) -> None:
        """Sends the queued calls, handles the messages that have arrived, and waits for more of either."""
        with self._lock:
            calls = [call for call in self._queue if call.tries > 0]
            self._queue.clear()
            for call in calls:
                call.tries -= 1
                self._sent[call.number] = call
        for call in calls:
            connection.queue(call.text)
        for message in connection.messages():  # before the wait: the upgrade may have read the first ones
            self._handle(message)
        writes = selectors.EVENT_WRITE if connection.wants_to_send else 0
        events = _wait({connection: selectors.EVENT_READ | writes, waker: selectors.EVENT_READ}, None)
        if waker in events:
            waker.drain()
        if events.get(connection, 0) & selectors.EVENT_WRITE:
            connection.send()
        if events.get(connection, 0) & selectors.EVENT_READ:
            connection.read()

    def _handle(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            raise ProtocolError('a message that is not JSON') from None
        if not isinstance(message, dict):
            return
        if 'method' in message:
            self._notify(message)
            return
        with self._lock:
            call = self._sent.pop(message['id'], None) if isinstance(message.get('id'), int) else None
        if call is None:
            return  # its caller has timed out
        if 'error' in message:
            call.finish(error=error_from_response(message['error']))
        else:
            call.finish(message.get('result'))

    def _notify(self, message: dict[str, Any]) -> None:
        params = message.get('params')
        if message.get('method') != 'sessionChanged' or not isinstance(params, dict):
            return
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(dict(params))
            except Exception as error:
                log.error('a listener failed: %s', type(error).__name__)

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

    def _connect(self) -> WebSocket:
        """Connects to the daemon; starts it if it cannot be reached and a call waits for it."""
        try:
            return self._try_to_connect()
        except (NoDaemonError, NotGenuineError) as error:
            with self._lock:
                has_calls = bool(self._queue)
            if error.reason == 'resource_exhausted' or not has_calls or not self._launcher.start():
                raise self._explain(error) from None
        deadline = time.monotonic() + START_SECONDS
        while True:
            has_exited = self._launcher.has_exited  # before the attempt: the command ends if another start was faster
            try:
                return self._try_to_connect()
            except (NoDaemonError, NotGenuineError) as error:
                with self._lock:
                    is_abandoned = not self._queue
                if has_exited or is_abandoned or self._closed or time.monotonic() > deadline:
                    raise self._explain(error) from None
            time.sleep(START_POLL_SECONDS)

    def _explain(self, error: NoDaemonError | NotGenuineError) -> AuthError:
        """Returns what to tell the callers: `error`, or why the daemon that should have helped did not start."""
        failure = self._launcher.failure()
        if failure is None or isinstance(error, NotGenuineError) or error.reason == 'resource_exhausted':
            return error
        if error.reason == 'not_running':
            return failure
        # The daemon runs elsewhere or behind a firewall if the one that was started here says so in the same words.
        has_ended = failure.reason in {'start_failed', 'cannot_lock'}
        return failure if has_ended and error.message not in failure.message else error

    def _try_to_connect(self) -> WebSocket:
        try:
            connection = self._open()
        except NoDaemonError as error:
            self._obstacle = error if error.reason != 'not_running' else None
            raise
        self._obstacle = None
        self._launcher.note_connected()
        return connection

    def _open(self) -> WebSocket:
        # Read each time: a daemon that was started again has another port and key.
        endpoint = read_endpoint(self._discovery or discovery_file())
        if endpoint.instance == self._rejected_instance:
            raise not_genuine()
        try:
            return WebSocket(endpoint, time.monotonic() + CONNECT_SECONDS)
        except NotGenuineError:
            if (elsewhere := other_host(endpoint)) is not None:
                raise elsewhere from None  # another program has that port here
            self._rejected_instance = endpoint.instance  # no second attempt until the file names another instance
            raise


def _wait(events: dict[_Waker | WebSocket, int], seconds: float | None) -> dict[object, int]:
    """Waits for one of the `events` (a mask for each source), and returns those that have happened."""
    with _Selector() as selector:
        for source, mask in events.items():
            selector.register(source, mask)
        return {key.fileobj: mask for key, mask in selector.select(seconds)}


def _timed_out() -> DaemonTimeoutError:
    return DaemonTimeoutError('the daemon did not answer in time')


def _is_closed() -> NoDaemonError:
    return NoDaemonError('the client is closed', 'closed')
