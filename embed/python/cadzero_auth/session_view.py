"""What the client knows of the sessions without asking the daemon: its last headers and the last status it heard of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .calls import Call
from .errors import InteractionRequiredError
from .header_cache import HeaderCache

Status = dict[str, Any]


class SessionView:
    """Follows the answers and notifications of the daemon. The background thread calls all `note_` methods."""

    def __init__(self) -> None:
        self.headers = HeaderCache()
        self.on_answer: Callable[[], None] = lambda: None
        self.on_connected: Callable[[], None] = lambda: None
        self.on_status: Callable[[Status], None] = lambda status: None
        self.keeps_connection = False  # whether to stay connected although no header is held
        self._statuses: dict[str | None, Status] = {}

    def status(self, profile: str | None) -> Status | None:
        """Returns the last status of this profile that the client has heard of, however old."""
        return self._statuses.get(profile)

    def adopt(self, other: SessionView) -> None:
        """Takes over the last status of each profile, but no header."""
        self._statuses.update(other._statuses)

    def wants_connection(self) -> bool:
        """Returns whether a header is held: without a connection the client would not hear of a logout."""
        return self.keeps_connection or bool(self.headers.usable_profiles())

    def note_connected(self) -> None:
        """A connection is open: what was missed without one is asked for."""
        self.on_connected()

    def note_lost(self) -> None:
        """The connection was lost."""
        self.headers.note_lost()

    def note_answer(self, call: Call) -> None:
        """The daemon has answered a call."""
        self.on_answer()
        profile = call.params.get('profile')
        if call.error is not None:
            if isinstance(call.error, InteractionRequiredError) and call.method in {'getAuthHeader', 'refresh'}:
                self.headers.drop(profile)
        elif call.method in {'getAuthHeader', 'refresh'}:
            self.headers.store(profile, call.result, call.created_at)
        elif call.method == 'logout':
            self.headers.drop(profile)
        elif call.method in {'status', 'login', 'cancelLogin'} and isinstance(call.result, dict):
            self._keep(profile, call.result)

    def note_status(self, status: Status) -> None:
        """The state, the user or the token has changed."""
        profile = status.get('profile')
        before = self._statuses.get(profile)
        if before is None or _session_of(before) != _session_of(status):
            self.headers.drop(profile)
        else:
            self.headers.note_token(profile, status.get('tokenExpiresAt'))
        self._keep(profile, status)

    def _keep(self, profile: str | None, status: Status) -> None:
        self._statuses[profile] = status
        name = status.get('profile')
        if isinstance(name, str):
            self._statuses[name] = status
        default = self._statuses.get(None)
        if default is not None and default.get('profile') == name:
            self._statuses[None] = status
        self.on_status(status)


def _session_of(status: Status) -> tuple[Any, Any]:
    user = status.get('user')
    return status.get('sessionId'), user.get('id') if isinstance(user, dict) else None
