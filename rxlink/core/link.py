"""What a link is, and the rest of a chain as a link sees it.

Ports: ``@apollo/client`` 4.3.8 ``src/link/core/ApolloLink.ts``; chains of links are in :mod:`rxlink.core.chain`.
Differs: a chain without an end, and a handler that returns no Observable, are errors that name the culprit (Apollo
completes without a result); links can be closed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from reactivex import Observable

from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.closing import close_all, enter_or_close, links_below
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["ApolloLink", "EndOfChain", "Forward", "ForwardFunction", "RequestHandler", "as_forward", "is_connected"]

ForwardFunction: TypeAlias = Callable[[Operation], Observable[FetchResult]]
RequestHandler: TypeAlias = Callable[[Operation, ForwardFunction], Observable[FetchResult]]


class ApolloLink:
    """One step of a chain: gets an operation, and answers it or passes it on.

    Write one by giving a handler, or by overriding :meth:`request`; either may use any RxPY operator on what
    ``forward`` returns. The framework's own links override :meth:`connect` as well, which is faster
    (:mod:`rxlink.core.subscription` says how); of the two, the one defined nearer to the instance counts.

    Example:
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> log = ApolloLink(lambda operation, forward: forward(operation).do_action(print))
        >>> link = from_([log, MockLink([MockedResponse(result={"data": {"answer": 42}})])])
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe()
        {'data': {'answer': 42}}
    """

    is_terminating = False
    """Whether the link never forwards, so that nothing may stand behind it."""

    def __init__(self, request: RequestHandler | None = None) -> None:
        """Make a link from a handler.

        Args:
            request: Called with each operation and ``forward``; returns an Observable of results. None for a
                subclass that overrides :meth:`request`.

        Raises:
            InvariantTypeError: The handler is a coroutine function, cannot be called, or takes other arguments.
        """
        if request is None:
            return
        if not callable(request):
            raise InvariantTypeError(f"a request handler is a function, got {kind_of(request)}")
        if inspect.iscoroutinefunction(request):
            raise InvariantTypeError(
                f"the request handler {name_of(request)} is a coroutine function; a handler returns an Observable: "
                "wrap the asynchronous part with from_future(...).flat_map(lambda _: forward(operation))"
            )
        checked_function("a request handler", request, "operation", "forward")
        # On the instance, as in Apollo: whoever assigns another one later is honoured too.
        self.__dict__["request"] = request

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        """Answer an operation, or pass it on with ``forward(operation)``.

        Args:
            operation: The operation.
            forward: Hands it to the next link and returns that link's answer.
        """
        # Not `is_connected`: a `request` defined nearer has called `super().request(...)` to get here.
        if type(self).connect is not ApolloLink.connect:
            return ChainObservable(self.connect(as_forward(forward)), operation)
        raise InvariantError(
            f"{type(self).__name__} has no request handler: give one to its constructor, or override `request`"
        )

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations with a worker of this link; called once for each place in a chain.

        Args:
            forward: The rest of the chain; ``forward.connect`` starts it inside the same subscription.
        """
        return _RequestRunner(self, forward)

    def concat(self, *links: ApolloLink) -> ApolloLink:
        """Return a chain of this link and the given ones behind it."""
        return chain.from_([self, *links])

    def split(self, test: Callable[[Operation], bool], left: ApolloLink, right: ApolloLink | None = None) -> ApolloLink:
        """Return a chain of this link and a choice behind it; see :func:`rxlink.core.chain.split`."""
        return self.concat(chain.split(test, left, right))

    @staticmethod
    def from_(links: Sequence[ApolloLink]) -> ApolloLink:
        """See :func:`rxlink.core.chain.from_`."""
        return chain.from_(links)

    @staticmethod
    def empty() -> ApolloLink:
        """See :func:`rxlink.core.chain.empty`."""
        return chain.empty()

    @staticmethod
    def execute(link: ApolloLink, request: GraphQLRequest) -> ChainObservable[FetchResult]:
        """See :func:`rxlink.core.chain.execute`."""
        return chain.execute(link, request)

    def children(self) -> Sequence[ApolloLink]:
        """Return the links that this one is made of; empty for a single link."""
        return ()

    def with_children(self, children: Sequence[ApolloLink]) -> ApolloLink:
        """Return a link that does the same with others in the place of those that it is made of.

        A single link returns itself. One that overrides :meth:`children` overrides this too, so that what goes through
        a whole chain, such as a trace, gets into it.

        Args:
            children: As many as :meth:`children` returns, in that order.
        """
        return self

    def check_place(self, above: Sequence[ApolloLink]) -> None:
        """Refuse a place behind these single links, where the link could not do its work; a link that can says nothing.

        Called when a chain is made; on a branch of a split, with what stands above the split and before it there.

        Raises:
            InvariantError: It could not.
        """

    async def aclose(self) -> None:
        """Close what the link owns, such as its HTTP session; for a chain, each of its links once.

        Closing twice is fine. A link that owns something overrides this. A cancellation interrupts the link that is
        being closed; those behind it are closed all the same, before the cancellation goes on.

        Raises:
            Exception: Closing a link failed; the others were closed all the same. An ExceptionGroup for several.
        """
        await close_all(links_below(self))

    async def __aenter__(self) -> Self:
        """Enter each link of a chain once, as some connect there; if one raises, all of them are closed."""

        async def enter() -> None:
            for link in links_below(self):
                await link.__aenter__()

        await enter_or_close(enter, self.aclose)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        handler = self.__dict__.get("request")
        return f"<{type(self).__name__}{f' {name_of(handler)}' if handler else ''}>"


class Forward:
    """The rest of a chain as a link sees it: call it, or ``connect`` through it.

    Attributes:
        connect: Starts an operation inside a subscription.
        is_connected: Whether the next link has a worker, and no handler of its own that is to be called.
    """

    __slots__ = ("_link", "_next", "connect", "is_connected")

    def __init__(self, link: ApolloLink, next_: Forward) -> None:
        self._link = link
        self._next = next_
        self.is_connected = is_connected(link)
        self.connect: Connect = link.connect(next_) if self.is_connected else _RequestRunner(link, next_)

    def __call__(self, operation: Operation) -> Observable[FetchResult]:
        """Hand an operation to the next link.

        Raises:
            InvariantTypeError: Its handler returned something that is no Observable.
        """
        if not isinstance(operation, Operation):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`forward` got {kind_of(operation)}; give it the operation: forward(operation)")
        if self.is_connected:
            return ChainObservable(self.connect, operation)
        return _checked(self._link.request(operation, self._next), self._link, operation)


class _RequestRunner:
    """How a link that only has `request` takes part: it is called, and what it returns is subscribed."""

    __slots__ = ("_link", "_next")

    def __init__(self, link: ApolloLink, next_: Forward) -> None:
        self._link = link
        self._next = next_

    def __call__(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        try:
            source = _checked(self._link.request(operation, self._next), self._link, operation)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the operation's error
            observer.on_error(error)
            return
        subscribe_foreign(source, observer, root)


class _CallableForward(Forward):
    """A user's own function in the place of the rest of a chain."""

    __slots__ = ("_function",)

    def __init__(self, function: ForwardFunction) -> None:
        self._function = function

    def __call__(self, operation: Operation) -> Observable[FetchResult]:
        return _checked(self._function(operation), self._function, operation)

    # A method, not an attribute as in the base: a bound method kept in its own object would be a cycle.
    def connect(  # pyright: ignore[reportIncompatibleVariableOverride] - see above
        self, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        try:
            source = self(operation)
        except Exception as error:  # noqa: BLE001 - as for a handler
            observer.on_error(error)
            return
        subscribe_foreign(source, observer, root)


class EndOfChain(Forward):
    """What stands behind the last link."""

    __slots__ = ("_chain",)

    def __init__(self, chain: ApolloLink) -> None:
        self._chain = chain

    def __call__(self, operation: Operation) -> Observable[FetchResult]:
        """Refuse.

        Raises:
            InvariantError: Always; nothing has answered the operation.
        """
        raise self._error(operation)

    def connect(  # pyright: ignore[reportIncompatibleVariableOverride] - as above
        self, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        """Refuse, through the observer."""
        observer.on_error(self._error(operation))

    def _error(self, operation: Operation) -> InvariantError:
        return InvariantError(
            f"{operation!r} reached the end of the chain {self._chain!r} and nothing answered it: "
            "the last link of every branch must be a transport, such as HttpLink"
        )


def as_forward(forward: ForwardFunction) -> Forward:
    """Return a user's own function as the rest of a chain."""
    return forward if isinstance(forward, Forward) else _CallableForward(forward)


def is_connected(link: ApolloLink) -> bool:
    """Tell which face of a link counts: whichever of `connect` and `request` is defined nearer to it."""
    if "request" in link.__dict__:
        return False
    for owner in type(link).__mro__:
        if owner is ApolloLink:
            return False
        if "connect" in owner.__dict__:
            return True
        if "request" in owner.__dict__:
            return False
    return False


def _checked(source: Any, culprit: object, operation: Operation) -> Observable[FetchResult]:
    # The type first: `isinstance` of an abstract class takes longer than most links.
    if type(source) is ChainObservable or isinstance(source, Observable):
        return cast("Observable[FetchResult]", source)
    name = name_of(culprit) if not isinstance(culprit, ApolloLink) else repr(culprit)
    if inspect.isawaitable(source):
        if inspect.iscoroutine(source):
            source.close()
        cure = "wrap it: from_future(...)"
    elif source is None:
        cure = "it probably forgot `return forward(operation)`"
    else:
        cure = "return what `forward(operation)` returns, or an Observable"
    raise InvariantTypeError(f"{name} returned {kind_of(source)} for {operation!r} instead of an Observable; {cure}")


# At the end: chains are made of links, and links make chains, as in Apollo.
from rxlink.core import chain  # noqa: E402 - see above
