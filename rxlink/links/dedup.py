"""Send a query that is under way already only once, and give its answer to all who ask for it.

Ports: ``apollo-link-dedup`` 1.0.21 ``src/dedupLink.ts``, and what ``queryDeduplication`` of ``@apollo/client`` 4.3.8
(``src/core/QueryManager.ts``) has in addition: it can be turned off for one operation, and the order of variables does
not matter.
Differs: only queries are shared (the link shares mutations too, and both share subscriptions). Operations share only if
their contexts and extensions are equal too: two users, whose headers differ, never get one answer. An answer of several
results is shared to its end (the link ends it after the first result; ``QueryManager`` replays results to those who
come later; here they send anew). Subscribing to an ``execute`` that has been answered sends again (there it never
ends). An answer without a result completes (there it never does). One whose callback raises does not stop the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType, NoneType
from typing import Any, cast

from reactivex.internal import noop

from rxlink.core.documents import OperationType, document_of
from rxlink.core.fan_out import own_error
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.refreshes import is_inside_a_refresh
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError

__all__ = ["DedupLink"]

_ATOMS = frozenset({bool, bytes, int, NoneType, str})
"""Types whose values are the same if they are equal; of other objects, only the very same one is."""


class DedupLink(ApolloLink):
    """Let identical queries that are under way at the same time share one request.

    Queries are identical if document, operation name, variables, extensions and context are equal: what a plain dict,
    list, text or number says counts, of other objects only the identity. What came in by way of a context variable, or
    is added to the context only behind this link, does not count: **put it behind the links that decide whose
    operation it is**, such as ``AuthLink``.

    The request runs in the context of the one who came first, and by its scheduler. Each subscriber leaves alone; the
    last one to leave aborts the request. Once the answer has begun, who comes next sends anew. All get the same result
    object, so none should change it.

    An operation with ``{"query_deduplication": False}`` or ``{"force_fetch": True}`` in its context is sent by itself.

    Errors:
        Those of the shared request, to each who waits for it; rxlink's own as an object of its own.

    Example:
        >>> import asyncio
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}}, delay=0.01)])
        >>> link = from_([DedupLink(), server])
        >>> async def main():
        ...     request = GraphQLRequest("{ answer }")
        ...     return await asyncio.gather(execute(link, request).to_future(), execute(link, request).to_future())
        >>> asyncio.run(main()), len(server.operations)
        ([{'data': {'answer': 42}}, {'data': {'answer': 42}}], 1)
    """

    def __init__(self) -> None:
        """Make the link."""
        super().__init__()
        # On the link, as in Apollo: `request` connects it anew each time. The rest of the chain is in the key.
        self._in_flight: dict[asyncio.AbstractEventLoop | None, dict[Hashable, _Flight]] = {}

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            key = _key(operation, forward) if _may_share(operation) else None
            if key is None:
                proceed(operation, observer, root)
                return
            in_flight = self._flights_on(_loop_of(root))
            flight = in_flight.get(key)
            if flight is not None:
                flight.join(observer, root)
                return
            flight = in_flight[key] = _Flight(in_flight, key, root)
            flight.join(observer, root)
            if not flight.is_stopped:
                proceed(operation, flight, flight)

        return start

    def _flights_on(self, loop: asyncio.AbstractEventLoop | None) -> dict[Hashable, _Flight]:
        """Return those of one event loop: no request can serve another, nor one that comes after it has closed."""
        flights = self._in_flight.get(loop)
        if flights is None:
            for closed in [known for known in self._in_flight if known is not None and known.is_closed()]:
                del self._in_flight[closed]
            flights = self._in_flight[loop] = {}
        return flights


class _Flight(Subscription):
    """One request and those who wait for its answer: the observer of the links behind, and their root.

    It belongs to none of those who wait, so each may leave.
    """

    __slots__ = ("_in_flight", "_key", "_passengers")

    def __init__(self, in_flight: dict[Hashable, _Flight], key: Hashable, root: Subscription) -> None:
        super().__init__(noop, noop, noop, root.scheduler)
        self._in_flight = in_flight
        self._key = key
        self._passengers: dict[_Passenger, None] = {}

    def join(self, observer: ResultObserver, root: Subscription) -> None:
        """Let one more wait, as the resource in its slot."""
        passenger = _Passenger(self, observer, root)
        self._passengers[passenger] = None
        root.hold(passenger)

    def leave(self, passenger: _Passenger) -> None:
        """Take one out; the last one aborts the request."""
        self._passengers.pop(passenger, None)
        if not self._passengers:
            self.dispose()

    def dispose(self) -> None:
        self._close_door()
        super().dispose()

    def on_next(self, value: FetchResult) -> None:
        self._close_door()
        for passenger in tuple(self._passengers):
            if passenger in self._passengers:
                passenger.tell(passenger.observer.on_next, value)

    def on_error(self, error: Exception) -> None:
        # The last one gets the original.
        self._end(lambda one: one.tell(one.observer.on_error, own_error(error) if self._passengers else error))

    def on_completed(self) -> None:
        self._end(lambda passenger: passenger.tell(passenger.observer.on_completed))

    def _end(self, tell: Callable[[_Passenger], None]) -> None:
        try:
            self.dispose()
        finally:  # a foreign teardown may raise
            for passenger in tuple(self._passengers):
                if passenger in self._passengers:
                    del self._passengers[passenger]
                    passenger.root.release()
                    tell(passenger)

    def _close_door(self) -> None:
        """Let nobody else in: who asks from now on wants an answer of its own."""
        if self._in_flight.get(self._key) is self:
            del self._in_flight[self._key]


class _Passenger:
    """One who waits for the answer, in the slot of its subscription."""

    __slots__ = ("_flight", "observer", "root")

    def __init__(self, flight: _Flight, observer: ResultObserver, root: Subscription) -> None:
        self._flight = flight
        self.observer = observer
        self.root = root

    def cancel(self) -> None:
        self._flight.leave(self)

    def tell(self, notify: Callable[..., None], *args: Any) -> None:
        """Go on in the subscriber's own context; of what it raises its own stream dies, and no other."""
        try:
            self.root.resume(notify, *args)
        except Exception as error:  # noqa: BLE001 - one subscriber's callback must not stop the others
            self._die_of(error)

    def _die_of(self, error: Exception) -> None:
        if not self.root.is_stopped:
            try:
                self.root.on_error(error)
                return
            except Exception as raised:  # noqa: BLE001 - as above
                error = raised
        report_callback_error(error)


class _Same:
    """Makes a key of an object by its identity, and keeps it alive as long."""

    __slots__ = ("_thing",)

    def __init__(self, thing: object) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._thing is other._thing

    def __hash__(self) -> int:
        return id(self._thing)


def _may_share(operation: Operation) -> bool:
    # What a refresh asks must not wait for the answer to an operation that waits for the refresh.
    if operation.operation_type is not OperationType.QUERY or is_inside_a_refresh():
        return False
    context = operation.get_context()
    return context.get("query_deduplication") is not False and not context.get("force_fetch")


def _loop_of(root: Subscription) -> asyncio.AbstractEventLoop | None:
    try:
        return root.event_loop()
    except InvariantError:  # a chain that needs none
        return None


def _key(operation: Operation, forward: Forward) -> Hashable | None:
    """Return what two operations have in common if they may share a request; None if that cannot be told."""
    # What transports write into an operation says nothing about what it asks, also when it is sent again.
    context = {name: value for name, value in operation.get_context().items() if name != "response"}
    extensions = {name: value for name, value in operation.extensions.items() if name != "clientLibrary"}
    try:
        contents = _content(operation.variables), _content(extensions), _content(context)
    except RecursionError:  # something holds itself
        return None
    if _holds_a_stream(operation.variables):
        return None
    return _Same(forward), document_of(operation.query).text, operation.operation_name, contents


def _holds_a_stream(value: object) -> bool:
    """Tell whether there is something to read in variables: who shares it could not send it again."""
    if isinstance(value, Mapping):
        return any(map(_holds_a_stream, cast("Mapping[object, object]", value).values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_a_stream, cast("Sequence[object]", value)))
    source: object = getattr(value, "source", value)
    return hasattr(source, "__aiter__") or hasattr(source, "read")


def _content(value: object) -> Hashable:
    """Return something hashable that is equal for equal values, and asks no user's class what equal means."""
    kind = type(value)
    if kind in _ATOMS:
        return kind, value
    if kind is float:
        return kind, repr(value)  # -0.0 equals 0.0
    if kind is dict or kind is MappingProxyType:
        members = cast("Mapping[object, object]", value).items()
        return frozenset((_content(name), _content(member)) for name, member in members)
    if kind is list or kind is tuple:
        return list, tuple(map(_content, cast("list[object]", value)))
    return _Same(value)
