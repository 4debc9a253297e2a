"""The client that an add-in uses: one method for each method of the daemon."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable
from typing import Any

from .attempts import Attempts
from .calls import Call
from .desktop import desktop_environment
from .errors import AuthError, InteractionRequiredError, invalid_response
from .header_cache import CachedHeader, Freshness
from .launcher import Command, find_command
from .session_view import SessionView
from .sign_outs import SignOuts
from .transport import Listener, Transport

INVALID_PARAMS = -32602


class Client:
    """A client of the user's daemon. It connects on first use, and again after the connection is lost.

    Every method may be called from any thread and returns within its `timeout`, in seconds; 0 never waits. Each method
    raises an AuthError if the call fails. Listeners are called in a background thread: in Fusion, a listener must hand
    over to the main thread with a custom event before it uses `adsk`.
    """

    def __init__(
        self,
        command: Command = None,
        start: bool = True,
        discovery: str | None = None,
        prepare: Callable[[], AuthError | None] | None = None,
    ) -> None:
        """Creates a client without connecting.

        command: the program that starts the daemon; None: find the installed one (see `find_command`).
        start: whether the client may start a daemon that is not running.
        discovery: the path of the discovery file; None: the daemon's default (see `discovery_file`).
        prepare: is called in the background thread before the program is looked for, for example to install it; returns
            why that failed.
        """
        self._command = command
        self._transport = Transport(command, start, discovery, prepare)
        self._remember()
        _clients.add(self)

    def _remember(self) -> None:
        """Starts with no header, no status and no attempt."""
        self._view = SessionView()
        self._attempts = Attempts(self._transport.submit, self._transport.reason_to_wait)
        self._sign_outs = SignOuts(
            self._transport.submit, self._transport.abandon, self._view, self._transport.reason_to_wait
        )
        self._view.on_answer = self._attempts.note_answer
        self._view.on_connected = self._ask_again
        self._view.on_status = self._sign_outs.note_status
        self._transport.view = self._view

    def _forget_parent(self) -> None:
        """Starts anew in a forked child, which has a copy of everything but the thread."""
        self._transport.reset()
        self._remember()

    def find_command(self) -> list[str] | None:
        """Returns the arguments of the process that runs cadzero-auth, or None if it is not installed."""
        return find_command(self._command)

    def get_auth_header(
        self,
        profile: str | None = None,
        interactive: bool = False,
        min_validity_seconds: float | None = None,
        timeout: float = 5.0,
    ) -> dict[str, str]:
        """Returns the headers for a request to the API; `interactive=True` may open the browser for a sign-in.

        The client keeps the headers and refreshes them in the background, so that most calls take microseconds. A
        header is dropped when the daemon reports a logout or another session.

        Raises InteractionRequiredError if the user must sign in and `interactive` is false.
        """
        if self._sign_outs.is_pending(profile):
            raise InteractionRequiredError('interaction required', 1001, {'reason': 'signed_out'})
        cached = self._view.headers.find(profile)
        freshness = Freshness.NONE if cached is None else cached.freshness(min_validity_seconds)
        if cached is not None and freshness is Freshness.FRESH:
            return dict(cached.headers)
        if cached is not None and freshness is Freshness.AGEING:
            self._refresh_in_background(cached, profile)
            return dict(cached.headers)
        params = _given(profile=profile, interactive=interactive, minValiditySeconds=min_validity_seconds)
        try:
            if interactive:
                return _headers(self.call('getAuthHeader', params, timeout))
            key = ('getAuthHeader', profile, min_validity_seconds)
            return _headers(self._attempts.get(key, 'getAuthHeader', params, timeout))
        except AuthError as error:
            is_usable = cached is not None and cached.freshness(0) is not Freshness.NONE
            if cached is None or not is_usable or isinstance(error, InteractionRequiredError):
                raise
            return dict(cached.headers)  # the daemon cannot be asked at present, and the token is valid

    def _refresh_in_background(self, cached: CachedHeader, profile: str | None) -> None:
        if cached.may_ask():
            with contextlib.suppress(AuthError):  # the next caller finds out, once the header has expired
                self._ask_for_header(profile)

    def _ask_for_header(self, profile: str | None) -> Call:
        params = _given(profile=profile, interactive=False)
        return self._attempts.start(('getAuthHeader', profile, None), 'getAuthHeader', params)

    def _ask_again(self) -> None:
        """Asks for each header that is held. Runs after each connect: a logout may have been missed before it."""
        self._sign_outs.note_connected()
        for profile in self._view.headers.usable_profiles():
            self._ask_for_header(profile)

    def refresh(self, rejected: str | None = None, profile: str | None = None, timeout: float = 15.0) -> dict[str, str]:
        """Returns the headers with a newly issued token.

        rejected: the Authorization value that the API answered with 401. If the daemon has a newer token already, it
        returns that one, so that many callers cause one refresh.
        """
        params = _given(profile=profile, rejected=rejected)
        if rejected is not None:
            self._view.headers.drop_token(rejected)
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
        self._sign_outs.cancel(profile)
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

    def logout(
        self, profile: str | None = None, timeout: float = 15.0, session_id: str | None = None
    ) -> dict[str, Any]:
        """Deletes the session on this computer and revokes it at Clerk; `revoked` tells whether Clerk confirmed.

        session_id: sign out only if this is still the session.
        """
        self._view.headers.drop(profile)
        params = _given(profile=profile, sessionId=session_id)
        return _object(self.call('logout', params, timeout, harmless=session_id is not None))

    def sign_out(self, profile: str | None = None, timeout: float = 15.0) -> None:
        """Signs out, now or as soon as the daemon answers, if that is the same session then.

        Returns when the daemon has confirmed that the session is deleted here; it revokes it at Clerk after that.
        Raises SignOutPendingError if it has not confirmed within `timeout`: until it does, this client gives out no
        header of the profile. Raises another AuthError if the sign-out failed and will not be repeated.
        """
        self._sign_outs.request(profile, timeout)

    def is_signing_out(self, profile: str | None = None) -> bool:
        """Returns whether a sign-out of this profile waits for the daemon."""
        return self._sign_outs.is_pending(profile)

    def status(self, profile: str | None = None, timeout: float = 5.0) -> dict[str, Any]:
        """Returns the status: the state, the user and the expiry times in Unix seconds. It never holds a token."""
        return _object(self._attempts.get(('status', profile, None), 'status', _given(profile=profile), timeout))

    def known_status(self, profile: str | None = None) -> dict[str, Any] | None:
        """Returns the last status that the daemon has sent, without asking it; None if there is none."""
        status = self._view.status(profile)
        return None if status is None else dict(status)

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

    def close(self, timeout: float = 2.0) -> None:
        """Closes the connection, and waits for the end of the background thread. A later call connects again."""
        self._transport.close(timeout)
        self._attempts.reset()

    def take_over(self, other: Client) -> None:
        """Takes over from a client that was closed: its last status, and the sign-outs that wait for the daemon."""
        self._view.adopt(other._view)
        self._sign_outs.adopt(other._sign_outs)

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


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _forget_parent() -> None:
    for client in list(_clients):
        client._forget_parent()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_parent)
