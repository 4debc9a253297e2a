"""Connects to the daemon: reads the discovery file, starts a missing daemon, and says why neither helped."""

from __future__ import annotations

import time
from collections.abc import Callable

from .discovery import discovery_file, read_endpoint
from .errors import AuthError, NoDaemonError, NotGenuineError
from .launcher import Launcher
from .reachability import other_host
from .websocket import WebSocket, not_genuine

CONNECT_SECONDS = 5.0
START_SECONDS = 15.0  # a keyring may take a while to unlock
START_POLL_SECONDS = 0.02


class Connector:
    """Connects one worker. Only its thread calls the methods; any thread may read the attributes."""

    def __init__(self, launcher: Launcher, discovery: str | None) -> None:
        self.launcher = launcher
        self.is_starting = False  # whether a daemon was started that is not ready yet
        self.obstacle: NoDaemonError | None = None  # why the last attempt failed, if a start may not help
        self._discovery = discovery
        self._rejected_instance: str | None = None

    def connect(self, is_wanted: Callable[[], bool]) -> WebSocket:
        """Connects; starts the daemon if it cannot be reached and `is_wanted` says that a call waits for it.

        Raises NoDaemonError or NotGenuineError.
        """
        try:
            return self._try_to_connect()
        except (NoDaemonError, NotGenuineError) as error:
            if error.reason == 'resource_exhausted' or not is_wanted():
                raise self._explain(error) from None
            first = error
        self.is_starting = True
        try:
            if not self.launcher.start():
                raise self._explain(first)
            return self._wait_for_start(is_wanted)
        finally:
            self.is_starting = False

    def _wait_for_start(self, is_wanted: Callable[[], bool]) -> WebSocket:
        deadline = time.monotonic() + START_SECONDS
        while True:
            has_exited = self.launcher.has_exited  # before the attempt: the command ends if another start was faster
            try:
                return self._try_to_connect()
            except (NoDaemonError, NotGenuineError) as error:
                if has_exited or not is_wanted() or time.monotonic() > deadline:
                    raise self._explain(error) from None
            time.sleep(START_POLL_SECONDS)

    def _explain(self, error: NoDaemonError | NotGenuineError) -> AuthError:
        """Returns what to tell the callers: `error`, or why the daemon that should have helped did not start."""
        failure = self.launcher.failure()
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
            self.obstacle = error if error.reason != 'not_running' else None
            raise
        self.obstacle = None
        self.launcher.note_connected()
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
            # An answer without the right proof: no second attempt until the file names another instance. A server that
            # did not answer in time is no stranger for that: it is tried again.
            self._rejected_instance = endpoint.instance
            raise
