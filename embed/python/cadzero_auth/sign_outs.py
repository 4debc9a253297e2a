"""Sign-outs that succeed only if the daemon has confirmed them; one that it has not is done when it is back.

The daemon compares the session: a sign-out that comes late never ends a session that began in the meantime.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Any

from .attempts import LONGEST_ATTEMPT
from .calls import Call
from .errors import AuthError
from .session_view import SessionView

Submit = Callable[[Call], object]


class SignOutPendingError(AuthError):
    """The daemon has not confirmed the sign-out yet. It is done when the daemon answers; `reason` says why it waits."""


class _Request:
    """One sign-out. It is settled when the daemon has confirmed it, or when it has failed."""

    def __init__(self, session_id: str | None) -> None:
        self.session_id = session_id
        self.settled = threading.Event()
        self.error: AuthError | None = None

    def settle(self, error: AuthError | None = None) -> None:
        self.error = error
        self.settled.set()


class SignOuts:
    """The sign-outs of one client."""

    def __init__(
        self,
        submit: Submit,
        abandon: Callable[[Call], None],
        view: SessionView,
        reason_to_wait: Callable[[], AuthError],
    ) -> None:
        """Creates it without a sign-out.

        submit: sends a call.
        abandon: takes back a call that has not been sent.
        """
        self._submit = submit
        self._abandon = abandon
        self._view = view
        self._reason_to_wait = reason_to_wait
        self._pending: dict[str, _Request] = {}  # by profile

    def is_pending(self, profile: str | None) -> bool:
        """Returns whether the user has signed out of this profile, and the daemon has not confirmed it yet."""
        return bool(self._pending) and self._name(profile) in self._pending

    def cancel(self, profile: str | None) -> None:
        """Forgets the sign-out of this profile: the user signs in again."""
        self._pending.pop(self._name(profile) or '', None)
        self._view.keeps_connection = bool(self._pending)

    def adopt(self, other: SignOuts) -> None:
        """Takes over the sign-outs of a client that was closed. They are sent with the next connection."""
        self._pending.update(other._pending)
        self._view.keeps_connection = bool(self._pending)

    def request(self, profile: str | None, timeout: float) -> None:
        """Signs out. Raises SignOutPendingError if the daemon has not confirmed within `timeout`, or why it failed."""
        deadline = time.monotonic() + timeout
        self._view.headers.drop(profile)
        name, status = self._name(profile), self._view.status(profile) or {}
        request = _Request(status.get('sessionId'))
        if name is not None and request.session_id is not None:
            self._pending[name] = request
            self._view.keeps_connection = True
        call = self._send(name, request)
        if request.settled.wait(max(0.0, deadline - time.monotonic())):
            if request.error is not None:
                raise copy.copy(request.error)
            return
        if request.session_id is None:
            self._abandon(call)  # it is not known whose session a late sign-out would end
            raise self._reason_to_wait()
        raise _pending_error(self._reason_to_wait())

    def note_connected(self) -> None:
        """Sends again what the daemon has not confirmed. Runs in the background thread, as the methods below."""
        for name, request in list(self._pending.items()):
            self._send(name, request)

    def note_status(self, status: dict[str, Any]) -> None:
        """Confirms the sign-out of a session that is no longer the one of its profile."""
        name = str(status.get('profile'))
        request = self._pending.get(name)
        if request is not None and status.get('sessionId') != request.session_id:
            self._settle(name, request, _other_session() if status.get('state') == 'signed_in' else None)

    def _name(self, profile: str | None) -> str | None:
        if profile is not None:
            return profile
        status = self._view.status(None)
        return str(status['profile']) if status and status.get('profile') else None

    def _send(self, name: str | None, request: _Request) -> Call:
        params = {'profile': name, 'sessionId': request.session_id}
        given = {key: value for key, value in params.items() if value is not None}
        is_conditional = request.session_id is not None
        call = Call(
            'logout', given, is_conditional, LONGEST_ATTEMPT, lambda done: self._note_result(name, request, done)
        )
        self._submit(call)
        return call

    def _note_result(self, name: str | None, request: _Request, call: Call) -> None:
        error = call.error
        if name is None or request.session_id is None:
            request.settle(error)
        elif error is None:
            # The daemon gives the same answer if it could not read the session: its status tells whether that is gone.
            self._submit(Call('status', {'profile': name}, True, LONGEST_ATTEMPT))
        elif error.code is not None:
            self._settle(name, request, error)  # the daemon refuses, and the user stays signed in
        elif not request.settled.is_set():
            request.settle(_pending_error(error))

    def _settle(self, name: str, request: _Request, error: AuthError | None = None) -> None:
        if self._pending.get(name) is request:
            self.cancel(name)
        request.settle(error)


def _other_session() -> AuthError:
    data = {'reason': 'other_session', 'hint': 'sign out again to end that one as well'}
    return AuthError('another session has begun meanwhile, and has not been ended', data=data)


def _pending_error(cause: AuthError) -> SignOutPendingError:
    data = {**cause.data, 'hint': 'keep this program running; your session ends as soon as the daemon answers'}
    return SignOutPendingError(f'you are not signed out yet: {cause.message}', data=data)
