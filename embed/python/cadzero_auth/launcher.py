"""Finds the installed cadzero-auth command and starts the daemon with it."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Union

log = logging.getLogger('cadzero_auth')

RESTART_SECONDS = 30.0  # so that a daemon that fails to start is not started by every call

# A path, or the first arguments of a process; None: look where installers put the command.
Command = Union[str, Sequence[str], None]

# These would change what the daemon runs. NODE_EXTRA_CA_CERTS only adds authorities, which a company's network may
# need. The passphrase is a secret and goes through standard input.
_NOT_INHERITED = re.compile(
    r'NODE_(?!EXTRA_CA_CERTS$)|PYTHON|ELECTRON_|LD_PRELOAD$|DYLD_|CADZERO_AUTH_PASSPHRASE$', re.IGNORECASE
)


def find_command(command: Command = None) -> list[str] | None:
    """Returns the arguments of the process that runs cadzero-auth, or None if it is not installed.

    The first of these that is set wins: the environment variable `CADZERO_AUTH_COMMAND` (an absolute path, or a JSON
    list that begins with one), `command`, `PATH`, the folders that installers use.
    """
    override = os.environ.get('CADZERO_AUTH_COMMAND')
    if override:
        try:
            command = json.loads(override) if override.startswith('[') else override
        except ValueError:
            return None
    if command:
        arguments = [command] if isinstance(command, str) else [str(part) for part in command]
        return arguments if os.path.isabs(arguments[0]) and os.path.exists(arguments[0]) else None
    for path in _installed_paths():
        if os.path.isabs(path) and os.path.isfile(path):
            return [path]
    return None


def _installed_paths() -> list[str]:
    on_path = shutil.which('cadzero-auth')
    paths = [on_path] if on_path else []
    if sys.platform == 'win32':
        for root in (os.environ.get('LOCALAPPDATA'), os.environ.get('PROGRAMFILES')):
            if root:
                paths.append(os.path.join(root, 'Programs', 'cadzero-auth', 'cadzero-auth.exe'))
                paths.append(os.path.join(root, 'cadzero-auth', 'cadzero-auth.exe'))
    else:
        home_bin = os.path.join(os.path.expanduser('~'), '.local', 'bin')
        folders = (home_bin, '/usr/local/bin', '/opt/homebrew/bin', '/usr/bin')
        paths.extend(os.path.join(folder, 'cadzero-auth') for folder in folders)
    return paths


def child_environment() -> dict[str, str]:
    """Returns this process's environment without the variables that a daemon must not inherit."""
    return {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}


def start_daemon(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Starts the daemon without a shell, a window or inherited handles; it outlives this process.

    Raises OSError if the command does not run.
    """
    if sys.platform == 'win32':
        creation_flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        creation_flags = 0
    process = subprocess.Popen(
        [*command, 'daemon', '--passphrase-stdin'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.expanduser('~'),
        env=child_environment(),
        close_fds=True,
        creationflags=creation_flags,
        start_new_session=sys.platform != 'win32',
    )
    try:
        if process.stdin:
            with process.stdin as stdin:
                stdin.write(os.environ.get('CADZERO_AUTH_PASSPHRASE', '').encode())
    except OSError:
        pass  # it has exited already; `Launcher.has_exited` tells
    return process


class Launcher:
    """Starts a missing daemon, at most once in RESTART_SECONDS. One thread uses it."""

    def __init__(self, command: Command, enabled: bool) -> None:
        self._command = command
        self._enabled = enabled
        self._started_at: float | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def has_exited(self) -> bool:
        """Whether a daemon was started here and has exited."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> bool:
        """Starts a daemon if that is allowed now; returns whether it did."""
        if self._process is not None:
            self._process.poll()  # reaps one that has exited
        now = time.monotonic()
        recently = self._started_at is not None and now - self._started_at < RESTART_SECONDS
        command = find_command(self._command) if self._enabled and not recently else None
        if command is None:
            return False
        self._started_at = now
        try:
            self._process = start_daemon(command)
        except OSError as error:
            log.warning('the daemon could not be started: %s', type(error).__name__)
            return False
        return True

    def note_connected(self) -> None:
        """Allows an immediate start the next time the daemon is missing: this one has come up."""
        self._started_at = None
