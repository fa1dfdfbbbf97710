"""Tokens, masked wherever they are printed."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["TokenSet", "checked_tokens", "fingerprint", "later", "shifted"]

LONGEST_LIFE = 10 * 365 * 24 * 3600.0
"""Ten years, in seconds; issuers have been seen to send lives that no calendar holds."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""All that a datetime can hold."""

_SCHEME = re.compile(r"(bearer|jwt|token|basic|dpop)\s", re.IGNORECASE)
_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True, repr=False)
class TokenSet:
    """What an issuer hands out; immutable, so that header and metadata always belong together.

    Attributes:
        access_token: The bare token, without a scheme such as ``Bearer``.
        refresh_token: What the next refresh is paid with; None where there is none, or a cookie holds it.
        expires_in: The token's life in seconds, counted from when it was received.
        expires_at: When it ends, an aware datetime, by the issuer's clock.
        issued_at: What the issuer's clock showed when it handed the tokens out, an aware datetime, such as the ``Date``
            header of its answer. From it a session learns how wrong its own clock is; it is not kept.
    """

    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None
    expires_at: datetime | None = None
    issued_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be sent.

        Raises:
            InvariantError: A token is empty, has its scheme in it, or holds white space, control characters
                or others than ASCII.
            InvariantTypeError: A token is no text, or a time is no datetime.
        """
        _check("access_token", self.access_token)
        if self.refresh_token is not None:
            _check("refresh_token", self.refresh_token)
        if self.expires_in is not None:
            _check_life(self.expires_in)
        _check_time("expires_at", self.expires_at)
        _check_time("issued_at", self.issued_at)

    @property
    def life(self) -> float | None:
        """``expires_in`` where it says something."""
        return self.expires_in if self.expires_in is not None and self.expires_in > 0 else None

    def received(self, now: datetime, *, refresh_token: str | None = None) -> TokenSet:
        """Return this set as it is kept: with its end, and with the old refresh token where none came with it.

        ``expires_in`` wins over ``expires_at`` (RFC 6749 section 5.1). One that is not above zero says nothing: nobody
        hands out a token that has ended, but some send 0 for "not known".

        ``issued_at`` is about the moment of receipt, and would mislead whoever takes these tokens for new ones later.

        Args:
            now: What the issuer's clock shows, as well as it is known: from here ``expires_in`` counts. So what is kept
                means the same to whoever loads it, whatever their own clock shows.
            refresh_token: The old refresh token.
        """
        life = self.life
        ends = self.expires_at if life is None else later(now, life)
        kept = self.refresh_token or refresh_token
        return replace(self, expires_in=life, expires_at=ends, issued_at=None, refresh_token=kept)

    def __repr__(self) -> str:
        """Show fingerprints instead of tokens."""
        kept = "none" if self.refresh_token is None else fingerprint(self.refresh_token)
        ends = "unknown" if self.expires_at is None else self.expires_at.isoformat()
        return f"<TokenSet access={fingerprint(self.access_token)} refresh={kept} expires_at={ends}>"


def fingerprint(token: str) -> str:
    """Return eight hexadecimal digits that tell tokens apart and say nothing about them (SHA-256)."""
    return hashlib.sha256(token.encode()).hexdigest()[:8]


def checked_tokens(tokens: TokenSet | None) -> TokenSet:
    """Return tokens that somebody gave.

    Raises:
        InvariantTypeError: It is something else.
    """
    if not isinstance(tokens, TokenSet):
        raise InvariantTypeError(f"the tokens are {kind_of(tokens)}; give a TokenSet")
    return tokens


def later(now: datetime, seconds: float) -> datetime:
    """Return the time so many seconds from now; ten years at most, in either direction."""
    return shifted(now, max(min(seconds, LONGEST_LIFE), -LONGEST_LIFE))


def shifted(moment: datetime, seconds: float) -> datetime:
    """Return a time moved by so many seconds, or the first or the last that a datetime can hold."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return FIRST if seconds < 0 else LAST


def _check_life(seconds: object) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvariantTypeError(f"`expires_in` is {kind_of(seconds)}; give seconds as a number")
    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise InvariantError(f"`expires_in` is {seconds!r}; give seconds, or None where the life is unknown")


def _check_time(name: str, time: object) -> None:
    if time is None:
        return
    if not isinstance(time, datetime):
        raise InvariantTypeError(f"`{name}` is {kind_of(time)}; give an aware datetime")
    if time.utcoffset() is None:
        raise InvariantError(f"`{name}` is a naive datetime; give an aware one, such as datetime.now(UTC)")


def _check(name: str, token: object) -> None:
    if not isinstance(token, str):
        raise InvariantTypeError(f"`{name}` is {kind_of(token)}; give the token as text")
    if not token:
        raise InvariantError(f"`{name}` is empty; give the token, or no TokenSet where there is none")
    if scheme := _SCHEME.match(token):
        raise InvariantError(
            f"`{name}` begins with the scheme {scheme[1]!r}; give the bare token, AuthLink adds the scheme"
        )
    if _UNSENDABLE.search(token):
        raise InvariantError(
            f"`{name}` holds white space, control characters or others than ASCII; give the bare token"
        )
