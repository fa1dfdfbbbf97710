"""Decides who goes on and who waits, and keeps a session's tokens, storage and refresh in step.

The inner part of :class:`~rxlink.auth.session.AuthSession`, for links. Those who ask may be on several event loops, in
several threads: what belongs together is decided under one lock, and nobody is told anything under it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from threading import RLock
from typing import Any

from rxlink.auth.announcer import Announcer
from rxlink.auth.credential import Credential, Wallet
from rxlink.auth.events import AuthState, AuthStatus, Ended, RefreshReason, RefreshStarted
from rxlink.auth.failures import outcome_of
from rxlink.auth.pending import PendingRequests
from rxlink.auth.refresh_callback import RefreshCallback
from rxlink.auth.refresher import Refresh, Refresher
from rxlink.auth.session_options import SessionOptions
from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.storage.serial import Turn
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.auth.vault import Vault
from rxlink.errors import AuthError, ClientClosed, InvariantError, SessionEnded

__all__ = ["Keeper"]

NOBODY = "nobody is signed in"

_numbers = count(1)


class Keeper:
    """One session's tokens, and all that happens to them.

    Attributes:
        login: The context key under which operations keep whose login they belong to.
        wallet: The tokens in use.
        announcer: Who is told what happens.
        is_loaded: Whether it is known by now who is signed in.
        is_closed: Whether the session was closed.
    """

    def __init__(self, refresh: RefreshCallback, storage: TokenStorage, options: SessionOptions) -> None:
        self._lock = RLock()
        self.wallet = Wallet(options.windows, options.clock, options.cool_down)
        self.announcer = Announcer(lambda: self.wallet.generation, options.name)
        self.emit = self.announcer.emit
        self.tell_of_failed_callback = self.announcer.tell_of_failed_callback
        limits: Any = {"time_limit": options.time_limit, "scheduler": options.scheduler, "lock": self._lock}
        self._vault = Vault(storage, self.loaded, self.announcer.tell, claim=self._claim, **limits)
        self._refresher = Refresher(
            refresh,
            self,
            clock=options.clock,
            backoff=options.backoff,
            on_outage=options.on_outage,
            relogin=options.relogin,
            **limits,
        )
        self._obtains_first = options.obtains_first
        self._process = os.getpid()
        self._is_of_one_process = isinstance(storage, MemoryTokenStorage)
        self._why_nobody = NOBODY
        self.login = f"rxlink.auth.login.{next(_numbers)}"
        self.is_loaded = False
        self.is_closed = False

    @property
    def tokens(self) -> TokenSet | None:
        """The tokens in use, and never the moment between those of two logins."""
        with self._lock:
            return self.wallet.tokens

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of this session's own load or refresh, and so must not wait for it."""
        return self._refresher.flight.is_inside() or self._vault.loading.is_inside()

    # -- who waits ----------------------------------------------------------------------------------------------------

    def gate(
        self, *, has_waited: bool = False, is_retry: bool = False, operation_name: str | None = None
    ) -> PendingRequests[Any] | None:
        """Return whom an operation must wait with before it is sent; None where it may be sent with ``credential``.

        Args:
            has_waited: Whether it has waited for a refresh: then only a rejection makes it wait once more.
            is_retry: Whether it was sent before: then it also waits until the tokens are saved.
            operation_name: Its name, for those who are told what has set off a refresh.

        Raises:
            ClientClosed: The session is closed.
            InvariantError: Nobody may refresh here: no event loop runs, or the process was forked.
        """
        with self._lock:
            self.refuse_closed()
            if not self.is_loaded:
                return self._vault.loading.join(None)
            if is_retry and self._vault.is_saving and (wave := self._refresher.flight.wave) is not None:
                return wave
            reason = self._due()
            if reason is None or (has_waited and reason is not RefreshReason.REJECTED):
                return None
            may_go_on = self._may_go_on(reason)
            try:
                wave, tell = self._join(reason, operation_name)
            except InvariantError:
                if not may_go_on:
                    raise
                return None
        tell()
        return None if may_go_on else wave

    async def wait_for_load(self) -> None:
        """Wait until it is known who is signed in."""
        while not self.is_loaded:
            with self._lock:
                wave = None if self.is_loaded else self._vault.loading.join(None)
            if wave is not None:
                await self.wait_with(wave)

    async def refresh(self, *, is_forced: bool) -> None:
        """Refresh where it is due, or in any case; join one that is under way."""
        with self._lock:
            self.refuse_closed()
            reason = RefreshReason.FORCED if is_forced else self._due()
            if reason is None:
                return
            wave, tell = self._join(reason, None)
        tell()
        await self.wait_with(wave)
        if is_forced and self._refresher.serves_stale:
            raise self._refresher.outage()

    async def wait_with(self, wave: PendingRequests[Any]) -> None:
        """Wait with the others.

        Raises:
            SessionEnded: Somebody else has signed in or out meanwhile.
        """
        epoch = self.wallet.epoch
        await outcome_of(wave)
        if self.wallet.epoch != epoch:  # by one who was released earlier
            raise SessionEnded(self.wallet.parting)

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
            self.wallet.start_epoch("another login")
            kept = self.wallet.renew(tokens, is_refreshed=False)
            generation, tell = self.wallet.generation, self._part()
            self._why_nobody = NOBODY
        tell(SessionEnded("another login"))
        self.publish()
        await self._vault.see_through(self._vault.save(kept, generation, turn))

    async def sign_out(self) -> None:
        """Part with the login, and forget its tokens here and in the storage."""
        turn = self._end(SessionEnded("signed out"))
        await self._vault.see_through(self._vault.clear(turn))

    def loaded(self, tokens: TokenSet | None, /) -> None:
        """Begin with the tokens that were kept, or with nobody signed in."""
        with self._lock:
            if self.is_loaded:
                return  # on another loop somebody has signed in or out meanwhile
            self.is_loaded = True
            if tokens is not None:
                self.wallet.restore(tokens)
        self.publish()

    # -- for the refresher --------------------------------------------------------------------------------------------

    async def keep(self, refresh: Refresh, tokens: TokenSet, /) -> TokenSet:
        """Use new tokens at once, and save them before anyone who waits goes on."""
        with self._lock, self._vault.take_turn() as turn:
            if self.wallet.epoch != refresh.epoch:
                raise SessionEnded(self.wallet.parting)  # on another loop, a moment ago; nobody waits any more
            kept = self.wallet.renew(tokens, is_refreshed=True, is_login=refresh.is_login)
            generation = self.wallet.generation
        self.publish()
        await self._vault.save_refreshed(kept, generation, turn)
        return kept

    async def forget(self, refresh: Refresh, /) -> None:
        """Clear the storage: its refresh token is dead."""
        with self._lock:
            if self.wallet.epoch != refresh.epoch:
                raise SessionEnded(self.wallet.parting)  # what is there now is of somebody else
            turn, generation = self._vault.take_turn(), self.wallet.generation
        await self._vault.forget(generation, turn)

    def refresh_failed(self, refresh: Refresh, error: AuthError, /) -> None:
        """End the session if the failure is final, else go back to the state before."""
        turn = self._end(error, refresh.epoch) if isinstance(error, SessionEnded) else None
        if turn is not None:
            self._vault.forget_later(self.wallet.generation, turn)
        else:
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
        self.announcer.states.tell()

    # -- inner parts --------------------------------------------------------------------------------------------------

    def _claim(self, generation: int) -> Turn | None:
        """Take a turn of the storage for the tokens of a generation, if they are still in use."""
        with self._lock:
            is_current = self.wallet.credential is not None and self.wallet.generation == generation
            return self._vault.take_turn() if is_current else None

    def _due(self) -> RefreshReason | None:
        if self.wallet.credential is None:
            wants_first = self._obtains_first and self._why_nobody is NOBODY
            return RefreshReason.MISSING if wants_first else None
        return self.wallet.due()

    def _may_go_on(self, reason: RefreshReason) -> bool:
        """Tell whether operations go on while the refresh runs."""
        is_stale = reason is RefreshReason.EXPIRED and self._refresher.serves_stale
        return is_stale or reason is RefreshReason.EXPIRING

    def _join(
        self, reason: RefreshReason, operation_name: str | None
    ) -> tuple[PendingRequests[TokenSet], Callable[[], None]]:
        """Join a refresh or start one; return also what tells of it, which is for after the lock."""
        is_under_way = self._refresher.flight.is_under_way
        if not is_under_way and self._is_of_one_process and os.getpid() != self._process:
            raise InvariantError(
                "this AuthSession was made before the process was forked, and its refresh token may be used by the "
                "parent; make a session in each process, or give them a storage that they share"
            )
        wave = self._refresher.join(reason)
        if is_under_way:
            return wave, _tell_nothing
        tokens = self.wallet.tokens
        shown = None if tokens is None else fingerprint(tokens.access_token)

        def tell() -> None:
            self.emit(RefreshStarted, reason, operation_name, shown)
            self.publish()

        return wave, tell

    def _end(self, error: SessionEnded, epoch: int | None = None) -> Turn | None:
        """Nobody is signed in any more; the listeners hear of it once.

        Args:
            error: Why.
            epoch: Which login ends; None for whichever it is.

        Returns:
            The turn of what clears the storage; None where that login has ended already.
        """
        with self._lock:
            if epoch not in {None, self.wallet.epoch}:
                return None
            turn = self._vault.take_turn()
            somebody_was = self.wallet.credential is not None or not self.is_loaded
            self.wallet.start_epoch(error.reason)
            self._why_nobody = error.reason
            tell = self._part()
        tell(error)
        self.publish()
        if somebody_was:
            self.emit(Ended, error.reason)
        return turn

    def _part(self) -> Callable[[SessionEnded], None]:
        """Stop what was started for the login before; who waited may at once start anew in the present one."""
        self.is_loaded = True
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
    """It is known already."""
