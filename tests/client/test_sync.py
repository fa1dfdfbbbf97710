"""SyncClient: calls that wait, from any thread, on a loop of its own."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

from rxlink import (
    INTROSPECT,
    BufferOverflow,
    ClientClosed,
    CombinedGraphQLErrors,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    OperationCancelled,
    OperationResult,
    SyncClient,
    from_,
    split,
)
from rxlink.core.link import ApolloLink
from rxlink.testing import MockedResponse, MockLink
from tests.recording import Worker, failing, sending, streaming

ANSWER = {"data": {"answer": 42}}
RESULT = OperationResult({"answer": 42})
REFUSED = {"errors": [{"message": "no"}]}
TICKS = "subscription Ticks { tick }"


def mock(**options):
    return MockLink([MockedResponse(**{"result": ANSWER, "max_usage": None, **options})])


def ticking(count=3):
    return streaming([{"data": {"tick": tick}} for tick in range(count)], lambda: asyncio.sleep(0))


class Silent(Worker):
    """A chain that never answers: tells when it was asked, and when the subscriber has left."""

    def __init__(self):
        super().__init__(self._start)
        self.asked = threading.Event()
        self.left = threading.Event()
        self.closed = 0

    def _start(self, operation, observer, root):
        root.hold(self)
        self.asked.set()

    def cancel(self):
        self.left.set()

    async def aclose(self):
        self.closed += 1


class Entered(Silent):
    """One that connects in its ``async with``, or fails to."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.entered_in = None

    async def __aenter__(self):
        if self.error is not None:
            raise self.error
        self.entered_in = threading.current_thread()
        return self


class TicksOnce(Silent):
    """One that answers once, and goes on."""

    def _start(self, operation, observer, root):
        super()._start(operation, observer, root)
        observer.on_next({"data": {"tick": 1}})


def in_thread(function, *args):
    """Begin a call in another thread; the future has what it brings."""
    executor = ThreadPoolExecutor(1)
    future = executor.submit(function, *args)
    executor.shutdown(wait=False)
    return future


class TestWith:
    def test_enters_the_chain_in_the_clients_thread(self):
        link = Entered()

        with SyncClient(from_([ApolloLink(lambda operation, forward: forward(operation)), link])):
            is_its_own = link.entered_in is not threading.current_thread()

        assert (True, 1) == (is_its_own, link.closed)

    def test_raises_what_a_link_raises_there_and_closes_the_chain(self):
        links = Entered(), Entered(OSError("no socket"))

        client = SyncClient(split(bool, *links))

        with pytest.raises(OSError, match="no socket"), client:
            pytest.fail("it was entered")

        assert all(link.closed for link in links)
        with pytest.raises(ClientClosed):
            client.query("{ answer }")


class TestCalls:
    def test_return_their_results(self):
        with SyncClient(mock(delay=0.001)) as client:
            assert [RESULT, RESULT] == [client.query("{ answer }"), client.mutate("mutation { answer }")]

    def test_raise_what_the_policy_says(self):
        with SyncClient(sending(REFUSED), default_options={"mutate": {"error_policy": "all"}}) as client:
            with pytest.raises(CombinedGraphQLErrors, match="no"):
                client.query("{ answer }")
            assert "no" == str(client.mutate("mutation { answer }").error)

    def test_take_the_options_of_a_client(self):
        link = mock()

        with SyncClient(link, default_context={"a": 1}, schema="tests/oracle/schema.graphql") as client:
            with pytest.raises(InvariantError, match="does not fit the schema"):
                client.query("{ nothing }")
            client.query("{ __typename }", headers={"b": "2"})

        assert {"a": 1, "headers": {"b": "2"}} == dict(link.operations[0].get_context())

    def test_give_up_in_time(self):
        with SyncClient(Silent()) as client, pytest.raises(NetworkTimeout, match="no answer within"):
            client.query("{ answer }", timeout=0.01)

    def test_that_a_link_cancels_end_alone(self):
        def cancel(operation, forward):
            raise asyncio.CancelledError

        with SyncClient(split(lambda operation: operation.operation_name, ApolloLink(cancel), mock())) as client:
            with pytest.raises(OperationCancelled):
                client.query("query Cancelled { answer }")

            assert RESULT == client.query("{ answer }")

    def test_are_seen_in_the_context_of_their_thread(self):
        tenant, seen = ContextVar("tenant", default="nobody"), []

        def look(operation, forward):
            seen.append(tenant.get())
            tenant.set("changed by a link")
            return forward(operation)

        with SyncClient(from_([ApolloLink(look), mock(delay=0.001)])) as client:
            for name in ("ada", "grace"):
                context = copy_context()
                context.run(tenant.set, name)
                context.run(client.query, "{ answer }")
            client.query("{ answer }")

        assert ["ada", "grace", "nobody"] == seen
        assert "nobody" == tenant.get()

    def test_of_many_threads_run_at_the_same_time(self):
        everybody = threading.Barrier(4)

        async def meet():
            await asyncio.get_running_loop().run_in_executor(None, everybody.wait, 10)

        with SyncClient(streaming([ANSWER], meet)) as client, ThreadPoolExecutor(4) as threads:
            results = list(threads.map(client.query, ["{ answer }"] * 4))

        assert [RESULT] * 4 == results

    @pytest.mark.parametrize(
        ("call", "reason"),
        [
            (lambda client: client.query("mutation { a }"), "give it to `mutate`"),
            (lambda client: client.mutate("{ a }"), "give it to `query`"),
            (lambda client: client.subscribe("{ a }"), "give it to `query`"),
            (lambda client: client.query("{ a }", result_type=int), "`data` stays the wire's dict"),
            (lambda client: client.subscribe(TICKS, result_type=int), "`data` stays the wire's dict"),
            (lambda client: client.subscribe(TICKS, max_buffer=0), "`max_buffer` is 0"),
            (lambda client: client.query("{ a }", timout=1), "has no option 'timout'"),
        ],
    )
    def test_that_make_no_sense_are_refused_without_a_thread(self, call, reason):
        before = threading.active_count()

        with pytest.raises(InvariantError, match=reason):
            call(SyncClient(mock()))

        assert before == threading.active_count()

    def test_ask_for_the_schema_where_it_is_wanted(self):
        link = MockLink([MockedResponse(error=NetworkError("down"), delay=0.001)])

        with SyncClient(link, schema=INTROSPECT) as client, pytest.raises(NetworkError, match="down"):
            client.query("{ answer }")

        assert "IntrospectionQuery" == link.operations[0].operation_name

    def test_start_the_thread_again_where_it_could_not_start(self, monkeypatch):
        def fail():
            raise OSError("too many open files")

        client = SyncClient(mock())
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "Runner", fail)
            with pytest.raises(OSError, match="too many open files"):
                client.query("{ answer }")

        with client:
            assert RESULT == client.query("{ answer }")


class TestSubscriptions:
    def test_are_iterated(self):
        with SyncClient(ticking()) as client:
            assert [0, 1, 2] == [result.data["tick"] for result in client.subscribe(TICKS)]

    def test_end_with_their_block(self):
        link = Silent()

        with SyncClient(link) as client:
            with client.subscribe(TICKS):
                assert link.asked.wait(5)
            assert link.left.wait(5)

    def test_end_with_their_loop(self):
        link = TicksOnce()

        with SyncClient(link) as client:
            for _ in client.subscribe(TICKS):
                break
            assert link.left.wait(5)

    def test_can_be_closed_by_another_thread(self):
        link = Silent()

        with SyncClient(link) as client:
            ticks = client.subscribe(TICKS)
            waiting = in_thread(list, ticks)
            assert link.asked.wait(5)
            ticks.close()
            ticks.close()

            assert [] == waiting.result(5)

    def test_give_errors_as_results(self):
        with SyncClient(failing(NetworkError("down"))) as client:
            assert ["down"] == [str(result.error) for result in client.subscribe(TICKS)]

    def test_have_a_bound(self):
        with SyncClient(sending(*[{"data": {"tick": tick}} for tick in range(5)])) as client:
            with client.subscribe(TICKS, max_buffer=2) as ticks, pytest.raises(BufferOverflow):
                list(ticks)
            with client.subscribe(TICKS, max_buffer=1, overflow="drop_oldest") as ticks:
                assert ([4], 4) == ([result.data["tick"] for result in ticks], ticks.dropped)

    def test_keep_their_client(self):
        ticks = SyncClient(ticking()).subscribe(TICKS)
        gc.collect()

        with ticks:
            assert 3 == len(list(ticks))
            ticks._client.close()


class TestClosing:
    def test_ends_what_other_threads_wait_for(self):
        link = Silent()
        client = SyncClient(link)
        waiting = [in_thread(client.query, "{ answer }"), in_thread(list, client.subscribe(TICKS))]
        assert link.asked.wait(5)

        client.close()

        for future in waiting:
            assert isinstance(future.exception(5), ClientClosed)
        assert 1 == link.closed

    def test_twice_is_fine_and_nothing_runs_afterwards(self):
        link = Silent()
        client = SyncClient(link)
        with client:
            ticks = client.subscribe(TICKS)
            ticks.__enter__()
        client.close()
        ticks.close()

        for call in (
            lambda: client.query("{ a }"),
            lambda: list(client.subscribe(TICKS)),
            client.__enter__,
            lambda: next(ticks),
        ):
            with pytest.raises(ClientClosed):
                call()
        assert 1 == link.closed

    def test_without_a_call_starts_no_thread(self):
        before = threading.active_count()
        client = SyncClient(mock())

        client.close()

        assert before == threading.active_count()

    def test_tells_what_a_link_has_raised(self):
        class Failing(ApolloLink):
            async def aclose(self):
                raise ValueError("mine")

        client = SyncClient(from_([Failing(lambda operation, forward: forward(operation)), mock()]))
        client.query("{ answer }")

        with pytest.raises(ValueError, match="mine"):
            client.close()
        client.close()

    def test_happens_when_it_is_forgotten(self):
        link = mock()
        client = SyncClient(link)
        client.query("{ answer }")
        thread, gone = client._portal._thread, [weakref.ref(client), weakref.ref(client._portal)]

        del client
        gc.collect()
        thread.join(5)
        gc.collect()

        assert ([None, None], False) == ([reference() for reference in gone], thread.is_alive())

    def test_in_a_function_that_it_has_called_is_refused(self):
        seen = []

        def close(operation, forward):
            for call in (client.close, lambda: client.query("{ answer }")):
                with pytest.raises(InvariantError) as caught:
                    call()
                seen.append(str(caught.value))
            return forward(operation)

        with SyncClient(from_([ApolloLink(close), mock()])) as client:
            client.query("{ answer }")

        assert "closed in a function that it has called itself" in seen[0]
        assert "called where an event loop runs" in seen[1]

    def test_by_a_link_that_asks_the_program_to_leave(self):
        def leave(operation, forward):
            raise SystemExit(3)

        link = Silent()
        client = SyncClient(from_([ApolloLink(leave), link]))

        with pytest.raises(SystemExit):
            client.query("{ answer }")
        client._portal._thread.join(5)
        with pytest.raises(ClientClosed):
            client.query("{ answer }")
        client.close()

        assert 1 == link.closed


class TestEventLoops:
    async def test_that_run_in_this_thread_are_refused(self):
        client, link = SyncClient(mock()), mock()
        ticks = SyncClient(link).subscribe(TICKS)

        for call in (
            lambda: client.query("{ answer }"),
            lambda: client.mutate("mutation { answer }"),
            client.__enter__,
            lambda: next(ticks),
            ticks.__enter__,
        ):
            with pytest.raises(
                InvariantError, match=r"where an event loop runs, .*; use Client there, and await its calls"
            ):
                call()
        assert [] == link.operations

    async def test_that_run_elsewhere_are_no_matter(self):
        with_thread = SyncClient(mock())

        result = await asyncio.to_thread(with_thread.query, "{ answer }")
        await asyncio.to_thread(with_thread.close)

        assert RESULT == result


def test_a_client_shows_its_chain():
    assert "<SyncClient over <MockLink" in repr(SyncClient(mock()))


def test_no_chain_is_refused():
    with pytest.raises(InvariantTypeError, match="got None where a link belongs"):
        SyncClient(None)
