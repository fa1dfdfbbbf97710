"""Runs a session's refresh callback: tries, pauses between them, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from threading import RLock

from reactivex import abc
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink.auth.blocking import BlockingRefresh
from rxlink.auth.dead_tokens import DeadTokens
from rxlink.auth.events import (
    AuthEvent,
    RefreshFailed,
    RefreshReason,
    RefreshSucceeded,
    RefreshSuperseded,
    RefreshTryFailed,
    SignedInAgain,
)
from rxlink.auth.loops import running_loop
from rxlink.auth.pacing import Backoff, BackoffOptions, OnRefreshOutage, asked_pause, is_transient, may_have_arrived
from rxlink.auth.pending import PendingRequests
from rxlink.auth.refresh import Refresh, RefreshOwner
from rxlink.auth.refresh_callback import RefreshCallback, checked_return
from rxlink.auth.relogin import Relogin
from rxlink.auth.single_flight import A_MOMENT, NothingReturned, SingleFlight
from rxlink.auth.tokens import TokenSet, fingerprint
from rxlink.core.observables import resolve
from rxlink.core.options import checked_function
from rxlink.core.timing import sleep
from rxlink.core.work import report_callback_error
from rxlink.errors import (
    AuthError,
    NetworkError,
    ServerError,
    ServerParseError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)

__all__ = ["Refresher"]

REPLAYS = 1
"""How often a refresh token is presented again when the answer was lost: the issuer may have used it up."""


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
        backoff: BackoffOptions | None = None,
        on_outage: OnRefreshOutage = "wait",
        relogin: Relogin | None = None,
        lock: RLock | None = None,
    ) -> None:
        refresh = checked_function("`refresh`", refresh, "tokens", "reason")
        self._refresh = refresh.own() if isinstance(refresh, BlockingRefresh) else refresh
        self._owner = owner
        self._time_limit = time_limit
        self._clock = clock
        self._scheduler = scheduler
        self._backoff = Backoff(backoff)
        self._on_outage = on_outage
        self._relogin = relogin or Relogin(None, time_limit=time_limit)
        self._dead = DeadTokens()
        self._is_closing = False
        self._is_pausing = False
        self.flight = SingleFlight(
            self._fetch,
            keep=self._keep,
            time_limit=time_limit,
            failed=self._failed,
            landed=owner.refresh_is_over,
            scheduler=scheduler,
            lock=lock,
        )

    def join(self, reason: RefreshReason) -> PendingRequests[TokenSet]:
        """Return those who wait for the refresh; it is started if none is under way."""
        wallet = self._owner.wallet
        return self.flight.join(Refresh(reason, wallet.epoch, self._ticks(), generation=wallet.generation))

    def start_over(self) -> Callable[[Exception], None]:
        """Give up the refresh that is under way, and forget the failures: somebody else signs in, or nobody.

        Returns:
            What tells those who wait.
        """
        self._backoff.reset()
        return self._withdraw()

    def close(self, error: Exception) -> None:
        """Turn away those who wait, and make no further try; one that is under way is seen to its end."""
        self._is_closing = True
        self.flight.turn_away(error)
        if self._is_pausing:
            self._withdraw()(error)

    @property
    def serves_stale(self) -> bool:
        """Whether operations go on with a token past its end, since the issuer is known to be down."""
        error = self._backoff.last_error
        return self._on_outage == "use_stale" and error is not None and is_transient(error)

    def outage(self) -> TokenRefreshError:
        """Return the error for those who cannot do with a token past its end."""
        return self._given_up("the tokens are those of before", self._backoff.delay_at(self._clock()))

    async def _fetch(self, refresh: Refresh) -> TokenSet | None:
        pause = 0.0 if refresh.reason is RefreshReason.FORCED else self._backoff.delay_at(self._clock())
        if pause and self._on_outage == "fail":
            raise self._given_up(f"the next try is in {pause:.1f} s", pause)
        refresh.ends = refresh.began + self._time_limit
        try:
            return await self._try_until_it_works(refresh, pause)
        except asyncio.CancelledError:
            if (permit := self._owner.permit) is not None:
                await permit.give_back(refresh)  # where the loop ends, nothing comes of it later
            raise

    async def _try_until_it_works(self, refresh: Refresh, pause: float) -> TokenSet | None:
        while True:
            await self._pause(pause, refresh)
            try:
                return await self._try(refresh) if await self._may_refresh(refresh) else self._adopted(refresh)
            except SequenceContainsNoElementsError:
                return None  # an Observable that completed empty
            except SessionEnded as ended:
                return await self._sign_in_again(refresh, ended)
            except Exception as error:
                if not is_transient(error) or self._has_waited_enough(refresh):
                    raise
                pause = self._backoff.fail(error, self._clock())
                self._owner.emit(RefreshTryFailed, type(error).__name__, pause)
                refresh.lost_answers += _may_have_been_used(refresh.tokens, error)
                refresh.has_lost_answer = refresh.has_lost_answer or may_have_arrived(error)
            self._check_patience(refresh, pause)

    async def _may_refresh(self, refresh: Refresh) -> bool:
        """Wait for the right to refresh among all who share the storage; False where somebody else has done it."""
        permit = self._owner.permit
        if permit is None:
            return True
        # The time that others take, or the storage, is not this refresh's own; it has a limit all the same.
        began, own = self._ticks(), max(self._time_left(refresh), 0.0)
        self.flight.extend(max(permit.patience - refresh.waited, 0.0) + A_MOMENT)
        self._is_pausing = True
        try:
            return await permit.take(refresh, lambda has_waited: self._is_enough(refresh, has_waited))
        finally:
            self._is_pausing = False
            now = self._ticks()
            refresh.waited += now - began
            refresh.ends = now + own
            self.flight.extend(own)

    def _has_waited_enough(self, refresh: Refresh) -> bool:
        permit = self._owner.permit
        return permit is not None and refresh.waited >= permit.patience

    def _is_enough(self, refresh: Refresh, has_waited: bool) -> bool:  # noqa: FBT001 - a callback of the permit
        """Tell whether others have refreshed since this refresh began, so that it is not needed."""
        wallet = self._owner.wallet
        if wallet.epoch != refresh.epoch:
            raise SessionEnded(wallet.parting)
        if wallet.generation == refresh.generation:
            return False
        return has_waited if refresh.reason is RefreshReason.FORCED else wallet.due() is None

    async def _pause(self, seconds: float, refresh: Refresh) -> None:
        """Wait until the next try, where there is time for one."""
        if seconds and seconds >= self._time_left(refresh):
            why = f"the pause of {seconds:.1f} s before the next try leaves no time for one within"
            raise self._given_up(f"{why} `refresh_timeout`, {self._time_limit:g} s", seconds)
        if seconds:
            self._is_pausing = True
            try:
                await sleep(seconds, self._scheduler)
            finally:
                self._is_pausing = False

    def _check_patience(self, refresh: Refresh, pause: float) -> None:
        """Give up after a failure that may pass, where another try is not for this refresh to make."""
        # Not where an answer was lost: the refresh token may be used up, and an issuer forgives that for a short while.
        is_ahead = refresh.reason is RefreshReason.EXPIRING and not refresh.has_lost_answer
        if is_ahead and not self.flight.waiting:
            refresh.is_put_off = True
            raise self._given_up("nobody waits for it: the next try is later", pause)
        if self._on_outage != "wait" or self._is_closing:
            raise self._given_up(f"the next try is in {pause:.1f} s", pause)
        if refresh.lost_answers > REPLAYS:
            why = "its answer may have been lost each time; the refresh token is not presented again at once"
            raise self._given_up(why, pause)

    def _adopted(self, refresh: Refresh) -> TokenSet | None:
        refresh.is_adopted = True
        return self._owner.wallet.tokens

    async def _try(self, refresh: Refresh) -> TokenSet | None:
        tokens = refresh.tokens = self._tokens_of(refresh)
        refresh.presented = self._owner.wallet.generation
        try:
            if self._dead.has(tokens):
                raise SessionEnded
            return checked_return(await resolve(self._refresh(tokens, refresh.reason)))
        except SessionEnded:
            self._dead.note(tokens)
            if self._owner.permit is None:
                raise
            await self._owner.look()
            if self._owner.wallet.generation == refresh.presented:
                raise
        # Somebody else was faster, while this process stood still: theirs are the tokens to go on with.
        return self._adopted(refresh) if self._owner.wallet.due() is None else await self._try(refresh)

    def _tokens_of(self, refresh: Refresh) -> TokenSet | None:
        """Return the tokens in use; on another loop somebody else may have signed in since."""
        wallet = self._owner.wallet
        credential = wallet.credential
        if (wallet.epoch if credential is None else credential.epoch) != refresh.epoch:
            raise SessionEnded(wallet.parting)
        return None if credential is None else credential.tokens

    async def _sign_in_again(self, refresh: Refresh, ended: SessionEnded) -> TokenSet:
        """Ask the application for tokens before the session ends; never again for those that are dead."""
        if self._owner.wallet.epoch != refresh.epoch or not self._relogin.is_wanted or self._is_closing:
            raise ended
        refresh.ended = ended
        self.flight.extend(self._time_limit + self._relogin.time_limit)
        await self._owner.forget(refresh)
        self.flight.extend(self._relogin.time_limit)
        began = self._ticks()
        new = await self._relogin.ask(ended)
        if new is None:
            raise ended
        self._owner.emit(SignedInAgain, self._ticks() - began)
        refresh.is_login, refresh.ended = True, None
        return new

    async def _keep(self, refresh: Refresh, tokens: TokenSet) -> TokenSet:
        self._backoff.reset()
        if refresh.is_adopted:
            self._tell(RefreshSuperseded, refresh, self.flight.waiting, True)  # noqa: FBT003 - it is adopted
            self._owner.publish()
            return tokens
        self._tell(RefreshSucceeded, refresh, self.flight.waiting, fingerprint(tokens.access_token))
        return await self._owner.keep(refresh, tokens)

    def _failed(self, refresh: Refresh, error: Exception, waiting: int) -> AuthError | TokenSet:
        """Tell everybody; whatever raises on the way, those who wait get an error."""
        try:
            if refresh.ended is not None and error is not refresh.ended and isinstance(error, SessionEnded):
                error.__cause__ = error.__cause__ or refresh.ended
                refresh.ended = error  # the application's own word for it, where it was asked
            if refresh.ended is not None and error is not refresh.ended:
                # Raised, cancelled or late: the session ends as it would have without the application's function.
                self._owner.tell_of_failed_callback("on_session_ended", error)
                error = refresh.ended
            return self._end_with(refresh, self._translated(error), error, waiting)
        except Exception as failure:  # noqa: BLE001 - a clock may raise, and errors of users' own classes anywhere
            report_callback_error(failure)
            return TokenRefreshError(f"the token refresh failed with {type(error).__name__}", retryable=False)

    def _end_with(self, refresh: Refresh, failure: AuthError, error: Exception, waiting: int) -> AuthError | TokenSet:
        is_stalled = self._on_outage == "use_stale" and isinstance(failure, TokenRefreshTimeout)
        if not failure.retryable or is_stalled:
            # Those that were tried again have been counted with each try.
            self._backoff.fail(failure, self._clock())
        self._tell(RefreshFailed, refresh, waiting, type(error).__name__)
        self._owner.refresh_failed(refresh, failure)
        return self._stale(refresh, failure) or failure

    def _stale(self, refresh: Refresh, failure: AuthError) -> TokenSet | None:
        """Return the tokens in use where they are to serve through an outage: at their end, but not refused."""
        credential = self._owner.wallet.credential
        # Whatever it was begun for: a token may come to its end while those wait who need it, and be refused.
        is_allowed = self._on_outage == "use_stale" and failure.retryable
        if not is_allowed or credential is None or credential.is_rejected or credential.epoch != refresh.epoch:
            return None
        return credential.tokens

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

    def _given_up(self, why: str, pause: float) -> TokenRefreshError:
        cause = self._backoff.last_error
        error = TokenRefreshError(
            f"the token refresh failed (last {_in_words(cause)}), and {why}",
            retryable=True,
            retry_after=pause if cause is not None and asked_pause(cause, self._clock()) is not None else None,
        )
        error.__cause__ = cause
        return error

    def _withdraw(self) -> Callable[[Exception], None]:
        """Stop the refresh that is under way, if one is; return what tells the listeners, and those who wait."""
        refresh, waiting = self.flight.argument, self.flight.waiting
        release = self.flight.withdraw()

        def tell(error: Exception) -> None:
            if refresh is not None:
                self._tell(RefreshSuperseded, refresh, waiting, False)  # noqa: FBT003 - nothing is adopted
            release(error)

        return tell

    def _time_left(self, refresh: Refresh) -> float:
        return refresh.ends - self._ticks()

    def _ticks(self) -> float:
        """Return the time of the timers, in seconds: unlike a clock, nobody sets it."""
        return running_loop().time() if self._scheduler is None else self._scheduler.now.timestamp()

    def _tell(self, event: Callable[..., AuthEvent], refresh: Refresh, waiting: int, *values: object) -> None:
        seconds = self._ticks() - refresh.began
        self._owner.emit(event, refresh.reason, seconds, waiting, *values)


def _in_words(error: Exception | None) -> str:
    """Say what happened; of others' exceptions only the class, since their words may quote what was sent."""
    is_own = isinstance(error, (NetworkError, ServerError, ServerParseError, TokenRefreshError, TokenStorageError))
    return f"because {error}" if is_own else f"with {type(error).__name__}"


def _may_have_been_used(tokens: TokenSet | None, error: Exception) -> bool:
    """Tell whether an issuer that rotates may have used up the refresh token, and only its answer was lost."""
    return tokens is not None and tokens.refresh_token is not None and may_have_arrived(error)
