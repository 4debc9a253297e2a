"""Installs the bundle of an add-in once per start of the add-in, in the background."""

from __future__ import annotations

import logging
import os
import threading
import time

from .bundle import InstallError
from .errors import AuthError
from .install import Installed, ensure_installed

log = logging.getLogger('cadzero_auth')

RETRY_SECONDS = 60.0  # after a failure, such as a full disk


class BundleInstaller:
    """The installation of one bundle; None if the add-in has none."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder if folder is not None and os.path.isdir(folder) else None
        self._lock = threading.Lock()
        self._failed_at: float | None = None
        self.installed: Installed | None = None
        self.error: AuthError | None = None

    def start(self) -> None:
        """Installs in a background thread."""
        if self._folder is not None and self.installed is None:
            threading.Thread(target=self.run, name='cadzero-auth-install', daemon=True).start()

    def run(self) -> AuthError | None:
        """Installs, or waits for the thread that does; returns why that failed."""
        if self._folder is None:
            return None
        with self._lock:
            has_just_failed = self._failed_at is not None and time.monotonic() - self._failed_at < RETRY_SECONDS
            if self.installed is not None or has_just_failed:
                return self.error
            try:
                self.installed, self.error = ensure_installed(self._folder), None
            except AuthError as error:
                self.error, self._failed_at = error, time.monotonic()
                log.warning('cadzero-auth was not installed: %s', error)
            except Exception as error:  # a bug here must not keep a daemon that is installed from starting
                self.error, self._failed_at = InstallError('the installation failed', 'failed'), time.monotonic()
                log.error('the installation failed: %s', type(error).__name__)
            return self.error
