"""What went wrong, in words for the user of an add-in: a code, a plain sentence, and what to do."""

from __future__ import annotations

from typing import NamedTuple

from .errors import (
    NO_DAEMON_HINTS,
    AuthError,
    ConfigurationError,
    ConnectionLostError,
    DaemonTimeoutError,
    InteractionRequiredError,
    NotGenuineError,
    ProviderRejectedError,
    ShuttingDownError,
    SignInFailedError,
    StoreUnavailableError,
    TemporarilyUnavailableError,
)
from .sign_outs import SignOutPendingError

Text = tuple[str, str]

_DOCTOR = 'Run cadzero-auth doctor.'
_AGAIN = 'Try again in a moment. You stay signed in.'
_SIGN_IN = 'Sign in.'
_SIGN_IN_AGAIN = 'Sign in again.'

_BY_REASON: dict[str, Text] = {
    'signed_out': ('You are not signed in.', _SIGN_IN),
    'session_expired': ('Your session has expired.', _SIGN_IN_AGAIN),
    'session_revoked': ('Your session was ended.', _SIGN_IN_AGAIN),
    'cancelled': ('The sign-in was cancelled.', _SIGN_IN_AGAIN),
    'access_denied': ('The sign-in was denied.', _SIGN_IN_AGAIN),
    'network': ('CADZERO cannot be reached.', 'Check the network connection, then try again. You stay signed in.'),
    'server': ('The sign-in service of CADZERO has a problem.', _AGAIN),
    'rate_limited': ('The sign-in service of CADZERO is busy.', _AGAIN),
    'starting': ('The connection to CADZERO is starting.', 'Wait a moment.'),
    'start_timeout': ('The program cadzero-auth is starting.', 'Answer the prompt of the keyring if there is one.'),
    'closed': ('The connection to CADZERO was closed.', _AGAIN),
    'not_installed': ('The program cadzero-auth is not installed.', 'Reinstall the add-in, or install cadzero-auth.'),
    'unknown_endpoint': ('The backend of the add-in has no profile in cadzero-auth.', _DOCTOR),
    'key_locked': ('The keyring is locked, so that your session cannot be read.', 'Unlock the keyring.'),
    'disk_full': ('The disk is full, so that your session cannot be saved.', 'Make room on the disk.'),
}

_BY_KIND: tuple[tuple[type[AuthError], str, Text], ...] = (
    (InteractionRequiredError, 'signed_out', _BY_REASON['signed_out']),
    (SignInFailedError, 'sign_in_failed', ('The sign-in did not succeed.', _SIGN_IN_AGAIN)),
    (TemporarilyUnavailableError, 'unavailable', _BY_REASON['network']),
    (ProviderRejectedError, 'rejected', ('The sign-in service of CADZERO rejects the configuration.', _DOCTOR)),
    (StoreUnavailableError, 'store_unavailable', ('Your session cannot be read at present.', _DOCTOR)),
    (ConfigurationError, 'configuration', ('A setting of cadzero-auth is wrong.', _DOCTOR)),
    (NotGenuineError, 'not_genuine', ('Another program has taken the place of cadzero-auth.', _DOCTOR)),
    (DaemonTimeoutError, 'unavailable', ('The program cadzero-auth does not answer.', _AGAIN)),
    (ConnectionLostError, 'unavailable', ('The program cadzero-auth was restarted.', _AGAIN)),
    (ShuttingDownError, 'unavailable', ('The program cadzero-auth is being restarted.', _AGAIN)),
)

STARTING = {'starting', 'start_timeout'}


class Problem(NamedTuple):
    """A failure in the words of the add-in's user. The README lists the frequent codes."""

    code: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f'{self.message} {self.hint}'

    def to_dict(self) -> dict[str, str]:
        """Returns it as an object for a palette."""
        return self._asdict()


def problem_of(error: AuthError) -> Problem:
    """Returns what to tell the user about this error."""
    reason = error.reason or ''
    code, text = error.reason or 'failed', _BY_REASON.get(reason)
    own_hint = error.hint if error.hint != NO_DAEMON_HINTS.get(reason) or text is None else None
    if own_hint is not None and reason == 'not_installed':
        text = None  # its message says why the program of the add-in was not installed
    for kind, kind_code, kind_text in _BY_KIND:
        if isinstance(error, kind):
            code = kind_code if isinstance(error, DaemonTimeoutError) else error.reason or kind_code
            text = text or kind_text
            break
    if error.data.get('setting') == 'profile' and isinstance(error.data.get('expected'), str):
        text = ('The add-in asks for a profile that cadzero-auth does not have.', f'Use {error.data["expected"]}.')
    message, hint = text or (_sentence(error.message), _DOCTOR)
    if isinstance(error, SignOutPendingError) and text is not None:
        message = f'You are not signed out yet. {message}'
    return Problem(code, message, _sentence(own_hint) if own_hint else hint)


def state_of(error: AuthError) -> str:
    """Returns signed_out, starting or unavailable: only the daemon's own answer means that no user is signed in."""
    if isinstance(error, InteractionRequiredError):
        return 'signed_out'
    return 'starting' if error.reason in STARTING else 'unavailable'


def _sentence(text: str) -> str:
    text = text.strip()
    return f'{text[:1].upper()}{text[1:]}' + ('' if text.endswith(('.', '!', '?')) else '.')
