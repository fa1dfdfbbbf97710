"""The books of the world of the promises: logins, tokens and sends, as they must be."""

from __future__ import annotations

from datetime import datetime, timedelta

from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.promise_issuer import Storage
from tests.auth.promise_operations import Op
from tests.auth.promise_records import PLANTED, Minted, Options, Send
from tests.auth.promise_windows import Beliefs, make_text, make_tokens


class Books:
    """Which login it is, which token it uses, and what has been sent.

    Attributes:
        login: Counts logins and logouts.
        current: The token in use, None if nobody is signed in.
        key: Whose books, where there are several users.
        was_ended: Whether a login has ended ever: then nobody is signed in of its own accord.
        endings: How often a session has ended of which the listeners must have heard.
    """

    time: VirtualTime
    storage: Storage
    options: Options

    def __init__(self, key: int = 0) -> None:
        self.key = key
        self.login = 1
        self.minted: dict[str, Minted] = {}
        self.sends: list[Send] = []
        self.current: Minted | None = None
        self.endings = 0
        self.was_ended = False
        self.is_loaded = False
        self.is_closed = False
        self.refresh_began = 0.0
        self.beliefs = Beliefs()
        self._refused_fresh_tokens = 0

    @property
    def issuers_now(self) -> datetime:
        """What the issuer's clock shows, which is right."""
        return self.time.clock()

    @property
    def now(self) -> datetime:
        """What the session's clock shows; somebody may have set it."""
        return self.time.clock()

    @property
    def wants_first_tokens(self) -> bool:
        return self.options.obtain_first and self.current is None and self.is_loaded and not self.was_ended

    def mint(self, *, is_refreshed: bool = False, life: float | None = None) -> Minted:
        form, issued = self.options.form, self.issuers_now
        text = make_text(form, f"{self.key}-{self.login}-{len(self.minted)}", issued, life)
        token = Minted(text, self.login, is_refreshed, self.refresh_began, form, life, issued)
        token.ends = None if life is None else issued + timedelta(seconds=max(life, 1))
        self.minted[token.text] = token
        return token

    def note_current(self, token: Minted) -> TokenSet:
        """Book a token as the one in use, and return it as the issuer does."""
        token.came_to_nobody = token.is_refreshed and self.current is None
        self.current = token
        if not token.is_refreshed:
            self._judge(token)
        name = f"{PLANTED}-refresh-{self.key}-{len(self.minted)}"
        return make_tokens(token.form, token, token.issued, token.told_life, name)

    def note_load(self, tokens: TokenSet | None) -> None:
        self.is_loaded = True
        if tokens is not None and not self.is_closed:
            token = self.minted[tokens.access_token]
            token.login = self.login
            self.current = token
            self.beliefs.judge_kept(token, self.now)

    def note_end(self) -> None:
        """Book the end of a login, by its user or by its issuer; the listeners hear of it if anybody was there."""
        somebody_was = self.current is not None and not self.current.came_to_nobody
        self.endings += somebody_was or not self.is_loaded
        self.was_ended = True
        self.note_login()

    def note_arrival(self) -> None:
        """Book that the session has what the issuer returned."""
        if self.current is not None:
            self.current.came_to_nobody = False
            if not self.current.is_judged:
                self._judge(self.current)

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
            is_good=token is None or token.is_good_at(self.issuers_now),
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
        self.beliefs.forget_login()
        self._refused_fresh_tokens = 0

    def _judge(self, token: Minted) -> None:
        token.is_judged = True
        self.beliefs.judge_fresh(token, self.now)
