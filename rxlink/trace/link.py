"""Record what passes at a place of a chain, or at every place.

Ports: nothing; Apollo has no such link.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from reactivex import Observable

from rxlink.core.chain import from_, links_of
from rxlink.core.chain_observable import ChainObservable, subscribe_foreign
from rxlink.core.link import ApolloLink, Forward, ForwardFunction, is_connected
from rxlink.core.operation import Operation
from rxlink.core.options import kind_of, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantTypeError
from rxlink.trace.events import TraceKind, codes_of, error_words, has_any_data, label
from rxlink.trace.recorder import Trace
from rxlink.trace.runs import Run
from rxlink.trace.watched import Watched

__all__ = ["TraceLink", "traced"]


class TraceLink(ApolloLink):
    """Record what passes between two links: each operation on its way down, each answer on its way up.

    It changes nothing: not what passes, nor when, nor how often. To see a whole chain, call :func:`traced`.

    Example:
        >>> from rxlink import GraphQLRequest, RetryLink, Trace, TraceLink, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> trace = Trace()
        >>> server = MockLink([MockedResponse(result={"errors": [{"message": "no", "extensions": {"code": "GONE"}}]})])
        >>> link = from_([RetryLink(), TraceLink(trace, name="server"), server])
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe()
        >>> print(*(f"{event.place} {event.kind} {event.outcome}".strip() for event in trace.events), sep=", ")
        server started, server result errors GONE, server completed
    """

    def __init__(self, trace: Trace, *, name: str = "TraceLink", is_transport: bool = False) -> None:
        """Make the link.

        Args:
            trace: Where it is recorded.
            name: What the place is called: the name of the link behind it is a good one.
            is_transport: Whether the link behind it never forwards, so that an operation is under way from here on.

        Raises:
            InvariantTypeError: It is no trace, or the name is no text.
        """
        super().__init__()
        if not isinstance(trace, Trace):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"TraceLink got {kind_of(trace)}; give it a Trace")
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(f"`name` of TraceLink is {kind_of(name)}; give text")
        self.trace = trace
        self.name = label(name)
        self.is_transport = is_transport
        if is_transport:
            trace.note_transport()

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return partial(self._start, forward.connect)

    def _start(self, proceed: Connect, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        above = root.watcher if isinstance(root, Watched) and isinstance(root.watcher, _Passage) else None
        passage = _Passage(self, operation, observer, root, above if above and above.trace is self.trace else None)
        passage.begin(proceed, operation)

    def __repr__(self) -> str:
        return f"<TraceLink {self.name}>"


class _HandlerTraceLink(TraceLink):
    """A trace link in front of a plain request handler, which is called as soon as it would be without."""

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        source = forward(operation)

        def subscribe(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            subscribe_foreign(source, observer, root)

        return ChainObservable(partial(self._start, subscribe), operation)


class _Passage:
    """One operation at one place: the worker of a trace link."""

    __slots__ = ("_attempt", "_depth", "_is_over", "_link", "_observer", "_root", "above", "run", "trace")

    def __init__(
        self,
        link: TraceLink,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        above: _Passage | None,
    ) -> None:
        self.trace = link.trace
        self.run: Run = link.trace.run_of(operation, link) if above is None else above.run
        self.above = self.run.above(link, None if above is None else above.name)
        self._link = link
        self._observer = observer
        self._root = root
        self._is_over = False
        self._depth, self._attempt = self.run.arrive(link)
        if self._depth == 0:
            self.above = None

    @property
    def name(self) -> str:
        """The name of the place."""
        return self._link.name

    def begin(self, proceed: Connect, operation: Operation) -> None:
        """Pass the operation on."""
        self._note_going_on()
        self.run.last = self.name
        self.run.holder_depth = self._depth
        self._note(TraceKind.FORWARDED if self._depth else TraceKind.STARTED)
        runs = self.trace.runs_here
        runs.append(self.run)
        try:
            proceed(operation, self, Watched(self._root, self))
        except BaseException as error:
            self.break_off(error)
            raise
        finally:
            runs.pop()

    def on_next(self, result: FetchResult) -> None:
        """Pass a result on."""
        if not self._is_over:
            self._note(TraceKind.RESULT, None, has_any_data(result), codes_of(result))
            self.run.holder_depth = self._depth - 1
        runs = self.trace.runs_here
        runs.append(self.run)
        try:
            self._observer.on_next(result)
        except BaseException as error:
            self.break_off(error)
            raise
        finally:
            runs.pop()
        if self._root.is_stopped:
            self.leave()  # within the call, when there may have been nothing in the slot

    def on_error(self, error: Exception) -> None:
        """Pass an error on."""
        self._end(TraceKind.ERROR, label(type(error).__name__), error_words(error))
        runs = self.trace.runs_here
        runs.append(self.run)
        try:
            self._observer.on_error(error)
        finally:
            runs.pop()

    def on_completed(self) -> None:
        """Pass the end on."""
        self._end(TraceKind.COMPLETED)
        runs = self.trace.runs_here
        runs.append(self.run)
        try:
            self._observer.on_completed()
        finally:
            runs.pop()

    def leave(self) -> None:
        """Take note that the place was left from above."""
        self._end(TraceKind.DISPOSED)

    def break_off(self, error: BaseException) -> None:
        """Take note that the subscriber's callback has raised."""
        self._end(TraceKind.BROKEN, label(type(error).__name__))

    def _end(self, kind: TraceKind, error: str | None = None, text: str | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._note(kind, None, None, None, error, text)
        if self._depth <= self.run.holder_depth or not self._depth:  # else a link waits that has turned away from it
            self.run.waits_for = None
            self.run.holder_depth = self._depth - 1
        if self._depth == 0:
            self.run.is_over = True
            if kind is not TraceKind.ERROR:  # after which a link above, or an operator, may send it again
                self.trace.forget(self.run)

    def _note_going_on(self) -> None:
        """Put down that the operation no longer waits, and whether it is sent with another token."""
        waited, self.run.waits_for = self.run.waits_for, None
        retry = self.trace.retry_of(self.run)
        if waited is not None:
            self._note(TraceKind.REFRESHED, waited or None)
        if retry is not None and self._attempt > 1:
            self._note(TraceKind.RETRIED, retry[1])

    def _note(
        self,
        kind: TraceKind,
        refresh: int | None = None,
        has_data: bool | None = None,  # noqa: FBT001 - by position, as an event has it
        codes: tuple[str, ...] | None = None,
        error: str | None = None,
        text: str | None = None,
    ) -> None:
        run, link = self.run, self._link
        where = (link.name, self.above, self._depth, self._attempt, link.is_transport)
        told = (refresh, None, has_data, codes, error, text)
        self.trace.record(kind, self._root.scheduler, run.number, run.name, run.kind, *where, *told)


def traced(link: ApolloLink, trace: Trace) -> ApolloLink:
    """Return the same chain with a trace link in front of every link, also on the branches of a split.

    The links are the same objects, and do the same at the same time. The places are named after the classes of their
    links, or the functions that they were made of; where one stands twice, the second is called ``RetryLink 2``. Traced
    is what goes through the chain that is returned; the given one stays as it is.

    Args:
        link: The chain, or a single link.
        trace: Where it is recorded.

    Raises:
        InvariantTypeError: The link is no link, or the trace no trace.

    Example:
        >>> from rxlink import DedupLink, GraphQLRequest, RetryLink, Trace, execute, from_, traced
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> trace = Trace()
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> link = traced(from_([DedupLink(), RetryLink(), server]), trace)
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe()
        >>> [event.place for event in trace.events if event.kind in {"started", "forwarded"}]
        ['DedupLink', 'RetryLink', 'MockLink']
    """
    if not isinstance(link, ApolloLink):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
        raise InvariantTypeError(f"traced got {kind_of(link)} where a link belongs; wrap a function: ApolloLink(...)")
    return _traced(link, trace, Counter())


def _traced(link: ApolloLink, trace: Trace, names: Counter[str]) -> ApolloLink:
    """Return a link, or a chain, with trace links; the names are those that are taken."""
    parts = links_of(link)
    if parts != (link,):
        return from_(
            [
                part if _is_place(before, trace) else _traced(part, trace, names)
                for before, part in zip((None, *parts), parts, strict=False)
            ]
        )
    if isinstance(link, TraceLink):
        return link
    branches = () if "request" in link.__dict__ else link.children()
    make = TraceLink if is_connected(link) else _HandlerTraceLink
    place = make(trace, name=_free_name(link, names), is_transport=link.is_terminating and not branches)
    if branches:
        link = link.with_children([_traced(branch, trace, names) for branch in branches])
    return from_([place, link])


def _is_place(link: ApolloLink | None, trace: Trace) -> bool:
    """Tell whether what stands behind it is recorded already."""
    return isinstance(link, TraceLink) and link.trace is trace


def _free_name(link: ApolloLink, names: Counter[str]) -> str:
    handler = link.__dict__.get("request")
    kind = "split" if link.children() else type(link).__name__.lstrip("_")
    name = kind if handler is None else name_of(handler).rpartition("<locals>.")[2]
    names[name] += 1
    return name if names[name] == 1 else f"{name} {names[name]}"
