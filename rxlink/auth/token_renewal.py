"""Gets a new access token through an application's own callbacks, once for all who wait."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from reactivex import Observable, abc
from reactivex import operators as ops

from rxlink.auth.pacing import is_transient
from rxlink.auth.pending import PendingRequests
from rxlink.auth.single_flight import SingleFlight
from rxlink.auth.token_response import parse_and_check_response, token_in
from rxlink.core.observables import resolve
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, checked_scheduler, kind_of, name_of
from rxlink.core.timing import Duration, to_seconds
from rxlink.core.work import report_callback_error
from rxlink.errors import (
    AuthError,
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    TokenRefreshError,
    TokenRefreshTimeout,
)

__all__ = ["FetchAccessToken", "HandleError", "HandleFetch", "HandleResponse", "TokenRenewal", "settled", "takes_time"]

FetchAccessToken: TypeAlias = Callable[[], Any]
HandleResponse: TypeAlias = Callable[[Operation, str], Callable[[Any], Any]]
HandleFetch: TypeAlias = Callable[[Any, Operation], Any]
HandleError: TypeAlias = Callable[[Exception, Operation], Any]


class TokenRenewal:
    """The refreshes of one link: never two at a time, each within its time limit.

    The options are those of :class:`~rxlink.auth.token_refresh.TokenRefreshLink`.

    Attributes:
        flight: The refresh that is under way.
        count: How many have brought a token.
    """

    def __init__(
        self,
        *,
        fetch_access_token: FetchAccessToken,
        handle_fetch: HandleFetch,
        handle_response: HandleResponse | None,
        handle_error: HandleError | None,
        access_token_field: str,
        refresh_timeout: Duration,
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._fetch_access_token = checked_function("`fetch_access_token`", fetch_access_token)
        self._handle_fetch = checked_function("`handle_fetch`", handle_fetch, "token", "operation")
        self._handle_response = checked_function(
            "`handle_response`",
            parse_and_check_response if handle_response is None else handle_response,
            "operation",
            "access_token_field",
            or_else=", or None",
            instead="only what it returns may be one: give a plain function that returns a coroutine function",
        )
        if handle_error is not None:
            checked_function("`handle_error`", handle_error, "error", "operation", or_else=", or None")
        self._handle_error = handle_error
        self._field = _checked_field(access_token_field)
        checked_scheduler("scheduler", scheduler)
        self._time_limit = to_seconds("refresh_timeout", refresh_timeout, may_be_zero=False)
        self._chores: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.count = 0
        self.flight: SingleFlight[Operation, Any] = SingleFlight(
            self._renew, keep=_as_it_is, time_limit=self._time_limit, failed=self._failed, scheduler=scheduler
        )

    def join(self, operation: Operation) -> PendingRequests[Any]:
        """Return those who wait for the refresh; it is started if none is under way.

        Raises:
            ClientClosed: The link is closed.
            InvariantError: No event loop runs.
        """
        if self._is_closed:
            raise ClientClosed("the TokenRefreshLink")
        return self.flight.join(operation)

    async def aclose(self) -> None:
        """See :meth:`~rxlink.auth.token_refresh.TokenRefreshLink.aclose`."""
        if self.flight.is_inside():
            raise InvariantError("a TokenRefreshLink was closed from inside its own refresh; close it after that")
        self._is_closed = True
        self.flight.turn_away(ClientClosed("the TokenRefreshLink"))
        await self.flight.ended()
        if self._chores:
            _, late = await asyncio.wait(self._chores, timeout=self._time_limit)
            for chore in late:
                chore.cancel()

    async def _renew(self, operation: Operation) -> Any:
        """Fetch, look for the token, store it: nobody goes on before it is stored."""
        try:
            answer = await settled(self._fetch_access_token())
            read = self._handle_response(operation, self._field)
            if not callable(read):
                raise InvariantTypeError(
                    f"{name_of(self._handle_response)} returned {kind_of(read)}; `handle_response` returns a "
                    "function that gets what was fetched"
                )
            token = token_in(await settled(read(answer)), self._field)
            await settled(self._handle_fetch(token, operation))
        except AuthError:
            raise
        except Exception as error:
            raise _translated(error) from error
        self.count += 1
        return token

    def _failed(self, operation: Operation, error: Exception, waiting: int) -> AuthError:
        """Tell the application; those who wait hear of it next."""
        if isinstance(error, AuthError):
            failure = error
        elif isinstance(error, TimeoutError):
            failure = TokenRefreshTimeout(seconds=self._time_limit)
        else:
            failure = _translated(error)
            failure.__cause__ = error
        if self._handle_error is not None:
            # What the application's own callback raised, where that is what happened.
            cause = failure.__cause__ if type(failure) is TokenRefreshError else None
            self._tell(self._handle_error, cause if isinstance(cause, Exception) else failure, operation)
        return failure

    def _tell(self, handle_error: HandleError, error: Exception, operation: Operation) -> None:
        try:
            doing = handle_error(error, operation)
        except Exception as failure:  # noqa: BLE001 - reported; those who wait get the error of the refresh
            report_callback_error(failure)
            return
        if takes_time(doing):
            chore = asyncio.get_running_loop().create_task(_finish(doing))
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)


def takes_time(value: object) -> bool:
    """Tell whether what a callback returned has to be waited for."""
    return isinstance(value, Observable) or inspect.isawaitable(value)


async def settled(value: Any) -> Any:
    """Wait for what a callback returned; an Observable that completes empty has returned None."""
    is_observable = isinstance(value, Observable)
    return await resolve(cast("Observable[Any]", value).pipe(ops.default_if_empty()) if is_observable else value)


async def _finish(doing: Any) -> None:
    try:
        await settled(doing)
    except Exception as error:  # noqa: BLE001 - nobody waits for it; the loop's handler is told
        report_callback_error(error)


async def _as_it_is(operation: Operation, token: Any) -> Any:
    return token


def _translated(error: Exception) -> TokenRefreshError:
    # Its text is left out: an issuer's error may quote what was sent to it.
    return TokenRefreshError(f"the token refresh failed with {type(error).__name__}", retryable=is_transient(error))


def _checked_field(name: object) -> str:
    if not isinstance(name, str):
        raise InvariantTypeError(f"`access_token_field` is {kind_of(name)}; give the name of a field")
    if not name:
        raise InvariantError("`access_token_field` is ''; give the name of a field")
    return name
