"""The one owner of a token: keeps it, replaces it in time, and tells operations whether to go on or to wait.

A session is separate from the links that use it: any number of chains share one, and with it one refresh. Its states::

    loading ──► authenticated ◄──► refreshing
       │              │                 │
       └──────► unauthenticated ◄───────┘     (signed out, or the refresh token was rejected)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from reactivex import Observable, abc

from rxlink.auth.clock import Clock, checked_clock, system_clock
from rxlink.auth.credential import Wallet
from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    Ended,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
)
from rxlink.auth.expiry import Windows
from rxlink.auth.failures import outcome_of
from rxlink.auth.pending import PendingRequests
from rxlink.auth.refresher import RefreshCallback, Refresher
from rxlink.auth.signals import CurrentSignal, Signal
from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.tokens import TokenSet, checked_tokens
from rxlink.auth.vault import Vault
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import AuthError, ClientClosed, InvariantError, SessionEnded

__all__ = ["AuthSession"]

logger = logging.getLogger(__name__)

LOGGED: frozenset[object] = frozenset({Ended, RefreshFailed, RefreshStarted, RefreshSucceeded, RefreshTryFailed})
"""What concerns the session itself, at INFO; the rest is of single operations, at DEBUG."""


class AuthSession:
    """Keeps one user's token fresh, for any number of chains.

    ``refresh`` is called with the tokens in use (None where there are none) and a :class:`RefreshReason`, on the event
    loop, and never twice at a time. It returns a :class:`TokenSet` (or a bare access token as text), or an awaitable
    or an Observable of one. Where it brings no refresh token, the old one is kept. What it raises:
    :class:`~rxlink.errors.SessionEnded` ends the session; a failure that may pass (:func:`is_transient`) is tried again
    within ``refresh_timeout``; anything else fails those who wait, and the session is kept. Operations that it sends
    through a chain of this very session go out without a token and are not waited for.

    Attributes:
        wallet: The tokens in use, for links.
        is_loaded: Whether it is known by now who is signed in.
        is_closed: Whether it was closed.

    Example:
        >>> import asyncio
        >>> async def get_new_tokens(tokens, reason):
        ...     return TokenSet("new", refresh_token="r1")
        >>> async def main():
        ...     async with AuthSession(refresh=get_new_tokens, tokens=TokenSet("old", refresh_token="r0")) as session:
        ...         before = await session.get_token()
        ...         await session.refresh(force=True)
        ...         return before, await session.get_token()
        >>> asyncio.run(main())
        ('old', 'new')
    """

    def __init__(
        self,
        *,
        refresh: RefreshCallback,
        tokens: TokenSet | None = None,
        storage: TokenStorage | None = None,
        advisory_window: Duration = 60.0,
        mandatory_window: Duration = 10.0,
        refresh_timeout: Duration = 30.0,
        clock: Clock | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        """Make a session; nothing is loaded or sent before an operation needs a token.

        Args:
            refresh: Gets new tokens; see above.
            tokens: The tokens to begin with, judged by ``expires_at`` where it is known, else by a life that counts
                from now; None to load them from the storage.
            storage: Where tokens are kept; None for memory.
            advisory_window: Seconds before the end of a token from which it is refreshed in the background; at most a
                quarter of its life.
            mandatory_window: Seconds before its end from which operations wait for the refresh; at most a tenth.
            refresh_timeout: Seconds that a refresh may take, tries and pauses and saving together; operations
                wait that long.
            clock: Gives the current time as an aware datetime; None for the system's.
            scheduler: For the session's own timers; None for the running event loop's time.

        Raises:
            InvariantError: A duration makes no sense, or both tokens and storage were given.
            InvariantTypeError: ``refresh`` cannot be called, or an option has the wrong type.
        """
        if tokens is not None and storage is not None:
            raise InvariantError("give `tokens` or `storage`, not both: with a storage, use `await set_tokens(...)`")
        windows = Windows(
            to_seconds("advisory_window", advisory_window), to_seconds("mandatory_window", mandatory_window)
        )
        time_limit = to_seconds("refresh_timeout", refresh_timeout, may_be_zero=False)
        clock = checked_clock(clock or system_clock)
        self.wallet = Wallet(windows, clock)
        storage = MemoryTokenStorage() if storage is None else storage
        self._states = CurrentSignal(AuthState(AuthStatus.LOADING))
        self._events = Signal[AuthEvent]()
        self._vault = Vault(storage, self.loaded, self._events.on_next, time_limit=time_limit, scheduler=scheduler)
        self._refresher = Refresher(refresh, self, time_limit=time_limit, clock=clock, scheduler=scheduler)
        self.is_loaded = False
        self.is_closed = False
        if tokens is not None:
            kept = checked_tokens(tokens)
            self.loaded(kept if kept.expires_at is not None else kept.received(clock()))

    # -- for applications ---------------------------------------------------------------------------------------------

    @property
    def states(self) -> Observable[AuthState]:
        """Where the session stands: the current state at once, then each change."""
        return self._states.as_observable()

    @property
    def events(self) -> Observable[AuthEvent]:
        """What happens, as it happens; counts and durations, never a secret."""
        return self._events.as_observable()

    async def get_token(self) -> str | None:
        """Return an access token that is good to use, refreshed first where it has to be; None if nobody is signed in.

        Raises:
            AuthError: The refresh failed, or the session ended meanwhile.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh.
        """
        self._check_call("get_token")
        has_waited = False
        while (wave := self.gate(has_waited=has_waited)) is not None:
            has_waited = self.is_loaded
            await self._wait_with(wave)
        tokens = self.wallet.tokens
        return None if tokens is None else tokens.access_token

    async def refresh(self, *, force: bool = False) -> TokenSet | None:
        """Refresh if the tokens need it, and return the tokens in use; joins a refresh that is under way.

        Args:
            force: Refresh in any case, without waiting for a pause after failures to end.

        Raises:
            AuthError: The refresh failed, or the session ended meanwhile.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh.
        """
        self._check_call("refresh")
        while not self.is_loaded:
            await self._wait_with(self._vault.loading.join(None))
        reason = RefreshReason.FORCED if force else self.wallet.due()
        if reason is not None:
            await self._wait_with(self._join(reason))
        return self.wallet.tokens

    async def set_tokens(self, tokens: TokenSet) -> None:
        """Sign in: use these tokens from now on, and save them.

        Operations and refreshes of the login before end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The tokens could not be saved; they are used all the same.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; return the tokens instead.
        """
        self._check_call("set_tokens")
        checked_tokens(tokens)
        self.wallet.start_epoch("another login")
        kept = self.wallet.renew(tokens, is_refreshed=False)
        self._part_with(SessionEnded("another login"))
        self._resume_state()
        await self._vault.save(kept, self.wallet.generation)

    async def clear(self) -> None:
        """Sign out: forget the tokens here and in the storage.

        Operations that wait, and a refresh that is under way, end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The storage could not be cleared.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; raise SessionEnded instead.
        """
        self._check_call("clear")
        self._end(SessionEnded("signed out"))
        await self._vault.clear()

    async def aclose(self) -> None:
        """Close the session: those who wait get :class:`~rxlink.errors.ClientClosed`.

        A refresh that is under way is awaited, at most for its time limit, so that its tokens are saved.
        """
        self._refuse_inside("aclose")
        self.is_closed = True
        self._vault.loading.abandon(ClientClosed("the AuthSession"))
        if (wave := self._refresher.flight.wave) is not None:
            wave.on_error(ClientClosed("the AuthSession"))
            await self._refresher.flight.ended()
        await self._vault.aclose()
        self._events.on_completed()
        self._states.on_completed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # -- for links, the refresher and the vault -----------------------------------------------------------------------

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of this session's own load or refresh, and so must not wait for it."""
        return self._refresher.flight.is_inside() or self._vault.loading.is_inside()

    def gate(self, *, has_waited: bool = False, is_retry: bool = False) -> PendingRequests[Any] | None:
        """Return whom an operation must wait with before it is sent; None where it may be sent with ``credential``.

        Args:
            has_waited: Whether it has waited for a refresh: then only a rejection makes it wait once more.
            is_retry: Whether it was sent before: then it also waits until the tokens are saved.

        Raises:
            ClientClosed: The session is closed.
        """
        self._refuse_closed()
        if not self.is_loaded:
            return self._vault.loading.join(None)
        if is_retry and self._vault.is_saving and self._refresher.flight.wave is not None:
            return self._refresher.flight.wave
        reason = self.wallet.due()
        if reason is None or (has_waited and reason is not RefreshReason.REJECTED):
            return None
        if reason is not RefreshReason.EXPIRING:
            return self._join(reason)
        # Inside the advisory window operations go on while the refresh runs, or could not be started.
        with suppress(InvariantError):
            self._join(reason)
        return None

    def loaded(self, tokens: TokenSet | None, /) -> None:
        """Begin with the tokens that were kept, or with nobody signed in."""
        self.is_loaded = True
        if tokens is not None:
            self.wallet.restore(tokens)
        self._resume_state()

    async def keep(self, tokens: TokenSet, /) -> TokenSet:
        """Use new tokens at once, and save them before anyone who waits goes on."""
        kept = self.wallet.renew(tokens, is_refreshed=True)
        self._set_state(AuthStatus.AUTHENTICATED)
        await self._vault.save_refreshed(kept, self.wallet.generation)
        return kept

    def refresh_failed(self, error: AuthError, /) -> None:
        """End the session if the failure is final, else go back to the state before."""
        if isinstance(error, SessionEnded):
            self._end(error)
            self._vault.clear_later(self.wallet.generation)
        else:
            self._resume_state()

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell the listeners, if there are any, and the log what concerns the session itself."""
        level = logging.INFO if event in LOGGED else logging.DEBUG
        is_logged = logger.isEnabledFor(level)
        if is_logged or self._events.observers:
            told = event(self.wallet.generation, *values)
            if is_logged:
                logger.log(level, "%s", told)
            self._events.on_next(told)

    async def _wait_with(self, wave: PendingRequests[Any]) -> None:
        epoch = self.wallet.epoch
        await outcome_of(wave)
        if self.wallet.epoch != epoch:  # by one who was released earlier
            raise SessionEnded(self.wallet.parting)

    def _join(self, reason: RefreshReason) -> PendingRequests[TokenSet]:
        is_under_way = self._refresher.flight.wave is not None
        wave = self._refresher.join(reason)
        if not is_under_way:
            self._set_state(AuthStatus.REFRESHING)
        return wave

    def _end(self, error: SessionEnded) -> None:
        """Nobody is signed in any more; the listeners hear of it once."""
        somebody_was = self.wallet.credential is not None or not self.is_loaded
        self.wallet.start_epoch(error.reason)
        self._part_with(error)
        self._set_state(AuthStatus.UNAUTHENTICATED, error.reason)
        if somebody_was:
            self.emit(Ended, error.reason)

    def _part_with(self, error: SessionEnded) -> None:
        """End what was started for the login before; who waited may at once start anew in the present one."""
        self.is_loaded = True
        self._vault.loading.abandon(error)
        self._refresher.start_over(error)

    def _resume_state(self) -> None:
        if self._refresher.flight.wave is not None:
            return  # a listener, or one who waited, has set off the next refresh already
        if self.wallet.credential is None:
            self._set_state(AuthStatus.UNAUTHENTICATED, "nobody is signed in")
        else:
            self._set_state(AuthStatus.AUTHENTICATED)

    def _set_state(self, status: AuthStatus, reason: str | None = None) -> None:
        self._states.on_next(AuthState(status, reason))

    def _refuse_closed(self) -> None:
        if self.is_closed:
            raise ClientClosed("the AuthSession")

    def _check_call(self, method: str) -> None:
        self._refuse_inside(method)
        self._refuse_closed()

    def _refuse_inside(self, method: str) -> None:
        if self.is_inside_refresh():
            raise InvariantError(
                f"`{method}` was called from inside the session's own refresh, which would wait for itself; "
                "return the new tokens from the refresh callback, or raise SessionEnded"
            )
