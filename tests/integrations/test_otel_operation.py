"""The span of an operation: what it says, whose child it is, and where it is the current one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import reactivex
from opentelemetry import baggage, trace
from opentelemetry import context as otel
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rxlink import (
    ApolloLink,
    AttemptsOptions,
    BatchHttpLink,
    DedupLink,
    DelayOptions,
    GraphQLRequest,
    IncrementalResult,
    NetworkError,
    OpenTelemetryLink,
    PollingLink,
    RetryLink,
    ServerError,
    execute,
    from_,
)
from rxlink.core.operation import Operation
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.testing import MockSubscriptionLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.integrations.exported import Exported, attributes_of, events_of
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    Recorder,
    Worker,
    answering,
    failing,
    garbage_of,
    seen_of,
    sending,
    subscribed,
)
from tests.transport.scripted_server import answer_json, scripted_server

TICKS = GraphQLRequest("subscription Ticks { tick }")
ON_THE_WAY = IncrementalResult(DATA, increment={}, has_next=True)


def chain(exported: Exported, server: ApolloLink, **options: Any) -> ApolloLink:
    return from_([OpenTelemetryLink(**exported.providers, **options), server])


def current_span_id() -> int:
    return trace.get_current_span().get_span_context().span_id


def noting(look: Callable[[Operation], object], *values: Any) -> Worker:
    """A terminal that looks at each operation, and then answers."""

    def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        look(operation)
        for value in values:
            observer.on_next(value)
        observer.on_completed()

    return Worker(start)


class TestSpan:
    def test_it_is_a_client_span_under_that_of_the_caller_and_says_type_and_name(self, exported: Exported) -> None:
        with exported.tracer.start_as_current_span("request") as caller:
            assert [DATA, END] == seen_of(execute(chain(exported, sending(DATA)), REQUEST))

        (span,) = exported.named("query")
        assert (SpanKind.CLIENT, caller.get_span_context()) == (span.kind, span.parent)
        assert {
            "graphql.operation.type": "query",
            "graphql.operation.name": "Viewer",
            "rxlink.outcome": "success",
            "rxlink.results": 1,
        } == attributes_of(span)
        assert (StatusCode.UNSET, ()) == (span.status.status_code, span.events)

    def test_an_anonymous_one_has_no_name(self, exported: Exported) -> None:
        seen_of(execute(chain(exported, sending(DATA), name_spans=True), GraphQLRequest("mutation { go }")))

        assert ("mutation", None) == (exported.span.name, attributes_of(exported.span).get("graphql.operation.name"))

    def test_the_name_of_the_operation_stands_in_that_of_the_span_where_it_is_wanted(self, exported: Exported) -> None:
        seen_of(execute(chain(exported, sending(DATA), name_spans=True), REQUEST))

        assert "query Viewer" == exported.span.name

    def test_each_subscription_has_its_own(self, exported: Exported) -> None:
        operation = execute(chain(exported, sending(DATA)), REQUEST)

        seen_of(operation)
        seen_of(operation)

        assert 2 == len({span.context.span_id for span in exported.spans})

    @virtual
    async def test_it_lasts_as_long_as_the_operation(self, time: VirtualTime, exported: Exported) -> None:
        async def answer(observer: ResultObserver, root: Subscription) -> None:
            await asyncio.sleep(2)
            root.release()
            observer.on_next(DATA)
            await asyncio.sleep(1)
            observer.on_completed()

        server = Worker(lambda operation, observer, root: root.spawn(answer(observer, root), observer))
        running = subscribed(execute(chain(exported, server), REQUEST))
        await asyncio.sleep(2.5)
        assert [] == exported.spans
        await asyncio.sleep(1)

        assert [DATA, END] == running.seen
        told = {"graphql.operation.type": "query", "rxlink.outcome": "success"}
        assert [(told, (1, 3.0))] == exported.points("rxlink.operation.duration")
        assert [(told, 1)] == exported.points("rxlink.operations")

    def test_time_is_the_subscribers(self, exported: Exported) -> None:
        scheduler = TestScheduler()
        link = chain(exported, ApolloLink(lambda operation, forward: reactivex.timer(5).map(lambda _: DATA)))

        subscribed(execute(link, REQUEST), scheduler)
        scheduler.start()

        assert [(1, 5.0)] == [value for _, value in exported.points("rxlink.operation.duration")]


class TestFailures:
    def test_an_error_is_named_by_its_class_and_not_by_its_words(self, exported: Exported) -> None:
        error = ServerError("secret", status_code=503, headers={"a": "secret"}, body_text="secret")

        assert [error] == seen_of(execute(chain(exported, failing(error)), REQUEST))

        span, told = exported.span, attributes_of(exported.span)
        assert (StatusCode.ERROR, None) == (span.status.status_code, span.status.description)
        assert ("ServerError", 503, "error") == (
            told["error.type"], told["http.response.status_code"], told["rxlink.outcome"],
        )  # fmt: skip
        assert [("exception", {"exception.type": "ServerError"})] == [
            (event.name, dict(event.attributes or {})) for event in span.events
        ]
        assert [({
            "graphql.operation.type": "query", "rxlink.outcome": "error", "error.type": "ServerError",
        }, 1)] == exported.points("rxlink.operations")  # fmt: skip
        assert "secret" not in exported.everything()

    def test_of_graphql_errors_the_codes_are_told(self, exported: Exported) -> None:
        codes: list[Any] = ["UNAUTHENTICATED", "validation-failed", "HC0018", "UNAUTHENTICATED", None, 5, ["X"]]
        odd = ["eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0", "two words", "A" * 51, "sent-token", "é"]
        errors: list[Any] = [{"message": "secret", "extensions": {"code": code}} for code in [*codes, *odd]]
        errors += [None, "text", {"extensions": "text"}, {}]
        headers = {"authorization": "Bearer sent-token", "x-hash": "aHC0018b"}
        request = GraphQLRequest("{ answer }", context={"headers": headers})

        seen_of(execute(chain(exported, sending({"data": None, "errors": errors})), request))

        (event,) = exported.span.events
        assert ("graphql.errors", {
            "graphql.error.count": 16, "graphql.error.codes": ("UNAUTHENTICATED", "validation-failed", "HC0018"),
        }) == (event.name, dict(event.attributes or {}))  # fmt: skip
        told = attributes_of(exported.span)
        assert ("graphql_errors", "CombinedGraphQLErrors", StatusCode.ERROR) == (
            told["rxlink.outcome"], told["error.type"], exported.span.status.status_code,
        )  # fmt: skip

    def test_of_very_many_codes_the_first_eight(self, exported: Exported) -> None:
        errors = [{"extensions": {"code": f"E{number}"}} for number in range(100)]

        seen_of(execute(chain(exported, sending({"errors": errors})), REQUEST))

        told = dict(exported.span.events[0].attributes or {})
        assert (100, tuple(f"E{number}" for number in range(8))) == (
            told["graphql.error.count"], told["graphql.error.codes"],
        )  # fmt: skip

    @pytest.mark.parametrize("errors", [{"message": "secret"}, "secret"])
    def test_errors_that_are_no_list_are_errors(self, exported: Exported, errors: Any) -> None:
        seen_of(execute(chain(exported, sending({"errors": errors})), REQUEST))

        assert "graphql_errors" == attributes_of(exported.span)["rxlink.outcome"]
        assert {"graphql.error.count": 1, "graphql.error.codes": ()} == dict(exported.span.events[0].attributes or {})
        assert "secret" not in exported.everything()

    @pytest.mark.parametrize("result", [{"data": {}, "errors": []}, {"data": {}, "errors": None}])
    def test_no_errors_are_none(self, exported: Exported, result: Any) -> None:
        seen_of(execute(chain(exported, sending(result)), REQUEST))

        assert ("success", []) == (attributes_of(exported.span)["rxlink.outcome"], events_of(exported.span))

    def test_an_odd_result_of_a_users_link_is_passed_on(
        self, exported: Exported, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert [None, END] == seen_of(execute(chain(exported, answering(None)), REQUEST))

        assert "rxlink: a callback raised AttributeError" in caplog.text
        assert 1 == attributes_of(exported.span)["rxlink.results"]


class TestLeaving:
    @virtual
    async def test_whoever_leaves_before_the_answer_has_cancelled(self, time: VirtualTime, exported: Exported) -> None:
        link = chain(exported, ApolloLink(lambda operation, forward: reactivex.never()))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(execute(link, REQUEST), 3)

        assert ("cancelled", 0, StatusCode.UNSET) == (
            attributes_of(exported.span)["rxlink.outcome"],
            attributes_of(exported.span)["rxlink.results"],
            exported.span.status.status_code,
        )
        assert [(1, 3.0)] == [value for _, value in exported.points("rxlink.operation.duration")]

    @pytest.mark.parametrize(
        ("first", "request_", "outcome"),
        [
            (DATA, REQUEST, "success"),
            (FAILED, REQUEST, "graphql_errors"),
            (ON_THE_WAY, REQUEST, "cancelled"),
            (DATA, TICKS, "cancelled"),
        ],
    )
    def test_whoever_leaves_with_the_answer_in_hand_has_not(
        self, exported: Exported, first: Any, request_: GraphQLRequest, outcome: str
    ) -> None:
        server = MockSubscriptionLink()
        running = subscribed(execute(chain(exported, server), request_).pipe(ops.take(1)))

        server.simulate_result(first)

        assert ([first, END], 0) == (running.seen, server.subscribers)
        assert outcome == attributes_of(exported.span)["rxlink.outcome"]
        assert 1 == len(exported.spans)

    def test_who_leaves_stops_what_runs_below(self, exported: Exported) -> None:
        server = MockSubscriptionLink()
        running = subscribed(execute(chain(exported, server), TICKS))
        assert 1 == server.subscribers

        running.subscription.dispose()
        running.subscription.dispose()

        assert (0, 1) == (server.subscribers, len(exported.spans))

    def test_a_subscription_has_one_span_with_a_count(self, exported: Exported) -> None:
        server = MockSubscriptionLink()
        running = subscribed(execute(chain(exported, server), TICKS))
        for number in range(5):
            server.simulate_result({"data": {"tick": number}})
        assert [] == exported.spans
        server.simulate_complete()

        assert 6 == len(running.seen)
        assert ("subscription", 5, "success") == (
            exported.span.name,
            attributes_of(exported.span)["rxlink.results"],
            attributes_of(exported.span)["rxlink.outcome"],
        )

    def test_what_comes_after_the_end_is_not_told(self, exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            observer.on_next(DATA)
            observer.on_completed()
            observer.on_next(FAILED)
            observer.on_error(NetworkError("late"))
            observer.on_completed()

        assert [DATA, END] == seen_of(execute(chain(exported, Worker(start)), REQUEST))

        assert ("success", 1) == (
            attributes_of(exported.span)["rxlink.outcome"], attributes_of(exported.span)["rxlink.results"],
        )  # fmt: skip
        assert [1] == [count for _, count in exported.points("rxlink.operations")]
        assert [] == caplog.records  # the SDK complains of whoever writes into what has ended

    def test_a_callback_that_raises_ends_the_span_too(self, exported: Exported) -> None:
        def fail(_: object) -> None:
            raise LookupError("mine")

        failures: list[Exception] = []
        execute(chain(exported, sending(DATA)), TICKS).subscribe(fail, failures.append)

        assert [LookupError] == [type(failure) for failure in failures]
        assert "cancelled" == attributes_of(exported.span)["rxlink.outcome"]


class TestCurrentSpan:
    def test_below_it_is_the_operations_and_above_it_the_callers(self, exported: Exported) -> None:
        below: list[int] = []
        above: list[int] = []
        link = chain(exported, noting(lambda _: below.append(current_span_id()), DATA))
        with exported.tracer.start_as_current_span("request") as caller:
            execute(link, REQUEST).subscribe(
                lambda _: above.append(current_span_id()), on_completed=lambda: above.append(current_span_id())
            )
            assert caller.get_span_context().span_id == current_span_id()

        assert [exported.named("query")[0].context.span_id] == below
        assert [caller.get_span_context().span_id] * 2 == above

    @virtual
    async def test_it_is_so_in_coroutines_and_for_errors(self, time: VirtualTime, exported: Exported) -> None:
        below: list[int] = []
        above: list[int] = []

        async def answer(observer: ResultObserver, root: Subscription) -> None:
            await asyncio.sleep(1)
            below.append(current_span_id())
            root.release()
            observer.on_error(NetworkError("no"))

        link = chain(exported, Worker(lambda _, observer, root: root.spawn(answer(observer, root), observer)))
        with exported.tracer.start_as_current_span("request") as caller:
            execute(link, REQUEST).subscribe(on_error=lambda _: above.append(current_span_id()))
        await asyncio.sleep(2)

        (span,) = exported.named("query")
        assert ([span.context.span_id], [caller.get_span_context().span_id]) == (below, above)

    @virtual
    async def test_what_goes_on_by_anothers_event_goes_on_under_its_own_span(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        """P11: all wait for one event, which comes in a context of its own."""
        waiting: list[Callable[[], None]] = []
        below: dict[str, int] = {}

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            def go_on() -> None:
                below[operation.operation_name or ""] = current_span_id()
                observer.on_completed()

            waiting.append(lambda: root.resume(go_on))

        link = chain(exported, Worker(start))
        callers: dict[str, int] = {}
        for name in ("A", "B", "C"):
            with exported.tracer.start_as_current_span(name) as caller:
                callers[name] = caller.get_span_context().span_id
                subscribed(execute(link, GraphQLRequest(f"query {name} {{ answer }}")))
        with exported.tracer.start_as_current_span("somebody else"):
            for go_on in waiting:
                go_on()

        spans = {attributes_of(span)["graphql.operation.name"]: span for span in exported.named("query")}
        assert {name: span.context.span_id for name, span in spans.items()} == below
        assert callers == {name: span.parent and span.parent.span_id for name, span in spans.items()}

    def test_what_a_subscriber_starts_is_no_child_of_the_operation(self, exported: Exported) -> None:
        link = chain(exported, sending(DATA))
        pages = execute(link, REQUEST).pipe(ops.flat_map(lambda _: execute(link, REQUEST)))
        with exported.tracer.start_as_current_span("request") as caller:
            assert [DATA, END] == seen_of(pages)

        assert [caller.get_span_context()] * 2 == [span.parent for span in exported.named("query")]

    @virtual
    async def test_links_above_that_send_again_do_so_beside_it(self, time: VirtualTime, exported: Exported) -> None:
        link = from_([PollingLink(lambda operation: 1), OpenTelemetryLink(**exported.providers), sending(DATA)])
        with exported.tracer.start_as_current_span("request") as caller:
            running = subscribed(execute(link, REQUEST))
        await asyncio.sleep(2.5)
        running.subscription.dispose()

        assert [caller.get_span_context()] * 3 == [span.parent for span in exported.named("query")]


class TestAttempts:
    @virtual
    async def test_each_has_a_span_below_that_of_the_operation(self, time: VirtualTime, exported: Exported) -> None:
        answers = iter([failing(OSError("secret")), failing(NetworkError("secret")), sending(DATA)])
        link = from_([
            OpenTelemetryLink(**exported.providers),
            RetryLink(delay=DelayOptions(initial=1, jitter=False), attempts=AttemptsOptions(max=3)),
            OpenTelemetryLink(per="attempt", **exported.providers),
            ApolloLink(lambda operation, forward: next(answers).request(operation, forward)),
        ])  # fmt: skip

        assert DATA == await execute(link, REQUEST)

        (operation,) = exported.named("query")
        attempts = exported.named("query attempt")
        assert [operation.context] * 3 == [attempt.parent for attempt in attempts]
        assert [(1, "OSError"), (2, "NetworkError"), (3, None)] == [
            (attributes_of(attempt)["rxlink.attempt"], attributes_of(attempt).get("error.type")) for attempt in attempts
        ]
        assert ("success", 1) == (
            attributes_of(operation)["rxlink.outcome"],
            attributes_of(operation)["rxlink.results"],
        )
        assert [1] == [count for _, count in exported.points("rxlink.operations")]
        assert [(1, 3.0)] == [value for _, value in exported.points("rxlink.operation.duration")]


class TestPropagation:
    def sent(self, exported: Exported, headers: Any = None, **options: Any) -> dict[str, Any]:
        """The headers with which an operation arrives."""
        seen: list[Any] = []
        link = chain(exported, noting(lambda it: seen.append(it.get_context().get("headers")), DATA), **options)
        request = GraphQLRequest("{ answer }", context=None if headers is None else {"headers": headers})
        seen_of(execute(link, request))
        return seen[0]

    def test_the_span_stands_in_the_headers(self, exported: Exported) -> None:
        headers = self.sent(exported, {"x-tenant": "one"})

        context = exported.span.context
        assert {"x-tenant", "traceparent"} == headers.keys()
        assert headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")

    def test_so_does_baggage(self, exported: Exported) -> None:
        token = otel.attach(baggage.set_baggage("tenant", "one"))
        try:
            headers = self.sent(exported)
        finally:
            otel.detach(token)

        assert {"traceparent", "baggage"} == headers.keys()
        assert "tenant=one" == headers["baggage"]

    def test_a_given_propagator_writes_its_own(self, exported: Exported) -> None:
        token = otel.attach(baggage.set_baggage("tenant", "one"))
        try:
            headers = self.sent(exported, propagator=TraceContextTextMapPropagator())
        finally:
            otel.detach(token)

        assert {"traceparent"} == headers.keys()

    def test_what_was_there_is_replaced_whatever_its_case(self, exported: Exported) -> None:
        headers = self.sent(exported, {"TraceParent": "00-0-0-00"})

        assert ["traceparent"] == list(headers)
        assert f"{exported.span.context.span_id:016x}" in headers["traceparent"]

    def test_it_can_be_left_out(self, exported: Exported) -> None:
        assert self.sent(exported, propagate=False) is None

    def test_headers_that_are_none_are_left_to_the_transport(self, exported: Exported) -> None:
        assert ["odd"] == self.sent(exported, ["odd"])

    def test_an_attempt_stands_there_in_the_place_of_the_operation(self, exported: Exported) -> None:
        seen: list[Any] = []
        server = noting(lambda it: seen.append(it.get_context()["headers"]["traceparent"]), DATA)
        lower = OpenTelemetryLink(per="attempt", **exported.providers)

        seen_of(execute(from_([OpenTelemetryLink(**exported.providers), lower, server]), REQUEST))

        assert f"{exported.named('query attempt')[0].context.span_id:016x}" in seen[0]

    def test_operations_under_spans_of_their_own_are_shared_where_the_headers_are_written_below(
        self, exported: Exported
    ) -> None:
        def sends(*links: ApolloLink) -> int:
            server = MockSubscriptionLink()
            link = from_([*links, server])
            for name in ("A", "B"):
                with exported.tracer.start_as_current_span(name):
                    subscribed(execute(link, REQUEST))
            return server.subscribers

        lower = OpenTelemetryLink(per="attempt", **exported.providers)

        assert 2 == sends(OpenTelemetryLink(**exported.providers), DedupLink())
        assert 1 == sends(OpenTelemetryLink(propagate=False, **exported.providers), DedupLink(), lower)

    async def test_batches_are_shared_where_a_key_says_so(self, exported: Exported) -> None:
        async with scripted_server() as server:
            server.answer = answer_json([DATA, DATA])
            for options, requests in (({}, 2), ({"batch_key": lambda operation: ""}, 1)):
                server.requests.clear()
                async with BatchHttpLink(server.uri, **options) as batching:
                    link = chain(exported, batching)
                    await asyncio.gather(*(execute(link, REQUEST) for _ in range(2)), return_exceptions=True)
                assert requests == len(server.requests)


class FailingAtStart(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise LookupError("of a processor")


class FailingAtEnd(SpanProcessor):
    def on_end(self, span: Any) -> None:
        raise LookupError("of a processor")


class FailingSampler(Sampler):
    def should_sample(self, *args: Any, **options: Any) -> Any:
        raise LookupError("of a sampler")

    def get_description(self) -> str:
        return "fails"


class FailingPropagator(TraceContextTextMapPropagator):
    def inject(self, *args: Any, **options: Any) -> None:
        raise LookupError("of a propagator")


class TestTelemetryThatFails:
    def run(self, caplog: pytest.LogCaptureFixture, exported: Exported, **options: Any) -> None:
        assert [DATA, END] == seen_of(execute(chain(exported, sending(DATA), **options), REQUEST))
        assert [NetworkError] == [
            type(each) for each in seen_of(execute(chain(exported, failing(NetworkError("no")), **options), REQUEST))
        ]
        assert {"rxlink: a callback raised LookupError"} == {record.getMessage() for record in caplog.records}

    @pytest.mark.parametrize("processor", [FailingAtStart(), FailingAtEnd()])
    def test_a_span_processor_fails_no_operation(
        self, caplog: pytest.LogCaptureFixture, exported: Exported, processor: SpanProcessor
    ) -> None:
        exported.tracers.add_span_processor(processor)

        self.run(caplog, exported)

    def test_nor_does_a_sampler(self, caplog: pytest.LogCaptureFixture, exported: Exported) -> None:
        exported.tracers.sampler = FailingSampler()

        self.run(caplog, exported)
        assert 2 == sum(count for _, count in exported.points("rxlink.operations"))

    def test_nor_does_a_propagator(self, caplog: pytest.LogCaptureFixture, exported: Exported) -> None:
        self.run(caplog, exported, propagator=FailingPropagator())
        assert 2 == len(exported.spans)

    def test_the_span_is_the_current_one_all_the_same(self, exported: Exported) -> None:
        below: list[int] = []
        link = chain(exported, noting(lambda _: below.append(current_span_id())), propagator=FailingPropagator())

        seen_of(execute(link, REQUEST))

        assert [exported.span.context.span_id] == below


def test_it_leaves_nothing_for_the_cycle_collector(exported: Exported) -> None:
    links = [chain(exported, sending(DATA)), chain(exported, failing(NetworkError("no")))]

    def run() -> None:
        for link in links:
            for request in (REQUEST, TICKS):
                execute(link, request).subscribe(Recorder())

    assert 0 == garbage_of(run, 20)
