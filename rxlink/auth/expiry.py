"""When a token ends, and when to replace it; the only user of PyJWT.

A client has no key: tokens are read, never verified, and nothing but ``exp`` and ``iat`` is looked at.

Two clocks take part, the issuer's and ours. What an issuer says as a date (``expires_at``, ``exp``) is by its own
clock, and ours may be wrong by minutes or years. So a session learns how far the issuer's clock is ahead of its own,
whenever fresh tokens arrive:

- ``issued_at`` says so outright; a few seconds may as well be the way that the answer took.
- An ``iat`` later than our clock proves that ours is slow: nothing is issued in the future.
- An ``iat`` in the past proves little, because issuers hand out tokens that they made minutes ago. As long as at least
  half of the token's life is left, our clock is believed: if it is fast nevertheless, tokens are replaced sooner than
  they need be, and that is all. With less left, or nothing, the clock is the likelier reason, and the token counts as
  issued just now: if it was an old one after all, a rejection will tell.
- An end in the past, of a fresh token that tells nothing else, proves that our clock is fast; its life is taken to be
  that of the token before.

Whatever the clock shows, a token just received has not ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from rxlink.auth.tokens import TokenSet, fingerprint, later, shifted
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["Lifetime", "Windows", "lifetime_of", "place_of"]

ADVISORY_SHARE = 1 / 4
MANDATORY_SHARE = 1 / 10
LAST_SECOND = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""Where datetime ends; a claim beyond says nothing."""
LONGEST_JWT = 2**16
"""Characters; a longer text is not decoded: no header could carry it."""
OLDEST_SHARE = 1 / 2
"""With less of its life left than this share, a fresh token says that our clock is wrong, not that it is old."""
AGREEMENT = 10.0
"""So many seconds between the two clocks at most mean that they agree; an answer takes its time, too."""
FINGERPRINTS = 2**32
"""How many there are."""


@dataclass(frozen=True, slots=True, init=False)
class Windows:
    """How long before its end a token is replaced, in seconds.

    The mandatory window lies inside the advisory one: one that is larger counts as large as that.

    Attributes:
        advisory: From here on it is refreshed in the background; capped at a quarter of its life.
        mandatory: From here on operations wait for the refresh; capped at a tenth of its life.
        jitter: The share of the advisory window by which tokens that end together are replaced one after another.
    """

    advisory: float
    mandatory: float
    jitter: float

    def __init__(self, advisory: Duration, mandatory: Duration, jitter: float = 0.1) -> None:
        """Check the options of a session.

        Raises:
            InvariantError: A window is negative or not finite, or the jitter is not between 0 and 1.
            InvariantTypeError: A window is no duration, or the jitter no number.
        """
        object.__setattr__(self, "advisory", to_seconds("advisory_window", advisory))
        object.__setattr__(self, "mandatory", to_seconds("mandatory_window", mandatory))
        if isinstance(jitter, bool) or not isinstance(jitter, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped
            raise InvariantTypeError(f"`jitter` is {jitter!r}; give a share of the advisory window, from 0 to 1")
        if not 0 <= jitter <= 1:
            raise InvariantError(f"`jitter` is {jitter!r}; give a share of the advisory window, from 0 to 1")
        object.__setattr__(self, "jitter", float(jitter))

    def before(self, ends_at: datetime, life: float, place: float) -> tuple[datetime, datetime]:
        """Return when the two windows of a token begin.

        Args:
            ends_at: When the token ends.
            life: Its life, in seconds, which caps the windows.
            place: Where within its jitter the advisory window begins, from 0 to 1; see `place_of`.
        """
        mandatory = min(self.mandatory, self.advisory, life * MANDATORY_SHARE)
        earliest = min(self.advisory, life * ADVISORY_SHARE)
        advisory = max(mandatory, earliest * (1 - self.jitter * place))
        return shifted(ends_at, -advisory), shifted(ends_at, -mandatory)


def place_of(access_token: str, number: int = 0) -> float:
    """Return a number from 0 to 1 that is another for each token, and the same for all who share it.

    Drawn by each for itself, the earliest of many would win, and hardly anything would be left of the jitter.

    Args:
        access_token: The token.
        number: Which of its numbers.
    """
    return int(fingerprint(f"{access_token} {number}" if number else access_token), 16) / FINGERPRINTS


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a token is to be replaced, by our clock; None where its end is unknown: only a rejection tells then.

    Attributes:
        seconds: Its whole life.
        advisory_at: When its background refresh is due.
        mandatory_at: When operations start to wait.
        offset: How many seconds the issuer's clock is ahead of ours, as well as that is known.
    """

    seconds: float | None = None
    advisory_at: datetime | None = None
    mandatory_at: datetime | None = None
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class _Stated:
    """What tokens say about themselves, by the issuer's clock.

    Attributes:
        ends_at: When they end: ``expires_at``, else ``exp``.
        life: ``expires_in``, else what lies between ``iat`` and ``exp``.
        made_at: When the token was made, its ``iat``.
        claimed_end: Its ``exp``.
        place: Its `place_of`.
    """

    ends_at: datetime | None
    life: float | None
    made_at: datetime | None
    claimed_end: datetime | None
    place: float


def lifetime_of(
    tokens: TokenSet,
    now: datetime,
    windows: Windows,
    *,
    last_known: float | None,
    is_fresh: bool,
    offset: float = 0.0,
) -> Lifetime:
    """Work out when a token just received, or just loaded, is to be replaced.

    The order is ``expires_in`` of a token just received, ``expires_at``, the JWT's ``exp``, the life of the token
    before, unknown.

    Args:
        tokens: The tokens.
        now: The session's clock.
        windows: The windows before the caps.
        last_known: The life of the token before, in seconds.
        is_fresh: Whether the issuer has handed it out just now.
        offset: How many seconds the issuer's clock was ahead of ours when it was learned last.
    """
    stated = _read(tokens)
    if not is_fresh:
        return _of_kept(stated, now, windows, last_known, offset)
    offset = _learned(tokens, stated, now, last_known, offset)
    ends_at, life = _end_by(now, tokens, stated, offset), stated.life
    if ends_at is None or ends_at <= now:
        if last_known is None:
            return Lifetime(offset=offset)
        ends_at, life = later(now, last_known), last_known
    left = (ends_at - now).total_seconds()
    # The caps are of what is left: a token just received is never inside its windows already.
    return Lifetime(left if life is None else life, *windows.before(ends_at, left, stated.place), offset)


def _of_kept(stated: _Stated, now: datetime, windows: Windows, last_known: float | None, offset: float) -> Lifetime:
    life = stated.life
    if stated.ends_at is not None:
        ends_at = shifted(stated.ends_at, -offset)
    elif last_known is not None:
        ends_at, life = later(now, last_known), last_known
    else:
        return Lifetime(offset=offset)
    if ends_at <= now:
        return Lifetime(life, ends_at, ends_at, offset)
    life = (ends_at - now).total_seconds() if life is None else life
    return Lifetime(life, *windows.before(ends_at, life, stated.place), offset)


def _end_by(now: datetime, tokens: TokenSet, stated: _Stated, offset: float) -> datetime | None:
    """Return when fresh tokens end by our clock; None where they do not say."""
    if tokens.life is not None:
        return later(now, tokens.life)
    return None if stated.ends_at is None else shifted(stated.ends_at, -offset)


def _learned(tokens: TokenSet, stated: _Stated, now: datetime, last_known: float | None, known: float) -> float:
    """Return how many seconds the issuer's clock is ahead of ours, from fresh tokens and what was known before."""
    issued_at, ends_at = tokens.issued_at, stated.ends_at
    # What was handed out after its end was not handed out then.
    if issued_at is not None and (ends_at is None or issued_at < ends_at):
        ahead = (issued_at - now).total_seconds()
        is_ended = ends_at is not None and ends_at <= now
        return 0.0 if abs(ahead) <= AGREEMENT and not is_ended else ahead
    if stated.made_at is not None:
        return _from_making(stated.made_at, stated.claimed_end, now, known)
    if tokens.life is None and ends_at is not None:
        return _from_end((ends_at - now).total_seconds(), last_known, known)
    return known


def _from_making(made_at: datetime, ends_at: datetime | None, now: datetime, known: float) -> float:
    ahead = (made_at - now).total_seconds()
    believed = 0.0 if abs(ahead) <= AGREEMENT else known
    if ahead > believed:
        return ahead
    if ends_at is None:
        return believed
    left = (ends_at - now).total_seconds() - believed
    return ahead if left < (ends_at - made_at).total_seconds() * OLDEST_SHARE else believed


def _from_end(left: float, last_known: float | None, known: float) -> float:
    if left > known:
        return known
    if left > 0:
        return 0.0  # somebody has set a clock, and what was known is no longer true
    return known if last_known is None else left - last_known


def _read(tokens: TokenSet) -> _Stated:
    claims = _claims(tokens.access_token)
    end, made_at = _time(claims.get("exp")), _time(claims.get("iat"))
    if end is not None and made_at is not None and made_at >= end:
        made_at = None
    life = tokens.life
    if life is None and tokens.expires_at is None and end is not None and made_at is not None:
        life = (end - made_at).total_seconds()
    ends_at = end if tokens.expires_at is None else tokens.expires_at
    return _Stated(ends_at, life, made_at, end, place_of(tokens.access_token))


def _claims(token: str) -> dict[str, Any]:
    # Three parts or it is opaque, and an opaque token is none of our business.
    if len(token) > LONGEST_JWT or token.count(".") != 2:  # noqa: PLR2004 - header.payload.signature
        return {}
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})  # pyright: ignore[reportUnknownMemberType] - PyJWT's types
    except (jwt.InvalidTokenError, RecursionError):
        return {}
    return claims


def _time(claim: object) -> datetime | None:
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    return datetime.fromtimestamp(claim, UTC) if 0 <= claim < LAST_SECOND else None
