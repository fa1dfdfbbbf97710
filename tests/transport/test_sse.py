"""SseLink in distinct connections mode, over a real loopback server."""

import asyncio
from typing import Any

import pytest

from rxlink import (
    AuthLink,
    AuthSession,
    GraphQLRequest,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    ResponseTooLarge,
    ServerError,
    ServerParseError,
    SseLink,
    TokenSet,
    execute,
    from_,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END as COMPLETED
from tests.transport.pieces import TICKS, ResultSignal, answer_in_pieces, outcome_of, tick
from tests.transport.scripted_server import VIEWER, ScriptedServer, answer_json, scripted_server
from tests.transport.sse_server import event

STREAM = "text/event-stream"
QUERY = GraphQLRequest("query Viewer { viewer { name } }")
HERO = GraphQLRequest("query Hero { hero { name ... @defer { age } } }")
FIRST = {"data": {"hero": {"name": "R2-D2"}}}
WHOLE = {"data": {"hero": {"name": "R2-D2", "age": 33}}}
COMPLETE = event(kind="complete")
REFUSED = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}


def answer_events(*steps: Any, **options: Any) -> Any:
    return answer_in_pieces(*steps, content_type=STREAM, **options)


class TestOperation:
    async def test_is_a_post_that_asks_for_events_alone(self, server: ScriptedServer):
        server.answer = answer_events(event(VIEWER), COMPLETE)

        async with SseLink(server.uri, headers={"x-tenant": "blue"}) as link:
            assert [VIEWER, COMPLETED] == await outcome_of(link, QUERY)

        (request,) = server.requests
        assert ("POST", STREAM, "blue") == (request.method, request.headers["accept"], request.headers["x-tenant"])
        assert "query Viewer" in server.sent["query"]

    async def test_gives_each_result_of_a_subscription(self, server: ScriptedServer):
        server.answer = answer_events(b":\n\n", event(tick(1)), b": ping\n\n", event(tick(2)), COMPLETE)

        async with SseLink(server.uri) as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

    @pytest.mark.parametrize("end", [b"event: complete\n\n", b"event: complete\ndata: \n\n", b"event:complete\r\rx"])
    async def test_completes_however_the_server_writes_it(self, server: ScriptedServer, end: bytes):
        server.answer = answer_events(event(tick(1)), end, asyncio.Event().wait)

        async with SseLink(server.uri) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link)
            await server.aborted.wait()

    async def test_overlooks_events_that_the_protocol_does_not_know(self, server: ScriptedServer):
        server.answer = answer_events(event({"a": 1}, kind="ping"), b"event: ping\n\n", event(tick(1)), COMPLETE)

        async with SseLink(server.uri) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link)

    async def test_gives_merged_results_of_pieces(self, server: ScriptedServer):
        pieces = [
            {**FIRST, "hasNext": True},
            {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False},
        ]
        server.answer = answer_events(*map(event, pieces), COMPLETE)

        async with SseLink(server.uri) as link:
            first, whole, end = await outcome_of(link, HERO)

        assert [FIRST, WHOLE, COMPLETED] == [first, whole, end]
        assert (True, False, pieces[1]) == (first.has_next, whole.has_next, whole.increment)

    async def test_may_be_answered_without_events(self, server: ScriptedServer):
        server.answer = answer_json(VIEWER)

        async with SseLink(server.uri) as link:
            assert [VIEWER, COMPLETED] == await outcome_of(link, QUERY)

    async def test_arrives_before_the_next_event_is_sent(self, server: ScriptedServer):
        received = ResultSignal()
        steps = [step for number in (1, 2, 3) for step in (event(tick(number)), received.one_more)]
        server.answer = answer_events(*steps, COMPLETE)

        async with SseLink(server.uri) as link:
            execute(link, TICKS).subscribe(received)
            await received.ended.wait()

        assert [tick(1), tick(2), tick(3), COMPLETED] == received.seen

    async def test_closes_its_connection_when_the_subscriber_leaves(self, server: ScriptedServer):
        received = ResultSignal()
        server.answer = answer_events(event(tick(1)), asyncio.Event().wait)
        async with SseLink(server.uri) as link:
            subscription = execute(link, TICKS).subscribe(received)
            await received.one_more()

            subscription.dispose()
            await server.aborted.wait()

        assert [tick(1)] == received.seen


class TestWrong:
    @pytest.mark.parametrize("ends", [True, False], ids=["the body ends", "the connection breaks"])
    async def test_cuts_at_any_byte_keep_what_came_and_are_an_error(self, server: ScriptedServer, ends: bool):
        body = b":\n\n" + event(tick(1)) + event({"data": {"tick": "é"}}) + COMPLETE
        wholes = [place + 2 for place in range(len(body)) if body[place:].startswith(b"\n\n") and place > 2][:2]
        async with SseLink(server.uri, retry_attempts=0) as link:
            for place in range(len(body)):
                server.answer = answer_events(body[:place], ends=ends)

                *results, error = await outcome_of(link)

                expected = [tick(1), {"data": {"tick": "é"}}][: sum(place >= whole for whole in wholes)]
                assert (expected, NetworkError) == (results, type(error))

    @pytest.mark.parametrize(
        ("sent", "kind", "message"),
        [
            (b"event: next\ndata: {\n\n", ServerParseError, "is no JSON"),
            (b"event: next\n\n", ServerParseError, "a piece of the answer to operation Ticks (status 200) is no JSON"),
            (b"data: {}\n\n", ServerError, "an event has no name, as it has in the protocol (of Yoga: turn"),
            (event([]), ServerError, "malformed for query 'Ticks'"),
            (event({"a": 1}), ServerError, "malformed for query 'Ticks'"),
            (event({"data": {}, "hasNext": True}) + COMPLETE, ServerError, "the server had announced more"),
        ],
    )
    async def test_events_are_an_error_and_nothing_is_sent_again(
        self, server: ScriptedServer, sent: bytes, kind: type[Exception], message: str
    ):
        server.answer = answer_events(event(tick(1)), sent)

        async with SseLink(server.uri) as link:
            first, *_, error = await outcome_of(link)

        assert (tick(1), kind, 1) == (first, type(error), len(server.requests))
        assert message in str(error)

    async def test_sizes_are_an_error(self, server: ScriptedServer):
        long = {"data": {"tick": "x" * 1000}}
        server.answer = answer_events(*[event(tick(1))] * 100, event(long))

        async with SseLink(server.uri, max_response_size=1000) as link:
            *results, error = await outcome_of(link)
            (query_error,) = [seen for seen in await outcome_of(link, QUERY) if isinstance(seen, Exception)]

        assert ([tick(1)] * 100, ResponseTooLarge) == (results, type(error))
        assert ResponseTooLarge is type(query_error)

    async def test_statuses_are_an_error_of_the_server(self, server: ScriptedServer):
        server.answer = answer_json(REFUSED, 403)

        async with SseLink(server.uri) as link:
            (error,) = await outcome_of(link)

        assert (ServerError, 403, REFUSED) == (type(error), error.status_code, error.result)

    @virtual
    async def test_silence_is_a_timeout(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_attempts=0) as link:
            server.answer = answer_events(event(tick(1)), asyncio.Event().wait)

            first, error = await outcome_of(link)

            assert (tick(1), NetworkTimeout, 60.0) == (first, type(error), time.monotonic())

    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            ({"auth": "token"}, InvariantTypeError, "`auth` of SseLink is a str; give an AuthSession, an AuthLink"),
            ({"retry_attempts": -1}, InvariantError, "`retry_attempts` is -1; give 0 or more, or None"),
            ({"retry_wait": 5}, InvariantTypeError, "`retry_wait` of SseLink"),
            ({"should_retry": True}, InvariantTypeError, "`should_retry` of SseLink"),
            ({"single_connection": 1}, InvariantTypeError, "`single_connection`"),
            ({"idle_timeout": 0}, InvariantError, "`idle_timeout` is 0"),
            ({"incremental_handler": "v0.2"}, InvariantTypeError, "`incremental_handler` of SseLink"),
        ],
    )
    def test_options_are_refused(self, options: dict[str, Any], kind: type[Exception], message: str):
        with pytest.raises(kind, match=message):
            SseLink("http://localhost/", **options)


class TestAuth:
    @pytest.mark.parametrize("wraps", [lambda session: session, AuthLink], ids=["a session", "a link"])
    @pytest.mark.parametrize("refusal", ["status", "result"])
    async def test_refreshes_a_token_that_is_refused(self, server: ScriptedServer, wraps: Any, refusal: str):
        async def answer(request: Any) -> Any:
            if request.headers["authorization"] == "Bearer fresh":
                return await answer_events(event(tick(1)), COMPLETE)(request)
            return await (answer_json({}, 401) if refusal == "status" else answer_events(event(REFUSED), COMPLETE))(
                request
            )

        server.answer = answer
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("fresh"), tokens=TokenSet("stale"))

        async with session, SseLink(server.uri, auth=wraps(session)) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link)

        assert 2 == len(server.requests)

    async def test_opens_a_later_stream_with_the_token_of_then(self, server: ScriptedServer):
        tokens = iter("bc")
        session = AuthSession(refresh=lambda _, reason: TokenSet(next(tokens)), tokens=TokenSet("a"))

        async def answer(request: Any) -> Any:
            if len(server.requests) == 1:
                await session.refresh(force=True)
                return await answer_events(event(tick(1)), ends=False)(request)
            return await answer_events(event(tick(2)), COMPLETE)(request)

        server.answer = answer

        async with session, SseLink(server.uri, auth=session, retry_wait=lambda _: 0) as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

        assert ["Bearer a", "Bearer b"] == [request.headers["authorization"] for request in server.requests]

    def test_is_refused_behind_the_auth_link_of_the_same_session(self):
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("fresh"))

        with pytest.raises(InvariantError, match="two AuthLinks of one chain share a session"):
            from_([AuthLink(session), SseLink("http://localhost/", auth=session)])

    async def test_sends_nothing_again_for_a_refusal_after_a_result(self, server: ScriptedServer):
        server.answer = answer_events(event(tick(1)), event(REFUSED), COMPLETE)
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("fresh"), tokens=TokenSet("stale"))

        async with session, SseLink(server.uri, auth=session) as link:
            assert [tick(1), REFUSED, COMPLETED] == await outcome_of(link)

        assert 1 == len(server.requests)
