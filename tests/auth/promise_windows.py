"""What a client that does as `rxlink.auth.expiry` says must believe of a token's life, worked out a second time.

Two clocks take part: the issuer's, which is right, and the client's, which somebody sets. All that a client can see of
the issuer's is what a token says.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import jwt

from rxlink.auth.tokens import TokenSet
from tests.auth.promise_records import ADVISORY, MANDATORY, PLANTED, Minted

FORMS = ("expires_in", "expires_at", "expires_at and issued_at", "jwt", "opaque")
"""How an issuer may tell a life."""
AGREEMENT = 10.0
"""Clocks that are not further apart count as one, in seconds."""
LEAST_ADVISORY = 0.9
"""What the jitter leaves of an advisory window at least."""
KEY = "k" * 32


def make_text(form: str, name: str, issued: datetime, life: float | None) -> str:
    """Make an access token; whatever its form, it shows what is planted in it."""
    name = f"{PLANTED}-{name}"
    if form != "jwt" or life is None:
        return name
    claims = {"iat": issued.timestamp(), "exp": (issued + timedelta(seconds=life)).timestamp()}
    signed = jwt.encode(claims, KEY, algorithm="HS256")
    return f"{signed.rpartition('.')[0]}.{name.ljust(len(name) + -len(name) % 4, 'x')}"


def make_tokens(form: str, token: Minted, issued: datetime, life: float | None, refresh_token: str) -> TokenSet:
    """Make what an issuer returns."""
    if life is None or form in {"opaque", "jwt"}:
        return TokenSet(token.text, refresh_token)
    if form == "expires_in":
        return TokenSet(token.text, refresh_token, expires_in=life)
    issued_at = issued if form == "expires_at and issued_at" else None
    return TokenSet(token.text, refresh_token, expires_at=issued + timedelta(seconds=life), issued_at=issued_at)


class Beliefs:
    """A client's beliefs.

    Attributes:
        offset: How many seconds it takes the issuer's clock to be ahead of its own.
        last_life: The life of the token before, None where that is unknown.
    """

    def __init__(self) -> None:
        self.offset = 0.0
        self.last_life: float | None = None

    def forget_login(self) -> None:
        self.last_life = None

    def judge_fresh(self, token: Minted, now: datetime) -> None:
        """Set the windows of a token that the issuer has just handed out."""
        form, life, issued = token.form, token.told_life, token.issued
        ends: datetime | None = None
        stated: float | None = None
        if life is None or form == "opaque":
            pass
        elif form == "expires_in":
            if life > 0:
                ends, stated = now + timedelta(seconds=life), life
        else:
            end = issued + timedelta(seconds=life)
            self._learn(form, issued, end, now)
            ends = end - timedelta(seconds=self.offset)
            stated = life if form == "jwt" and life > 0 else None
        if ends is None or ends <= now:
            ends = None if self.last_life is None else now + timedelta(seconds=self.last_life)
            stated = self.last_life
        if ends is None:
            self.last_life = None
            return
        left = (ends - now).total_seconds()
        self.last_life = left if stated is None else stated
        _set_windows(token, ends, left)

    def judge_kept(self, token: Minted, now: datetime) -> None:
        """Set the windows of a token that was saved by an earlier run of the program."""
        if token.ends is None or (token.form == "opaque"):
            return
        left = (token.ends - now).total_seconds()
        life = token.told_life if token.form == "jwt" else left
        self.last_life = life if life is not None and life > 0 else None
        if left <= 0:
            token.advisory_at = token.advisory_surely_at = token.mandatory_at = token.ends
        else:
            assert life is not None
            _set_windows(token, token.ends, life)

    def _learn(self, form: str, issued: datetime, end: datetime, now: datetime) -> None:
        ahead, left = (issued - now).total_seconds(), (end - now).total_seconds()
        if issued < end and form == "expires_at and issued_at":
            self.offset = 0.0 if abs(ahead) <= AGREEMENT and left > 0 else ahead
        elif issued < end and form == "jwt":
            believed = 0.0 if abs(ahead) <= AGREEMENT else self.offset
            looks_old = left - believed < (end - issued).total_seconds() / 2
            self.offset = ahead if ahead > believed or looks_old else believed
        elif 0 < left <= self.offset:
            self.offset = 0.0
        elif left <= min(self.offset, 0.0) and self.last_life is not None:
            self.offset = left - self.last_life


def _set_windows(token: Minted, ends: datetime, life: float) -> None:
    advisory, mandatory = min(ADVISORY, life / 4), min(MANDATORY, life / 10)
    token.advisory_at = ends - timedelta(seconds=advisory)
    token.advisory_surely_at = ends - timedelta(seconds=max(mandatory, advisory * LEAST_ADVISORY))
    token.mandatory_at = ends - timedelta(seconds=mandatory)
