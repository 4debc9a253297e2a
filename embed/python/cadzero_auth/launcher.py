"""Finds the installed cadzero-auth command and starts the daemon with it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, Union

from .errors import AuthError, ConfigurationError, NoDaemonError
from .folders import program_folder, working_folder

log = logging.getLogger('cadzero_auth')

MAX_ERROR_BYTES = 8192  # of the error output of a start that failed
MAX_ERROR_CHARACTERS = 500
NOT_RUN_HINT = 'set CADZERO_AUTH_COMMAND to both absolute paths: ["/path/to/node", "/path/to/cadzero-auth"]'
_ERROR_LINE = re.compile(r'[A-Za-z]*[Ee]rror\b')
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
    with contextlib.suppress(ConfigurationError):  # the user has no home folder
        own = 'cadzero-auth.exe' if sys.platform == 'win32' else 'cadzero-auth'
        paths.append(os.path.join(program_folder(), own))
    if sys.platform == 'win32':
        for root in (os.environ.get('LOCALAPPDATA'), os.environ.get('PROGRAMFILES')):
            if root:
                paths.append(os.path.join(root, 'Programs', 'cadzero-auth', 'cadzero-auth.exe'))
                paths.append(os.path.join(root, 'cadzero-auth', 'cadzero-auth.exe'))
    else:
        folders = ('/usr/local/bin', '/opt/homebrew/bin', '/usr/bin')
        paths.extend(os.path.join(folder, 'cadzero-auth') for folder in folders)
    return paths


def child_environment() -> dict[str, str]:
    """Returns this process's environment without the variables that a daemon must not inherit."""
    return {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}


def start_daemon(
    command: Sequence[str], stderr: IO[bytes] | int = subprocess.DEVNULL, replace: bool = False
) -> subprocess.Popen[bytes]:
    """Starts the daemon without a shell, a window or inherited handles; it outlives this process.

    stderr: a file for its error output. A pipe would break when this process ends, and block when it is full.
    replace: whether it replaces a running daemon.
    Raises OSError if the command does not run.
    """
    if sys.platform == 'win32':
        creation_flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        creation_flags = 0
    process = subprocess.Popen(
        [*command, 'daemon', '--passphrase-stdin', *(['--replace'] if replace else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        cwd=working_folder(),
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

    def __init__(self, command: Command, enabled: bool, prepare: Callable[[], AuthError | None] | None = None) -> None:
        """Creates a launcher that has started nothing.

        prepare: is called before the program is looked for; returns why it could not be installed.
        """
        self._command = command
        self._enabled = enabled
        self._prepare = prepare
        self._started_at: float | None = None  # None once a client has connected
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._failure: tuple[str, str, str | None] | None = None  # the arguments of a NoDaemonError

    @property
    def has_exited(self) -> bool:
        """Whether a daemon was started here and has exited."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> bool:
        """Starts a daemon if that is allowed now; returns whether one is starting. `failure` says why if not."""
        has_exited = self.has_exited  # reaps it
        if not self._enabled:
            return False
        now = time.monotonic()
        if self._started_at is not None and now - self._started_at < RESTART_SECONDS:
            return self._process is not None and not has_exited
        self.close()
        self._process = self._failure = None
        problem = self._prepare() if self._prepare is not None else None
        command = find_command(self._command)
        if command is None:
            reason, hint = (problem.message, problem.hint) if problem else ('cadzero-auth is not installed', None)
            self._failure = (reason, 'not_installed', hint)
            return False
        self._started_at = now
        try:
            self._stderr = _temporary_file()
            self._process = start_daemon(command, self._stderr or subprocess.DEVNULL)
        except OSError as error:
            log.warning('the daemon could not be started: %s', type(error).__name__)
            cause = error.strerror or type(error).__name__
            self._failure = (f'the daemon could not be started: {command[0]}: {cause}', 'start_failed', None)
            self.close()
            return False
        return True

    def failure(self) -> NoDaemonError | None:
        """Returns why the last start did not lead to a connection; None if nothing was started since the last one."""
        if self._failure is None and self._process is not None and self._started_at is not None:
            code = self._process.poll()
            if code is None:
                return NoDaemonError('the daemon was started, but is not ready yet', 'start_timeout')
            cause, hint = _explain_exit(self._stderr)
            if code in {126, 127}:  # env(1) and the shells did not find what runs the program, or may not run it
                hint = NOT_RUN_HINT
            ending = f'ended with code {code}' if code >= 0 else f'was ended by {_signal_name(-code)}'
            separator = ': ' if cause else ' and printed no error'
            reason = 'cannot_lock' if cause.startswith('cannot lock: ') else 'start_failed'
            self._failure = (f'the daemon was started, but {ending}{separator}{cause}', reason, hint)
            self.close()
        return None if self._failure is None else NoDaemonError(*self._failure)

    def note_connected(self) -> None:
        """Allows an immediate start the next time the daemon is missing: this one has come up."""
        self._started_at = self._failure = None
        self.close()

    def close(self) -> None:
        """Forgets the error output of the last start."""
        if self._stderr is not None:
            self._stderr.close()
            self._stderr = None


def _temporary_file() -> IO[bytes] | None:
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return None  # the disk is full, or no folder is writable


def _explain_exit(stderr: IO[bytes] | None) -> tuple[str, str | None]:
    """Returns the error and the hint at the end of the error output of a start."""
    if stderr is None:
        return '', None
    try:
        stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - MAX_ERROR_BYTES))
        text = stderr.read(MAX_ERROR_BYTES).decode('utf-8', 'replace')
    except OSError:
        return '', None
    lines = [''.join(filter(str.isprintable, line)).strip()[:MAX_ERROR_CHARACTERS] for line in text.splitlines()]
    hints = [line[len('hint: ') :] for line in lines if line.startswith('hint: ')]
    others = [line for line in lines if line and not line.startswith('hint: ')]
    errors = [line for line in others if _ERROR_LINE.match(line)]  # of the daemon, or above and below a stack trace
    cause = (errors or others or [''])[-1]
    return re.sub('^error: ', '', cause), hints[-1] if hints else None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'
