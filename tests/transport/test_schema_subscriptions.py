"""SchemaLink: a subscription's iterator, its events, and who closes it."""

import asyncio
import gc

import pytest
from graphql import GraphQLError, build_schema

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, OperationCancelled
from rxlink.links.error import ErrorLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.schema import SchemaLink
from tests.recording import END, seen_of, subscribed

SCHEMA = build_schema("""
    type Query { a: Int }
    type Subscription { tick(from: Int = 0): Int must: Int! }
""")
TICKS = GraphQLRequest("subscription { tick }")


def tick(number):
    return {"data": {"tick": number}}


def link_of(resolver, **options):
    return SchemaLink(SCHEMA, root_value={"tick": resolver, "must": resolver}, **options)


async def turns(count=30):
    for _ in range(count):
        await asyncio.sleep(0)


async def two(info, **arguments):
    yield {"tick": 1}
    await asyncio.sleep(0)
    yield {"tick": 2}


class Iterator:
    """An iterator by hand, with or without a way to close it."""

    def __init__(self, *events):
        self.events = list(events)

    def __aiter__(self):
        return self

    async def __anext__(self):
        await asyncio.sleep(0)
        if not self.events:
            raise StopAsyncIteration
        return self.events.pop(0)


class ClosableIterator(Iterator):
    closed = 0

    async def aclose(self):
        self.closed += 1


class SpyLink(ApolloLink):
    """Notes the results that arrive, whether or not somebody still wants them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def connect(self, forward):
        def start(operation, observer, root):
            forward.connect(operation, SpyWorker(self.seen, observer), root)

        return start


class SpyWorker:
    def __init__(self, seen, observer):
        self.seen = seen
        self.on_error = observer.on_error
        self.on_completed = observer.on_completed

    def on_next(self, result):
        self.seen.append(result)


class TestEvents:
    async def test_become_results_and_the_end_of_the_iterator_the_completion(self):
        recorder = subscribed(execute(link_of(two), TICKS))
        await turns()

        assert [tick(1), tick(2), END] == recorder.seen

    async def test_are_executed_with_resolvers_that_wait(self):
        async def later(info, **arguments):
            await asyncio.sleep(0)
            return info.context

        async def events(info, **arguments):
            yield {"tick": later}

        recorder = subscribed(execute(link_of(events, context=7), TICKS))
        await turns()

        assert [tick(7), END] == recorder.seen

    async def test_get_the_arguments_of_the_subscription(self):
        async def count(info, **arguments):
            yield {"tick": arguments["from"]}

        request = GraphQLRequest("subscription ($from: Int) { tick(from: $from) }", {"from": 5})
        recorder = subscribed(execute(link_of(count), request))
        await turns()

        assert [tick(5), END] == recorder.seen

    @pytest.mark.parametrize("make", [Iterator, ClosableIterator])
    async def test_may_come_from_any_iterator(self, make):
        source = make({"tick": 1}, {"tick": 2})

        recorder = subscribed(execute(link_of(lambda info, **_: source), TICKS))
        await turns()

        assert [tick(1), tick(2), END] == recorder.seen
        assert getattr(source, "closed", 1) == 1

    async def test_may_come_from_a_coroutine_that_returns_an_iterator(self):
        async def connect(info, **arguments):
            await asyncio.sleep(0)
            return two(info)

        recorder = subscribed(execute(link_of(connect), TICKS))
        await turns()

        assert [tick(1), tick(2), END] == recorder.seen

    @virtual
    async def test_arrive_when_they_happen(self, time: VirtualTime):
        async def clock(info, **arguments):
            for number in range(2):
                await asyncio.sleep(5)
                yield {"tick": number}

        seen = []
        execute(link_of(clock), TICKS).subscribe(lambda result: seen.append((time.monotonic(), result)))
        await asyncio.sleep(11)

        assert [(5.0, tick(0)), (10.0, tick(1))] == seen

    async def test_start_anew_for_each_subscription(self):
        results = execute(link_of(two), TICKS)
        recorders = [subscribed(results) for _ in range(2)]
        await turns()

        assert [[tick(1), tick(2), END]] * 2 == [recorder.seen for recorder in recorders]

    async def test_carry_the_errors_of_their_resolvers_and_the_stream_goes_on(self):
        def failing(info, **arguments):
            raise GraphQLError("boom", extensions={"code": "X"})

        async def events(info, **arguments):
            yield {"tick": failing}
            yield {"tick": 2}

        recorder = subscribed(execute(link_of(events), TICKS))
        await turns()

        error = {"message": "boom", "path": ["tick"], "extensions": {"code": "X"}}
        assert [{"data": {"tick": None}, "errors": [error]}, tick(2), END] == recorder.seen

    async def test_that_null_everything_keep_their_data(self):
        async def events(info):
            yield {"must": None}

        recorder = subscribed(execute(link_of(events), GraphQLRequest("subscription { must }")))
        await turns()

        assert (None, END) == (recorder.seen[0]["data"], recorder.seen[1])


class TestFailures:
    async def test_of_the_iterator_are_the_operations_error(self):
        async def failing(info, **arguments):
            yield {"tick": 1}
            raise OSError("gone")

        recorder = subscribed(execute(link_of(failing), TICKS))
        await turns()

        assert ([tick(1)], [OSError]) == (recorder.seen[:1], list(map(type, recorder.seen[1:])))

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_of_the_resolver_are_a_result_and_the_end(self, asynchronous):
        def refuse(info, **arguments):
            raise GraphQLError("no", extensions={"code": "UNAUTHENTICATED"})

        async def refuse_later(info, **arguments):
            refuse(info)

        recorder = subscribed(execute(link_of(refuse_later if asynchronous else refuse), TICKS))
        await turns()

        error = {"message": "no", "path": ["tick"], "extensions": {"code": "UNAUTHENTICATED"}}
        assert [{"errors": [error]}, END] == recorder.seen

    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            (TICKS, "Subscription field must return AsyncIterable. Received: 7."),
            (GraphQLRequest("subscription { unknown }"), "The subscription field 'unknown' is not defined."),
            (GraphQLRequest("subscription ($from: Int!) { tick(from: $from) }"), "Variable '$from'"),
        ],
    )
    async def test_of_the_request_are_a_result_and_the_end(self, request_, message):
        recorder = subscribed(execute(link_of(lambda info, **_: 7), request_))
        await turns()

        [result, end] = recorder.seen
        assert (["errors"], END) == (list(result), end)
        assert message in result["errors"][0]["message"]

    @pytest.mark.parametrize(("failure", "expected"), [(OSError("no"), OSError), (TypeError("no"), dict)])
    async def test_of_graphql_core_itself_are_the_operations(self, failure, expected, monkeypatch):
        def refuse(*args):
            raise failure

        monkeypatch.setattr("graphql.create_source_event_stream", refuse)
        recorder = subscribed(execute(link_of(two), TICKS))
        await turns()

        # A TypeError is what graphql-core 3.2 says of a resolver that returned no iterator; 3.3 makes a result of it.
        assert expected is type(recorder.seen[0])
        assert recorder.seen[1:] == ([END] if expected is dict else [])

    async def test_of_validation_are_found_before_the_resolver_is_called(self):
        calls = []
        link = link_of(lambda info, **_: calls.append(1), validate=True)

        seen = seen_of(execute(link, GraphQLRequest("subscription { unknown }")))

        assert ([{"errors": [{"message": "Cannot query field 'unknown' on type 'Subscription'."}]}, END], []) == (
            seen,
            calls,
        )

    async def test_of_the_consumer_end_the_subscription_and_close_the_iterator(self):
        closed, errors, asked = [], [], []

        async def events(info, **arguments):
            try:
                yield {"tick": 1}
                yield {"tick": 2}
            finally:
                closed.append(1)

        link = from_([ErrorLink(asked.append), link_of(events)])
        execute(link, TICKS).subscribe(lambda _: 1 / 0, errors.append)
        await turns()

        assert ([1], [ZeroDivisionError], []) == (closed, list(map(type, errors)), asked)

    def test_of_a_missing_loop_say_what_to_do(self):
        [error] = seen_of(execute(link_of(two), TICKS))

        assert InvariantError is type(error)
        assert "no event loop runs" in str(error)

    async def test_by_somebody_else_cancelling_the_iterator_are_a_defined_error(self):
        async def cancelled(info, **arguments):
            yield {"tick": 1}
            raise asyncio.CancelledError

        recorder = subscribed(execute(link_of(cancelled), TICKS))
        await turns()

        assert [dict, OperationCancelled] == list(map(type, recorder.seen))


class TestLeaving:
    @pytest.mark.parametrize("count", range(12))
    async def test_at_any_turn_closes_the_iterator_and_leaves_nothing(self, count):
        before, open_ = asyncio.all_tasks(), []

        async def later(info, **arguments):
            await asyncio.sleep(0)
            return 1

        async def events(info, **arguments):
            open_.append(1)
            try:
                while True:
                    await asyncio.sleep(0)
                    yield {"tick": later}
            finally:
                open_.pop()

        recorder = subscribed(execute(link_of(events), TICKS))
        await turns(count)
        seen = len(recorder.seen)

        recorder.subscription.dispose()
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert (set(), [], seen) == (asyncio.all_tasks() - before, open_, len(recorder.seen))

    async def test_while_a_result_is_taken_stops_the_iterator_where_it_is(self):
        reached = []

        async def events(info, **arguments):
            try:
                yield {"tick": 1}
                reached.append("went on")
                yield {"tick": 2}
            finally:
                reached.append("closed")

        results = execute(link_of(events), TICKS)
        subscription = None
        subscription = results.subscribe(lambda _: subscription.dispose())
        await turns()

        assert ["closed"] == reached

    async def test_closes_an_iterator_by_hand_once(self):
        source = ClosableIterator(*[{"tick": 1}] * 1000)
        recorder = subscribed(execute(link_of(lambda info, **_: source), TICKS))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert 1 == source.closed

    async def test_delivers_nothing_where_the_iterator_swallows_its_cancellation(self):
        spy = SpyLink()

        async def stubborn(info, **arguments):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield {"tick": 1}

        recorder = subscribed(execute(from_([spy, link_of(stubborn)]), TICKS))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert ([], []) == (recorder.seen, spy.seen)

    async def test_closes_an_iterator_that_a_resolver_returned_in_spite_of_its_cancellation(self):
        source = ClosableIterator({"tick": 1})

        async def stubborn(info, **arguments):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return source

        recorder = subscribed(execute(link_of(stubborn), TICKS))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert (1, []) == (source.closed, recorder.seen)

    async def test_reports_what_closing_raises_to_the_loop(self):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        class Failing(Iterator):
            async def aclose(self):
                raise OSError("cannot close")

        recorder = subscribed(execute(link_of(lambda info, **_: Failing(*[{"tick": 1}] * 100)), TICKS))
        await turns(4)

        recorder.subscription.dispose()
        await turns()

        assert ["OSError"] == [type(complaint["exception"]).__name__ for complaint in complaints]

    async def test_is_of_one_subscriber_only(self):
        gate = asyncio.Event()

        async def events(info, **arguments):
            await gate.wait()
            yield {"tick": 1}

        results = execute(link_of(events), TICKS)
        leaver, stayer = subscribed(results), subscribed(results)
        await turns()

        leaver.subscription.dispose()
        gate.set()
        await turns()

        assert ([], [tick(1), END]) == (leaver.seen, stayer.seen)
