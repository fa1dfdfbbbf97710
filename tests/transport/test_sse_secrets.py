"""P7 for event streams: a planted token shows nowhere, and goes to no other origin."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from rxlink import AuthLink, AuthSession, GraphQLRequest, InvariantError, SseLink, TokenSet, execute
from tests.recording import subscribed
from tests.transport.pieces import TICKS, answer_in_pieces, outcome_of
from tests.transport.scripted_server import ScriptedServer, answer_json, answer_text, drop_connection, scripted_server
from tests.transport.sse_server import TOKEN, event, shared_sse_server

SECRET = "s3cret"


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


def answer_events(*steps: Any, **options: Any) -> Any:
    return answer_in_pieces(*steps, content_type="text/event-stream", **options)


def shown(caplog: pytest.LogCaptureFixture, *things: Any) -> str:
    errors = [thing for thing in things if isinstance(thing, Exception)]
    texts = [text for error in errors for text in traceback.format_exception(error)]
    return "\n".join([caplog.text, *map(repr, things), *(str(error.args) for error in errors), *texts])


@pytest.mark.parametrize(
    "answer",
    [
        answer_events(event({"data": {"tick": SECRET}}, id=SECRET), ends=False),
        answer_events(f"event: {SECRET}\ndata: {SECRET}\n\nevent: next\ndata: {SECRET}\n\n".encode()),
        answer_events(event({"data": {}, "hasNext": True, "incremental": [{"path": SECRET}]})),
        answer_json({"errors": [{"message": "no"}], "token": SECRET}, 401),
        answer_text(SECRET, 503, "text/html"),
        drop_connection,
    ],
)
async def test_nothing_of_a_stream_shows_the_token(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, answer: Any
):
    caplog.set_level(logging.DEBUG)
    server.answer = answer
    session = AuthSession(refresh=lambda tokens, reason: TokenSet(SECRET), tokens=TokenSet(SECRET))

    async with session, SseLink(f"{server.uri}?key={SECRET}", auth=session, retry_attempts=0) as link:
        told = subscribed(link.events)
        *_, error = await outcome_of(link)

    assert isinstance(error, Exception)
    assert SECRET not in shown(caplog, link, error, *told.seen)


@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
@pytest.mark.parametrize("refusal", [(401, {"errors": [{"message": SECRET}]}), drop_connection], ids=["401", "cut"])
async def test_nothing_of_a_shared_stream_shows_the_token(caplog: pytest.LogCaptureFixture, method: str, refusal: Any):
    caplog.set_level(logging.DEBUG)
    session = AuthSession(refresh=lambda tokens, reason: TokenSet(SECRET), tokens=TokenSet(SECRET))
    async with shared_sse_server() as shared, session:
        shared.refusal[method] = refusal
        link = SseLink(shared.uri, auth=session, single_connection=True, retry_attempts=0)
        told = subscribed(link.events)
        *_, error = await outcome_of(link, TICKS)
        await link.aclose()

    assert isinstance(error, Exception)
    for secret in (SECRET, *shared.reserved):
        assert secret not in shown(caplog, link, error, *told.seen)


@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
@pytest.mark.parametrize("header", ["authorization", "x-token"])
async def test_a_redirect_of_a_shared_stream_takes_no_token_to_another_origin(
    other: ScriptedServer, method: str, header: str
):
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"location": other.uri})

    session = AuthSession(refresh=lambda tokens, reason: TokenSet(SECRET), tokens=TokenSet(SECRET))
    auth = AuthLink(session, header=header)
    async with shared_sse_server() as shared, session:
        shared.refusal[method] = redirect
        async with SseLink(shared.uri, auth=auth, single_connection=True, retry_attempts=0) as link:
            await asyncio.wait_for(outcome_of(link, TICKS), 5)

    sent = [name.lower() for request in other.requests for name in request.headers]
    assert not {header, TOKEN} & set(sent)
    assert ["POST"] * (method == "POST") == [request.method for request in other.requests]


async def test_a_token_goes_to_no_other_origin_that_the_context_names(other: ScriptedServer, server: ScriptedServer):
    session = AuthSession(refresh=lambda tokens, reason: TokenSet(SECRET), tokens=TokenSet(SECRET))

    async with session, SseLink(server.uri, auth=session) as link:
        (error,) = await outcome_of(link, GraphQLRequest(TICKS.query, context={"uri": other.uri}))

    assert (InvariantError, []) == (type(error), other.requests)
    assert SECRET not in str(error)


async def test_the_reservation_of_one_user_is_never_used_by_another():
    async with shared_sse_server() as shared, SseLink(shared.uri, single_connection=True) as link:
        users = [subscribed_as(link, user) for user in ("a", "b")]
        for name in ("A", "B"):
            await shared.operation(name)
        for user in users:
            user.subscription.dispose()

    tokens: dict[str, set[str]] = {}
    for _, headers in shared.requests:
        if TOKEN in headers:
            tokens.setdefault(headers[TOKEN], set()).add(headers["authorization"])
    assert [1, 1] == [len(users) for users in tokens.values()]


def subscribed_as(link: SseLink, user: str) -> Any:
    context = {"headers": {"authorization": user}}
    return subscribed(execute(link, GraphQLRequest(f"subscription {user.upper()} {{ tick }}", context=context)))
