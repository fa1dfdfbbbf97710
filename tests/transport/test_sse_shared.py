"""SseLink in single connection mode: what is shared, between whom, and what happens when they leave."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from aiohttp import web

from rxlink import (
    ClientClosed,
    GraphQLRequest,
    ResponseTooLarge,
    execute,
)
from tests.recording import END as COMPLETED
from tests.transport.pieces import ResultSignal, outcome_of, tick
from tests.transport.sse_server import SharedSseServer, heard, link_to, ticks


class TestSharing:
    async def test_operations_share_a_stream_and_each_gets_its_own(self, shared: SharedSseServer):
        async with link_to(shared, headers={"x-key": "k"}) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            (stream, of_a), (_, of_b) = await shared.operation("A"), await shared.operation("B")
            stream.send(of_b, tick(1))
            stream.send(of_a, tick(2))
            stream.send("nobody", tick(3))
            stream.complete(of_b)
            stream.send(of_b, tick(4))
            stream.complete(of_a)
            await a.ended.wait()
            await b.ended.wait()

        assert ([tick(2), COMPLETED], [tick(1), COMPLETED]) == (a.seen, b.seen)
        assert ["PUT", "GET", "POST", "POST"] == [method for method, _ in shared.requests]
        assert {"k"} == {headers["x-key"] for _, headers in shared.requests}

    async def test_results_that_come_before_the_operation_is_accepted_are_kept(self, shared: SharedSseServer):
        async def accept(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            shared.only.send(body["extensions"]["operationId"], tick(1))
            shared.only.complete(body["extensions"]["operationId"])
            await asyncio.sleep(0.02)
            return web.Response(status=202)

        shared.refusal["POST"] = accept
        async with link_to(shared) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link, ticks())

    @pytest.mark.parametrize("where", ["authorization", "cookie"])
    async def test_those_of_two_users_share_none(self, shared: SharedSseServer, where: str):
        async with link_to(shared) as link:
            a = heard(link, ticks("A", headers={where: "a", "x-request": "1"}))
            same = heard(link, ticks("C", headers={where: "a", "x-request": "2"}))
            b = heard(link, ticks("B", headers={where: "b", "x-request": "3"}))
            (of_a, _), (of_same, _), (of_b, _) = [await shared.operation(name) for name in "ACB"]
            assert (True, False) == (of_a is of_same, of_a is of_b)
            assert ("a", "b") == (of_a.headers[where], of_b.headers[where])
            assert "x-request" not in of_a.headers
            for signal in (a, same, b):
                signal.subscription.dispose()

    async def test_the_stream_closes_with_the_last_operation_and_another_opens_with_the_next(
        self, shared: SharedSseServer
    ):
        async with link_to(shared) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            stream, of_a = await shared.operation("A")
            await shared.operation("B")
            a.subscription.dispose()
            await shared.until(lambda: [of_a] == stream.left)
            assert not stream.is_closed.is_set()
            b.subscription.dispose()
            await stream.is_closed.wait()
            assert [of_a] == stream.left  # the end of the stream says it for the other

            heard(link, ticks("C"))
            other, _ = await shared.operation("C")
            assert other is not stream

    async def test_who_has_ended_does_not_say_that_it_leaves(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            stream, of_a = await shared.operation("A")
            await shared.operation("B")
            stream.complete(of_a)
            await a.ended.wait()
            b.subscription.dispose()
            await stream.is_closed.wait()

        assert [] == stream.left

    async def test_pieces_of_a_result_are_merged(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            query = heard(link, GraphQLRequest("query Hero { hero { name ... @defer { age } } }"))
            stream, identity = await shared.operation("Hero")
            stream.send(identity, {"data": {"hero": {"name": "R2-D2"}}, "hasNext": True})
            stream.send(identity, {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False})
            stream.complete(identity)
            await query.ended.wait()

        assert {"data": {"hero": {"name": "R2-D2", "age": 33}}} == query.seen[-2]

    async def test_results_arrive_in_the_context_of_their_subscription(self, shared: SharedSseServer):
        tenant = ContextVar[str]("tenant")
        told: list[tuple[str, Any]] = []
        ends: list[ResultSignal] = []
        async with link_to(shared) as link:
            for name in ("A", "B"):
                tenant.set(name)
                end = ResultSignal()
                ends.append(end)
                hear = lambda result: told.append((tenant.get(), result))  # noqa: E731
                execute(link, ticks(name)).subscribe(hear, end.on_error, end.on_completed)
            tenant.set("nobody's")
            for name in ("A", "B"):
                stream, identity = await shared.operation(name)
                stream.send(identity, tick(ord(name)))
                stream.complete(identity)
            for end in ends:
                await end.ended.wait()

        assert {("A", 65), ("B", 66)} == {(name, result["data"]["tick"]) for name, result in told}

    async def test_the_first_result_arrives_before_the_next_is_sent(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            signal = heard(link, ticks())
            stream, identity = await shared.operation("Ticks")
            for number in (1, 2, 3):
                stream.send(identity, tick(number))
                await signal.one_more()
            stream.complete(identity)
            await signal.ended.wait()

        assert [tick(1), tick(2), tick(3), COMPLETED] == signal.seen


class TestLeaving:
    @pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
    async def test_before_the_operation_is_accepted_leaves_nothing_behind(self, shared: SharedSseServer, method: str):
        asked = asyncio.Event()
        left = asyncio.Event()

        async def never(request: web.Request) -> web.StreamResponse:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()
            return web.Response()

        shared.refusal[method] = never
        async with link_to(shared) as link:
            signal = heard(link, ticks())
            await asked.wait()
            signal.subscription.dispose()
            await left.wait()

        assert [] == signal.seen

    async def test_closing_the_link_ends_all(self, shared: SharedSseServer):
        link = link_to(shared)
        a = heard(link, ticks("A"))
        stream, _ = await shared.operation("A")
        hold = asyncio.Event()

        async def never(request: web.Request) -> web.StreamResponse:
            await hold.wait()
            return web.Response()

        shared.refusal["PUT"] = never
        waiting = heard(link, ticks("W", headers={"authorization": "other"}))
        await shared.until(lambda: ["PUT", "GET", "POST"] == [method for method, _ in shared.requests][:3])
        await asyncio.sleep(0.01)
        await link.aclose()
        hold.set()
        await stream.is_closed.wait()

        assert [[ClientClosed], [ClientClosed]] == [list(map(type, signal.seen)) for signal in (a, waiting)]
        assert repr(link) in str(a.seen[0])
        assert [ClientClosed] == list(map(type, await outcome_of(link, ticks())))

    async def test_a_farewell_that_fails_harms_nobody(self, shared: SharedSseServer):
        shared.refusal["DELETE"] = (500, {})
        async with link_to(shared) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            (stream, _), (_, of_b) = await shared.operation("A"), await shared.operation("B")
            a.subscription.dispose()
            await shared.until(lambda: "DELETE" in [method for method, _ in shared.requests])
            stream.complete(of_b)
            await b.ended.wait()

        assert [COMPLETED] == b.seen


async def test_large_events_count_each_by_itself(shared: SharedSseServer):
    async with link_to(shared, max_response_size=1000) as link:
        signal = heard(link, ticks())
        stream, identity = await shared.operation("Ticks")
        for _ in range(50):
            stream.send(identity, tick(1))
        stream.send(identity, {"data": {"tick": "x" * 2000}})
        await signal.ended.wait()

    assert ([tick(1)] * 50, ResponseTooLarge) == (signal.seen[:-1], type(signal.seen[-1]))
