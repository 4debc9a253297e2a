"""Imports the token file that the add-in's own auth.py left behind, in the background and once."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from .versions import run_program

log = logging.getLogger('cadzero_auth')

IMPORT_SECONDS = 30.0
RETRY_SECONDS = 30.0  # if the program is not installed yet


class LegacyImport:
    """The import of one file. A file that cannot be imported stays."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._is_done = False
        self._tried_at: float | None = None

    def start(self, find_command: Callable[[], list[str] | None], profile: str | None) -> None:
        """Starts the import if there is a file to import. Never waits: the caller may be Fusion's main thread."""
        if self._is_done:
            return
        with self._lock:
            if self._is_done or (self._tried_at is not None and time.monotonic() - self._tried_at < RETRY_SECONDS):
                return
            if not os.path.isfile(self._path):
                self._is_done = True
                return
            self._tried_at = time.monotonic()
        threading.Thread(
            target=self._run, args=(find_command, profile), name='cadzero-auth-import', daemon=True
        ).start()

    def _run(self, find_command: Callable[[], list[str] | None], profile: str | None) -> None:
        command = find_command()
        if command is None:
            return
        self._is_done = True
        options = [] if profile is None else ['--profile', profile]
        status, _, _ = run_program([*command, 'import-legacy', self._path, *options], IMPORT_SECONDS)
        log.info('the legacy session was %s', 'imported' if status == 0 else 'not imported')
