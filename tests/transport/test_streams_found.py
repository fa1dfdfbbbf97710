"""What attackers found in answers in pieces: each of these was wrong once."""

import asyncio
import gzip
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from reactivex.scheduler import ImmediateScheduler
from reactivex.subject import Subject

from rxlink import (
    AuthLink,
    AuthSession,
    GraphQLRequest,
    HttpLink,
    NetworkError,
    ServerError,
    SseLink,
    TokenSet,
    execute,
    from_,
)
from tests.recording import END as COMPLETED
from tests.transport.pieces import (
    DELIMITER,
    SUBSCRIPTION,
    TICKS,
    ResultSignal,
    answer_in_pieces,
    body_of,
    outcome_of,
    part,
    tick,
)
from tests.transport.scripted_server import ScriptedServer, drop_connection
from tests.transport.sse_server import SharedSseServer, event, heard, link_to, ticks

REFUSED = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
COMPLETE = event(kind="complete")
STREAM = "text/event-stream"


def session_of(*tokens: str) -> AuthSession:
    fresh = iter(tokens[1:])
    return AuthSession(refresh=lambda _, reason: TokenSet(next(fresh)), tokens=TokenSet(tokens[0]))


@pytest.mark.parametrize("kind", ["multipart", "events"])
@pytest.mark.parametrize("has_signal", [True, False])
async def test_a_refusal_with_its_end_in_the_same_bytes_leaves_the_second_attempt_alone(
    server: ScriptedServer, kind: str, has_signal: bool
):
    """A newer token is at hand when the refusal comes, so the second attempt starts inside of it."""
    go, session = asyncio.Event(), session_of("old", "new")
    is_multipart = kind == "multipart"

    async def answer(request: Any) -> Any:
        media_type = SUBSCRIPTION if is_multipart else STREAM
        if len(server.requests) == 1:
            await session.refresh(force=True)
            refusal = body_of({"payload": REFUSED}) if is_multipart else event(REFUSED) + COMPLETE
            return await answer_in_pieces(refusal, content_type=media_type)(request)
        first, second = (part({"payload": tick(n)}) if is_multipart else event(tick(n)) for n in (1, 2))
        begin = DELIMITER if is_multipart else b":\n\n"
        steps = (begin + first, go.wait, second, asyncio.Event().wait)
        return await answer_in_pieces(*steps, content_type=media_type)(request)

    server.answer = answer
    received = ResultSignal()
    context = {"fetch_options": {"signal": Subject[Any]()}} if has_signal else {}
    link = from_([AuthLink(session), HttpLink(server.uri)]) if is_multipart else SseLink(server.uri, auth=session)
    async with session, link:
        subscription = execute(link, GraphQLRequest(TICKS.query, context=context)).subscribe(received)
        await received.one_more()
        go.set()
        await received.one_more()
        server.aborted.clear()
        subscription.dispose()
        await server.aborted.wait()

    assert ([tick(1), tick(2)], 2) == (received.seen, len(server.requests))


async def test_a_refusal_over_a_shared_stream_leaves_the_second_attempt_alone(shared: SharedSseServer):
    session = session_of("old", "new")
    async with session, link_to(shared, auth=session) as link:
        signal = heard(link, ticks())
        stream, identity = await shared.operation("Ticks")
        await session.refresh(force=True)
        stream.send(identity, REFUSED)
        stream.complete(identity)
        again, other = await shared.operation("Ticks", 2)
        again.send(other, tick(1))
        again.complete(other)
        await signal.ended.wait()
        await stream.is_closed.wait()

    assert [tick(1), COMPLETED] == signal.seen


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_middleware_that_raises_a_timeout_is_a_network_error(is_shared: bool):
    async def fail(request: Any, handler: Any) -> Any:
        raise TimeoutError

    async with aiohttp.ClientSession(middlewares=(fail,)) as given:
        options: dict[str, Any] = {"session": given, "timeout": None, "retry_attempts": 0}
        (error,) = await outcome_of(SseLink("http://127.0.0.1:9/", single_connection=is_shared, **options))

    assert NetworkError is type(error)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("sent", [b"", event(tick(1)) + COMPLETE, b"{}"])
async def test_a_stream_with_the_status_of_a_refusal_is_one(server: ScriptedServer, status: int, sent: bytes):
    server.answer = answer_in_pieces(sent, content_type=STREAM, status=status)

    async with SseLink(server.uri, retry_wait=lambda _: 0) as link:
        (error,) = await outcome_of(link)

    assert (ServerError, status, 1) == (type(error), error.status_code, len(server.requests))


async def test_a_stream_that_says_there_is_nothing_more_is_not_asked_again(server: ScriptedServer):
    async def answer(request: Any) -> web.StreamResponse:
        return web.Response(status=204, headers={"content-type": STREAM})

    server.answer = answer

    async with SseLink(server.uri, retry_wait=lambda _: 0) as link:
        (error,) = await outcome_of(link)

    assert (204, 1) == (error.status_code, len(server.requests))


@pytest.mark.parametrize("body", [b"", b"sign in", DELIMITER + b"sign in"])
async def test_parts_with_the_status_of_a_refusal_are_one(server: ScriptedServer, body: bytes):
    async def answer(request: Any) -> Any:
        if request.headers["authorization"] == "Bearer new":
            return await answer_in_pieces(body_of({"payload": tick(1)}), content_type=SUBSCRIPTION)(request)
        return await answer_in_pieces(body, content_type=SUBSCRIPTION, status=401)(request)

    server.answer = answer
    session = session_of("old", "new")

    async with session, HttpLink(server.uri) as link:
        assert [tick(1), COMPLETED] == await outcome_of(from_([AuthLink(session), link]))


async def test_the_id_of_a_refused_event_does_not_count(server: ScriptedServer):
    async def answer(request: Any) -> Any:
        first = int(request.headers.get("last-event-id", "0")) + 1
        if len(server.requests) == 1:
            return await answer_in_pieces(event(REFUSED, id="1") + COMPLETE, content_type=STREAM)(request)
        events = b"".join(event(tick(number), id=str(number)) for number in range(first, 4))
        return await answer_in_pieces(events + COMPLETE, content_type=STREAM)(request)

    server.answer = answer
    session = session_of("old", "new")

    async with session, SseLink(server.uri, auth=session) as link:
        assert [tick(1), tick(2), tick(3), COMPLETED] == await outcome_of(link)


@pytest.mark.parametrize("kind", [HttpLink, SseLink])
async def test_each_event_of_a_subscription_is_a_result_of_its_own(server: ScriptedServer, kind: Any):
    """Also where the server says of each that it is whole, or sends it in pieces."""
    first = {"data": {"a": {"x": 1}}, "errors": [{"message": "no"}]}
    events = [
        {**first, "hasNext": False},
        {"data": {"a": {"y": 2}}, "hasNext": True},
        {"incremental": [{"path": ["a"], "data": {"z": 3}}], "hasNext": False},
        {"data": {"a": {}}, "hasNext": False},
    ]
    whole = body_of(*({"payload": payload} for payload in events))
    options: dict[str, Any] = {}
    if kind is SseLink:
        whole = b"".join(map(event, events)) + COMPLETE
        options = {"retry_attempts": 0}
    media_type = SUBSCRIPTION if kind is HttpLink else STREAM

    async with kind(server.uri, **options) as link:
        server.answer = answer_in_pieces(whole, content_type=media_type)
        seen = await outcome_of(link)
        server.answer = answer_in_pieces(whole.removesuffix(b"--\r\n").removesuffix(COMPLETE), content_type=media_type)
        *_, lost = await outcome_of(link)

    results = [first, {"data": {"a": {"y": 2}}}, {"data": {"a": {"y": 2, "z": 3}}}, {"data": {"a": {}}}]
    assert ([*results, COMPLETED], NetworkError) == (seen, type(lost))


async def test_a_given_session_does_not_change_how_a_shared_stream_is_read(shared: SharedSseServer):
    shared.refusal["PUT"] = (401, REFUSED)
    async with (
        aiohttp.ClientSession(raise_for_status=True, auto_decompress=False) as given,
        link_to(shared, session=given) as link,
    ):
        (error,) = await outcome_of(link, ticks())
        shared.refusal = {"GET": compressed}
        signal = heard(link, ticks())
        await signal.ended.wait()

    assert (ServerError, 401) == (type(error), error.status_code)
    assert "an event has no name" in str(signal.seen[0])


async def compressed(request: web.Request) -> web.StreamResponse:
    body = gzip.compress(b"data: {}\n\n")
    return web.Response(body=body, headers={"content-type": STREAM, "content-encoding": "gzip"})


@pytest.mark.parametrize("identity", [[], {}, None, 1])
async def test_an_event_with_an_id_that_is_no_text_makes_no_sense(shared: SharedSseServer, identity: Any):
    async with link_to(shared) as link:
        signal = heard(link, ticks())
        stream, _ = await shared.operation("Ticks")
        stream.send(identity, tick(1))
        await signal.ended.wait()

    assert [ServerError] == list(map(type, signal.seen))


@pytest.mark.parametrize("token", ["a\nb", "a\r\nx-evil: 1", "a\0b", "", "  "])
async def test_a_reservation_that_no_header_can_hold_is_an_error_of_the_server(shared: SharedSseServer, token: str):
    async def reserve(request: web.Request) -> web.StreamResponse:
        return web.Response(text=token, status=201)

    shared.refusal["PUT"] = reserve
    async with link_to(shared) as link:
        (error,) = await outcome_of(link, ticks())

    assert ServerError is type(error)
    assert "a token that no header can hold" in str(error)


async def test_closing_behind_the_last_who_leave_opens_no_session_again(shared: SharedSseServer):
    link = link_to(shared)
    signals = [heard(link, ticks(name)) for name in "AB"]
    for name in "AB":
        await shared.operation(name)

    for signal in signals:
        signal.subscription.dispose()
    await asyncio.sleep(0)
    await link.aclose()
    before = len(shared.requests)
    for _ in range(20):
        await asyncio.sleep(0)

    assert ({}, before) == (link._sender.sessions._open, len(shared.requests))


async def test_a_scheduler_that_runs_at_once_what_is_due_is_no_trouble(server: ScriptedServer):
    broken = answer_in_pieces(event(tick(1)), content_type=STREAM, ends=False)
    whole = answer_in_pieces(event(tick(2)) + COMPLETE, content_type=STREAM)

    async def answer(request: Any) -> Any:
        return await (broken if len(server.requests) == 1 else whole)(request)

    server.answer = answer
    received = ResultSignal()
    async with SseLink(server.uri, retry_wait=lambda _: 0) as link:
        execute(link, TICKS).subscribe(received, scheduler=ImmediateScheduler())
        await received.ended.wait()

    assert [tick(1), tick(2), COMPLETED] == received.seen


def test_a_loop_that_ends_during_a_wait_leaves_nothing_in_the_link():
    link = SseLink("http://127.0.0.1:9/graphql", retry_wait=lambda _: 60)

    async def begin() -> None:
        told = ResultSignal()
        link.events.subscribe(told)
        execute(link, TICKS).subscribe(ResultSignal())
        await told.one_more()

    for _ in range(3):
        asyncio.run(begin())

    assert 1 == len(link._waits._waits)


async def test_what_has_kept_a_shared_stream_from_opening_is_the_cause():
    async with SseLink("http://127.0.0.1:9/graphql", single_connection=True, retry_attempts=0) as link:
        (error,) = await outcome_of(link, ticks())

    assert (NetworkError, aiohttp.ClientConnectorError) == (type(error), type(error.__cause__))


async def test_a_connection_that_is_dropped_has_no_cause_that_shows_secrets(server: ScriptedServer):
    server.answer = drop_connection

    async with SseLink(server.uri, retry_attempts=0) as link:
        (error,) = await outcome_of(link)

    assert NetworkError is type(error)
