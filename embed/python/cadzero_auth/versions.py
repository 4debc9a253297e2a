"""Which of two builds of cadzero-auth is newer: by semantic version, then by the time of the commit."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from .folders import working_folder
from .launcher import child_environment

VERSION_SECONDS = 30.0  # a virus scanner may look at a new program first
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
        process = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=working_folder(),
            env=child_environment(),
            timeout=seconds,
            creationflags=creation_flags,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return None, '', getattr(error, 'strerror', None) or type(error).__name__
    return process.returncode, process.stdout.decode('utf-8', 'replace'), process.stderr.decode('utf-8', 'replace')
