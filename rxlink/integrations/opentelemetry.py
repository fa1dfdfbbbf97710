"""Spans and metrics of operations, token refreshes and connections, for OpenTelemetry (extra ``otel``).

Only OpenTelemetry's API is used: what becomes of it is the business of the SDK that the application sets up. Without
one nothing is recorded. Names follow the semantic conventions: those of GraphQL spans, for what they name, with
``rxlink.`` before the rest. Nothing that is exported holds a token, a header, a variable, an address or a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, get_args

from reactivex import abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxlink.auth.session import AuthSession
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, kind_of, require_extra
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.propagators.textmap import TextMapPropagator
    from opentelemetry.trace import TracerProvider

    from rxlink.transport.sse import SseLink
    from rxlink.transport.websocket import GraphQLWsLink

__all__ = ["OpenTelemetryLink", "SpanPer", "instrument_connection", "instrument_session"]

Option = TypeVar("Option")
SpanPer: TypeAlias = Literal["operation", "attempt"]
"""What has a span of its own."""

EXTRA = "otel"
PACKAGE = "opentelemetry"


class OpenTelemetryLink(ApolloLink):
    """A span for each operation, and its metrics; put it at the head of a chain.

    The span (kind CLIENT) is named after the type of the operation; it is a child of the caller's span, and the current
    one for all that runs below, whatever has the operation go on. It begins with the subscription and ends with it: a
    subscription has one span for all its results, which are counted. A failed operation has the status ERROR and
    ``error.type``, the class of the error; a result with ``errors`` likewise, with their codes in an event. Metrics are
    ``rxlink.operations`` and ``rxlink.operation.duration``.

    :func:`instrument_session` adds waits for a refresh and retries after it, :func:`instrument_connection`
    reconnects. Attempts of a RetryLink are seen with a second link of this class below it, with ``per="attempt"``.

    What a span processor, a sampler or a propagator raises goes to the event loop's exception handler, and the
    operation goes on. Durations are in the subscriber's time; without scheduler and event loop they are not measured.

    Example:
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> link = from_([OpenTelemetryLink(), server])
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe(print)
        {'data': {'answer': 42}}
    """

    def __init__(
        self,
        *,
        per: SpanPer = "operation",
        name_spans: bool = False,
        propagate: bool = True,
        propagator: TextMapPropagator | None = None,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Make the link.

        Args:
            per: ``"operation"``: one span from the subscription to the end. ``"attempt"``, for a place below the links
                that send again: a span each time, such as ``query attempt``, with its number as ``rxlink.attempt``, and
                no metrics.
            name_spans: Whether a span is named after type and name, such as ``query Viewer``. Its name is an attribute
                in any case (``graphql.operation.name``), and never one of a metric.
            propagate: Whether the span's context goes into the operation's headers: ``traceparent``, ``tracestate``,
                ``baggage``. They go wherever the operation goes, redirects to other origins included. DedupLink and
                BatchHttpLink tell operations with different headers apart: have the link below them write them.
            propagator: What writes them; None for the global one.
            tracer_provider: Whose spans; None for the global one.
            meter_provider: Whose metrics; None for the global one.

        Raises:
            InvariantError: The extra ``otel`` is not installed, or ``per`` is neither of its words.
            InvariantTypeError: A switch is no bool, or a provider or the propagator is none.
        """
        super().__init__()
        require_extra("OpenTelemetryLink", EXTRA, PACKAGE)
        from rxlink.integrations import _otel_instruments as names
        from rxlink.integrations._otel_operation import Attempt, OperationSpan
        from rxlink.integrations._otel_telemetry import Telemetry

        if per not in get_args(SpanPer):
            raise InvariantError(f"`per` is {per!r}; give 'operation' or 'attempt'")
        meters = _checked("meter_provider", meter_provider, "get_meter")
        self._per = per
        self._worker: type[Attempt | OperationSpan] = Attempt if per == "attempt" else OperationSpan
        self._telemetry = Telemetry(
            names.tracer_of(_checked("tracer_provider", tracer_provider, "get_tracer")),
            None if per == "attempt" else names.OperationInstruments(meters),
            has_names=checked_flag("name_spans", name_spans),
            propagates=checked_flag("propagate", propagate),
            propagator=_checked("propagator", propagator, "inject"),
        )

    def check_place(self, above: Sequence[ApolloLink]) -> None:
        """Refuse a second place for operations in a chain: each would be counted twice.

        Raises:
            InvariantError: There is one above.
        """
        if self._per == "operation" and any(isinstance(other, OpenTelemetryLink) for other in above):
            raise InvariantError(
                "two OpenTelemetryLinks of one chain would each count its operations; "
                'for a span of each attempt give the lower one `per="attempt"`'
            )

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed, telemetry, worker = forward.connect, self._telemetry, self._worker

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            worker(telemetry, operation, observer, root).begin(proceed)

        return start


def instrument_session(
    session: AuthSession,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> abc.DisposableBase:
    """Tell of a session's refreshes, and of the operations that wait for them.

    Each refresh has a span, ``rxlink.refresh``, a child of the operation or call that has set it off. Metrics:
    ``rxlink.refreshes`` by outcome and reason, ``rxlink.refresh.duration``, ``rxlink.refresh.waiting`` (how many
    waited), and ``rxlink.session.problems``. Operations under an :class:`OpenTelemetryLink` get the events
    ``rxlink.waiting``, ``rxlink.released`` and ``rxlink.retried``, a span link to the refresh that they wait for, and
    ``rxlink.operation.wait.duration``.

    Args:
        session: Which; once for each. Of an AuthSessions instrument each one in ``make``.
        tracer_provider: Whose spans; None for the global one.
        meter_provider: Whose metrics; None for the global one.

    Returns:
        What ends it.

    Raises:
        InvariantError: The extra ``otel`` is not installed.
        InvariantTypeError: The session is no AuthSession, or a provider is none.

    Example:
        >>> from rxlink import AuthSession, TokenSet
        >>> session = AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old"))
        >>> instrumentation = instrument_session(session)
        >>> instrumentation.dispose()
    """
    if not isinstance(session, AuthSession):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(
            f"instrument_session got {kind_of(session)}; give it an AuthSession, of AuthSessions each one in `make`"
        )
    require_extra("instrument_session", EXTRA, PACKAGE)
    from rxlink.integrations._otel_instruments import SessionInstruments, tracer_of
    from rxlink.integrations._otel_session import SessionTelemetry

    tracer = tracer_of(_checked("tracer_provider", tracer_provider, "get_tracer"))
    instruments = SessionInstruments(_checked("meter_provider", meter_provider, "get_meter"))
    telemetry = SessionTelemetry(tracer, instruments)
    return CompositeDisposable(session.keeper.announcer.watch(telemetry.hear), Disposable(telemetry.close))


def instrument_connection(
    link: GraphQLWsLink | SseLink, *, meter_provider: MeterProvider | None = None
) -> abc.DisposableBase:
    """Count how often the connection of a link was lost and made again.

    Metrics: ``rxlink.connection.retries`` and ``rxlink.connection.reconnects``, with ``rxlink.transport``
    (``websocket`` or ``sse``). Subscriptions under an :class:`OpenTelemetryLink` get the event
    ``rxlink.resubscribed``, which says whether results may be missing.

    Args:
        link: A GraphQLWsLink, a WebSocketLink or an SseLink; once for each.
        meter_provider: Whose metrics; None for the global one.

    Returns:
        What ends it.

    Raises:
        InvariantError: The extra ``otel`` is not installed.
        InvariantTypeError: The link is none of these, or the provider is none.

    Example:
        >>> from rxlink import GraphQLWsLink
        >>> instrumentation = instrument_connection(GraphQLWsLink("wss://api.example.com/graphql"))
        >>> instrumentation.dispose()
    """
    from rxlink.transport.sse import SseLink
    from rxlink.transport.websocket import GraphQLWsLink

    if not isinstance(link, (GraphQLWsLink, SseLink)):  # pyright: ignore[reportUnnecessaryIsInstance] - as above
        raise InvariantTypeError(
            f"instrument_connection got {kind_of(link)}; give it a GraphQLWsLink, a WebSocketLink or an SseLink"
        )
    require_extra("instrument_connection", EXTRA, PACKAGE)
    from rxlink.integrations._otel_connection import ConnectionTelemetry
    from rxlink.integrations._otel_instruments import ConnectionInstruments

    instruments = ConnectionInstruments(_checked("meter_provider", meter_provider, "get_meter"))
    transport = "sse" if isinstance(link, SseLink) else "websocket"
    return link.events.subscribe(ConnectionTelemetry(instruments, transport).hear)


def _checked(name: str, value: Option, method: str) -> Option:
    if value is not None and not callable(getattr(value, method, None)):
        raise InvariantTypeError(
            f"`{name}` is {kind_of(value)}; give one of OpenTelemetry's, or None for the global one"
        )
    return value
