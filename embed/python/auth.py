"""Drop-in for the add-in's own auth.py: the same names and shapes, while the daemon keeps the session.

Copy this file and the folder cadzero_auth to the place of the add-in's auth.py; the rest of the add-in stays as it is.
`get_auth_headers()` returns a token that is still valid, and the user does not have to sign in again when it expires.

On Fusion's main thread no function waits longer than 0.2 seconds, unless its caller passes a `timeout` or it is
`initiate_clerk_signin`. A state that is not known yet is `starting` or `unavailable`, never signed out.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cadzero_auth

    config: Any = None
else:
    try:
        from . import cadzero_auth
    except ImportError:  # outside a package, as in a script
        import cadzero_auth
    try:
        from . import config
    except ImportError:  # an add-in that does not switch between backends
        config = None

SIGN_IN_SECONDS = 300
EXPIRY_BUFFER = 30  # seconds by which the add-in counts a token as expired before it is

# The backends of the add-in's config.py, and the profile whose tokens each of them accepts.
PROFILES = {
    'http://localhost:4000': 'local',
    'https://staging-utilities-c8p2.encr.app': 'staging',
    'https://prod-utilities-c8p2.encr.app': 'production',
}

_previous = globals().get('client')  # importlib.reload
_add_in = cadzero_auth.AddIn(os.path.dirname(os.path.abspath(__file__)), config, PROFILES)
client = _add_in.client
if _previous is not None:
    _previous.close(0)
    client.take_over(_previous)


def start() -> None:
    """Connects, and installs the program that the add-in brings along, in the background. Call it in run(context).

    Without it, the first call does the same.
    """
    _add_in.start()


def stop() -> None:
    """Closes the connection; the session is kept. Call it in stop(context). The next call connects again."""
    _add_in.stop()


def use_profile(name: str | None) -> None:
    """Chooses the profile of all calls that name none; None: that of the add-in's current endpoint."""
    _add_in.chosen_profile = name


def last_error() -> cadzero_auth.Problem | None:
    """Returns why the last call failed: `code`, `message` (a sentence) and `hint`; None if it succeeded."""
    return _add_in.last_problem


class AuthToken:
    """The add-in's class of this name. It asks the daemon and stores no token."""

    def get_auth_header(self, profile: str | None = None, timeout: float | None = None) -> dict[str, str]:
        """Returns the headers for a request, or {} if there is none: `last_error` says why.

        Opens no browser and raises nothing.
        """
        try:
            chosen = _add_in.begin(profile)
            headers = _add_in.client.get_auth_header(chosen, timeout=cadzero_auth.patience(timeout))
        except cadzero_auth.AuthError as error:
            _add_in.note('no header', error)
            return {}
        _add_in.succeeded()
        return headers

    def is_authenticated(self) -> bool:
        """Returns whether a user is signed in, as far as is known."""
        return bool(get_current_user()['is_authenticated'])

    def refresh_token(self, timeout: float | None = None) -> bool:
        """Refreshes the token now; returns whether that succeeded."""
        try:
            _add_in.client.refresh(profile=_add_in.begin(None), timeout=cadzero_auth.patience(timeout))
        except cadzero_auth.AuthError as error:
            _add_in.note('not refreshed', error)
            return False
        _add_in.succeeded()
        return True

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
        """Signs the user out and raises nothing; kept for existing callers."""
        with contextlib.suppress(cadzero_auth.AuthError):
            sign_out()

    @property
    def token(self) -> str | None:
        """The current token, for callers that build the header themselves; None if no user is signed in."""
        return self.get_auth_header().get('Authorization', '')[len('Bearer ') :] or None

    @property
    def user_id(self) -> str | None:
        """The id of the signed-in user, or None."""
        return get_current_user().get('user_id')

    @property
    def user_email(self) -> str | None:
        """The e-mail address of the signed-in user, or None."""
        return get_current_user().get('user_email')

    @property
    def user_name(self) -> str | None:
        """The name of the signed-in user, or None."""
        return get_current_user().get('user_name')

    @property
    def session_id(self) -> str | None:
        """The id of the Clerk session, or None."""
        return _add_in.status(None, None)[0].get('sessionId')

    @property
    def token_expiry(self) -> float | None:
        """The expiry of the token in Unix seconds, less EXPIRY_BUFFER; None if no user is signed in."""
        expires_at: float | None = _add_in.status(None, None)[0].get('tokenExpiresAt')
        return None if expires_at is None else expires_at - EXPIRY_BUFFER


auth_token = AuthToken()


def get_auth_headers(profile: str | None = None, timeout: float | None = None) -> dict[str, str]:
    """Returns the headers for a request, or {}: `last_error` says why."""
    return auth_token.get_auth_header(profile, timeout)


def get_current_user(profile: str | None = None, timeout: float | None = None) -> dict[str, Any]:
    """Returns the user in the shape that the add-in's palette expects, with two more members.

    state: signed_in, signed_out, signing_in, starting or unavailable. In the last two, `is_authenticated` and the user
    are those that were last heard of.
    error: None, or `code`, `message` and `hint` of what went wrong.
    """
    status, state, problem = _add_in.status(profile, timeout)
    user = status.get('user')
    shape: dict[str, Any] = {'is_authenticated': bool(user), 'state': state}
    if user:
        shape.update(user_id=user.get('id'), user_email=user.get('email'), user_name=user.get('name'))
    return {**shape, 'error': None if problem is None else problem.to_dict()}


def initiate_clerk_signin(profile: str | None = None) -> bool:
    """Opens the browser and waits up to SIGN_IN_SECONDS for the user, in any thread: call it in one of your own.

    Returns whether the user is signed in. Raises AuthError if the sign-in could not begin, so that the palette does not
    say that it was cancelled.
    """
    try:
        status = _add_in.client.login(_add_in.begin(profile), timeout=SIGN_IN_SECONDS)
    except cadzero_auth.SignInFailedError as error:
        _add_in.note('not signed in', error)
        return False
    except cadzero_auth.AuthError as error:
        _add_in.note('not signed in', error)
        raise
    _add_in.succeeded()
    return bool(status.get('state') == 'signed_in')


def start_sign_in(profile: str | None = None, open_browser: bool = True) -> None:
    """Starts a sign-in in the background and returns at once. `sign_in_link` soon has its link."""
    thread = threading.Thread(
        target=_start_sign_in, args=(profile, open_browser), name='cadzero-auth-sign-in', daemon=True
    )
    thread.start()


def _start_sign_in(profile: str | None, open_browser: bool) -> None:
    try:
        _add_in.client.login(_add_in.begin(profile), open_browser=open_browser, wait=False, timeout=SIGN_IN_SECONDS)
    except cadzero_auth.AuthError as error:
        _add_in.note('not signed in', error)
    else:
        _add_in.succeeded()


def sign_in_link(profile: str | None = None) -> str | None:
    """Returns the link of the sign-in in progress, without waiting; None if there is none."""
    try:
        status = _add_in.client.known_status(_add_in.profile_of(profile)) or {}
    except cadzero_auth.AuthError:
        return None
    link = status.get('authorizationUrl')
    return link if isinstance(link, str) else None


def sign_out(profile: str | None = None, timeout: float | None = None) -> None:
    """Signs out. Returns if the daemon has confirmed that the session is deleted here.

    Raises SignOutPendingError if it has not: the sign-out is then done when the daemon is back, if that is the same
    session. Raises another AuthError if it has failed.
    """
    try:
        _add_in.client.sign_out(_add_in.begin(profile), timeout=cadzero_auth.patience(timeout))
    except cadzero_auth.AuthError as error:
        _add_in.note('not signed out', error)
        raise
    _add_in.succeeded()
