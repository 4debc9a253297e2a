"""The client that an add-in uses: one method for each method of the daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .desktop import desktop_environment
from .errors import AuthError, invalid_response
from .launcher import Command
from .transport import Listener, Transport

INVALID_PARAMS = -32602


class Client:
    """A client of the user's daemon. It connects on first use, and again after the connection is lost.

    Every method may be called from any thread and returns within its `timeout`, in seconds. Each method raises an
    AuthError if the call fails. Listeners are called in a background thread: in Fusion, a listener must hand over to
    the main thread with a custom event before it uses `adsk`.
    """

    def __init__(self, command: Command = None, start: bool = True, discovery: str | None = None) -> None:
        """Creates a client without connecting.

        command: the program that starts the daemon; None: find the installed one (see `find_command`).
        start: whether the client may start a daemon that is not running.
        discovery: the path of the discovery file; None: the daemon's default (see `discovery_file`).
        """
        self._transport = Transport(command, start, discovery)

    def get_auth_header(
        self,
        profile: str | None = None,
        interactive: bool = False,
        min_validity_seconds: float | None = None,
        timeout: float = 5.0,
    ) -> dict[str, str]:
        """Returns the headers for a request to the API; `interactive=True` may open the browser for a sign-in.

        Raises InteractionRequiredError if the user must sign in and `interactive` is false.
        """
        params = _given(profile=profile, interactive=interactive, minValiditySeconds=min_validity_seconds)
        return _headers(self.call('getAuthHeader', params, timeout, harmless=not interactive))

    def refresh(self, rejected: str | None = None, profile: str | None = None, timeout: float = 15.0) -> dict[str, str]:
        """Returns the headers with a newly issued token.

        rejected: the Authorization value that the API answered with 401. If the daemon has a newer token already, it
        returns that one, so that many callers cause one refresh.
        """
        params = _given(profile=profile, rejected=rejected)
        return _headers(self.call('refresh', params, timeout, harmless=rejected is not None))

    def login(  # noqa: PLR0913 (the params of the daemon's method)
        self,
        profile: str | None = None,
        open_browser: bool = True,
        wait: bool = True,
        timeout: float = 300.0,
        environment: dict[str, str] | None = None,
        *,
        prompt: str | None = None,
        method: str | None = None,
    ) -> dict[str, Any]:
        """Signs the user in with the browser and returns the status; with `wait=False`, returns it at once.

        environment: the desktop variables for the browser of this sign-in; None: those of this process.
        prompt: 'login' has the provider ask again who the user is, to sign in with another account.
        method: 'device' opens no browser: the user enters a code on another device. With `wait=False`, the status has
            it in `deviceAuthorization`: `userCode`, `verificationUri`, `verificationUriComplete`, `expiresAt`.

        Raises SignInFailedError if the sign-in is cancelled, denied or takes longer than `timeout`, and
        ProviderRejectedError with the reason 'device_authorization_unsupported' if the provider has no such method.
        """
        seconds = max(1.0, timeout)
        params = _given(
            profile=profile, openBrowser=open_browser, wait=wait, timeoutSeconds=seconds, prompt=prompt, method=method
        )
        # Two more seconds, so that the daemon's own timeout comes first and says why the sign-in failed.
        limit = timeout + 2 if wait else timeout
        handed_over = desktop_environment() if environment is None else environment
        if open_browser and handed_over and method != 'device':
            try:
                return _object(self.call('login', {**params, 'environment': handed_over}, limit))
            except AuthError as error:
                # A daemon of version 1.0 knows no environment. The caller's own mistake is not hidden.
                if error.code != INVALID_PARAMS or environment is not None:
                    raise
        return _object(self.call('login', params, limit))

    def cancel_login(self, profile: str | None = None, timeout: float = 5.0) -> dict[str, Any]:
        """Cancels the sign-in in progress, if any, and returns the status."""
        return _object(self.call('cancelLogin', _given(profile=profile), timeout))

    def logout(self, profile: str | None = None, timeout: float = 15.0) -> dict[str, Any]:
        """Deletes the session on this computer and revokes it at Clerk; `revoked` tells whether Clerk confirmed."""
        return _object(self.call('logout', _given(profile=profile), timeout))

    def status(self, profile: str | None = None, timeout: float = 5.0) -> dict[str, Any]:
        """Returns the status: the state, the user and the expiry times in Unix seconds. It never holds a token."""
        return _object(self.call('status', _given(profile=profile), timeout, harmless=True))

    def diagnose(self, profile: str | None = None, timeout: float = 15.0) -> dict[str, Any]:
        """Returns what the daemon sees of the network: proxy, certificates, whether Clerk responds; no secret."""
        return _object(self.call('diagnose', _given(profile=profile), timeout, harmless=True))

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with the status, in the background thread, whenever it changes.

        Returns the function that removes the listener. The client stays connected while it has listeners.
        """
        return self._transport.add_listener(listener)

    def call(
        self, method: str, params: dict[str, Any] | None = None, timeout: float = 5.0, harmless: bool = False
    ) -> Any:
        """Calls any method of the daemon and returns its result.

        harmless: whether the call may be sent once more if the connection is lost before the daemon answers.
        """
        return self._transport.call(method, params or {}, timeout, harmless)

    def close(self) -> None:
        """Closes the connection and ends the background thread. Call it when the add-in stops."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _given(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _headers(result: Any) -> dict[str, str]:
    headers = result.get('headers') if isinstance(result, dict) else None
    if not isinstance(headers, dict) or not isinstance(headers.get('Authorization'), str):
        raise invalid_response()
    return dict(headers)


def _object(result: Any) -> dict[str, Any]:
    if not isinstance(result, dict):
        raise invalid_response()
    return result
