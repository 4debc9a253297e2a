"""The errors that a client raises; every one is an AuthError."""

from __future__ import annotations

import errno
from typing import Any


class AuthError(Exception):
    """A call failed. `code` and `data` come from the daemon's error response; `code` is None if there was none.

    As text, an error is its `message`, followed by its `hint` if it has one.
    """

    def __init__(self, message: str, code: int | None = None, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.data: dict[str, Any] = data or {}

    def __str__(self) -> str:
        return f'{self.message}; {self.hint}' if self.hint else self.message

    @property
    def reason(self) -> str | None:
        """The stable reason within `code`, such as `session_expired`; None if the daemon gave none."""
        reason = self.data.get('reason')
        return reason if isinstance(reason, str) else None

    @property
    def hint(self) -> str | None:
        """What the user can do, as an instruction; None if the error has no hint."""
        hint = self.data.get('hint')
        return hint if isinstance(hint, str) else None


class NoDaemonError(AuthError):
    """No daemon can be reached, and none could be started. The README lists the values of `reason`."""

    def __init__(self, message: str, reason: str = 'not_running', hint: str | None = None) -> None:
        super().__init__(message, data={'reason': reason, 'hint': hint or NO_DAEMON_HINTS.get(reason)})

    def __reduce__(self) -> tuple[Any, ...]:  # so that it can be copied and pickled
        return type(self), (self.message, self.reason, self.hint)


NO_DAEMON_HINTS: dict[str, str] = {
    'not_running': 'run cadzero-auth status to start it',
    'not_installed': 'install cadzero-auth, or set CADZERO_AUTH_COMMAND to the absolute path of the program',
    'start_failed': 'run cadzero-auth doctor',
    'cannot_lock': 'set CADZERO_AUTH_HOME to a folder on a local disk',
    'start_timeout': 'answer the prompt of the keyring if there is one, or run cadzero-auth doctor',
    'starting': 'wait a moment, then try again',
    'no_answer': 'run cadzero-auth daemon --replace if this lasts',
    'other_host': 'use cadzero-auth on that computer, or set CADZERO_AUTH_HOME to a folder that only this one uses',
    'other_network': 'use cadzero-auth there, or set CADZERO_AUTH_HOME to a folder that is used only here',
    'unreachable': 'allow connections to 127.0.0.1 in the firewall or security program, then try again',
    'resource_exhausted': 'close files or threads of this program, or raise its limits, then try again',
    'closed': 'call again; the client connects again',
}


class NotGenuineError(AuthError):
    """The server on the daemon's port did not prove that it is the user's daemon. The client sent it no call."""


class ConnectionLostError(AuthError):
    """The daemon stopped or was replaced before it answered."""


class DaemonTimeoutError(AuthError):
    """The daemon did not answer within the caller's `timeout`."""


class InteractionRequiredError(AuthError):
    """The user must sign in."""


class SignInFailedError(AuthError):
    """The sign-in was cancelled, denied or timed out."""


class TemporarilyUnavailableError(AuthError):
    """The network or Clerk is unavailable. The session is kept."""

    @property
    def retry_after_seconds(self) -> float | None:
        """Seconds to wait before the next try; None if the daemon gave none."""
        value = self.data.get('retryAfterSeconds')
        return float(value) if isinstance(value, (int, float)) else None


class ProviderRejectedError(AuthError):
    """Clerk rejected the configuration. Signing in again does not help."""


class StoreUnavailableError(AuthError):
    """The session cannot be read or written at present, for example because the keyring is locked."""


class ShuttingDownError(AuthError):
    """The daemon is shutting down."""


class ConfigurationError(AuthError):
    """A setting is invalid; `data['setting']` names it."""


ERRORS_BY_CODE: dict[int, type[AuthError]] = {
    1001: InteractionRequiredError,
    1002: SignInFailedError,
    1003: TemporarilyUnavailableError,
    1004: ProviderRejectedError,
    1005: StoreUnavailableError,
    1006: ShuttingDownError,
    1007: ConfigurationError,
}


def resource_exhausted(error: OSError | RuntimeError) -> NoDaemonError:
    """Returns the error for a system that gives this process no further file, thread or memory."""
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return NoDaemonError(f'the program cannot connect to the daemon: {cause}', 'resource_exhausted')


_LIMITS = {'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'WSAEMFILE', 'WSAENOBUFS'}


def is_resource_exhausted(error: OSError) -> bool:
    """Whether the cause of `error` is a limit of this process or system, not the file or the peer."""
    return errno.errorcode.get(error.errno or 0) in _LIMITS


def invalid_response() -> AuthError:
    """Returns the error for a response that does not fit the contract."""
    return AuthError('the daemon sent an invalid response')


def error_from_response(error: object) -> AuthError:
    """Returns the exception for the `error` member of a JSON-RPC response."""
    if not isinstance(error, dict):
        return invalid_response()
    code, data = error.get('code'), error.get('data')
    kind: type[AuthError] = ERRORS_BY_CODE.get(code, AuthError) if isinstance(code, int) else AuthError
    return kind(str(error.get('message')), code, data if isinstance(data, dict) else None)
