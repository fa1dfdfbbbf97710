"""Knows who is signed in, and keeps a session's tokens, storage and refresh in step.

The inner part of :class:`~rxlink.auth.session.AuthSession`, for links. Those who ask may be on several event loops, in
several threads: what belongs together is decided under one lock, and nobody is told anything under it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from threading import RLock
from typing import Any

from rxlink.auth.adoption import Finding, PartedLogins
from rxlink.auth.announcer import Announcer
from rxlink.auth.credential import Credential, Wallet
from rxlink.auth.events import AuthState, AuthStatus, Ended, RefreshReason, TokensAdopted
from rxlink.auth.gate import Gate
from rxlink.auth.permit import Permit
from rxlink.auth.refresh import Refresh
from rxlink.auth.refresh_callback import RefreshCallback
from rxlink.auth.refresher import Refresher
from rxlink.auth.session_options import SessionOptions
from rxlink.auth.storage import MemoryTokenStorage, StoredTokens, TokenStorage
from rxlink.auth.storage.depot import Forgetful, Kept
from rxlink.auth.storage.serial import Turn
from rxlink.auth.storage.shared import new_login
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.auth.vault import Vault
from rxlink.errors import AuthError, ClientClosed, SessionEnded

__all__ = ["Keeper"]

NOBODY = "nobody is signed in"

_numbers = count(1)


class Keeper:
    """One session's tokens, and all that happens to them.

    Attributes:
        login: The context key under which operations keep whose login they belong to.
        wallet: The tokens in use.
        announcer: Who is told what happens.
        gate: Lets operations go on, or has them wait.
        is_loaded: Whether it is known by now who is signed in.
        is_closed: Whether the session was closed.
    """

    def __init__(self, refresh: RefreshCallback, storage: TokenStorage | None, options: SessionOptions) -> None:
        self._lock = RLock()
        self.wallet = Wallet(options.windows, options.clock, options.cool_down)
        self.announcer = Announcer(lambda: self.wallet.generation, options.name)
        self.emit = self.announcer.emit
        self.tell_of_failed_callback = self.announcer.tell_of_failed_callback
        self.tell = self.announcer.tell
        limits: Any = {"time_limit": options.time_limit, "scheduler": options.scheduler, "lock": self._lock}
        self._vault = Vault(Forgetful() if storage is None else storage, self, **limits)
        self._parted = PartedLogins()
        self._refresher = Refresher(
            refresh,
            self,
            clock=options.clock,
            backoff=options.backoff,
            on_outage=options.on_outage,
            relogin=options.relogin,
            **limits,
        )
        self.gate = Gate(
            self,
            self.wallet,
            self._vault,
            self._refresher,
            lock=self._lock,
            obtains_first=options.obtains_first,
            is_of_one_process=storage is None or isinstance(storage, MemoryTokenStorage),
        )
        self._why_nobody = NOBODY
        self.login = f"rxlink.auth.login.{next(_numbers)}"
        self.is_loaded = False
        self.is_closed = False

    @property
    def generation(self) -> int:
        """Counts the token sets; the one in use."""
        return self.wallet.generation

    @property
    def is_up_to_date(self) -> bool:
        """Whether it is known who is signed in, as far as a look at the storage is needed for it."""
        return self.is_loaded and not self._vault.is_outdated()

    @property
    def was_never_signed_in(self) -> bool:
        """Whether there were no tokens yet, nor a sign-out."""
        return self._why_nobody is NOBODY

    @property
    def tokens(self) -> TokenSet | None:
        """The tokens in use, and never the moment between those of two logins."""
        with self._lock:
            return self.wallet.tokens

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of this session's own load or refresh, and so must not wait for it."""
        return self._refresher.flight.is_inside() or self._vault.loading.is_inside()

    def reject(self, credential: Credential) -> None:
        """Take note that the server has refused these tokens."""
        with self._lock:
            self.wallet.reject(credential)

    def accept(self, credential: Credential) -> None:
        """Take note that the server has accepted these tokens."""
        with self._lock:
            self.wallet.accept(credential)

    # -- who is signed in ---------------------------------------------------------------------------------------------

    async def sign_in(self, tokens: TokenSet) -> None:
        """Part with the login before, use these tokens and save them."""
        with self._lock, self._vault.take_turn() as turn:
            base = self.wallet.base
            self._parted.note(self.wallet.record, is_final=True)
            self.wallet.start_epoch("another login")
            self.wallet.renew(tokens, is_refreshed=False)
            kept, tell = self._kept(base), self._part(turn)
            self._why_nobody = NOBODY
        tell(SessionEnded("another login"))
        self.publish()
        await self._vault.see_through(self._vault.save(kept, turn))

    async def sign_out(self) -> None:
        """Part with the login, and forget its tokens here and in the storage."""
        if (ending := self._end(SessionEnded("signed out"), is_final=True)) is not None:
            await self._vault.see_through(self._vault.save(*ending))

    def begin_with(self, tokens: TokenSet) -> None:
        """Begin with these tokens; they are kept nowhere."""
        self.adopt(StoredTokens(tokens, new_login(), 1))

    # -- for the vault ------------------------------------------------------------------------------------------------

    def adopt(self, found: StoredTokens | None, /) -> None:
        """Begin with what was kept; later, go on with what others have saved since."""
        with self._lock:
            is_first, self.is_loaded = not self.is_loaded, True
            tell = self._begin(found) if is_first else self._adopt(self._parted.judge(found, self.wallet), found)
        tell()

    def claim(self, kept: Kept, /) -> Turn | None:
        """Take a turn for saving this once more; None where it is no longer what is to be kept."""
        with self._lock:
            return self._vault.take_turn() if self.wallet.record is kept.record else None

    def confirm(self, kept: Kept, record: StoredTokens, /) -> None:
        """Take note that this is kept, and how."""
        with self._lock:
            self.wallet.confirmed = record
            if self.wallet.record is kept.record:
                self.wallet.record, self.wallet.is_new_login = record, False

    def give_in(self, kept: Kept, /) -> None:
        """Take note that this is not kept, and something else is."""
        with self._lock:
            if self.wallet.record is kept.record:
                self.wallet.is_new_login = False

    def insist(self, kept: Kept, /) -> Kept | None:
        """Return this as what goes over whatever is kept, if it is still in use; None where it is not."""
        with self._lock:
            if self.wallet.record is not kept.record or self.wallet.credential is None:
                return None
            self.wallet.is_new_login = True
            return replace(kept, is_login=True)

    # -- for the refresher --------------------------------------------------------------------------------------------

    @property
    def permit(self) -> Permit | None:
        """The right to refresh; None where the storage is shared with nobody."""
        return self._vault.permit

    async def look(self) -> None:
        """Adopt what others have saved."""
        await self._vault.look()

    def refresh_is_over(self, refresh: Refresh, /) -> None:
        """Let the others refresh."""
        self._vault.refresh_is_over(refresh)

    async def keep(self, refresh: Refresh, tokens: TokenSet, /) -> TokenSet:
        """Use new tokens at once, and save them before anyone who waits goes on."""
        with self._lock, self._vault.take_turn() as turn:
            if self.wallet.epoch != refresh.epoch:
                raise SessionEnded(self.wallet.parting)  # on another loop, a moment ago; nobody waits any more
            if self.permit is not None and self.wallet.generation != refresh.presented:
                turn.give_up()
                return self.wallet.tokens or tokens  # somebody else was faster, while this process stood still
            base = self.wallet.record
            renewed = self.wallet.renew(tokens, is_refreshed=True, is_login=refresh.is_login)
            kept = self._kept(base)
        self.publish()
        await self._vault.save_refreshed(kept, turn)
        return renewed

    async def forget(self, refresh: Refresh, /) -> None:
        """Clear the storage: its refresh token is dead."""
        if self._vault.permit is not None:
            return  # the others wait for the lease, and would take it for a sign-out
        with self._lock:
            if self.wallet.epoch != refresh.epoch:
                raise SessionEnded(self.wallet.parting)  # what is there now is of somebody else
            turn = self._vault.take_turn()
            kept = Kept(StoredTokens(None, "", 1), self.wallet.generation)
        await self._vault.forget(kept, turn)

    def refresh_failed(self, refresh: Refresh, error: AuthError, /) -> None:
        """End the session if the failure is final, else go back to the state before."""
        ending = self._end(error, refresh.epoch) if isinstance(error, SessionEnded) else None
        if ending is not None:
            self._vault.forget_later(*ending)
            return
        if refresh.is_put_off:
            with self._lock:
                self.wallet.put_off(getattr(error, "retry_after", None) or 0.0)
        self.publish()

    # -- its end ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Turn away those who wait, and see the refresh that is under way to its end."""
        with self._lock:
            self.is_closed = True
        self._vault.loading.abandon(ClientClosed("the AuthSession"))
        self._refresher.close(ClientClosed("the AuthSession"))
        await self._refresher.flight.ended()
        await self._vault.aclose()
        self.announcer.close()

    def refuse_closed(self) -> None:
        """Refuse what comes after the end.

        Raises:
            ClientClosed: The session is closed.
        """
        if self.is_closed:
            raise ClientClosed("the AuthSession")

    def standing(self) -> str:
        """Return in a word where the session stands."""
        with self._lock:
            return "closed" if self.is_closed else str(self._state().status)

    def publish(self) -> None:
        """Tell where the session stands now."""
        with self._lock:
            self.announcer.states.note(self._state())
            self.announcer.changes.note((self.wallet.epoch, self.wallet.generation))
        self.announcer.states.tell()
        self.announcer.changes.tell()

    # -- inner parts --------------------------------------------------------------------------------------------------

    def _kept(self, base: StoredTokens | None = None) -> Kept:
        """Return what is in use, as it is to be saved."""
        assert self.wallet.record is not None, "there are tokens, or somebody has left"
        return Kept(self.wallet.record, self.wallet.generation, base, self.wallet.is_new_login)

    def _begin(self, found: StoredTokens | None) -> Callable[[], None]:
        if found is not None:
            self.wallet.restore(found)
        return self.publish

    def _adopt(self, finding: Finding, found: StoredTokens | None) -> Callable[[], None]:
        """Go on with what was found; return what tells of it, which is for after the lock."""
        if found is None or finding is Finding.OLD:
            return _tell_nothing
        if finding is Finding.SIGN_OUT:
            error = SessionEnded(found.reason or "signed out")
            tell = self._leave(error, self._refresher.start_over, is_final=False)
            self.wallet.restore(found)
            return tell
        parting = _tell_nothing
        if finding is Finding.OTHER_LOGIN and self.gate.due() is not RefreshReason.MISSING:
            if self.wallet.record is not None and self.wallet.record.login != found.login:
                self._parted.note(self.wallet.record, is_final=True)
            self.wallet.start_epoch("another login")
            parting = partial(self._refresher.start_over(), SessionEnded("another login"))
        self._why_nobody = NOBODY
        self.wallet.restore(found)

        def tell_all() -> None:
            parting()
            self.publish()
            if (tokens := found.tokens) is not None:
                self.emit(TokensAdopted, fingerprint(tokens.access_token))

        return tell_all

    def _end(
        self, error: SessionEnded, epoch: int | None = None, *, is_final: bool = False
    ) -> tuple[Kept, Turn] | None:
        """Nobody is signed in any more; the listeners hear of it once.

        Args:
            error: Why.
            epoch: Which login ends; None for whichever it is.
            is_final: Whether somebody has signed out.

        Returns:
            What is to be kept of it, in its turn; None where that login has ended already.
        """
        with self._lock:
            if epoch not in {None, self.wallet.epoch}:
                return None
            turn, base = self._vault.take_turn(), self.wallet.base
            tell = self._leave(error, partial(self._part, turn), is_final=is_final)
            self.wallet.leave(error.reason, is_final=is_final)
            kept = self._kept(base)
        tell()
        return kept, turn

    def _leave(
        self, error: SessionEnded, part: Callable[[], Callable[[SessionEnded], None]], *, is_final: bool
    ) -> Callable[[], None]:
        """Part with the login; return what tells of it, which is for after the lock."""
        somebody_was = self.wallet.credential is not None or not self.is_loaded
        self._parted.note(self.wallet.record, is_final=is_final)
        self.wallet.start_epoch(error.reason)
        self._why_nobody = error.reason
        parting = part()

        def tell() -> None:
            parting(error)
            self.publish()
            if somebody_was:
                self.emit(Ended, error.reason)

        return tell

    def _part(self, turn: Turn) -> Callable[[SessionEnded], None]:
        """Stop what was started for the login before; who waited may at once start anew in the present one."""
        self.is_loaded = True
        self._vault.expect(turn)
        loading, refreshing = self._vault.loading.withdraw(), self._refresher.start_over()

        def tell(error: SessionEnded) -> None:
            loading(error)
            refreshing(error)

        return tell

    def _state(self) -> AuthState:
        if not self.is_loaded:
            return AuthState(AuthStatus.LOADING)
        if self._refresher.flight.is_seeking:
            return AuthState(AuthStatus.REFRESHING)
        if self.wallet.credential is None:
            return AuthState(AuthStatus.UNAUTHENTICATED, self._why_nobody)
        return AuthState(AuthStatus.AUTHENTICATED)


def _tell_nothing() -> None:
    """Nothing has changed."""
