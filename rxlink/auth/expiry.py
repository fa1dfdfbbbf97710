"""When a token ends, and when to replace it; the only user of PyJWT.

A client has no key: tokens are read, never verified, and nothing but ``exp`` and ``iat`` is looked at.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from rxlink.auth.tokens import TokenSet, later

__all__ = ["Lifetime", "Windows", "lifetime_of"]

ADVISORY_SHARE = 1 / 4
MANDATORY_SHARE = 1 / 10
LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""Where datetime ends; a claim beyond says nothing."""
JITTER = 0.1
"""The share of the advisory window by which clients that share an expiry spread out."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How long before its end a token is replaced, in seconds.

    Attributes:
        advisory: From here on it is refreshed in the background; capped at a quarter of its life.
        mandatory: From here on operations wait for the refresh; capped at a tenth of its life.
    """

    advisory: float
    mandatory: float


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a token is to be replaced; None where its end is unknown: only a rejection tells then.

    Attributes:
        seconds: Its whole life.
        advisory_at: When its background refresh is due.
        mandatory_at: When operations start to wait.
    """

    seconds: float | None = None
    advisory_at: datetime | None = None
    mandatory_at: datetime | None = None


def lifetime_of(
    tokens: TokenSet, now: datetime, windows: Windows, *, last_known: float | None, is_fresh: bool
) -> Lifetime:
    """Work out when a token just received, or just loaded, is to be replaced.

    The order is ``expires_in`` and ``expires_at`` (``TokenSet.received`` has made one of the two), the JWT's ``exp``,
    the life of the token before, unknown.

    Args:
        tokens: The tokens, as ``TokenSet.received`` returns them.
        now: The session's clock.
        windows: The windows before the caps.
        last_known: The life of the token before, in seconds.
        is_fresh: Whether the issuer has handed it out just now. If such a token seems to have ended already, a clock
            is wrong, so it is used until it is rejected.
    """
    ends_at, life = _end_of(tokens, now, last_known, is_fresh=is_fresh)
    if ends_at is None:
        return Lifetime()
    if ends_at <= now:
        return Lifetime() if is_fresh else Lifetime(life, ends_at, ends_at)
    if life is None:
        life = (ends_at - now).total_seconds()
    jitter = 1 - JITTER * random.random()  # noqa: S311 - spreads load, hides nothing
    advisory = min(windows.advisory, life * ADVISORY_SHARE) * jitter
    mandatory = min(windows.mandatory, life * MANDATORY_SHARE, advisory)
    return Lifetime(life, ends_at - timedelta(seconds=advisory), ends_at - timedelta(seconds=mandatory))


def _end_of(
    tokens: TokenSet, now: datetime, last_known: float | None, *, is_fresh: bool
) -> tuple[datetime | None, float | None]:
    if tokens.expires_at is not None:
        return tokens.expires_at, tokens.expires_in
    claims = _claims(tokens.access_token)
    expires, issued = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if expires is not None:
        life = None if issued is None or issued >= expires else expires - issued
        if is_fresh and life is not None:
            # Issued just now, whatever its clock says: the life counts from here.
            return later(now, life), life
        return datetime.fromtimestamp(expires, UTC), life
    if last_known is not None:
        return later(now, last_known), last_known
    return None, None


def _claims(token: str) -> dict[str, Any]:
    # Three parts or it is opaque, and an opaque token is none of our business.
    if token.count(".") != 2:  # noqa: PLR2004 - header.payload.signature
        return {}
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})  # pyright: ignore[reportUnknownMemberType] - PyJWT's types
    except (jwt.InvalidTokenError, RecursionError):
        return {}
    return claims


def _seconds(claim: object) -> float | None:
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    return float(claim) if 0 <= claim < LAST_SECOND else None
