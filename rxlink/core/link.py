"""Links and how they are put together.

Ports: ``@apollo/client`` 4.3.8 ``src/link/core/ApolloLink.ts``.
Differs: a chain without an end, and a handler that returns no Observable, are errors that name the culprit (Apollo
completes without a result); the test of ``split`` runs at each subscription, as everything else in the framework's
links; links can be closed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from reactivex import Observable

from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "ApolloLink",
    "Forward",
    "ForwardFunction",
    "RequestHandler",
    "concat",
    "empty",
    "execute",
    "from_",
    "split",
]

ForwardFunction: TypeAlias = Callable[[Operation], Observable[FetchResult]]
RequestHandler: TypeAlias = Callable[[Operation, ForwardFunction], Observable[FetchResult]]


class ApolloLink:
    """One step of a chain: gets an operation, and answers it or passes it on.

    Write one by giving a handler, or by overriding :meth:`request`; either may use any RxPY operator on what
    ``forward`` returns. The framework's own links override :meth:`connect` as well, which is faster
    (:mod:`rxlink.core.subscription` says how); of the two, the one defined nearer to the instance counts.

    Example:
        >>> log = ApolloLink(lambda operation, forward: forward(operation).do_action(print))
        >>> link = from_([log, HttpLink("https://example.com/graphql")])
    """

    is_terminating = False
    """Whether the link never forwards, so that nothing may stand behind it."""

    def __init__(self, request: RequestHandler | None = None) -> None:
        """Make a link from a handler.

        Args:
            request: Called with each operation and ``forward``; returns an Observable of results. None for a
                subclass that overrides :meth:`request`.

        Raises:
            InvariantTypeError: The handler is a coroutine function, or cannot be called.
        """
        if request is None:
            return
        if not callable(request):
            raise InvariantTypeError(f"a request handler is a function, got a {type(request).__name__}")
        if inspect.iscoroutinefunction(request):
            raise InvariantTypeError(
                f"the request handler {_name_of(request)} is a coroutine function; a handler returns an Observable: "
                "wrap the asynchronous part with from_future(...).flat_map(lambda _: forward(operation))"
            )
        # On the instance, as in Apollo: whoever assigns another one later is honoured too.
        self.__dict__["request"] = request

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        """Answer an operation, or pass it on with ``forward(operation)``.

        Args:
            operation: The operation.
            forward: Hands it to the next link and returns that link's answer.
        """
        # Not `_is_connected`: a `request` defined nearer has called `super().request(...)` to get here.
        if type(self).connect is not ApolloLink.connect:
            return ChainObservable(self.connect(_as_forward(forward)), operation)
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
        return from_([self, *links])

    def split(self, test: Callable[[Operation], bool], left: ApolloLink, right: ApolloLink | None = None) -> ApolloLink:
        """Return a chain of this link and a choice behind it; see :func:`split`."""
        return self.concat(split(test, left, right))

    @staticmethod
    def from_(links: Sequence[ApolloLink]) -> ApolloLink:
        """See :func:`from_`."""
        return from_(links)

    @staticmethod
    def empty() -> ApolloLink:
        """See :func:`empty`."""
        return empty()

    @staticmethod
    def execute(link: ApolloLink, request: GraphQLRequest) -> ChainObservable[FetchResult]:
        """See :func:`execute`."""
        return execute(link, request)

    def children(self) -> Sequence[ApolloLink]:
        """Return the links that this one is made of; empty for a single link."""
        return ()

    async def aclose(self) -> None:
        """Close what the link owns, such as its HTTP session; for a chain, each of its links once.

        Closing twice is fine. A link that owns something overrides this.

        Raises:
            ExceptionGroup: Closing several links failed; the others were closed all the same.
        """
        failures: list[Exception] = []
        for link in _single_links(self):
            if link is not self:
                try:
                    await link.aclose()
                except Exception as error:  # noqa: BLE001 - the remaining links are closed first
                    failures.append(error)
        if len(failures) == 1:
            raise failures[0]
        if failures:
            raise ExceptionGroup("closing a chain failed", failures)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        handler = self.__dict__.get("request")
        return f"<{type(self).__name__}{f' {_name_of(handler)}' if handler else ''}>"


class Forward:
    """The rest of a chain as a link sees it: call it, or ``connect`` through it."""

    __slots__ = ("_is_connected", "_link", "_next", "connect")

    def __init__(self, link: ApolloLink, next_: Forward) -> None:
        self._link = link
        self._next = next_
        self._is_connected = _is_connected(link)
        self.connect: Connect = link.connect(next_) if self._is_connected else _RequestRunner(link, next_)

    def __call__(self, operation: Operation) -> Observable[FetchResult]:
        """Hand an operation to the next link.

        Raises:
            InvariantTypeError: Its handler returned something that is no Observable.
        """
        if self._is_connected:
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
    def connect(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        try:
            source = self(operation)
        except Exception as error:  # noqa: BLE001 - as for a handler
            observer.on_error(error)
            return
        subscribe_foreign(source, observer, root)


class _NoForward(Forward):
    """What stands behind the last link."""

    __slots__ = ("_chain",)

    def __init__(self, chain: ApolloLink) -> None:
        self._chain = chain

    def __call__(self, operation: Operation) -> Observable[FetchResult]:
        raise self._error(operation)

    def connect(  # pyright: ignore[reportIncompatibleVariableOverride] - as above
        self, operation: Operation, observer: ResultObserver, root: Subscription
    ) -> None:
        observer.on_error(self._error(operation))

    def _error(self, operation: Operation) -> InvariantError:
        return InvariantError(
            f"{operation!r} reached the end of the chain {self._chain!r} and nothing answered it: "
            "the last link of every branch must be a transport, such as HttpLink"
        )


class _Chain(ApolloLink):
    """Links one behind another. It is taken apart when it is connected: no worker of its own."""

    def __init__(self, links: Sequence[ApolloLink]) -> None:
        super().__init__()
        self._links = tuple(links)

    def connect(self, forward: Forward) -> Connect:
        return _forward_to(self, forward).connect

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        return _forward_to(self, _as_forward(forward))(operation)

    def children(self) -> Sequence[ApolloLink]:
        return self._links

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._links))}]"


class _Split(ApolloLink):
    """A choice between two links, made for each subscription."""

    def __init__(self, test: Callable[[Operation], bool], left: ApolloLink, right: ApolloLink) -> None:
        super().__init__()
        self._test = test
        self._left = left
        self._right = right
        self.is_terminating = _is_terminating(left) and _is_terminating(right)

    def connect(self, forward: Forward) -> Connect:
        test = self._test
        left = _forward_to(self._left, forward).connect
        right = _forward_to(self._right, forward).connect

        def choose(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                answer = test(operation)
            except Exception as error:  # noqa: BLE001 - whatever the test raises is the operation's error
                observer.on_error(error)
                return
            (left if answer else right)(operation, observer, root)

        return choose

    def children(self) -> Sequence[ApolloLink]:
        return (self._left, self._right)

    def __repr__(self) -> str:
        return f"<split {_name_of(self._test)}: {self._left!r} | {self._right!r}>"


def execute(link: ApolloLink, request: GraphQLRequest) -> ChainObservable[FetchResult]:
    """Run an operation through a chain.

    Nothing is sent before the returned Observable is subscribed or awaited, and each subscription sends anew. Only a
    plain request handler at the head of the chain runs at once, as in Apollo.

    Args:
        link: The chain, or a single link.
        request: What to run.

    Returns:
        An Observable of results; awaiting it gives the last one.

    Raises:
        InvariantError: The query is no GraphQL, or its operation cannot be chosen.
        InvariantTypeError: The link is no link, the request no request, or the head's handler returned no Observable.

    Example:
        >>> result = await execute(link, GraphQLRequest("{ viewer { name } }"))
    """
    if not isinstance(request, GraphQLRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvariantTypeError(
            f"execute got a {type(request).__name__} as its request; wrap it: GraphQLRequest(query, variables)"
        )
    entry: Forward | None = _checked_link(link, "execute").__dict__.get("_entry")
    if entry is None:
        # It says nothing about the chains that the link may stand in: only that it may stand alone.
        entry = link.__dict__["_entry"] = _forward_to(link, _NoForward(link))
    observable = entry(Operation(request))
    return observable if isinstance(observable, ChainObservable) else ChainObservable(subscribe_foreign, observable)


def from_(links: Sequence[ApolloLink]) -> ApolloLink:
    """Return a chain of links, the first one at the head; none at all gives :func:`empty`.

    Raises:
        InvariantError: Something stands behind a link that never forwards.
        InvariantTypeError: Something in the list is no link.
    """
    flat = [_checked_link(link, "from_") for link in links]
    if not flat:
        return empty()
    for link, follower in pairwise(flat):
        if _is_terminating(link):
            raise InvariantError(
                f"{follower!r} stands behind {link!r}, which never forwards, so it would never run; "
                "put the transport last"
            )
    return flat[0] if len(flat) == 1 else _Chain(flat)


def concat(*links: ApolloLink) -> ApolloLink:
    """Return a chain of links; the same as :func:`from_` with the links one by one."""
    return from_(links)


def split(test: Callable[[Operation], bool], left: ApolloLink, right: ApolloLink | None = None) -> ApolloLink:
    """Return a link that chooses, for each operation, between two links.

    Args:
        test: Gets the operation; true chooses ``left``. What it raises is the operation's error.
        left: The one link.
        right: The other; None passes the operation on to what stands behind.

    Raises:
        InvariantTypeError: The test is a coroutine function (always true) or no function, or a branch is no link.
    """
    if not callable(test):
        raise InvariantTypeError(f"the test of split is a {type(test).__name__}; give a function of the operation")
    if inspect.iscoroutinefunction(test):
        raise InvariantTypeError(f"the test {_name_of(test)} of split is a coroutine function, which is always true")
    other = ApolloLink(lambda operation, forward: forward(operation)) if right is None else right
    return _Split(test, _checked_link(left, "split"), _checked_link(other, "split"))


def empty() -> ApolloLink:
    """Return a link that answers every operation with a completion and no result."""
    return _Empty()


class _Empty(ApolloLink):
    is_terminating = True

    def connect(self, forward: Forward) -> Connect:
        return _complete


def _complete(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    observer.on_completed()


def _forward_to(link: ApolloLink, forward: Forward) -> Forward:
    """Connect a link in front of the rest of a chain; a chain is connected link by link, from its end."""
    if isinstance(link, _Chain) and "request" not in link.__dict__:
        for part in reversed(link.children()):
            forward = _forward_to(part, forward)
        return forward
    return Forward(link, forward)


def _as_forward(forward: ForwardFunction) -> Forward:
    return forward if isinstance(forward, Forward) else _CallableForward(forward)


def _is_connected(link: ApolloLink) -> bool:
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


def _is_terminating(link: ApolloLink) -> bool:
    children = link.children()
    return _is_terminating(children[-1]) if isinstance(link, _Chain) else link.is_terminating


def _single_links(link: ApolloLink, seen: set[int] | None = None) -> Iterator[ApolloLink]:
    """Walk the single links below a link, each once however often it stands there."""
    seen = set() if seen is None else seen
    if id(link) in seen:
        return
    seen.add(id(link))
    children = link.children()
    if not children:
        yield link
    for child in children:
        yield from _single_links(child, seen)


def _checked_link(link: ApolloLink, where: str) -> ApolloLink:
    if not isinstance(link, ApolloLink):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(
            f"{where} got a {type(link).__name__} where a link belongs; wrap a function: ApolloLink(...)"
        )
    return link


def _checked(source: Any, culprit: object, operation: Operation) -> Observable[FetchResult]:
    # The type first: `isinstance` of an abstract class takes longer than most links.
    if type(source) is ChainObservable or isinstance(source, Observable):
        return cast("Observable[FetchResult]", source)
    name = _name_of(culprit) if not isinstance(culprit, ApolloLink) else repr(culprit)
    if inspect.isawaitable(source):
        if inspect.iscoroutine(source):
            source.close()
        cure = "wrap it: from_future(...)"
    elif source is None:
        cure = "it probably forgot `return forward(operation)`"
    else:
        cure = "return what `forward(operation)` returns, or an Observable"
    raise InvariantTypeError(f"{name} returned {_described(source)} for {operation!r} instead of an Observable; {cure}")


def _described(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _name_of(function: object) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
