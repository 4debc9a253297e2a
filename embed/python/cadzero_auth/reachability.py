"""Explains why the daemon of a discovery file cannot be reached: it has ended, runs elsewhere, or is cut off."""

from __future__ import annotations

import os
import socket
import sys

from .discovery import Endpoint
from .errors import NoDaemonError, is_resource_exhausted, resource_exhausted


def connection_error(endpoint: Endpoint, error: OSError) -> NoDaemonError:
    """Returns the error for a connection to `endpoint` that the system refused, dropped or did not try."""
    if is_resource_exhausted(error):
        return resource_exhausted(error)
    elsewhere = other_host(endpoint)
    if elsewhere is not None:
        return elsewhere
    # A process id of an earlier start of the system says nothing about the process that has it now.
    is_of_this_start = endpoint.boot_id is None or endpoint.boot_id == _boot_id()
    if is_of_this_start and endpoint.pid is not None and is_alive(endpoint.pid):
        if _has_other_loopback(endpoint.pid):
            where = f'process {endpoint.pid} on {socket.gethostname()}'
            message = f'the daemon ({where}) runs in another network namespace, such as that of a container'
            return NoDaemonError(message, 'other_network')
        message = f'the daemon (process {endpoint.pid}) runs, but connections to it are refused or dropped'
        return NoDaemonError(message, 'unreachable')
    return NoDaemonError('no daemon is running', 'not_running')


def other_host(endpoint: Endpoint) -> NoDaemonError | None:
    """Returns the error for a daemon that runs on another computer; None if it runs on this one, or does not say."""
    if endpoint.host is None or endpoint.host.casefold() == socket.gethostname().casefold():
        return None
    message = f'the daemon runs on the computer {endpoint.host}, which uses the same folders'
    return NoDaemonError(message, 'other_host')


def _has_other_loopback(pid: int) -> bool:
    """Returns whether the process has another 127.0.0.1 than this one; False if the system does not tell."""
    try:
        return os.readlink(f'/proc/{pid}/ns/net') != os.readlink('/proc/self/ns/net')
    except OSError:
        return False


def _boot_id() -> str | None:
    """Returns the id of this start of the system; None if the system does not tell (macOS, Windows)."""
    try:
        with open('/proc/sys/kernel/random/boot_id', encoding='ascii') as file:
            return file.read().strip()
    except (OSError, ValueError):
        return None


if sys.platform == 'win32':
    import ctypes
    from ctypes import wintypes

    _SYNCHRONIZE = 0x00100000
    _WAIT_TIMEOUT = 0x102

    def is_alive(pid: int) -> bool:
        """Returns whether a process of this user has this id."""
        # os.kill(pid, 0) would send the process a Ctrl+C here.
        kernel32 = ctypes.WinDLL('kernel32')
        kernel32.OpenProcess.argtypes = (wintypes.DWORD, wintypes.BOOL, wintypes.DWORD)
        kernel32.OpenProcess.restype = wintypes.HANDLE
        kernel32.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
        kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
        process = kernel32.OpenProcess(_SYNCHRONIZE, False, pid)
        if not process:
            return False
        try:
            return bool(kernel32.WaitForSingleObject(process, 0) == _WAIT_TIMEOUT)
        finally:
            kernel32.CloseHandle(process)

else:

    def is_alive(pid: int) -> bool:
        """Returns whether a process of this user has this id."""
        try:
            os.kill(pid, 0)
        except OSError:
            return False  # also if it belongs to another user: it is not this user's daemon then
        return True
