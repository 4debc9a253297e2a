"""The headers that the client holds, so that most calls need no daemon.

A header is served until the daemon's `refreshAt`, then also while it is refreshed in the background, and never after
its expiry by the wall clock or by the monotonic clock, whichever comes first: the one may be set, the other may stand
still while the computer sleeps. A logout or another session removes it at once, a lost connection after LOST_SECONDS.
"""

from __future__ import annotations

import enum
import time
from typing import Any

LOST_SECONDS = 10.0  # a daemon that is replaced or restarted is back by then
MIN_VALIDITY = 10.0  # seconds; the default of the daemon's getAuthHeader
ASK_SECONDS = 1.0  # between two questions for the next header
_LIFE_OF_LAST_FIFTH = 2.5  # half of a token's life, in units of the fifth that is left at `refreshAt`


class Freshness(enum.Enum):
    """What a caller may do with a header."""

    FRESH = 'use it'
    AGEING = 'use it, and refresh it in the background'
    SHORT = 'refresh it, and use it only if that fails'
    NONE = 'there is none'


class CachedHeader:
    """The headers of one profile, and when the daemon gave them."""

    __slots__ = (
        'asked_at',
        'expires_at',
        'headers',
        'lost_at',
        'margin',
        'monotonic',
        'refresh_after',
        'valid_for',
        'wall',
    )

    def __init__(self, headers: dict[str, str], refresh_at: float, expires_at: float) -> None:
        self.headers = headers
        self.expires_at = expires_at
        self.wall, self.monotonic = time.time(), time.monotonic()
        self.refresh_after = refresh_at - self.wall  # seconds from now
        self.valid_for = expires_at - self.wall
        self.margin = min(MIN_VALIDITY, (expires_at - refresh_at) * _LIFE_OF_LAST_FIFTH)
        self.lost_at: float | None = None  # monotonic
        self.asked_at: float | None = None  # monotonic; when the client asked for the next one

    def may_ask(self) -> bool:
        """Returns whether to ask for the next header now: the daemon may give the same one until it has a new one."""
        now = time.monotonic()
        if self.asked_at is not None and now - self.asked_at < ASK_SECONDS:
            return False
        self.asked_at = now
        return True

    def freshness(self, min_validity: float | None) -> Freshness:
        """Returns what a caller may do with it that needs a token for `min_validity` seconds; None: the default."""
        monotonic = time.monotonic()
        age = max(monotonic - self.monotonic, time.time() - self.wall)
        if age >= self.valid_for or (self.lost_at is not None and monotonic - self.lost_at >= LOST_SECONDS):
            return Freshness.NONE
        if self.valid_for - age < (self.margin if min_validity is None else min_validity):
            return Freshness.SHORT
        return Freshness.FRESH if age < self.refresh_after and self.lost_at is None else Freshness.AGEING


class HeaderCache:
    """One header for each profile; None is the default profile. Each method is atomic."""

    def __init__(self) -> None:
        self._headers: dict[str | None, CachedHeader] = {}
        self._dropped_at: dict[str | None, float] = {}  # monotonic

    def find(self, profile: str | None) -> CachedHeader | None:
        """Returns the header of this profile, however old."""
        return self._headers.get(profile)

    def store(self, profile: str | None, result: object, asked_at: float) -> None:
        """Keeps the header of a result; nothing if a daemon of version 1.0 does not say how long it may be kept.

        asked_at: when the client asked for it. The answer to a question that does not follow the last `drop` may hold
            the header that was dropped; on Windows the clock shows the same time for up to 16 ms.
        """
        drops = [at for name, at in list(self._dropped_at.items()) if profile is None or name in {None, profile}]
        if any(asked_at <= at for at in drops):
            return
        if not isinstance(result, dict) or not isinstance(result.get('headers'), dict):
            return
        refresh_at, expires_at = result.get('refreshAt'), result.get('expiresAt')
        is_complete = _is_number(refresh_at) and _is_number(expires_at)
        if is_complete and isinstance(result['headers'].get('Authorization'), str):
            cached = CachedHeader(dict(result['headers']), float(refresh_at or 0), float(expires_at or 0))
            before = self._headers.get(profile)
            if before is not None and before.headers == cached.headers:
                cached.asked_at = before.asked_at
            self._headers[profile] = cached

    def drop(self, profile: str | None) -> None:
        """Forgets the header of this profile. The default profile may be this one under its name."""
        self._dropped_at[profile] = time.monotonic()
        if profile is None:
            self._headers.clear()
        else:
            self._headers.pop(profile, None)
            self._headers.pop(None, None)

    def drop_token(self, authorization: str) -> None:
        """Forgets this header, which an API has refused."""
        for profile, cached in list(self._headers.items()):
            if cached.headers.get('Authorization') == authorization:
                self._headers.pop(profile, None)

    def note_token(self, profile: str | None, expires_at: object) -> None:
        """The current token of this profile expires at `expires_at`: another one is outdated, but still valid."""
        for key in (profile, None):
            cached = self._headers.get(key)
            if cached is not None and cached.expires_at != expires_at:
                cached.refresh_after, cached.asked_at = 0.0, None

    def note_lost(self) -> None:
        """The connection was lost: from now on no change is heard of."""
        for cached in list(self._headers.values()):
            if cached.lost_at is None:
                cached.lost_at = time.monotonic()

    def usable_profiles(self) -> list[str | None]:
        """Returns the profiles whose header may still be served."""
        return [key for key, cached in list(self._headers.items()) if cached.freshness(0) is not Freshness.NONE]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
