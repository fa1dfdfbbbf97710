"""See every error of an operation, and optionally answer it with another stream, such as a retry.

Ports: ``@apollo/client`` 4.3.8 ``src/link/error/index.ts``; the handler's argument also has the names of Apollo
Client 3, in which the token refresh recipes are written.
Differs: a handler may be a coroutine function or return an awaitable; what it raises is the operation's error (there
the operation completes empty, or hangs); what a later link raises at once can be answered like any other error;
answering also stops the first stream, as leaving does, and an answer comes once (there each further result of the first
stream subscribes to the answer once more). The fatal errors of a multipart subscription come to the handler without a
result, and unanswered they end the stream (there they come beside a result, which is passed on).
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast

from reactivex import Observable

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.documents import SUBSCRIPTION
from rxlink.core.link import ApolloLink, Forward, ForwardFunction
from rxlink.core.observables import from_future, own
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, is_coroutine_function, kind_of, name_of
from rxlink.core.result import FetchResult, graphql_errors
from rxlink.core.subscription import Connect, ResultObserver, Scope, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import CombinedGraphQLErrors, CombinedProtocolErrors, InvariantTypeError

__all__ = ["ErrorHandler", "ErrorLink", "ErrorResponse", "on_error"]

Answer: TypeAlias = Observable[FetchResult] | None
ErrorHandler: TypeAlias = "Callable[[ErrorResponse], Answer | Awaitable[Answer]]"


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """What went wrong, for an :class:`ErrorLink` handler, in the words of Apollo Client 3 and of 4.

    Attributes:
        error: The error: ``CombinedGraphQLErrors`` for a result with errors, else the exception itself.
        operation: The operation.
        forward: Sends it again through the links behind the error link.
        result: The result with the errors, None where an exception arrived.
    """

    error: Exception
    operation: Operation
    forward: ForwardFunction
    result: FetchResult | None = field(default=None, repr=False)

    @property
    def graphql_errors(self) -> list[Any] | None:
        """The ``errors`` of the result, None where there are none."""
        return None if self.result is None else graphql_errors(self.result)

    @property
    def network_error(self) -> Exception | None:
        """The exception, None where a result or a protocol error arrived."""
        is_other = self.result is not None or isinstance(self.error, CombinedProtocolErrors)
        return None if is_other else self.error

    @property
    def protocol_errors(self) -> list[Any] | None:
        """The fatal errors of a multipart subscription, None where there are none."""
        return list(self.error.errors) if isinstance(self.error, CombinedProtocolErrors) else None


class ErrorLink(ApolloLink):
    """Call a handler with each error; the stream that it returns, if any, takes the place of the error.

    The answer goes to the subscriber as it is: its errors do not come back to this handler.

    Errors:
        The original error where the handler returns None; what the handler raises;
        :class:`~rxlink.errors.InvariantTypeError` where it returns anything else.

    Example:
        >>> import asyncio
        >>> from rxlink import GraphQLRequest, execute, from_, from_future, is_auth_error
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> async def get_new_token():
        ...     return "a-new-token"
        >>> def refresh_and_retry(response):
        ...     if is_auth_error(response.error):
        ...         refreshed = from_future(get_new_token()).filter(bool)
        ...         return refreshed.flat_map(lambda token: response.forward(response.operation))
        >>> refused = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
        >>> answers = [MockedResponse(result=refused), MockedResponse(result={"data": {"answer": 42}})]
        >>> link = from_([ErrorLink(refresh_and_retry), MockLink(answers)])
        >>> async def main():
        ...     return await execute(link, GraphQLRequest("{ answer }"))
        >>> asyncio.run(main())
        {'data': {'answer': 42}}
    """

    def __init__(self, handler: ErrorHandler) -> None:
        """Make the link.

        Args:
            handler: Gets an :class:`ErrorResponse`; returns an Observable to answer with, None to let the error pass,
                or an awaitable of either (a coroutine function will do).

        Raises:
            InvariantTypeError: The handler cannot be called with one argument.
        """
        super().__init__()
        self._handler = checked_function("`handler` of ErrorLink", handler, "response")

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        handler = self._handler
        proceed = forward.connect
        is_asynchronous = is_coroutine_function(handler)

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            if is_asynchronous or operation.operation_type is SUBSCRIPTION:
                # A slot beside the handler's, where the first stream may go on while the handler is thinking.
                scope = root.open_scope()
                proceed(operation, _ErrorWorker(handler, operation, forward, observer, root, scope), scope)
            else:
                proceed(operation, _ErrorWorker(handler, operation, forward, observer, root, None), root)

        return start


def on_error(handler: ErrorHandler) -> ErrorLink:
    """Make an :class:`ErrorLink`; Apollo's function of the same name."""
    return ErrorLink(handler)


class _ErrorWorker:
    """One operation below an error link.

    While an asynchronous handler is thinking, and until all that came meanwhile has been handed on, events queue up.
    What a plain function decides, by way of an awaitable, counts when the first stream has ended and frees the slot.
    """

    __slots__ = ("_forward", "_handler", "_is_deaf", "_observer", "_operation", "_pause", "_root", "_scope")

    def __init__(
        self,
        handler: ErrorHandler,
        operation: Operation,
        forward: Forward,
        observer: ResultObserver,
        root: Subscription,
        scope: Scope | None,
    ) -> None:
        self._handler = handler
        self._operation = operation
        self._forward = forward
        self._observer = observer
        self._root = root
        self._scope = scope
        self._is_deaf = False
        self._pause: _Pause | None = None

    def on_next(self, result: FetchResult) -> None:
        if self._pause is not None:
            self._pause.events.append(partial(self._take_result, result))
        elif type(result) is not dict or "errors" in result:
            self._take_result(result)
        elif not self._is_deaf:
            self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        if self._pause is None and self._scope is None:
            self._take_error(error)
        else:
            self._take_end(partial(self._take_error, error))

    def on_completed(self) -> None:
        if self._pause is not None or self._scope is not None:
            self._take_end(self._take_completion)
        elif not self._is_deaf:
            self._observer.on_completed()

    def _take_end(self, end: Callable[[], None]) -> None:
        if self._scope is not None:
            self._scope.close()
        pause = self._pause
        if pause is None:
            end()
            return
        pause.events.append(end)
        later, pause.later = pause.later, None
        if later is not None and not self._is_deaf:
            self._begin_to_think(*later)

    def _take_result(self, result: FetchResult) -> None:
        if self._is_deaf:
            return
        # What is no result passes, as with Apollo: a link of a user's may have sent it.
        errors = graphql_errors(result) if isinstance(result, Mapping) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if errors is None:
            self._observer.on_next(result)
        else:
            error = CombinedGraphQLErrors(result, errors)
            self._ask(error, result, partial(self._observer.on_next, result))

    def _take_error(self, error: Exception) -> None:
        if not self._is_deaf:
            self._ask(error, None, partial(self._observer.on_error, error))

    def _take_completion(self) -> None:
        if not self._is_deaf:
            self._observer.on_completed()

    def _ask(self, error: Exception, result: FetchResult | None, deliver: Callable[[], None]) -> None:
        if self._root.is_stopped:
            return
        try:
            answer = self._handler(ErrorResponse(error, self._operation, self._forward, result))
            # An Observable can be awaited too, so it is looked for first.
            thinks = not isinstance(answer, Observable) and inspect.isawaitable(answer)
            decided = None if thinks else _checked(answer, self._handler)
        except Exception as failure:  # noqa: BLE001 - whatever the handler raises is the operation's error
            self.fail(failure)
            return
        # Out here, so that what the subscriber raises is not taken for the handler's.
        if thinks:
            self._think(cast("Awaitable[Answer]", answer), deliver)
        else:
            self._go_on(decided, deliver)

    def _go_on(self, answer: Answer, deliver: Callable[[], None]) -> None:
        if answer is None:
            deliver()
        else:
            self._turn_away()
            subscribe_foreign(answer, self._observer, self._root)

    def fail(self, failure: Exception) -> None:
        """End the operation with what the handler did, instead of what it was asked about."""
        self._turn_away()
        self._observer.on_error(failure)

    def _turn_away(self) -> None:
        """Stop the first stream and be deaf to what still comes from it."""
        self._is_deaf = True
        self._root.cancel_resource()

    def _think(self, answer: Awaitable[Answer], deliver: Callable[[], None]) -> None:
        """Wait for the handler: now, or when the slot is free."""
        pause = self._pause = self._pause or _Pause()
        pause.is_thinking = True
        if self._scope is None and self._root.is_busy:
            # It runs meanwhile, for itself, and its outcome is kept.
            outcome = from_future(answer)
            outcome.subscribe(on_error=_nothing)
            pause.later = (outcome, deliver)
        else:
            self._begin_to_think(answer, deliver)

    def _begin_to_think(self, answer: Awaitable[Answer], deliver: Callable[[], None]) -> None:
        scope = self._root.open_scope()
        failure = _Failure(self)
        scope.spawn(self._wait(failure, answer, deliver, scope), failure, answer)

    async def _wait(
        self, failure: _Failure, answer: Awaitable[Answer], deliver: Callable[[], None], scope: Scope
    ) -> None:
        try:
            decided = _checked(await own(answer), self._handler)
        except Exception as error:  # noqa: BLE001 - as above
            step = partial(self.fail, error)
        else:
            step = partial(self._go_on, decided, deliver)
        scope.release()
        scope.close()
        self._catch_up(step)

    def _catch_up(self, step: Callable[[], None]) -> None:
        """Act on the handler's decision, then on what came meanwhile, up to the next error that it thinks about."""
        pause = self._pause
        assert pause is not None
        pause.is_thinking = False
        pause.events.appendleft(step)
        while pause.events and not pause.is_thinking:
            try:
                pause.events.popleft()()
            except Exception as error:  # noqa: BLE001 - of the subscriber's callback; the next events are due all the same
                report_callback_error(error)
        if self._pause is pause and not pause.is_thinking:  # where tasks are eager, the next one may have begun
            self._pause = None


class _Pause:
    """While an asynchronous handler is thinking, and until all that came meanwhile has been handed on.

    Attributes:
        is_thinking: Whether it has not decided yet.
        later: What to wait for once the slot is free, and how to let the error pass.
        events: What came meanwhile.
    """

    __slots__ = ("events", "is_thinking", "later")

    def __init__(self) -> None:
        self.is_thinking = False
        self.later: tuple[Awaitable[Answer], Callable[[], None]] | None = None
        self.events: deque[Callable[[], None]] = deque()


class _Failure:
    """Where a handler's own end arrives if somebody cancels it from outside."""

    __slots__ = ("_worker",)

    def __init__(self, worker: _ErrorWorker) -> None:
        self._worker = worker

    def on_next(self, value: object) -> None:
        """Take nothing: a handler's decision goes another way."""

    def on_error(self, error: Exception) -> None:
        """End the operation."""
        self._worker.fail(error)

    def on_completed(self) -> None:
        """Take nothing."""


def _checked(answer: object, handler: object) -> Answer:
    if answer is None or isinstance(answer, Observable):
        return cast("Answer", answer)
    raise InvariantTypeError(
        f"the error handler {name_of(handler)} returned {kind_of(answer)}; return an Observable to answer "
        "with, such as forward(operation), or None to let the error pass"
    )


def _nothing(_: object) -> None:
    """Leave an error to those who ask for it later."""
