"""Runs a session's refresh callback: tries, pauses between them, and what its failures mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from reactivex import Observable, abc
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink.auth.credential import Wallet
from rxlink.auth.events import (
    AuthEvent,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
)
from rxlink.auth.pacing import Backoff, asked_pause, is_transient
from rxlink.auth.pending import PendingRequests
from rxlink.auth.single_flight import NothingReturned, SingleFlight
from rxlink.auth.tokens import TokenSet
from rxlink.core.observables import resolve
from rxlink.core.options import checked_function, kind_of
from rxlink.core.timing import sleep
from rxlink.core.work import report_callback_error
from rxlink.errors import (
    AuthError,
    InvariantError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
)

__all__ = ["RefreshCallback", "RefreshReturn", "Refresher"]

NewTokens: TypeAlias = TokenSet | str | None
RefreshReturn: TypeAlias = NewTokens | Awaitable[NewTokens] | Observable[NewTokens]
RefreshCallback: TypeAlias = Callable[[TokenSet | None, RefreshReason], RefreshReturn]


class RefreshOwner(Protocol):
    """What a refresher needs of its session."""

    @property
    def wallet(self) -> Wallet:
        """Where the tokens in use are."""
        ...

    async def keep(self, tokens: TokenSet, /) -> TokenSet:
        """Use and save new tokens; return them."""
        ...

    def refresh_failed(self, error: AuthError, /) -> None:
        """Take note that a refresh ended without tokens."""

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell the listeners."""


class Refresher:
    """One session's refreshes: never two at a time, each within its time limit."""

    def __init__(
        self,
        refresh: RefreshCallback,
        owner: RefreshOwner,
        *,
        time_limit: float,
        clock: Callable[[], datetime],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._refresh = checked_function("`refresh`", refresh, "tokens", "reason")
        self._owner = owner
        self._time_limit = time_limit
        self._clock = clock
        self._scheduler = scheduler
        self._backoff = Backoff()
        self._reason = RefreshReason.FORCED
        self._began = clock()
        self._wave: PendingRequests[TokenSet] | None = None
        self.flight = SingleFlight(
            self._fetch, keep=self._keep, time_limit=time_limit, failed=self._failed, scheduler=scheduler
        )

    def join(self, reason: RefreshReason) -> PendingRequests[TokenSet]:
        """Return those who wait for the refresh; it is started if none is under way."""
        if self.flight.wave is not None:
            return self.flight.wave
        self._reason, self._began = reason, self._clock()
        self._wave = self.flight.join(reason)
        self._owner.emit(RefreshStarted, reason)
        return self._wave

    def start_over(self, error: SessionEnded) -> None:
        """Give up the refresh that is under way, and forget the failures: somebody else signs in, or nobody."""
        self._backoff.reset()
        self.flight.abandon(error)

    async def _fetch(self, reason: RefreshReason) -> TokenSet | None:
        pause = 0.0 if reason is RefreshReason.FORCED else self._backoff.delay_at(self._clock())
        cause = self._backoff.last_error
        while True:
            if pause:
                if pause >= self._time_left():
                    raise self._given_up(pause, cause) from cause
                await sleep(pause, self._scheduler)
            try:
                return _checked(await resolve(self._refresh(self._owner.wallet.tokens, reason)))
            except SequenceContainsNoElementsError:
                return None  # an Observable that completed empty
            except Exception as error:
                if not is_transient(error):
                    raise
                cause = error
            pause = self._backoff.fail(cause, self._clock())
            self._owner.emit(RefreshTryFailed, type(cause).__name__, pause)

    async def _keep(self, tokens: TokenSet) -> TokenSet:
        self._backoff.reset()
        self._tell(RefreshSucceeded)
        return await self._owner.keep(tokens)

    def _failed(self, error: Exception) -> AuthError:
        """Tell everybody; whatever raises on the way, those who wait get an error."""
        try:
            return self._end_with(self._translated(error), error)
        except Exception as failure:  # noqa: BLE001 - a clock may raise, and errors of users' own classes anywhere
            report_callback_error(failure)
            return TokenRefreshError(f"the token refresh failed with {type(error).__name__}", retryable=False)

    def _end_with(self, failure: AuthError, error: Exception) -> AuthError:
        if not failure.retryable:
            # Those that were tried again have been counted with each try.
            self._backoff.fail(failure, self._clock())
        self._tell(RefreshFailed, type(error).__name__)
        self._owner.refresh_failed(failure)
        return failure

    def _translated(self, error: Exception) -> AuthError:
        if isinstance(error, NothingReturned):
            return TokenRefreshError(
                "the refresh callback returned no token; return a TokenSet, or raise SessionEnded where there is none",
                retryable=False,
            )
        if isinstance(error, TimeoutError) and not isinstance(error, AuthError):
            failure: AuthError = TokenRefreshTimeout(seconds=self._time_limit)
            failure.__cause__ = self._backoff.last_error
        elif isinstance(error, AuthError):
            failure = error
        else:
            # Its text is left out: an issuer's error may quote what was sent to it.
            failure = TokenRefreshError(
                f"the token refresh failed with {type(error).__name__}", retryable=is_transient(error)
            )
            failure.__cause__ = error
        return failure

    def _given_up(self, pause: float, cause: Exception | None) -> TokenRefreshError:
        return TokenRefreshError(
            f"the token refresh failed (last with {type(cause).__name__}), and the pause of {pause:.1f} s before the "
            f"next try leaves no time for one within `refresh_timeout`, {self._time_limit:g} s",
            retryable=True,
            retry_after=pause if cause is not None and asked_pause(cause, self._clock()) is not None else None,
        )

    def _time_left(self) -> float:
        return self._time_limit - (self._clock() - self._began).total_seconds()

    def _tell(self, event: Callable[..., AuthEvent], *values: object) -> None:
        waiting = 0 if self._wave is None else self._wave.waiting
        seconds = (self._clock() - self._began).total_seconds()
        self._owner.emit(event, self._reason, seconds, waiting, *values)


def _checked(returned: object) -> TokenSet | None:
    if returned is None or isinstance(returned, TokenSet):
        return returned
    if not isinstance(returned, str):
        raise _unusable(f"it is {kind_of(returned)}; return a TokenSet, or an access token as text")
    try:
        return TokenSet(returned) if returned else None
    except InvariantError as error:
        raise _unusable(str(error)) from error


def _unusable(reason: str) -> TokenRefreshError:
    return TokenRefreshError(f"what the refresh callback returned cannot be used: {reason}", retryable=False)
