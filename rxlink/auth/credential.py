"""The tokens in use, with what is known about them: one snapshot, so that they never mix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from rxlink.auth.events import RefreshReason
from rxlink.auth.expiry import Lifetime, Windows, lifetime_of, place_of
from rxlink.auth.pacing import CoolDown, CoolDownOptions
from rxlink.auth.storage.shared import StoredTokens, first_serial, new_login
from rxlink.auth.tokens import TokenSet, shifted

__all__ = ["Credential", "Wallet"]

REACH = 3
"""Where the next background try is put: anywhere over this many times what is left before operations wait, and at its
end where that is beyond. So a third of the tokens are tried again ahead of it, at random, and the others at its end. If
all were tried at random, those with little left would come together at the end of an outage.
"""


@dataclass(slots=True, eq=False)
class Credential:
    """One generation of tokens.

    Attributes:
        tokens: The tokens.
        generation: Counts the token sets of a session.
        epoch: The login that they belong to.
        lifetime: When they are to be replaced.
        is_unproven: Whether they came from a refresh and no operation has succeeded with them yet.
        is_rejected: Whether the server has refused them.
        put_off: How often their background refresh was put off.
    """

    tokens: TokenSet
    generation: int
    epoch: int
    lifetime: Lifetime
    is_unproven: bool = False
    is_rejected: bool = False
    put_off: int = 0

    def due_at(self, now: datetime) -> RefreshReason | None:
        """Return why these tokens should be replaced now, None if they should not.

        It is judged by the clock at the moment of use, not by a timer: a machine may have slept.
        """
        if self.is_rejected:
            return RefreshReason.REJECTED
        lifetime = self.lifetime
        if lifetime.mandatory_at is not None and now >= lifetime.mandatory_at:
            return RefreshReason.EXPIRED
        if lifetime.advisory_at is not None and now >= lifetime.advisory_at:
            return RefreshReason.EXPIRING
        return None

    def put_off_beyond(self, moment: datetime) -> None:
        """Put off the background refresh, which has failed, until later than a moment.

        The moments come from the token: all who share it agree on them, and those of different tokens lie apart, so
        that not all come at once when the issuer is back. From the mandatory window on operations wait and try.
        """
        lifetime = self.lifetime
        due, last = lifetime.advisory_at, lifetime.mandatory_at
        if due is None or last is None:
            return
        while due <= moment and due < last:
            self.put_off += 1
            share = min(1.0, REACH * place_of(self.tokens.access_token, self.put_off))
            due = shifted(due, share * (last - due).total_seconds())
        self.lifetime = replace(lifetime, advisory_at=due)


class Wallet:
    """Holds one session's tokens, and judges when they are to be replaced.

    Two counters keep things apart that must never mix. The *epoch* counts logins and logouts: what was started in one
    epoch never uses a token of another. The *generation* counts token sets: a rejection says something about the token
    that was sent, not about the one that has replaced it since.

    Attributes:
        credential: The tokens in use; None if nobody is signed in.
        epoch: Counts logins and logouts.
        parting: Why the epoch before this one ended.
        generation: Counts token sets.
        record: What the storage has, or will have as soon as it is saved; None where nothing was ever kept.
        confirmed: What the storage had when it was read or written last.
        is_new_login: Whether that is a sign-in, or a sign-out, which the storage does not have yet.
        clock_offset: How many seconds the issuer's clock is ahead of the session's, learned from fresh tokens. It is a
            matter of the two clocks, and stays from one login to the next.
    """

    def __init__(
        self, windows: Windows, clock: Callable[[], datetime], cool_down: CoolDownOptions | None = None
    ) -> None:
        self._windows = windows
        self._clock = clock
        self._cool_down = CoolDown(cool_down)
        self._last_known_life: float | None = None
        self.credential: Credential | None = None
        self.epoch = 0
        self.parting = ""
        self.generation = 0
        self.record: StoredTokens | None = None
        self.confirmed: StoredTokens | None = None
        self.is_new_login = False
        self.clock_offset = 0.0

    @property
    def base(self) -> StoredTokens | None:
        """What a sign-in or a sign-out follows: not one before it that was never kept."""
        return self.confirmed if self.is_new_login else self.record

    @property
    def tokens(self) -> TokenSet | None:
        """The tokens in use."""
        credential = self.credential  # once: another thread may sign out meanwhile
        return None if credential is None else credential.tokens

    def now(self) -> datetime:
        """Return the time by the session's clock."""
        return self._clock()

    def start_epoch(self, parting: str) -> None:
        """Part with the tokens and all that was learned from them."""
        self.epoch += 1
        self.parting = parting
        self.credential = None
        self._last_known_life = None
        self._cool_down.reset()

    def renew(self, tokens: TokenSet, *, is_refreshed: bool, is_login: bool = False) -> TokenSet:
        """Use tokens that the issuer has just handed out.

        Args:
            tokens: The tokens.
            is_refreshed: Whether they came from a refresh, and so have to prove themselves.
            is_login: Whether they are of a new sign-in; else the old refresh token stays where none came with them.

        Returns:
            The tokens as they are to be saved: their end is by the issuer's clock, the only one that all who may load
            them have in common.
        """
        refresh_token = self.tokens.refresh_token if self.tokens is not None and not is_login else None
        now = self._clock()
        lifetime = self._judge(tokens, now, is_fresh=True)
        self.clock_offset = lifetime.offset
        kept = tokens.received(shifted(now, lifetime.offset), refresh_token=refresh_token)
        before, is_first = self.record, self.credential is None
        login = new_login() if before is None or is_first else before.login
        self.record = StoredTokens(kept, login, first_serial(now) if before is None else before.serial + 1)
        self.is_new_login = not is_refreshed or (self.is_new_login and not is_first)
        self._use(kept, lifetime, is_unproven=is_refreshed)
        return kept

    def restore(self, record: StoredTokens) -> None:
        """Use what was saved, by this or another process: the end of the tokens is by the issuer's clock."""
        self.record = self.confirmed = record
        self.is_new_login = False
        if (tokens := record.tokens) is not None:
            self._use(tokens, self._judge(tokens, self._clock(), is_fresh=False), is_unproven=False)

    def leave(self, reason: str, *, is_final: bool) -> StoredTokens:
        """Return what is to be kept from now on: that nobody is signed in.

        Args:
            reason: Why.
            is_final: Whether somebody has signed out, whatever is kept by now.
        """
        before = self.record
        if before is None:
            self.record = StoredTokens(None, new_login(), first_serial(self._clock()), reason)
        else:
            self.record = StoredTokens(None, before.login, before.serial + 1, reason)
        self.is_new_login = is_final
        return self.record

    def at_hand(self) -> Credential | None:
        """Return the tokens if they are good to use and need nothing; the quick answer to most operations."""
        credential = self.credential
        if credential is None or credential.is_rejected:
            return None
        advisory_at = credential.lifetime.advisory_at
        return credential if advisory_at is None or self._clock() < advisory_at else None

    def due(self) -> RefreshReason | None:
        """Return why the tokens should be replaced now; None if they should not, or it would not help."""
        if self.credential is None:
            return None
        now = self._clock()
        return None if self._cool_down.is_on(now) else self.credential.due_at(now)

    def reject(self, credential: Credential) -> None:
        """Take note that the server has refused these tokens."""
        if credential.is_rejected:
            return
        credential.is_rejected = True
        if credential.is_unproven and credential is self.credential:
            self._cool_down.count_rejection(self._clock())

    def put_off(self, pause: float) -> None:
        """Take note that a background refresh has failed; the next one is not before a pause, in seconds, is over."""
        if self.credential is not None:
            self.credential.put_off_beyond(shifted(self._clock(), pause))

    def accept(self, credential: Credential) -> None:
        """Take note that the server has accepted these tokens."""
        if credential.is_unproven and credential is self.credential:
            credential.is_unproven = False
            self._cool_down.reset()

    def _judge(self, tokens: TokenSet, now: datetime, *, is_fresh: bool) -> Lifetime:
        last_known, offset = self._last_known_life, self.clock_offset
        return lifetime_of(tokens, now, self._windows, last_known=last_known, is_fresh=is_fresh, offset=offset)

    def _use(self, tokens: TokenSet, lifetime: Lifetime, *, is_unproven: bool) -> None:
        self.generation += 1
        self._last_known_life = lifetime.seconds
        self.credential = Credential(tokens, self.generation, self.epoch, lifetime, is_unproven)
