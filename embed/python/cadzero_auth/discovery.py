"""The discovery file: where the daemon listens, and the key with which client and daemon prove themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from .errors import NoDaemonError, NotGenuineError, is_resource_exhausted, resource_exhausted
from .folders import data_folder

MAX_FILE_BYTES = 16 * 1024  # the daemon writes about 500; later versions may add members


def discovery_file() -> str:
    """Returns the path of the discovery file, computed as the daemon computes it.

    Raises ConfigurationError if a variable that the daemon reads names no folder that can be used.
    """
    return os.path.join(data_folder(), 'endpoint.json')


@dataclass(frozen=True)
class Endpoint:
    """The validated content of a discovery file. The last three members only explain why a daemon is not reached."""

    authority: str
    port: int
    path: str
    instance: str
    key: bytes = field(repr=False)
    pid: int | None = None
    host: str | None = None
    boot_id: str | None = None

    @classmethod
    def parse(cls, value: object) -> Endpoint:
        """Raises ValueError, with the name of the member, if `value` is not a discovery document of version 1."""
        if not isinstance(value, dict) or value.get('version') != 1:
            raise ValueError('version')
        authority = _text(value, 'endpoint', r'127\.0\.0\.1:[0-9]{1,5}')
        port = int(authority.rpartition(':')[2])
        if not 0 < port <= 0xFFFF:
            raise ValueError('endpoint')
        return cls(
            authority,
            port,
            _text(value, 'path', r'/[A-Za-z0-9/_.-]{0,100}'),
            _text(value, 'instance', r'[A-Za-z0-9_-]{22}'),
            base64.urlsafe_b64decode(_text(value, 'key', r'[A-Za-z0-9_-]{43}') + '='),
            _process_id(value.get('pid')),
            _name(value.get('host')),
            _name(value.get('bootId')),
        )

    def mac(self, role: str, nonce: str) -> str:
        """Returns the proof of `role` (`client` or `server`) for this nonce: HMAC-SHA256 in base64url."""
        message = '\n'.join((role, self.authority, self.instance, nonce)).encode()
        return base64url(hmac.new(self.key, message, hashlib.sha256).digest())


def base64url(data: bytes) -> str:
    """Encodes without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


def read_endpoint(path: str) -> Endpoint:
    """Reads the discovery file.

    Raises NoDaemonError if the file is missing or invalid, and NotGenuineError if another user could have read or
    written it.
    """
    flags = os.O_RDONLY | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise NoDaemonError('no daemon is running', 'not_running') from None
    except OSError as error:
        if is_resource_exhausted(error):
            raise resource_exhausted(error) from None
        raise NotGenuineError('the discovery file is unreadable or a symbolic link') from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise NotGenuineError('the discovery file is not a regular file')
        if hasattr(os, 'getuid') and status.st_uid != os.getuid():
            raise NotGenuineError('the discovery file belongs to another user; run this program as that user')
        if hasattr(os, 'getuid') and status.st_mode & 0o077:
            raise NotGenuineError('the discovery file is accessible to other users')
        text = os.read(handle, MAX_FILE_BYTES)
    finally:
        os.close(handle)
    try:
        return Endpoint.parse(json.loads(text))
    except ValueError:
        raise NoDaemonError('no daemon is running: the discovery file is invalid', 'not_running') from None


def _text(value: dict[str, Any], name: str, pattern: str) -> str:
    text = value.get(name)
    if not isinstance(text, str) or not re.fullmatch(pattern, text):
        raise ValueError(name)
    return text


def _process_id(value: object) -> int | None:
    return value if type(value) is int and 0 < value < 1 << 31 else None


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() else None
