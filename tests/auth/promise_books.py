"""The books of the world of the promises: logins, tokens and sends, as they must be."""

from __future__ import annotations

from datetime import datetime, timedelta

from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.promise_issuer import Storage
from tests.auth.promise_operations import Op
from tests.auth.promise_records import ADVISORY, MANDATORY, PLANTED, Minted, Send


class Books:
    """Which login it is, which token it uses, and what has been sent.

    Attributes:
        login: Counts logins and logouts.
        current: The token in use, None if nobody is signed in.
        endings: How often a session has ended of which the listeners must have heard.
    """

    time: VirtualTime
    storage: Storage

    def __init__(self) -> None:
        self.login = 1
        self.minted: dict[str, Minted] = {}
        self.sends: list[Send] = []
        self.current: Minted | None = None
        self.endings = 0
        self.is_loaded = False
        self.is_closed = False
        self.refresh_began = 0.0
        self._last_known_life: float | None = None
        self._refused_fresh_tokens = 0

    @property
    def now(self) -> datetime:
        return self.time.clock()

    def mint(self, *, is_refreshed: bool = False, life: float | None = None) -> Minted:
        token = Minted(f"{PLANTED}-{self.login}-{len(self.minted)}", self.login, is_refreshed, self.refresh_began)
        token.ends = None if life is None else self.now + timedelta(seconds=max(life, 1))
        self.minted[token.text] = token
        return token

    def note_current(self, token: Minted, life: float | None) -> TokenSet:
        """Book a token as the one in use; its windows are those of the defaults, jitter left aside."""
        token.came_to_nobody = token.is_refreshed and self.current is None
        self.current = token
        # A fresh token that has ended already says nothing: a clock is wrong.
        known = self._last_known_life if life is None or life <= 0 else life
        if known is not None:
            self._set_windows(token, self.now + timedelta(seconds=known), known)
            self._last_known_life = known
        else:
            self._last_known_life = None
        return TokenSet(token.text, refresh_token=f"{PLANTED}-refresh-{len(self.minted)}", expires_in=life)

    def note_load(self, tokens: TokenSet | None) -> None:
        self.is_loaded = True
        if tokens is not None and not self.is_closed:
            token = self.minted[tokens.access_token]
            token.login = self.login
            self.current = token
            if tokens.expires_at is not None:
                life = (tokens.expires_at - self.now).total_seconds()
                self._last_known_life = life if life > 0 else None
                self._set_windows(token, tokens.expires_at, max(life, 0))

    def note_end(self) -> None:
        """Book the end of a login, by its user or by its issuer; the listeners hear of it if anybody was there."""
        somebody_was = self.current is not None and not self.current.came_to_nobody
        self.endings += somebody_was or not self.is_loaded
        self.note_login()

    def note_arrival(self) -> None:
        """Book that the session has what the issuer returned."""
        if self.current is not None:
            self.current.came_to_nobody = False

    def note_refusal(self, token: Minted) -> None:
        if token.is_refreshed:
            self._refused_fresh_tokens += 1

    def token_of(self, header: str | None) -> Minted | None:
        return None if header is None else self.minted.get(header.removeprefix("Bearer "))

    def note_send(self, op: Op, header: str | None) -> Send:
        token = self.token_of(header)
        saves = tuple(call.state for call in self.storage.calls if call.kind == "save" and call.token is token)
        send = Send(
            op=op,
            token=token,
            header=header,
            login=self.login,
            lacks_user=op.left_as_nobody_with_a_user,
            has_left=not op.is_open,
            was_known_refused=op.left_with_refused_token,
            at=self.time.monotonic(),
            saves_of_token=saves,
            is_good=token is None or token.is_good_at(self.now),
            may_cool_down=self.may_cool_down,
        )
        op.sends.append(send)
        self.sends.append(send)
        return send

    @property
    def may_cool_down(self) -> bool:
        """Whether so many fresh tokens of this login were refused that sending a refused one again is allowed."""
        return self._refused_fresh_tokens >= 3

    def note_login(self) -> None:
        self.login += 1
        self.current = None
        self.is_loaded = True
        self._last_known_life = None
        self._refused_fresh_tokens = 0

    def _set_windows(self, token: Minted, ends: datetime, life: float) -> None:
        advisory = min(ADVISORY, life / 4)
        token.advisory_at = ends - timedelta(seconds=advisory)
        token.mandatory_at = ends - timedelta(seconds=min(MANDATORY, life / 10))
