"""The errors that a client raises; every one is an AuthError."""

from __future__ import annotations

from typing import Any


class AuthError(Exception):
    """A call failed. `code` and `data` come from the daemon's error response; `code` is None if there was none."""

    def __init__(self, message: str, code: int | None = None, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data: dict[str, Any] = data or {}

    @property
    def reason(self) -> str | None:
        """The stable reason within `code`, such as `session_expired`; None if the daemon gave none."""
        reason = self.data.get('reason')
        return reason if isinstance(reason, str) else None


class NoDaemonError(AuthError):
    """No daemon is running, and none could be started."""


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
