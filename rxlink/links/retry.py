"""Send an operation again when it has failed, after a growing delay.

Ports: ``@apollo/client`` 4.3.8 ``src/link/retry/``: ``retryLink.ts``, ``delayFunction.ts`` and ``retryFunction.ts``.
Differs: delays are seconds, may be awaited, and may come from a ``wait_*`` object of tenacity. By default auth errors
are not retried, nor is what rxlink knows not to be ``retryable``, such as misuse, an ``AbortError`` or a certificate
that is not trusted (there whatever fails is), and what cannot be sent again, such as a stream that was uploaded, keeps
its error, whatever the options say. A decision that need not be awaited takes no turn of the loop; leaving also stops
one that is (there the retries go on), and what it raises is the operation's error (there it never ends). What a later
link raises at once is retried like any other error. The fatal errors of a multipart subscription arrive as an error
also where they are not retried (there as a result, and without an end).
"""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.observables import resolve
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, signature_of, takes
from rxlink.core.subscription import Cancellable, Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, start_timer, to_seconds
from rxlink.errors import (
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvariantError,
    InvariantTypeError,
    RxlinkError,
    ServerError,
    ServerParseError,
)

__all__ = ["AttemptsFunction", "AttemptsOptions", "DelayFunction", "DelayOptions", "RetryIf", "RetryLink", "WaitObject"]

LARGEST_EXPONENT = 1000  # beyond it Python's power overflows, JavaScript's does not
UNAUTHORIZED = 401
ARGUMENTS = ("attempt", "operation", "error")
"""What the functions get."""

AttemptsFunction: TypeAlias = Callable[[int, Operation, Exception], bool | Awaitable[bool]]
DelayFunction: TypeAlias = Callable[[int, Operation, Exception], Duration | Awaitable[Duration]]
RetryIf: TypeAlias = Callable[[Exception, Operation], bool | Awaitable[bool]]
WaitObject: TypeAlias = Callable[[Any], float]
"""A ``wait_*`` object of tenacity, or a function whose one parameter is called ``retry_state``, as theirs are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayOptions:
    """How long to wait before each retry: ``initial``, doubling up to ``max``.

    Attributes:
        initial: Seconds before the first retry, on average where there is jitter.
        max: The longest delay in seconds; None for no limit.
        jitter: Whether a delay is drawn at random between nothing and twice that, so that the clients of a server
            that comes back do not all return at once.

    Raises:
        InvariantError: A duration is negative or not finite; an :class:`InvariantTypeError` where a type is wrong.
    """

    initial: Duration = 0.3
    max: Duration | None = None
    jitter: bool = True

    def __post_init__(self) -> None:
        to_seconds("delay.initial", self.initial)
        if self.max is not None:
            to_seconds("delay.max", self.max)
        checked_flag("delay.jitter", self.jitter)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptsOptions:
    """How often to try, and after which errors.

    Attributes:
        max: How often an operation is sent at most, the first time included; None for no limit.
        retry_if: Gets the error and the operation, and returns whether to try again, or an awaitable of that (a
            coroutine function will do). It takes the place of the default, so it also decides about auth errors. None
            for the default: any error, except where the server or the session refuses the user (a transient
            ``TokenRefreshError`` is retried) and except errors of rxlink's own that Apollo does not have and that are
            not ``retryable``; so a status of 400 is retried, as in Apollo.

    Raises:
        InvariantError: ``max`` is below 1; an :class:`InvariantTypeError` where a type is wrong.
    """

    max: int | None = 5
    retry_if: RetryIf | None = None

    def __post_init__(self) -> None:
        if self.max is not None and type(self.max) is not int:
            raise InvariantTypeError(f"`attempts.max` is {self.max!r}; give a whole number, or None for no limit")
        if self.max is not None and self.max < 1:
            raise InvariantError(f"`attempts.max` is {self.max}; give 1 or more: the first attempt counts")
        if self.retry_if is not None:
            checked_function("`attempts.retry_if`", self.retry_if, "error", "operation", or_else=", or None")


class RetryLink(ApolloLink):
    """Send an operation again when it has failed, after a delay that grows from one attempt to the next.

    Results pass as they are, also those with ``errors``: GraphQL errors are the part of an ``ErrorLink``. An operation
    that fails after it has sent results is retried as well, and its subscriber then sees results of both attempts.
    What cannot be sent again (:attr:`Operation.is_spent`, a stream that was uploaded) keeps its error.

    Errors:
        The last attempt's; what a function among the options raises; :class:`~rxlink.errors.InvariantError` where a
        delay is no duration, or where there is neither an event loop nor a scheduler to wait by.

    Example:
        >>> import asyncio
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(error=OSError("down")), MockedResponse(result={"data": {"answer": 42}})])
        >>> link = from_([RetryLink(delay=DelayOptions(initial=0.01), attempts=AttemptsOptions(max=3)), server])
        >>> async def main():
        ...     return await execute(link, GraphQLRequest("{ answer }"))
        >>> asyncio.run(main())
        {'data': {'answer': 42}}
    """

    def __init__(
        self,
        *,
        delay: DelayOptions | DelayFunction | WaitObject | None = None,
        attempts: AttemptsOptions | AttemptsFunction | None = None,
    ) -> None:
        """Make the link.

        Args:
            delay: How long to wait: options; a function of the attempt (1 after the first), the operation and the error
                that returns seconds, a ``timedelta``, or an awaitable of either; or a ``wait_*`` object of tenacity.
                None for 0.3 s doubling without limit, with jitter.
            attempts: Whether to try again: options, or a function of the same arguments that returns a bool or an
                awaitable of one; it alone decides, about auth errors too. None for five attempts and the default
                ``retry_if``.

        Raises:
            InvariantTypeError: An option is neither, or a function does not take these arguments.
        """
        super().__init__()
        self.delay_for = _delay_function(delay)
        self.should_retry = _attempts_function(attempts)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            proceed(operation, _RetryableOperation(self, operation, observer, root, proceed), root)

        return start


class _RetryableOperation:
    """One operation and its attempts; while it waits for the next one, it is in the slot of its subscription."""

    __slots__ = ("_attempt", "_link", "_observer", "_operation", "_proceed", "_root", "_timer", "on_completed",
                 "on_next")  # fmt: skip

    def __init__(
        self, link: RetryLink, operation: Operation, observer: ResultObserver, root: Subscription, proceed: Connect
    ) -> None:
        self._link = link
        self._operation = operation
        self._observer = observer
        self.on_next = observer.on_next
        self.on_completed = observer.on_completed
        self._root = root
        self._proceed = proceed
        self._attempt = 0
        self._timer: Cancellable | None = None

    def on_error(self, error: Exception) -> None:
        self._attempt += 1
        if self._operation.is_spent:
            self._observer.on_error(error)
            return
        # Who failed may have failed for many: from here on it is this subscription's own affair, the timer included.
        self._root.resume(self._ask, self._link.should_retry, error, self._decide)

    def cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _ask(self, function: Callable[..., Any], error: Exception, go_on: Callable[[Any, Exception], None]) -> None:
        """Go on with what one of the user's functions says, at once or when it has been awaited."""
        try:
            answer: Any = function(self._attempt, self._operation, error)
        except Exception as failure:  # noqa: BLE001 - whatever the function raises is the operation's error
            self._observer.on_error(failure)
            return
        if inspect.isawaitable(answer):
            self._root.spawn(self._wait(self._observer, answer, error, go_on), self._observer, answer)
        elif not self._root.is_stopped:
            go_on(answer, error)

    async def _wait(
        self, observer: ResultObserver, answer: object, error: Exception, go_on: Callable[[Any, Exception], None]
    ) -> None:
        try:
            decided = await resolve(answer)
        except Exception as failure:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(failure)
            return
        if not self._root.is_stopped:  # it may have gone on in spite of its cancellation, when the subscriber had left
            self._root.release()
            go_on(decided, error)

    def _decide(self, should_retry: object, error: Exception) -> None:
        if should_retry:
            self._ask(self._link.delay_for, error, self._schedule_retry)
        else:
            self._observer.on_error(error)

    def _schedule_retry(self, delay: Duration, error: Exception) -> None:
        try:
            seconds = to_seconds("delay", delay)
            if self._root.scheduler is None:
                self._root.event_loop()
        except InvariantError as failure:  # no duration, or nothing to wait by
            self._observer.on_error(failure)
        else:
            self._root.hold(self)  # before the timer is set: a scheduler may run what is due at once
            self._timer = start_timer(seconds, self._try_again, self._root.scheduler)

    def _try_again(self) -> None:
        self._timer = None
        self._root.release()
        try:
            self._proceed(self._operation, self, self._root)
        except Exception as error:
            # The subscriber's own, from its callback: the stream has died of it, and nothing is retried.
            if self._root.is_stopped:
                raise
            self._root.on_error(error)


def _delay_function(delay: DelayOptions | DelayFunction | WaitObject | None) -> DelayFunction:
    if delay is None or isinstance(delay, DelayOptions):
        return _growing_delay(delay or DelayOptions())
    signature = signature_of(delay)
    if signature is not None and "retry_state" in signature.parameters and takes(delay, "retry_state"):
        return lambda attempt, operation, error: cast("WaitObject", delay)(_retry_state(attempt, error))
    checked_function("`delay`", delay, *ARGUMENTS, or_else=", DelayOptions, or a tenacity wait object")
    return cast("DelayFunction", delay)


def _retry_state(attempt: int, error: Exception) -> SimpleNamespace:
    """Return what tenacity's wait objects read of its ``RetryCallState``."""
    return SimpleNamespace(attempt_number=attempt, outcome=SimpleNamespace(failed=True, exception=lambda: error))


def _growing_delay(options: DelayOptions) -> DelayFunction:
    longest = math.inf if options.max is None else to_seconds("delay.max", options.max)
    # Doubled for the first retry already: with jitter, the initial delay is what is drawn on average.
    base = to_seconds("delay.initial", options.initial) / (1 if options.jitter else 2)

    def delay_for(attempt: int, operation: Operation, error: Exception) -> float:
        delay = min(longest, base * 2.0 ** min(attempt, LARGEST_EXPONENT))
        return random.uniform(0, delay) if options.jitter else delay  # noqa: S311 - no secret

    return delay_for


def _attempts_function(attempts: AttemptsOptions | AttemptsFunction | None) -> AttemptsFunction:
    if attempts is not None and not isinstance(attempts, AttemptsOptions):
        return checked_function("`attempts`", attempts, *ARGUMENTS, or_else=", or AttemptsOptions")
    options = attempts or AttemptsOptions()
    retry_if = options.retry_if or _is_worth_retrying

    def should_retry(attempt: int, operation: Operation, error: Exception) -> bool | Awaitable[bool]:
        return False if options.max is not None and attempt >= options.max else retry_if(error, operation)

    return should_retry


def _is_worth_retrying(error: Exception, operation: Operation) -> bool:
    """Retry as Apollo does, except where the user is refused; errors that Apollo does not have say it themselves."""
    if isinstance(error, (ServerError, ServerParseError)):
        return error.status_code != UNAUTHORIZED
    is_apollos = isinstance(error, (CombinedGraphQLErrors, CombinedProtocolErrors))
    return is_apollos or not isinstance(error, RxlinkError) or error.retryable
