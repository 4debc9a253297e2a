"""Drop-in for the add-in's own auth.py: the same names and shapes, with the session kept by cadzero-auth.

Put this file and cadzero_auth.py in its place. Nothing else of the add-in has to change: whoever called
`get_auth_headers()` before a request gets a token that is still good, and no sign-in is asked for each minute.
"""

import logging
import os
import subprocess
import threading

try:
    from . import cadzero_auth
except ImportError:  # outside a package, as in a test or a script
    import cadzero_auth

log = logging.getLogger('cadzero_auth')

SIGN_IN_SECONDS = 300
IMPORT_SECONDS = 30
EXPIRY_BUFFER = 30  # s; the add-in counts a token as expired so long before it is

_LEGACY_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '.auth_token.json')

client = cadzero_auth.Client()


class AuthToken:
    """The surface of the class of this name that the add-in has. It holds no token: the daemon does."""

    def get_auth_header(self):
        """The headers for a request, or {} where nobody is signed in. Never opens a browser, never raises."""
        _bring_legacy_session()
        try:
            return client.get_auth_header(interactive=False)
        except cadzero_auth.AuthError as error:
            _note('no header', error)
            return {}

    def is_authenticated(self):
        return bool(self._user())

    def refresh_token(self):
        """A new token now. False where there is none to be had."""
        try:
            client.refresh()
            return True
        except cadzero_auth.AuthError as error:
            _note('not refreshed', error)
            return False

    def is_token_expired(self):
        """The daemon renews tokens by itself: expired is who is not signed in."""
        return not self.is_authenticated()

    def save_token(self, token=None, user_id=None, user_email=None, user_name=None, session_id=None, token_expiry=None):
        """Kept for who calls it. A token is nobody's to keep any more, and this one goes nowhere."""

    def load_token(self):
        """Kept for who calls it."""

    def clear_token(self):
        """Kept for who calls it: signs out."""
        sign_out()

    @property
    def token(self):
        """The current token, for who still builds the header by hand; None where nobody is signed in."""
        return self.get_auth_header().get('Authorization', '')[len('Bearer '):] or None

    @property
    def user_id(self):
        return self._user().get('id')

    @property
    def user_email(self):
        return self._user().get('email')

    @property
    def user_name(self):
        return self._user().get('name')

    @property
    def session_id(self):
        return self._status().get('sessionId')

    @property
    def token_expiry(self):
        """Unix seconds, with the buffer that the add-in takes off; None where nobody is signed in."""
        expires_at = self._status().get('tokenExpiresAt')
        return None if expires_at is None else expires_at - EXPIRY_BUFFER

    def _user(self):
        return self._status().get('user') or {}

    def _status(self):
        _bring_legacy_session()
        try:
            return client.status()
        except cadzero_auth.AuthError as error:
            _note('no status', error)
            return {}


auth_token = AuthToken()


def initiate_clerk_signin():
    """Opens the browser and waits for the person, five minutes at most. True where they have signed in."""
    try:
        return client.login(timeout=SIGN_IN_SECONDS).get('state') == 'signed_in'
    except cadzero_auth.AuthError as error:
        _note('not signed in', error)
        return False


def sign_out():
    """Ends the session here in every case, and at Clerk as well as can be."""
    try:
        client.logout()
    except cadzero_auth.AuthError as error:
        _note('not signed out', error)


def get_current_user():
    """Who is signed in, in the shape that the add-in's palette knows."""
    status = auth_token._status()
    user = status.get('user')
    if not user:
        return {'is_authenticated': False}
    return {
        'user_id': user.get('id'),
        'user_email': user.get('email'),
        'user_name': user.get('name'),
        'is_authenticated': True,
    }


def get_auth_headers():
    """The headers for a request, or {} where nobody is signed in."""
    return auth_token.get_auth_header()


def stop():
    """To be called when the add-in stops; nobody is signed out."""
    client.close()


_import_lock = threading.Lock()
_import_done = threading.Event()


def _bring_legacy_session():
    """Once: takes the session over from the plain token file of the auth.py before this one. The command removes it."""
    if _import_done.is_set() or not os.path.isfile(_LEGACY_FILE):
        return
    with _import_lock:
        if _import_done.is_set():
            return
        _import_done.set()
        # Not in the caller's time: it may be Fusion's main thread. The next call finds what was taken over.
        threading.Thread(target=_import_legacy_file, name='cadzero-auth-import', daemon=True).start()


def _import_legacy_file():
    command = cadzero_auth.find_command()
    if command is None:
        return
    flags = {'creationflags': subprocess.CREATE_NO_WINDOW} if os.name == 'nt' else {}
    try:
        done = subprocess.run(
            [*command, 'import-legacy', _LEGACY_FILE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=cadzero_auth._child_environment(),
            timeout=IMPORT_SECONDS,
            **flags,
        )
        log.info('the older session was %s', 'taken over' if done.returncode == 0 else 'left alone')
    except (OSError, subprocess.SubprocessError) as error:
        log.warning('the older session was left alone: %s', type(error).__name__)


def _note(what, error):
    log.info('%s: %s %s', what, type(error).__name__, error.reason or '')
