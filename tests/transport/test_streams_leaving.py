"""Who leaves an answer in pieces before it ends: the subscriber, the link, or the server by its silence."""

import asyncio
import gc
from contextvars import ContextVar
from typing import Any

import pytest
from reactivex.subject import Subject

from rxlink import (
    AbortError,
    ClientClosed,
    GraphQLRequest,
    HttpLink,
    NetworkTimeout,
    SseLink,
    execute,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END as COMPLETED
from tests.transport.pieces import (
    DELIMITER,
    END,
    SUBSCRIPTION,
    TICKS,
    ResultSignal,
    answer_in_pieces,
    body_of,
    outcome_of,
    part,
    tick,
)
from tests.transport.scripted_server import ScriptedServer, answer_json, scripted_server
from tests.transport.sse_server import event

HERO = GraphQLRequest("query Hero { hero { name ... @defer { age } } }")
FIRST = {"data": {"hero": {"name": "R2-D2"}}}
PIECES = [{**FIRST, "hasNext": True}, {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False}]


class TestSilence:
    @virtual
    async def test_of_a_minute_ends_a_stream(self, time: VirtualTime):
        async with scripted_server() as server, HttpLink(server.uri) as link:
            server.answer = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), asyncio.Event().wait)

            first, error = await outcome_of(link)

            assert (tick(1), NetworkTimeout, 60.0, 60.0) == (first, type(error), error.seconds, time.monotonic())
            assert "in the midst of the answer: no answer within 60 s; raise `idle_timeout`" in str(error)
            await server.aborted.wait()

    @virtual
    async def test_is_broken_by_heartbeats(self, time: VirtualTime):
        async def pause() -> None:
            await asyncio.sleep(59)

        steps = [step for _ in range(100) for step in (part({}), pause)]
        async with scripted_server() as server, HttpLink(server.uri) as link:
            server.answer = answer_in_pieces(DELIMITER, *steps, part({"payload": tick(1)}), END)

            assert [tick(1), COMPLETED] == await outcome_of(link)

    @virtual
    async def test_may_last_for_ever(self, time: VirtualTime):
        async def pause() -> None:
            await asyncio.sleep(86_400)

        async with scripted_server() as server, HttpLink(server.uri, idle_timeout=None) as link:
            server.answer = answer_in_pieces(DELIMITER, pause, part({"payload": tick(1)}), END)

            assert [tick(1), COMPLETED] == await outcome_of(link)

    @virtual
    async def test_before_the_head_is_the_timeouts_business(self, time: VirtualTime):
        async with scripted_server() as server, HttpLink(server.uri, timeout=5, idle_timeout=1) as link:

            async def answer(request: Any) -> Any:
                await asyncio.sleep(4)
                return await answer_in_pieces(body_of({"payload": None}))(request)

            server.answer = answer

            assert [COMPLETED] == await outcome_of(link)


class TestLeaving:
    async def test_closes_the_connection(self, server: ScriptedServer):
        received = ResultSignal()
        server.answer = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), asyncio.Event().wait)
        async with HttpLink(server.uri) as link:
            subscription = execute(link, TICKS).subscribe(received)
            await received.one_more()

            subscription.dispose()
            await server.aborted.wait()

        assert [tick(1)] == received.seen

    async def test_inside_a_result_gets_no_other_of_the_same_bytes(self, server: ScriptedServer):
        seen: list[Any] = []
        server.answer = answer_in_pieces(DELIMITER + part({"payload": tick(1)}) * 3, asyncio.Event().wait)

        def leave(result: Any) -> None:
            seen.append(result)
            subscription.dispose()

        async with HttpLink(server.uri) as link:
            subscription = execute(link, TICKS).subscribe(leave, seen.append, lambda: seen.append(COMPLETED))
            await server.aborted.wait()

        assert [tick(1)] == seen

    async def test_by_raising_ends_the_stream_with_that(self, server: ScriptedServer):
        seen: list[Any] = []
        server.answer = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), asyncio.Event().wait)
        mistake = LookupError("in a callback")

        def fail(result: Any) -> None:
            raise mistake

        async with HttpLink(server.uri) as link:
            execute(link, TICKS).subscribe(fail, seen.append)
            await server.aborted.wait()

            assert [mistake] == seen

    async def test_because_the_link_closes_is_an_error(self, server: ScriptedServer):
        received = ResultSignal()
        server.answer = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), asyncio.Event().wait)
        link = HttpLink(server.uri)
        execute(link, TICKS).subscribe(received)
        await received.one_more()

        await link.aclose()

        assert [tick(1), ClientClosed] == [received.seen[0], type(received.seen[1])]

    async def test_by_a_signal_is_an_error_in_the_midst_of_a_stream(self, server: ScriptedServer):
        received, signal = ResultSignal(), Subject[Any]()
        server.answer = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), asyncio.Event().wait)
        request = GraphQLRequest(TICKS.query, context={"fetch_options": {"signal": signal}})
        async with HttpLink(server.uri) as link:
            execute(link, request).subscribe(received)
            await received.one_more()

            signal.on_next(None)

            assert [tick(1), AbortError] == [received.seen[0], type(received.seen[1])]
            assert [] == signal.observers
            await server.aborted.wait()

    async def test_leaves_no_signal_behind_when_the_stream_has_ended(self, server: ScriptedServer):
        signal = Subject[Any]()
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}))
        request = GraphQLRequest(TICKS.query, context={"fetch_options": {"signal": signal}})

        async with HttpLink(server.uri) as link:
            seen = await outcome_of(link, request)

        assert ([tick(1), COMPLETED], []) == (seen, signal.observers)


@pytest.mark.parametrize("kind", [HttpLink, SseLink])
async def test_a_hundred_streams_keep_nobody_waiting(server: ScriptedServer, kind: Any):
    def answer(request: Any) -> Any:
        if b"subscription" not in server.bodies[-1]:
            return answer_json(tick(0))(request)
        sent = DELIMITER + part({"payload": tick(1)}) if kind is HttpLink else event(tick(1))
        media_type = SUBSCRIPTION if kind is HttpLink else "text/event-stream"
        return answer_in_pieces(sent, asyncio.Event().wait, content_type=media_type)(request)

    server.answer = answer
    async with kind(server.uri) as link:
        streams = [ResultSignal() for _ in range(120)]
        subscriptions = [execute(link, TICKS).subscribe(stream) for stream in streams]
        for stream in streams:
            await stream.one_more()

        assert tick(0) == await execute(link, GraphQLRequest("{ tick }"))
        for subscription in subscriptions:
            subscription.dispose()

    assert [[tick(1)]] * 120 == [stream.seen for stream in streams]


async def test_results_arrive_in_the_context_of_their_subscription(server: ScriptedServer):
    tenant = ContextVar[str]("tenant")
    server.answer = answer_in_pieces(body_of({"payload": tick(1)}, {"payload": tick(2)}))
    heard: list[str] = []

    async with HttpLink(server.uri) as link:
        streams = []
        for name in ("a", "b"):
            tenant.set(name)
            stream = ResultSignal()
            streams.append(stream)
            execute(link, TICKS).subscribe(lambda _: heard.append(tenant.get()), on_completed=stream.on_completed)
        tenant.set("c")
        for stream in streams:
            await stream.ended.wait()

    assert ["a", "a", "b", "b"] == sorted(heard)


async def test_streams_leave_nothing_for_the_garbage_collector(server: ScriptedServer):
    server.answer = answer_in_pieces(body_of(*PIECES))
    async with HttpLink(server.uri) as link:
        await outcome_of(link, HERO)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await outcome_of(link, HERO)
            found = [thing for thing in _garbage() if type(thing).__module__.startswith("rxlink.")]
        finally:
            gc.enable()

    assert [] == found


def _garbage() -> list[Any]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
