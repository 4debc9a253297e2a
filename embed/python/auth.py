"""Drop-in for the add-in's own auth.py: the same names and shapes, while the daemon keeps the session.

Copy this file and the folder cadzero_auth to the place of the add-in's auth.py; the rest of the add-in stays as it is.
`get_auth_headers()` returns a token that is still valid, and the user does not have to sign in again when it expires.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cadzero_auth
else:
    try:
        from . import cadzero_auth
    except ImportError:  # outside a package, as in a script
        import cadzero_auth

log = logging.getLogger('cadzero_auth')

SIGN_IN_SECONDS = 300
IMPORT_SECONDS = 30
EXPIRY_BUFFER = 30  # seconds by which the add-in counts a token as expired before it is

_LEGACY_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '.auth_token.json')

client = cadzero_auth.Client()


class AuthToken:
    """The add-in's class of this name. It asks the daemon and stores no token."""

    def get_auth_header(self) -> dict[str, str]:
        """Returns the headers for a request, or {} if no user is signed in. Opens no browser and raises nothing."""
        _import_legacy_session()
        try:
            return client.get_auth_header(interactive=False)
        except cadzero_auth.AuthError as error:
            _log_failure('no header', error)
            return {}

    def is_authenticated(self) -> bool:
        """Returns whether a user is signed in."""
        return bool(self._user())

    def refresh_token(self) -> bool:
        """Refreshes the token now; returns whether that succeeded."""
        try:
            client.refresh()
            return True
        except cadzero_auth.AuthError as error:
            _log_failure('not refreshed', error)
            return False

    def is_token_expired(self) -> bool:
        """Returns whether no user is signed in: the daemon refreshes an expired token by itself."""
        return not self.is_authenticated()

    def save_token(  # noqa: PLR0913, PLR0917 (the add-in's own signature)
        self,
        token: str | None = None,
        user_id: str | None = None,
        user_email: str | None = None,
        user_name: str | None = None,
        session_id: str | None = None,
        token_expiry: float | None = None,
    ) -> None:
        """Does nothing; kept for existing callers. The daemon alone stores tokens."""

    def load_token(self) -> None:
        """Does nothing; kept for existing callers."""

    def clear_token(self) -> None:
        """Signs the user out; kept for existing callers."""
        sign_out()

    @property
    def token(self) -> str | None:
        """The current token, for callers that build the header themselves; None if no user is signed in."""
        return self.get_auth_header().get('Authorization', '')[len('Bearer ') :] or None

    @property
    def user_id(self) -> str | None:
        """The id of the signed-in user, or None."""
        return self._user().get('id')

    @property
    def user_email(self) -> str | None:
        """The e-mail address of the signed-in user, or None."""
        return self._user().get('email')

    @property
    def user_name(self) -> str | None:
        """The name of the signed-in user, or None."""
        return self._user().get('name')

    @property
    def session_id(self) -> str | None:
        """The id of the Clerk session, or None."""
        return self._status().get('sessionId')

    @property
    def token_expiry(self) -> float | None:
        """The expiry of the token in Unix seconds, less EXPIRY_BUFFER; None if no user is signed in."""
        expires_at: float | None = self._status().get('tokenExpiresAt')
        return None if expires_at is None else expires_at - EXPIRY_BUFFER

    def _user(self) -> dict[str, Any]:
        return self._status().get('user') or {}

    def _status(self) -> dict[str, Any]:
        _import_legacy_session()
        try:
            return client.status()
        except cadzero_auth.AuthError as error:
            _log_failure('no status', error)
            return {}


auth_token = AuthToken()


def initiate_clerk_signin() -> bool:
    """Opens the browser and waits up to SIGN_IN_SECONDS for the user; returns whether the user is signed in."""
    try:
        return bool(client.login(timeout=SIGN_IN_SECONDS).get('state') == 'signed_in')
    except cadzero_auth.AuthError as error:
        _log_failure('not signed in', error)
        return False


def sign_out() -> None:
    """Deletes the session on this computer and revokes it at Clerk if Clerk can be reached."""
    try:
        client.logout()
    except cadzero_auth.AuthError as error:
        _log_failure('not signed out', error)


def get_current_user() -> dict[str, Any]:
    """Returns the signed-in user in the shape that the add-in's palette expects."""
    user = auth_token._user()
    if not user:
        return {'is_authenticated': False}
    return {
        'user_id': user.get('id'),
        'user_email': user.get('email'),
        'user_name': user.get('name'),
        'is_authenticated': True,
    }


def get_auth_headers() -> dict[str, str]:
    """Returns the headers for a request, or {} if no user is signed in."""
    return auth_token.get_auth_header()


def stop() -> None:
    """Closes the connection; the session is kept. Call it when the add-in stops."""
    client.close()


_import_lock = threading.Lock()
_import_started = threading.Event()


def _import_legacy_session() -> None:
    """Starts, once, the import of the token file that the add-in's own auth.py left behind."""
    if _import_started.is_set() or not os.path.isfile(_LEGACY_FILE):
        return
    with _import_lock:
        if _import_started.is_set():
            return
        _import_started.set()
        # In the background: the caller may be Fusion's main thread. The next call finds the imported session.
        threading.Thread(target=_import_legacy_file, name='cadzero-auth-import', daemon=True).start()


def _import_legacy_file() -> None:
    command = cadzero_auth.find_command()
    if command is None:
        return
    if sys.platform == 'win32':
        creation_flags = subprocess.CREATE_NO_WINDOW
    else:
        creation_flags = 0
    try:
        process = subprocess.run(
            [*command, 'import-legacy', _LEGACY_FILE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=cadzero_auth.launcher.child_environment(),
            timeout=IMPORT_SECONDS,
            creationflags=creation_flags,
            check=False,
        )
        log.info('the legacy session was %s', 'imported' if process.returncode == 0 else 'not imported')
    except (OSError, subprocess.SubprocessError) as error:
        log.warning('the legacy session was not imported: %s', type(error).__name__)


def _log_failure(what: str, error: cadzero_auth.AuthError) -> None:
    # The message of NoDaemonError tells what happened on this computer. That of another error only repeats its class.
    detail = error.message if isinstance(error, cadzero_auth.NoDaemonError) else error.reason
    log.info('%s: %s', what, '; '.join(part for part in (type(error).__name__, detail, error.hint) if part))
