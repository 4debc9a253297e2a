"""What the drop-in auth.py keeps: its client, the program it brings along, the chosen profile, and the last problem."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from .bundle_installer import BundleInstaller
from .client import Client
from .errors import AuthError, ConfigurationError
from .legacy import LegacyImport
from .problems import Problem, problem_of, state_of

log = logging.getLogger('cadzero_auth')

MAIN_THREAD_SECONDS = 0.2
WORKER_SECONDS = 15.0  # in other threads: a daemon may have to start, and to refresh the token


class AddIn:
    """One add-in in the folder of its auth.py. It starts with its first call, and again after `stop`."""

    def __init__(self, folder: str, config: object, profiles: Mapping[str, str]) -> None:
        """Creates it without connecting.

        config: the add-in's own module, whose `current_endpoint` chooses the profile; None: the default profile.
        profiles: the profile of each endpoint.
        """
        self.installer = BundleInstaller(os.path.join(folder, 'cadzero-auth'))
        self.client = Client(prepare=self.installer.run)
        self.legacy = LegacyImport(os.path.join(folder, '.auth_token.json'))
        self.chosen_profile: str | None = None
        self.last_problem: Problem | None = None
        self._config = config
        self._profiles = profiles
        self._is_started = False

    def start(self) -> None:
        """Connects, and installs the program of the bundle, in the background."""
        self._is_started = True
        self.installer.start()
        with contextlib.suppress(AuthError):  # the next call says why
            self.client.status(self.profile_of(None), timeout=0)

    def stop(self) -> None:
        """Closes the connection."""
        self._is_started = False
        self.client.close(MAIN_THREAD_SECONDS)

    def begin(self, profile: str | None) -> str | None:
        """Starts what has not been started; returns the profile of the call. Raises ConfigurationError."""
        chosen = self.profile_of(profile)
        if not self._is_started:
            self.start()
        self.legacy.start(self.client.find_command, chosen)
        return chosen

    def profile_of(self, given: str | None) -> str | None:
        """Returns the profile of a call: as given, as chosen, or that of the add-in's current endpoint.

        Raises ConfigurationError at an unknown endpoint: it must not get the tokens of another one.
        """
        endpoint = getattr(self._config, 'current_endpoint', None)
        if given is not None or self.chosen_profile is not None or endpoint is None:
            return given or self.chosen_profile
        profile = self._profiles.get(str(endpoint).rstrip('/'))
        if profile is None:
            data = {'reason': 'unknown_endpoint', 'hint': 'add the endpoint to auth.PROFILES, or call auth.use_profile'}
            raise ConfigurationError(f'the endpoint {endpoint} has no profile', data=data)
        return profile

    def status(self, profile: str | None, timeout: float | None) -> tuple[dict[str, Any], str, Problem | None]:
        """Returns the status, the state, and what went wrong.

        If the daemon does not answer, the status is the last one that was heard of, and the state is `starting` or
        `unavailable`, never signed out.
        """
        try:
            chosen = self.begin(profile)
        except ConfigurationError as error:
            return {}, 'unavailable', self.note('no status', error)
        problem = None
        try:
            status = self.client.status(chosen, timeout=patience(timeout))
            state = str(status.get('state'))
            self.succeeded()
        except AuthError as error:
            status, state = self.client.known_status(chosen) or {}, state_of(error)
            problem = self.note('no status', error)
        return ({}, 'signed_out', problem) if self.client.is_signing_out(chosen) else (status, state, problem)

    def note(self, what: str, error: AuthError) -> Problem:
        """Keeps and logs why a call failed."""
        self.last_problem = problem = problem_of(error)
        log.info('%s: %s: %s', what, problem.code, problem)
        return problem

    def succeeded(self) -> None:
        """Forgets the last problem."""
        self.last_problem = None


def patience(timeout: float | None) -> float:
    """Returns how long a call may wait. Fusion's main thread is Python's own, or one that Python has not started."""
    if timeout is not None:
        return timeout
    thread = threading.current_thread()
    is_main = thread is threading.main_thread() or isinstance(thread, threading._DummyThread)
    return MAIN_THREAD_SECONDS if is_main else WORKER_SECONDS
