"""SseLink in single connection mode: streams that are lost, or refused, and what becomes of the operations on them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from rxlink import (
    AuthSession,
    GraphQLRequest,
    InvariantError,
    NetworkError,
    NetworkTimeout,
    ServerError,
    SseLink,
    SseResumed,
    TokenSet,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END as COMPLETED
from tests.recording import subscribed
from tests.transport.pieces import outcome_of, tick
from tests.transport.sse_server import SharedSseServer, event, heard, link_to, shared_sse_server, ticks


class TestLost:
    async def test_streams_are_opened_again_for_subscriptions_and_queries_get_an_error(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            told = subscribed(link.events)
            subscription, query = heard(link, ticks()), heard(link, GraphQLRequest("query Q { a }"))
            stream, identity = await shared.operation("Ticks")
            await shared.operation("Q")
            stream.send(identity, tick(1))
            await subscription.one_more()
            stream.drop()
            again, other = await shared.operation("Ticks", 2)
            again.send(other, tick(2))
            again.complete(other)
            await subscription.ended.wait()
            await query.ended.wait()

        assert [tick(1), tick(2), COMPLETED] == subscription.seen
        assert [NetworkError] == list(map(type, query.seen))
        assert [SseResumed] == [type(seen) for seen in told.seen if isinstance(seen, SseResumed)]
        assert identity != other

    async def test_are_noticed_when_the_server_does_not_know_them(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            old = heard(link, ticks("Old"))
            stream, _ = await shared.operation("Old")
            shared.refusal["POST"] = (404, {"errors": [{"message": "Stream not found"}]})
            new = heard(link, ticks("New"))
            await shared.until(lambda: len(shared.requests) >= 4)
            shared.refusal.clear()
            for name in ("Old", "New"):
                again, identity = await shared.operation(name, 2 if name == "Old" else 1)
                again.complete(identity)
            await old.ended.wait()
            await new.ended.wait()

        assert ([COMPLETED], [COMPLETED], True) == (old.seen, new.seen, stream.is_closed.is_set())

    @virtual
    async def test_are_those_that_fall_silent(self, time: VirtualTime):
        async with shared_sse_server() as shared, link_to(shared, retry_attempts=0) as link:
            (error,) = await outcome_of(link, ticks())

            assert (NetworkTimeout, 60.0) == (type(error), time.monotonic())
            assert "on its event stream" in str(error)

    @pytest.mark.parametrize(
        ("sent", "kind"),
        [
            (b"event: next\ndata: {\n\n", "ServerParseError"),
            (event([]), "ServerError"),
            (b"data: " + b"x" * 2000 + b"\n\n", "ResponseTooLarge"),
            (b"data: {}\n\n", "ServerError"),
        ],
    )
    async def test_are_those_that_make_no_sense(self, shared: SharedSseServer, sent: bytes, kind: str):
        async with link_to(shared, max_response_size=1000) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            stream, _ = await shared.operation("A")
            await shared.operation("B")
            stream.outbox.put_nowait(sent)
            await a.ended.wait()
            await b.ended.wait()

        assert [[kind], [kind]] == [[type(seen).__name__ for seen in signal.seen] for signal in (a, b)]
        assert a.seen[0] is not b.seen[0]

    async def test_an_event_without_a_payload_makes_no_sense(self, shared: SharedSseServer):
        async with link_to(shared) as link:
            signal = heard(link, ticks())
            stream, identity = await shared.operation("Ticks")
            stream.outbox.put_nowait(event({"id": identity}))
            await signal.ended.wait()

        assert (ServerError, "Ticks") == (type(signal.seen[0]), signal.seen[0].operation_name)

    @pytest.mark.parametrize("payload", [None, [], 1, {"a": 1}])
    async def test_a_payload_that_is_no_result_is_the_error_of_its_operation(
        self, shared: SharedSseServer, payload: Any
    ):
        async with link_to(shared) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            (stream, of_a), (_, of_b) = await shared.operation("A"), await shared.operation("B")
            stream.send(of_a, payload)
            await a.ended.wait()
            stream.complete(of_b)
            await b.ended.wait()

        assert ([ServerError], [COMPLETED]) == (list(map(type, a.seen)), b.seen)


class TestRefused:
    @pytest.mark.parametrize(
        ("method", "message"),
        [
            ("PUT", "does not take reservations: it may not know single connection mode (status 404)"),
            ("GET", "did not open the event stream (status 404)"),
        ],
    )
    async def test_streams_are_an_error_of_each_operation(self, shared: SharedSseServer, method: str, message: str):
        shared.refusal[method] = (404, {"errors": [{"message": "no"}]})
        async with link_to(shared) as link:
            a, b = heard(link, ticks("A")), heard(link, ticks("B"))
            await a.ended.wait()
            await b.ended.wait()

        for signal, name in ((a, "A"), (b, "B")):
            (error,) = signal.seen
            assert (ServerError, 404, name) == (type(error), error.status_code, error.operation_name)
            assert message in str(error)
        assert 1 == [method for method, _ in shared.requests].count(method)

    async def test_an_answer_that_is_no_stream_is_an_error(self, shared: SharedSseServer):
        shared.refusal["GET"] = (200, {"data": {}})
        async with link_to(shared) as link:
            (error,) = await outcome_of(link, ticks())

        assert "did not open the event stream (status 200)" in str(error)

    async def test_an_operation_that_is_refused_is_as_with_http(self, shared: SharedSseServer):
        errors = {"errors": [{"message": "no such field"}]}
        shared.refusal["POST"] = (400, errors)
        async with link_to(shared) as link:
            (error,) = await outcome_of(link, ticks())

        assert (ServerError, 400, errors) == (type(error), error.status_code, error.result)

    async def test_tokens_are_refreshed_once_for_all(self, shared: SharedSseServer):
        refreshes: list[Any] = []

        async def reserve(request: web.Request) -> web.StreamResponse:
            if request.headers["authorization"] != "Bearer fresh":
                return web.json_response({}, status=401)
            return await shared.put(request)

        def refresh(tokens: Any, reason: Any) -> TokenSet:
            refreshes.append(reason)
            return TokenSet("fresh")

        shared.refusal["PUT"] = reserve
        session = AuthSession(refresh=refresh, tokens=TokenSet("stale"))
        async with session, link_to(shared, auth=session) as link:
            signals = [heard(link, ticks(name)) for name in "ABC"]
            for name in "ABC":
                stream, identity = await shared.operation(name)
                stream.complete(identity)
            for signal in signals:
                await signal.ended.wait()

        assert ([[COMPLETED]] * 3, 1, 1) == ([signal.seen for signal in signals], len(refreshes), len(shared.reserved))

    @virtual
    async def test_a_reservation_that_takes_too_long_is_a_timeout(self, time: VirtualTime):
        async def never(request: web.Request) -> web.StreamResponse:
            await asyncio.Event().wait()
            return web.Response()

        async with shared_sse_server() as shared, link_to(shared, timeout=5, retry_attempts=0) as link:
            shared.refusal["PUT"] = never
            (error,) = await outcome_of(link, ticks())

            assert (NetworkTimeout, 5.0, 5.0) == (type(error), error.seconds, time.monotonic())

    async def test_a_server_that_is_not_there_is_a_network_error(self):
        async with SseLink("http://127.0.0.1:9/graphql", single_connection=True, retry_attempts=0) as link:
            (error,) = await outcome_of(link, ticks())

        assert (NetworkError, False) == (type(error), error.may_have_arrived)

    @pytest.mark.parametrize(
        ("context", "message"),
        [
            ({"fetch_options": {"method": "GET"}}, "a shared stream is sent to with POST"),
            ({"http": {"include_extensions": False}}, "leaves out its extensions"),
        ],
    )
    async def test_contexts_without_a_place_for_the_id_are(
        self, shared: SharedSseServer, context: dict[str, Any], message: str
    ):
        async with link_to(shared) as link:
            (error,) = await outcome_of(link, ticks(**context))

        assert InvariantError is type(error)
        assert message in str(error)

    def test_so_is_a_link_without_one(self):
        with pytest.raises(InvariantError, match="`include_extensions` is False"):
            SseLink("http://localhost/", single_connection=True, include_extensions=False)
