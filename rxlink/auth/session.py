"""The one owner of a token: keeps it, replaces it in time, and tells operations whether to go on or to wait.

A session is separate from the links that use it: any number of chains share one, and with it one refresh. Its states::

    loading ──► authenticated ◄──► refreshing
       │              │                 │
       └──────► unauthenticated ◄───────┘     (signed out, or the refresh token was rejected)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from reactivex import Observable, abc

from rxlink.auth.credential import Wallet
from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    CurrentSignal,
    Ended,
    RefreshReason,
    SaveFailed,
    Signal,
    TokensSaved,
)
from rxlink.auth.expiry import Windows
from rxlink.auth.pending import PendingRequests
from rxlink.auth.refresher import RefreshCallback, Refresher
from rxlink.auth.single_flight import SingleFlight
from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.storage.serial import SerialStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.timing import Duration, to_seconds
from rxlink.errors import AuthError, ClientClosed, InvariantError, SessionEnded, TokenStorageError

__all__ = ["AuthSession"]


class AuthSession:
    """Keeps one user's token fresh, for any number of chains.

    ``refresh`` is called with the tokens in use (None where there are none) and a :class:`RefreshReason`, on the event
    loop, and never twice at a time. It returns a :class:`TokenSet` (or a bare access token as text), or an awaitable
    or an Observable of one. Where it brings no refresh token, the old one is kept. What it raises:
    :class:`~rxlink.errors.SessionEnded` ends the session; a failure that may pass (:func:`is_transient`) is tried again
    within ``refresh_timeout``; anything else fails those who wait, and the session is kept. Operations that it sends
    through a chain of this very session go out without a token and are not waited for.

    Example:
        >>> session = AuthSession(refresh=get_new_tokens, tokens=TokenSet("...", refresh_token="..."))
        >>> link = from_([AuthLink(session), HttpLink(uri)])
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
        clock: Callable[[], datetime] | None = None,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        """Make a session; nothing is loaded or sent before an operation needs a token.

        Args:
            refresh: Gets new tokens; see above.
            tokens: The tokens to begin with; None to load them from the storage.
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
        self._time_limit = to_seconds("refresh_timeout", refresh_timeout, may_be_zero=False)
        clock = clock or _system_clock
        self.wallet = Wallet(windows, clock)
        self._storage = SerialStorage(storage or MemoryTokenStorage(tokens))
        self._loading: SingleFlight[None, tuple[TokenSet | None]] = SingleFlight(
            self._load,
            keep=self._adopt,
            time_limit=self._time_limit,
            failed=self._load_failed,
            scheduler=scheduler,
        )
        self._refresher = Refresher(refresh, self, time_limit=self._time_limit, clock=clock, scheduler=scheduler)
        self._states = CurrentSignal(AuthState(AuthStatus.LOADING))
        self._events = Signal[AuthEvent]()
        self._chores: set[asyncio.Task[None]] = set()
        self._is_loaded = False
        self._is_saving = False
        self._is_closed = False
        if tokens is not None:
            self.wallet.renew(tokens, is_refreshed=False)
            self._signed_in()

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
        self._refuse_inside("get_token")
        has_waited = False
        while (wave := self.gate(has_waited=has_waited)) is not None:
            has_waited = self._is_loaded
            await _outcome_of(wave)
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
        self._refuse_inside("refresh")
        self._refuse_closed()
        while not self._is_loaded:
            await _outcome_of(self._loading.join(None))
        reason = RefreshReason.FORCED if force else self.wallet.due()
        if reason is not None:
            await _outcome_of(self._join(reason))
        return self.wallet.tokens

    async def set_tokens(self, tokens: TokenSet) -> None:
        """Sign in: use these tokens from now on, and save them.

        Operations and refreshes of the login before end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The tokens could not be saved; they are used all the same.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; return the tokens instead.
        """
        self._refuse_inside("set_tokens")
        self._refuse_closed()
        self._start_epoch(SessionEnded("another login"))
        kept = self.wallet.renew(tokens, is_refreshed=False)
        self._signed_in()
        await self._store("saved", lambda: self._storage.save(kept))
        self.emit(TokensSaved)

    async def clear(self) -> None:
        """Sign out: forget the tokens here and in the storage.

        Operations that wait, and a refresh that is under way, end with :class:`~rxlink.errors.SessionEnded`.

        Raises:
            TokenStorageError: The storage could not be cleared.
            ClientClosed: The session is closed.
            InvariantError: Called from inside the session's own refresh; raise SessionEnded instead.
        """
        self._refuse_inside("clear")
        self._refuse_closed()
        self._start_epoch(SessionEnded("signed out"))
        self._set_state(AuthStatus.UNAUTHENTICATED, "signed out")
        await self._store("cleared", self._storage.clear)

    async def aclose(self) -> None:
        """Close the session: those who wait get :class:`~rxlink.errors.ClientClosed`.

        A refresh that is under way is awaited, at most for its time limit, so that its tokens are saved.
        """
        self._refuse_inside("aclose")
        self._is_closed = True
        self._loading.abandon(ClientClosed("the AuthSession"))
        if (wave := self._refresher.flight.wave) is not None:
            wave.on_error(ClientClosed("the AuthSession"))
            await self._refresher.flight.ended()
        if self._chores:
            await asyncio.wait(self._chores, timeout=self._time_limit)
        self._events.on_completed()
        self._states.on_completed()

    # -- for links ----------------------------------------------------------------------------------------------------

    def is_inside_refresh(self) -> bool:
        """Tell whether the caller is part of this session's own load or refresh, and so must not wait for it."""
        return self._refresher.flight.is_inside() or self._loading.is_inside()

    def gate(self, *, has_waited: bool = False, is_retry: bool = False) -> PendingRequests[Any] | None:
        """Return whom an operation must wait with before it is sent; None where it may be sent with ``credential``.

        Args:
            has_waited: Whether it has waited already: then only a rejection makes it wait once more.
            is_retry: Whether it was sent before: then it also waits until the tokens are saved.

        Raises:
            ClientClosed: The session is closed.
        """
        self._refuse_closed()
        if not self._is_loaded:
            return self._loading.join(None)
        if is_retry and self._is_saving and self._refresher.flight.wave is not None:
            return self._refresher.flight.wave
        reason = self.wallet.due()
        if reason is None or (has_waited and reason is not RefreshReason.REJECTED):
            return None
        wave = self._join(reason)
        # Inside the advisory window operations go on while the refresh runs.
        return None if reason is RefreshReason.EXPIRING else wave

    # -- for the refresher --------------------------------------------------------------------------------------------

    async def keep(self, tokens: TokenSet, /) -> TokenSet:
        """Use new tokens at once, and save them before anyone who waits goes on."""
        kept = self.wallet.renew(tokens, is_refreshed=True)
        self._signed_in()
        self._is_saving = True
        try:
            await self._storage.save(kept)
        except Exception as error:  # noqa: BLE001 - the tokens are good all the same; the listeners are told
            self.emit(SaveFailed, type(error).__name__)
        else:
            self.emit(TokensSaved)
        finally:
            self._is_saving = False
        return kept

    def refresh_failed(self, error: AuthError, /) -> None:
        """End the session if the failure is final, else go back to the state before."""
        if isinstance(error, SessionEnded):
            self._start_epoch(error)
            self._set_state(AuthStatus.UNAUTHENTICATED, error.reason)
            self.emit(Ended, error.reason)
            self._do_later(self._storage.clear)
        elif self.wallet.credential is None:
            self._set_state(AuthStatus.UNAUTHENTICATED, "nobody is signed in")
        else:
            self._set_state(AuthStatus.AUTHENTICATED)

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell the listeners, if there are any."""
        if self._events.observers:
            self._events.on_next(event(self.wallet.generation, *values))

    # -- private ------------------------------------------------------------------------------------------------------

    def _join(self, reason: RefreshReason) -> PendingRequests[TokenSet]:
        wave = self._refresher.join(reason)
        self._set_state(AuthStatus.REFRESHING)
        return wave

    def _signed_in(self) -> None:
        self._is_loaded = True
        self._set_state(AuthStatus.AUTHENTICATED)

    def _start_epoch(self, error: SessionEnded) -> None:
        """Part with all that was started for the login before."""
        self.wallet.start_epoch()
        self._is_loaded = True
        self._loading.abandon(error)
        self._refresher.start_over(error)

    async def _load(self, _: None) -> tuple[TokenSet | None]:
        return (await self._storage.load(),)

    async def _adopt(self, loaded: tuple[TokenSet | None]) -> tuple[TokenSet | None]:
        (tokens,) = loaded
        if tokens is not None:
            self.wallet.restore(tokens)
            self._signed_in()
        else:
            self._is_loaded = True
            self._set_state(AuthStatus.UNAUTHENTICATED, "nobody is signed in")
        return loaded

    def _load_failed(self, error: Exception) -> TokenStorageError:
        failure = TokenStorageError("loaded")
        failure.__cause__ = error
        return failure

    async def _store(self, done: str, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except Exception as error:
            raise TokenStorageError(done) from error

    def _do_later(self, call: Callable[[], Awaitable[None]]) -> None:
        async def do() -> None:
            try:
                await call()
            except Exception as error:  # noqa: BLE001 - nobody waits for it; the listeners are told
                self.emit(SaveFailed, type(error).__name__)

        chore = asyncio.get_running_loop().create_task(do())
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    def _set_state(self, status: AuthStatus, reason: str | None = None) -> None:
        state = AuthState(status, reason)
        if state != self._states.value:
            self._states.on_next(state)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise ClientClosed("the AuthSession")

    def _refuse_inside(self, method: str) -> None:
        if self.is_inside_refresh():
            raise InvariantError(
                f"`{method}` was called from inside the session's own refresh, which would wait for itself; "
                "return the new tokens from the refresh callback, or raise SessionEnded"
            )


async def _outcome_of(wave: PendingRequests[Any]) -> None:
    """Wait with the others; everyone gets an error object of their own."""
    try:
        await wave
    except AuthError as error:
        raise error.for_operation(None, None) from error.__cause__


def _system_clock() -> datetime:
    return datetime.now(UTC)
