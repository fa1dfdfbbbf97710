"""How links are put together, and run.

Ports: ``@apollo/client`` 4.3.8 ``src/link/core/``: ``from.ts``, ``concat.ts``, ``split.ts``, ``empty.ts`` and
``execute.ts``, whose functions are static methods of ``ApolloLink`` there and here.
Differs: the test of ``split`` runs at each subscription, as everything else in the framework's links; a transport in
the middle of a chain is an error when the chain is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from reactivex import Observable

from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.link import ApolloLink, EndOfChain, Forward, ForwardFunction, as_forward
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.work import close_unawaited
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["concat", "empty", "entry_of", "execute", "from_", "links_of", "split"]


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
        >>> import asyncio
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> link = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> async def main():
        ...     return await execute(link, GraphQLRequest("{ answer }"))
        >>> asyncio.run(main())
        {'data': {'answer': 42}}
    """
    if not isinstance(request, GraphQLRequest):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(
            f"execute got {kind_of(request)} as its request; wrap it: GraphQLRequest(query, variables)"
        )
    entry: Forward | None = link.__dict__.get("_entry") if isinstance(link, ApolloLink) else None  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
    if entry is None:
        entry = entry_of(link, "execute")
    operation = Operation(request)
    if entry.is_connected:  # as most are: no handler is to be called
        return ChainObservable(entry.connect, operation)
    observable = entry(operation)
    return observable if isinstance(observable, ChainObservable) else ChainObservable(subscribe_foreign, observable)


def entry_of(link: ApolloLink, where: str) -> Forward:
    """Return the way into a chain, for who starts many operations on it.

    Args:
        link: The chain, or a single link.
        where: Who asks, for the error message.

    Raises:
        InvariantTypeError: The link is no link.
    """
    link = _checked_link(link, where)
    # It says nothing about the chains that the link may stand in: only that it may stand alone.
    entry = link.__dict__["_entry"] = _forward_to(link, EndOfChain(link))
    return entry


def from_(links: Sequence[ApolloLink]) -> ApolloLink:
    """Return a chain of links, the first one at the head; none at all gives :func:`empty`.

    Raises:
        InvariantError: Something stands behind a link that never forwards.
        InvariantTypeError: Something in the list is no link.
    """
    if isinstance(links, ApolloLink):
        raise InvariantTypeError("from_ got a link; give it a list of links: from_([...]), or concat(...)")
    flat = [_checked_link(link, "from_") for link in links]
    if not flat:
        return empty()
    for link, follower in pairwise(flat):
        if _is_terminating(link):
            raise InvariantError(
                f"{follower!r} stands behind {link!r}, which never forwards, so it would never run; "
                "put the transport last"
            )
    if len(flat) == 1:
        return flat[0]
    made = _Chain(flat)
    _check_places(made, ())
    return made


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
    checked_function("the test of split", test, "operation", instead="its answer would always be true")
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


def links_of(link: ApolloLink) -> Sequence[ApolloLink]:
    """Return the links of a chain, one behind another; any other link, also a choice between two, by itself."""
    return link.children() if isinstance(link, _Chain) and "request" not in link.__dict__ else (link,)


def _forward_to(link: ApolloLink, forward: Forward) -> Forward:
    """Connect a link in front of the rest of a chain; a chain is connected link by link, from its end."""
    if isinstance(link, _Chain) and "request" not in link.__dict__:
        for part in reversed(link.children()):
            forward = _forward_to(part, forward)
        return forward
    return Forward(link, forward)


def _is_terminating(link: ApolloLink) -> bool:
    children = link.children()
    return _is_terminating(children[-1]) if isinstance(link, _Chain) else link.is_terminating


def _check_places(link: ApolloLink, above: Sequence[ApolloLink]) -> Sequence[ApolloLink]:
    """Let each single link look at those above it; return what stands above whatever comes behind this one."""
    if isinstance(link, _Chain):
        for part in link.children():
            above = _check_places(part, above)
        return above
    branches = link.children()
    if not branches:
        link.check_place(above)
        return (*above, link)
    return (*above, *(single for branch in branches for single in _check_places(branch, above)[len(above) :]))


def _checked_link(link: ApolloLink, where: str) -> ApolloLink:
    if not isinstance(link, ApolloLink):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"{where} got {kind_of(link)} where a link belongs; wrap a function: ApolloLink(...)")
    return link


class _Chain(ApolloLink):
    """Links one behind another. It is taken apart when it is connected: no worker of its own."""

    def __init__(self, links: Sequence[ApolloLink]) -> None:
        super().__init__()
        self._links = tuple(links)

    def connect(self, forward: Forward) -> Connect:
        return _forward_to(self, forward).connect

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        return _forward_to(self, as_forward(forward))(operation)

    def children(self) -> Sequence[ApolloLink]:
        return self._links

    def with_children(self, children: Sequence[ApolloLink]) -> ApolloLink:
        return _Chain(children)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._links))}]"


def _refuse_awaitable(answer: Any, test: Callable[[Operation], bool]) -> None:
    if inspect.isawaitable(answer):
        close_unawaited(answer)
        raise InvariantTypeError(f"the test {name_of(test)} of split returned {kind_of(answer)}; return a bool")


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
                if answer is not True and answer is not False:
                    _refuse_awaitable(answer, test)
            except Exception as error:  # noqa: BLE001 - whatever the test raises is the operation's error
                observer.on_error(error)
                return
            (left if answer else right)(operation, observer, root)

        return choose

    def children(self) -> Sequence[ApolloLink]:
        return (self._left, self._right)

    def with_children(self, children: Sequence[ApolloLink]) -> ApolloLink:
        return _Split(self._test, *children)

    def __repr__(self) -> str:
        return f"<split {name_of(self._test)}: {self._left!r} | {self._right!r}>"
