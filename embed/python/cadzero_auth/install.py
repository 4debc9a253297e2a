"""Installs the program that an add-in brings along, for this user alone and without an administrator.

Only a newer program replaces an older one. A program that a package manager installed is left to it. A copy is written
beside its place, compared with its checksum, run once, and renamed, so that no other program ever finds an incomplete
one; a file of the bundle itself is never run.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import stat
import sys
from typing import NamedTuple

from .bundle import Bundle, InstallError, copy_checked, file_hash, read_bundle
from .discovery import discovery_file
from .errors import AuthError
from .file_lock import locked
from .folders import program_folder
from .launcher import find_command, start_daemon
from .reachability import is_alive
from .versions import Build, build_of, run_program, semver

log = logging.getLogger('cadzero_auth')

LOCK_SECONDS = 120.0  # another Fusion that installs the same program, with a virus scanner that reads it
SERVICE_SECONDS = 90.0
_TEMPORARY = '.cadzero-auth-'


class Installed(NamedTuple):
    """What `ensure_installed` found or did."""

    kind: str  # installed, upgraded, current, newer (what was there is newer than the bundle), managed
    program: str
    version: str
    note: str | None = None  # why the daemon does not start at log-on, if it does not


def ensure_installed(bundle: str) -> Installed:
    """Installs the program of the folder `bundle` unless this version or a newer one is installed.

    Afterwards the daemon starts at log-on, and a running older daemon has been replaced; the session is kept. It takes
    seconds: call it in a background thread. Raises InstallError if that is impossible.
    """
    bundled = read_bundle(bundle)
    folder = program_folder()
    program = os.path.join(folder, bundled.files[0].target_name)
    _require_own_folder(folder)
    managed = _managed_program(program)
    if managed is not None:
        build = build_of(managed)
        return Installed('managed', managed[0], build.version if build else 'unknown')
    if _is_current(bundled, folder):  # without the lock, because it is so at almost every start of the add-in
        return Installed('current', program, bundled.version, _replace_older_daemon(program, bundled.version))
    try:
        os.makedirs(folder, exist_ok=True)
        with locked(os.path.join(folder, f'{_TEMPORARY}lock'), LOCK_SECONDS):
            return _install(bundled, folder, program)
    except TimeoutError:
        raise InstallError('another program is installing cadzero-auth', 'busy') from None
    except OSError as error:
        cause = error.strerror or type(error).__name__
        raise InstallError(f'the program cannot be copied to {folder}: {cause}', 'not_writable') from None


def removal_instructions() -> str:
    """Returns what a user does after removing the add-in, as text of one command per line."""
    folder = program_folder()
    names = ('cadzero-auth.exe', 'cadzero-authd.exe') if sys.platform == 'win32' else ('cadzero-auth',)
    paths = [os.path.join(folder, name) for name in names]
    quoted = [f'"{path}"' for path in paths]
    commands = [f'{quoted[0]} service uninstall --purge']
    if sys.platform == 'win32':
        # The first one has the keyring addon loaded, which Windows does not remove then.
        commands += [f'{quoted[0]} service uninstall', f'del {" ".join(quoted)}']
    else:
        commands.append(f'rm {quoted[0]}')
    return '\n'.join(commands)


def _require_own_folder(folder: str) -> None:
    """Raises InstallError if another user may have put a program there, which would be run for its version."""
    try:
        status = os.stat(folder)
    except OSError:
        return  # it is created
    if hasattr(os, 'getuid') and (status.st_uid not in {0, os.getuid()} or status.st_mode & stat.S_IWOTH):
        raise InstallError(f'other users can write to {folder}', 'unsafe_folder')


def _managed_program(program: str) -> list[str] | None:
    """Returns the program that something else has installed, if there is one: a package manager, npm, the user."""
    command = find_command()
    if os.environ.get('CADZERO_AUTH_COMMAND'):
        return command or ['CADZERO_AUTH_COMMAND']
    if command is None or (_is_same_path(command[0], program) and not os.path.islink(program)):
        return None
    return command


def _is_same_path(first: str, second: str) -> bool:
    return os.path.normcase(os.path.abspath(first)) == os.path.normcase(os.path.abspath(second))


def _install(bundled: Bundle, folder: str, program: str) -> Installed:
    _sweep(folder)
    if _is_current(bundled, folder):  # another program has just installed it
        return Installed('current', program, bundled.version)
    there = build_of([program]) if os.path.isfile(program) else None
    if there is not None and semver(there.version) > semver(bundled.version):
        return Installed('newer', program, there.version)
    copies = [os.path.join(folder, f'{_TEMPORARY}{secrets.token_hex(4)}-{file.target_name}') for file in bundled.files]
    try:
        for file, copy in zip(bundled.files, copies):
            copy_checked(file, copy)
        if not _replaces(copies[0], there):
            return Installed('newer', program, bundled.version)
        for file, copy in reversed(list(zip(bundled.files, copies))):  # the program last: it is what clients look for
            _move(copy, os.path.join(folder, file.target_name))
        _forget_update(bundled, folder)
    finally:
        for copy in copies:
            _remove(copy)
    _sync_folder(folder)
    log.info('cadzero-auth %s was installed', bundled.version)
    _write_mark(program, bundled.version)
    kind = 'installed' if there is None else 'upgraded'
    return Installed(kind, program, bundled.version, _start_service(program, bundled.version))


def _is_current(bundled: Bundle, folder: str) -> bool:
    there = [(os.path.join(folder, file.target_name), file.sha256) for file in bundled.files]
    return all(file_hash(path) == digest and os.access(path, os.X_OK) for path, digest in there)


def _replaces(copy: str, there: Build | None) -> bool:
    """Returns whether the checked copy is newer than the installed build. Raises InstallError if it does not run."""
    build = build_of([copy])
    if build is None:
        raise InstallError('the program of the add-in does not run on this computer', 'does_not_run')
    return there is None or build.is_newer_than(there)


def _start_service(program: str, version: str) -> str | None:
    """Has the daemon started at log-on, and now; returns why the first is impossible, if it is."""
    running = _running_version()
    if running is not None and semver(running) > semver(version):
        return f'a newer daemon, {running}, is running'  # of another program, which keeps the start at log-on
    status, _, errors = run_program([program, 'service', 'install', '--json'], SERVICE_SECONDS)
    if status == 0:
        return None
    lines = [line[len('error: ') :] for line in errors.splitlines() if line.startswith('error: ')]
    cause = (lines or [errors.strip() or 'it does not end'])[0]
    log.info('the daemon will not start at log-on: %s', cause)
    _replace_daemon(program)
    return cause


def _replace_older_daemon(program: str, version: str) -> str | None:
    """Completes an installation that was interrupted before the older daemon was replaced."""
    running = _running_version()
    is_older = running is not None and semver(running) < semver(version)
    return _start_service(program, version) if is_older else None


def _replace_daemon(program: str) -> None:
    """Replaces a running daemon. If none runs, the client starts one when it needs it."""
    if _running_version() is None:
        return
    with contextlib.suppress(OSError):
        process = start_daemon([program], replace=True)
        process.returncode = 0  # it outlives this process, so that there is nothing to wait for


def _running_version() -> str | None:
    """Returns the version of the daemon that wrote the discovery file, if its process runs."""
    try:
        with open(discovery_file(), encoding='utf-8') as file:
            document = json.load(file)
        return str(document['daemonVersion']) if is_alive(document['pid']) else None
    except (AuthError, OSError, ValueError, KeyError, TypeError):
        return None


def _write_mark(program: str, version: str) -> None:
    """Tells `cadzero-auth update` that the add-in updates this program."""
    with contextlib.suppress(AuthError, OSError):  # without it, the program may update itself as well
        path = os.path.join(os.path.dirname(discovery_file()), 'installed-by.json')
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        temporary = f'{path}.{secrets.token_hex(4)}'
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w', encoding='utf-8') as file:
            json.dump({'installer': 'add-in', 'program': os.path.realpath(program), 'version': version}, file)
        os.replace(temporary, path)


def _move(copy: str, target: str) -> None:
    try:
        os.replace(copy, target)
    except PermissionError:
        # Windows does not replace a program that runs, but lets it be renamed.
        folder, name = os.path.split(target)
        aside = os.path.join(folder, f'{_TEMPORARY}{secrets.token_hex(4)}-{name}')
        os.replace(target, aside)
        try:
            os.replace(copy, target)
        except OSError:  # a virus scanner may hold the copy
            os.replace(aside, target)
            raise


def _sweep(folder: str) -> None:
    """Removes what an interrupted installation or a program that ran during an upgrade has left behind."""
    for name in os.listdir(folder):
        if name.startswith(_TEMPORARY) and name != f'{_TEMPORARY}lock':
            _remove(os.path.join(folder, name))


def _forget_update(bundled: Bundle, folder: str) -> None:
    """Removes what an interrupted `cadzero-auth update` has left: it would put an older program back."""
    for file in bundled.files:
        _remove(os.path.join(folder, f'{file.target_name}.previous'))
    shutil.rmtree(os.path.join(folder, f'{_TEMPORARY}update'), ignore_errors=True)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # it is gone, or runs
        os.remove(path)


def _sync_folder(folder: str) -> None:
    if sys.platform != 'win32':
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
