"""The programs that an add-in brings along: which one is for this system, and whether its copy is complete."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from typing import BinaryIO, NamedTuple

from .errors import AuthError
from .versions import semver

SUMS = 'SHA256SUMS'
MAX_SUMS_BYTES = 64 * 1024
_LINE = re.compile(r'([0-9a-fA-F]{64}) [ *](?:\./)?([^\\/]+)')
_CHUNK = 1024 * 1024


class InstallError(AuthError):
    """The program of a bundle was not installed; what was there before is unchanged. `reason` says why."""

    def __init__(self, message: str, reason: str, hint: str | None = None) -> None:
        super().__init__(message, data={'reason': reason, 'hint': hint or HINTS.get(reason)})

    def __reduce__(self) -> tuple[type[InstallError], tuple[object, ...]]:
        return type(self), (self.message, self.reason, self.hint)


HINTS = {
    'no_bundle': 'install the add-in again',
    'no_program_for_system': 'install cadzero-auth by hand, see docs/install.md',
    'damaged': 'install the add-in again',
    'does_not_run': 'install cadzero-auth by hand, see docs/install.md',
    'not_writable': 'make room on the disk, or allow this program to write there, then start the add-in again',
    'unsafe_folder': 'run chmod o-w on that folder, or make it your own, then start the add-in again',
    'busy': 'wait until the other program has installed cadzero-auth, then start the add-in again',
}


class BundledFile(NamedTuple):
    """One executable of a bundle, and the name that it gets."""

    path: str
    sha256: str
    target_name: str


class Bundle(NamedTuple):
    """The executables for this system: the program, and on Windows a second one that starts without a console."""

    version: str
    files: tuple[BundledFile, ...]


def system_targets() -> list[str]:
    """Returns the names of the executables that this system runs, the best one first."""
    machine = platform.machine().lower()
    is_arm = machine in {'arm64', 'aarch64'}
    if sys.platform == 'win32':
        return ['win-x64']  # Windows on ARM runs it, too
    if sys.platform == 'darwin':
        # A Fusion that Rosetta translates sees an Intel processor; the version of the kernel names the real one.
        return ['macos-arm64', 'macos-x64'] if is_arm or 'ARM64' in platform.version() else ['macos-x64']
    return ['linux-arm64' if is_arm else 'linux-x64']


def read_bundle(folder: str) -> Bundle:
    """Finds the newest program for this system in `folder` and its SHA256SUMS.

    Raises InstallError with the reason no_bundle, no_program_for_system, or damaged if its checksum is missing.
    """
    sums = _read_sums(folder)
    unlisted: list[str] = []
    for target in system_targets():
        suffix = '.exe' if target.startswith('win-') else ''
        pattern = re.compile(rf'cadzero-auth-(\d+\.\d+\.\d+[0-9A-Za-z.-]*)-{target}{re.escape(suffix)}')
        versions = [match.group(1) for match in map(pattern.fullmatch, sums) if match]
        if versions:
            version = max(versions, key=semver)
            stems = ['cadzero-auth', 'cadzero-authd'] if suffix else ['cadzero-auth']
            names = [(f'{stem}-{version}-{target}{suffix}', stem + suffix) for stem in stems]
            files = (BundledFile(os.path.join(folder, name), sums[name], new) for name, new in names if name in sums)
            return Bundle(version, tuple(files))
        unlisted += filter(pattern.fullmatch, os.listdir(folder))
    if unlisted:
        raise InstallError(f'the program of the add-in is not in {SUMS}: {unlisted[0]}', 'damaged')
    raise InstallError('the add-in has no program for this system', 'no_program_for_system')


def _read_sums(folder: str) -> dict[str, str]:
    try:
        with open(os.path.join(folder, SUMS), encoding='utf-8-sig') as file:  # PowerShell writes a mark
            lines = file.read(MAX_SUMS_BYTES).splitlines()
    except (OSError, ValueError):
        raise InstallError(f'the add-in has no {SUMS} beside the program', 'no_bundle') from None
    return {match.group(2): match.group(1).lower() for match in map(_LINE.fullmatch, lines) if match}


def file_hash(path: str) -> str | None:
    """Returns the SHA-256 of a file in hexadecimal digits; None if it cannot be read."""
    if not os.path.isfile(path):
        return None  # a pipe would be waited for
    try:
        with open(path, 'rb') as file:
            digest = hashlib.sha256()
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return None
    return digest.hexdigest()


def copy_checked(file: BundledFile, copy: str) -> None:
    """Writes a copy that is durable and executable, and equal to the checksum.

    Raises InstallError with the reason damaged, or OSError. The caller removes an incomplete copy.
    """
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, 'O_BINARY', 0)
    with _open_program(file.path) as source, open(os.open(copy, flags, 0o700), 'wb') as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    if digest.hexdigest() != file.sha256:
        name = os.path.basename(file.path)
        raise InstallError(f'the program of the add-in is damaged: {name} differs from {SUMS}', 'damaged')
    os.chmod(copy, 0o755)  # noqa: S103 (a program)


def _open_program(path: str) -> BinaryIO:
    try:
        return open(path, 'rb')
    except OSError as error:  # a virus scanner may have removed it
        cause = error.strerror or type(error).__name__
        name = os.path.basename(path)
        raise InstallError(f'the program of the add-in cannot be read: {name}: {cause}', 'damaged') from None
