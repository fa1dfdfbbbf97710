"""Client: what a call sends, what it brings, and what it refuses."""

import asyncio
import gc
from contextvars import ContextVar
from typing import TypedDict

import pytest
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rxlink import (
    AuthLink,
    AuthSession,
    Client,
    ClientClosed,
    ErrorLink,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    OperationResult,
    RetryLink,
    TokenSet,
    from_,
    gql,
)
from rxlink.testing import MockedResponse, MockLink, MockSubscriptionLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END, Worker, answering, garbage_of, seen_of, sending, streaming, subscribed

ANSWER = {"data": {"answer": 42}}
RESULT = OperationResult({"answer": 42})
TICKS = "subscription Ticks { tick }"


class Answer(TypedDict):
    answer: int


def mock(**options):
    return MockLink([MockedResponse(**{"result": ANSWER, "max_usage": None, **options})])


class TestCalls:
    async def test_can_be_awaited(self):
        assert RESULT == await Client(mock(delay=0.001)).query("{ answer }")

    def test_can_be_subscribed_without_a_loop(self):
        assert [RESULT, END] == seen_of(Client(mock()).query("{ answer }"))

    async def test_can_be_iterated(self):
        client = Client(sending(ANSWER, ANSWER))

        assert [RESULT, RESULT] == [result async for result in client.query("{ answer }")]

    def test_take_operators_of_rxpy(self):
        assert [42, END] == seen_of(Client(mock()).query("{ answer }").map(lambda result: result.data["answer"]))

    def test_send_nothing_before_they_are_subscribed_and_anew_each_time(self):
        link = mock()
        call = Client(link).mutate("mutation { answer }")
        before = len(link.operations)

        seen_of(call)
        seen_of(call)

        assert (0, 2) == (before, len(link.operations))

    def test_of_a_subscription_bring_its_results_until_it_ends(self):
        link = MockSubscriptionLink()
        recorder = subscribed(Client(link).subscribe(TICKS))

        for tick in (1, 2):
            link.simulate_result({"data": {"tick": tick}})
        link.simulate_complete()

        assert [OperationResult({"tick": 1}), OperationResult({"tick": 2}), END] == recorder.seen

    async def test_end_with_their_loop(self):
        link = MockSubscriptionLink()
        asyncio.get_running_loop().call_soon(link.simulate_result, {"data": {"tick": 1}})

        async for _ in Client(link).subscribe(TICKS):
            break

        assert 0 == link.subscribers

    async def test_take_text_and_documents(self):
        link = mock()
        client = Client(link)

        await client.query(gql("query A { answer }"))
        await client.query("query B { answer }", {"unused": 1})

        assert ["A", "B"] == [operation.operation_name for operation in link.operations]

    async def test_can_be_typed(self):
        result = await Client(mock()).query("{ answer }", result_type=Answer)

        assert 42 == result.data["answer"]

    def test_run_links_in_the_context_of_the_subscriber(self):
        tenant = ContextVar("tenant", default="nobody")
        seen = []
        client = Client(Worker(lambda operation, observer, root: seen.append(tenant.get())))
        call = client.query("{ answer }")

        tenant.set("ada")
        call.subscribe()

        assert ["ada"] == seen

    def test_leave_no_garbage(self):
        client = Client(sending(ANSWER))

        assert 0 == garbage_of(lambda: client.query("{ answer }").subscribe(), 20)

    def test_of_one_document_and_the_next_do_not_meet(self):
        link = mock()
        client = Client(link, default_context={"headers": {"a": "1"}})

        seen_of(client.query("{ answer }", headers={"b": "2"}))
        seen_of(client.query("{ answer }"))

        assert [{"a": "1", "b": "2"}, {"a": "1"}] == [
            operation.get_context()["headers"] for operation in link.operations
        ]


class TestLeaving:
    @virtual
    async def test_aborts_what_runs(self, time: VirtualTime):
        link = mock(delay=5)
        client = Client(link)
        recorder = subscribed(client.query("{ answer }", timeout=60))

        recorder.subscription.dispose()

        assert ([], 1, []) == (recorder.seen, len(link.unsubscribed), time.leftovers())

    def test_inside_the_first_result_stops_the_others(self):
        assert [RESULT, END] == seen_of(Client(sending(ANSWER, ANSWER)).subscribe(TICKS).pipe(ops.take(1)))

    async def test_by_cancelling_the_task_that_awaits(self):
        link = mock(delay=5)
        waiting = asyncio.ensure_future(_awaited(Client(link).query("{ answer }")))
        await asyncio.sleep(0)

        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        assert 1 == len(link.unsubscribed)


class TestKinds:
    @pytest.mark.parametrize(
        ("method", "text", "other"),
        [
            ("query", "mutation M { a }", "mutate"),
            ("query", TICKS, "subscribe"),
            ("mutate", "query M { a }", "query"),
            ("mutate", TICKS, "subscribe"),
            ("subscribe", "{ a }", "query"),
            ("subscribe", "mutation M { a }", "mutate"),
        ],
    )
    def test_that_are_wrong_are_refused_at_once(self, method, text, other):
        with pytest.raises(InvariantError, match=f"`{method}` runs a .*; give it to `{other}`"):
            getattr(Client(mock()), method)(text)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("query A { a } query B { a }", "2 operations .A, B.; exactly one is needed"),
            ("fragment A on B { a }", "0 operations"),
            ("{ a", "no GraphQL: .* at line 1, column 4"),
        ],
    )
    def test_need_one_operation(self, text, reason):
        with pytest.raises(InvariantError, match=reason):
            Client(mock()).query(text)

    def test_are_chosen_by_name(self):
        link = mock()

        seen_of(Client(link).query("query A { a } query B { a }", operation_name="B"))

        assert "B" == link.operations[0].operation_name

    def test_of_a_chosen_operation_count(self):
        with pytest.raises(InvariantError, match="B is a mutation"):
            Client(mock()).query("query A { a } mutation B { a }", operation_name="B")


class TestTimeout:
    @virtual
    async def test_is_for_the_whole_call_retries_included(self, time: VirtualTime):
        server = mock(result=None, error=NetworkError("down"), delay=1)
        link = from_([RetryLink(delay=lambda *_: 1), server])

        with pytest.raises(NetworkTimeout, match=r"query Slow: no answer within 2\.5 s; raise `timeout`"):
            await Client(link).query("query Slow { answer }", timeout=2.5)

        assert (2.5, 2) == (time.monotonic(), len(server.operations))

    @virtual
    async def test_counts_the_wait_for_a_refresh(self, time: VirtualTime):
        async def never(tokens, reason):
            await asyncio.Event().wait()

        async with AuthSession(refresh=never, tokens=TokenSet("a", "b"), clock=time.clock) as session:
            refused = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
            client = Client(from_([AuthLink(session), mock(result=refused)]))

            with pytest.raises(NetworkTimeout):
                await client.query("{ answer }", timeout=2)

            assert 2 == time.monotonic()

    @virtual
    async def test_is_over_with_the_answer(self, time: VirtualTime):
        await Client(mock(delay=1)).query("{ answer }", timeout=2)

        assert [] == time.leftovers()

    @virtual
    async def test_of_a_subscription_is_over_with_its_first_result(self, time: VirtualTime):
        link = MockSubscriptionLink()
        recorder = subscribed(Client(link).subscribe(TICKS, timeout=2))
        silent = subscribed(Client(MockSubscriptionLink()).subscribe(TICKS, timeout=2))

        link.simulate_result({"data": {"tick": 1}})
        await asyncio.sleep(10)

        assert [OperationResult({"tick": 1})] == recorder.seen
        assert isinstance(silent.seen[0].error, NetworkTimeout)
        assert [END] == silent.seen[1:]
        recorder.subscription.dispose()

    def test_comes_from_the_subscribers_scheduler(self):
        scheduler = TestScheduler()
        link = mock(delay=10)
        recorder = subscribed(Client(link).query("{ answer }", timeout=3), scheduler)

        scheduler.advance_by(2.9)
        before = list(recorder.seen)
        scheduler.advance_by(0.2)

        assert [] == before
        assert isinstance(recorder.seen[0], NetworkTimeout)
        assert 1 == len(link.unsubscribed)

    def test_needs_something_to_wait_by(self):
        link = mock()

        seen = seen_of(Client(link).query("{ answer }", timeout=3, error_policy="all"))

        assert "no event loop runs" in str(seen[0])
        assert [] == link.operations

    @virtual
    async def test_obeys_the_error_policy(self, time: VirtualTime):
        result = await Client(mock(delay=5)).query("{ answer }", timeout=2, error_policy="all")

        assert isinstance(result.error, NetworkTimeout)

    def test_is_a_timeout_error_of_python(self):
        assert issubclass(NetworkTimeout, TimeoutError)


class TestClosing:
    @virtual
    async def test_ends_what_runs_and_refuses_what_comes(self, time: VirtualTime):
        link = mock(delay=5)
        client = Client(link)
        running = [subscribed(client.query("{ answer }", error_policy=policy)) for policy in ("none", "ignore", "all")]
        ticks = subscribed(client.subscribe(TICKS))

        await client.aclose()
        late = subscribed(client.query("{ answer }", error_policy="ignore"))
        await client.aclose()

        assert [["ClientClosed"]] * 5 == [[type(one).__name__ for one in seen.seen] for seen in (*running, ticks, late)]
        assert (4, []) == (len(link.unsubscribed), time.leftovers())

    async def test_ends_with_the_block_and_closes_the_chain_once(self):
        link = _Closable()

        async with Client(from_([RetryLink(), link])):
            pass

        assert 1 == link.closed

    async def test_is_stopped_by_no_callback(self):
        link = mock(delay=5)
        client = Client(link)
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, complaint: complaints.append(complaint))

        def fail(_):
            raise ValueError("mine")

        client.query("{ answer }").subscribe(on_error=fail)
        recorder = subscribed(client.query("{ answer }"))
        await client.aclose()
        asyncio.get_running_loop().set_exception_handler(None)

        assert isinstance(recorder.seen[0], ClientClosed)
        assert ["mine"] == [str(complaint["exception"]) for complaint in complaints]

    async def test_forgets_those_that_have_ended_or_left(self):
        client = Client(mock(delay=5))
        recorder = subscribed(client.query("{ answer }"))
        recorder.subscription.dispose()
        del recorder
        gc.collect()

        assert set() == client._operations._runs


class TestInsideAnotherChain:
    async def test_a_call_is_one_more_stream(self):
        inner = Client(mock(result={"data": {"token": "new"}}))
        refused = {"errors": [{"message": "no"}]}
        server = MockLink([MockedResponse(result=refused), MockedResponse(result=ANSWER)])

        def refresh(response):
            if response.graphql_errors:
                return inner.query("{ token }").flat_map(lambda _: response.forward(response.operation))
            return None

        assert RESULT == await Client(from_([ErrorLink(refresh), server])).query("{ answer }")


class TestCallbacks:
    def test_that_raise_are_no_failure_of_the_operation(self):
        seen, errors = [], []

        def fail(value):
            seen.append(value)
            raise ValueError("mine")

        Client(sending(ANSWER)).query("{ answer }", error_policy="all").subscribe(fail, errors.append)

        assert ([RESULT], ["mine"]) == (seen, [str(error) for error in errors])

    async def test_that_raise_later_end_their_stream_alone(self):
        seen, errors, done = [], [], asyncio.Event()

        def fail(value):
            seen.append(value)
            raise ValueError("mine")

        def end(error):
            errors.append(error)
            done.set()

        client = Client(streaming([{"data": {"tick": 1}}, {"data": {"tick": 2}}], lambda: asyncio.sleep(0)))
        client.subscribe(TICKS, error_policy="all").subscribe(fail, end)
        await done.wait()

        assert 1 == len(seen)
        assert ["mine"] == [str(error) for error in errors]


class TestMisuse:
    @pytest.mark.parametrize(
        ("make", "reason"),
        [
            (lambda: Client(None), "Client got None where a link belongs"),
            (lambda: Client([mock()]), "Client got a list where a link belongs"),
            (lambda: Client(mock()).query(42), "`query` is an int; give GraphQL text or a document"),
            (lambda: Client(mock()).query("{ a }", "x"), "`variables` is a str; give a mapping"),
            (lambda: Client(mock()).query("{ a }", result_type=int), "`result_type` is the class int; `data` stays"),
            (lambda: Client(mock()).query("{ a }", result_type="Viewer"), "`result_type` is a str; `data` stays"),
        ],
    )
    def test_is_refused_with_what_to_do(self, make, reason):
        with pytest.raises(InvariantTypeError, match=reason):
            make()

    def test_is_a_chain_that_brings_no_dict(self):
        seen = seen_of(Client(answering([1, 2])).query("query Q { a }", error_policy="ignore"))

        assert "the chain brought a list to <Operation query Q>; a result is a dict" in str(seen[0])
        assert isinstance(seen[0], InvariantTypeError)

    def test_shows_the_chain_of_a_client(self):
        assert "<Client over <MockLink" in repr(Client(mock()))


class _Closable(Worker):
    def __init__(self):
        super().__init__(lambda operation, observer, root: None)
        self.closed = 0

    async def aclose(self):
        self.closed += 1


async def _awaited(call):
    return await call
