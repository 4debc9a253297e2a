"""Which of two builds of cadzero-auth is newer: by semantic version, then by the time of the commit."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

from .folders import working_folder
from .launcher import child_environment

VERSION_SECONDS = 30.0  # a virus scanner may look at a new program first
BUSY_SECONDS = 2.0  # of a program that was just written
OUTPUT_SECONDS = 1.0  # for the output of a process that has ended
MAX_OUTPUT_BYTES = 64 * 1024
_SEMVER = re.compile(r'(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?')


def semver(version: str) -> tuple[Any, ...]:
    """Returns a key that sorts by precedence (SemVer 2.0, section 11). A text that is no version sorts first."""
    match = _SEMVER.fullmatch(version)
    if match is None:
        return (-1,)
    pre_release = match.group(4)
    numbers = tuple(int(match.group(part)) for part in (1, 2, 3))
    if pre_release is None:
        return (*numbers, 1)
    parts = [(0, int(part), '') if part.isdigit() else (1, 0, part) for part in pre_release.split('.')]
    return (*numbers, 0, tuple(parts))


class Build(NamedTuple):
    """One build of the program."""

    version: str
    commit_time: str  # RFC 3339 in UTC, or empty if the build does not say

    def is_newer_than(self, other: Build) -> bool:
        """Returns whether this build replaces `other`."""
        return (semver(self.version), self.commit_time) > (semver(other.version), other.commit_time)


def build_of(program: Sequence[str]) -> Build | None:
    """Asks a program which build it is; None if it does not run."""
    answer = run_program([*program, 'version', '--json'], VERSION_SECONDS)
    try:
        value = json.loads(answer[1])
        return Build(str(value['version']), str(value.get('commitTime') or ''))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    status, output, _ = run_program([*program, '--version'], VERSION_SECONDS)  # a program of version 1.0
    match = _SEMVER.match(output) if status == 0 else None
    return Build(match.group(0), '') if match else None


def run_program(arguments: Sequence[str], seconds: float) -> tuple[int | None, str, str]:
    """Runs a program to its end, without a window; returns its exit code, output and errors.

    The exit code is None if the program did not run, or not to its end within `seconds`.
    """
    if sys.platform == 'win32':
        creation_flags = subprocess.CREATE_NO_WINDOW
    else:
        creation_flags = 0
    try:
        process = _start(arguments, creation_flags)
    except (OSError, ValueError) as error:
        return None, '', getattr(error, 'strerror', None) or type(error).__name__
    outputs = [_Output(process.stdout), _Output(process.stderr)]
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None, '', f'it did not end within {seconds:.0f} seconds'
    output, errors = (stream.text() for stream in outputs)
    return process.returncode, output, errors


def _start(arguments: Sequence[str], creation_flags: int) -> subprocess.Popen[bytes]:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=working_folder(),
                env=child_environment(),
                creationflags=creation_flags,
            )
        except OSError as error:
            # A process that another thread is starting still holds the handle with which the program was written.
            if error.errno != errno.ETXTBSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class _Output:
    """What a process writes into a pipe. It has ended with the process, although a daemon may have inherited it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._pipe = pipe
        self._received = bytearray()
        self._thread = threading.Thread(target=self._read, name='cadzero-auth-output', daemon=True)
        self._thread.start()

    def text(self) -> str:
        self._thread.join(OUTPUT_SECONDS)
        return bytes(self._received[:MAX_OUTPUT_BYTES]).decode('utf-8', 'replace')

    def _read(self) -> None:
        if self._pipe is None:
            return
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 4096):
                if len(self._received) < MAX_OUTPUT_BYTES:
                    self._received += chunk
