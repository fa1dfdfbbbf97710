"""P7: a planted token shows in no log record, repr or error of the transport."""

import logging
import traceback

import aiohttp
import pytest
from aiohttp import web

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import (
    ScriptedServer,
    answer_json,
    answer_never,
    answer_text,
    drop_connection,
)

TOKEN = "s3cret"
PLAIN = "query Q($token: String) { f(token: $token) }"


async def loop_redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": f"/graphql?token={TOKEN}"})


async def bad_redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": f"ftp://host/?token={TOKEN}"})


async def no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"SMTP s3cret\r\n\r\n")
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(
    "answer",
    [
        answer_json({"data": {"token": TOKEN}}, set_cookie=f"id={TOKEN}", x_token=TOKEN),
        answer_json({"token": TOKEN}, 401, www_authenticate=TOKEN),
        answer_json({"token": TOKEN}),
        answer_text(f"no JSON {TOKEN}"),
        answer_text(f"no text {TOKEN}".encode() + b"\xff"),
        answer_text(TOKEN * 1000),
        drop_connection,
        answer_never,
        loop_redirect,
        bad_redirect,
        no_http,
    ],
)
@pytest.mark.parametrize("has_own_session", [True, False])
async def test_nothing_shows_the_token(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, answer, has_own_session: bool
):
    caplog.set_level(logging.DEBUG)
    server.answer = answer
    uri = server.uri.replace("http://", f"http://ada:{TOKEN}@") + f"?token={TOKEN}"
    names = ["authorization", "cookie", "X-Api-Key", "proxy-authorization", "x-anything"]
    session = None if has_own_session else aiohttp.ClientSession()
    link = HttpLink(
        uri,
        headers=dict.fromkeys(names, TOKEN),
        credentials="include",
        timeout=0.05,
        session=session,
        max_response_size=1000,
    )
    request = GraphQLRequest(PLAIN, {"token": TOKEN}, extensions={"token": TOKEN})

    shown = [repr(link)]
    try:
        await execute(link, request)
    except Exception as error:  # noqa: BLE001 - any of them is looked at
        shown += described(error)
    await link.aclose()
    if session:
        await session.close()

    records = [record for record in caplog.records if record.name.startswith("rxlink")]
    assert records, "something was logged"
    shown += [record.getMessage() + repr(record.args) for record in records]
    assert [] == [text for text in shown if TOKEN in text]


def described(error: BaseException | None) -> list[str]:
    """Everything that a report of an error may print, its causes and contexts included."""
    if error is None:
        return []
    texts = [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
    return texts + described(error.__cause__) + described(error.__context__)


async def test_frames_say_what_was_sent_and_what_came(server: ScriptedServer, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "rxlink.transport.http")

    async with HttpLink(server.uri, headers={"X-Api-Key": TOKEN}) as link:
        await execute(link, GraphQLRequest("query Q { a }"))

    sent, received = [record.getMessage() for record in caplog.records if record.name.startswith("rxlink")]
    assert sent.startswith(
        f">>> operation Q to {server.uri}: POST, {len(server.bodies[0])} bytes; accept: application/"
    )
    assert sent.endswith(", content-type: application/json, x-api-key: ***")
    assert received.startswith(f"<<< operation Q to {server.uri}: 200, ")


async def test_nothing_is_described_while_nobody_listens(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("rxlink.transport._sending.described", lambda _: 1 / 0)

    async with HttpLink(server.uri) as link:
        await execute(link, GraphQLRequest("query Q { a }"))


def test_a_request_shows_only_where_it_goes():
    link = HttpLink(f"http://ada:{TOKEN}@host/graphql?{TOKEN}", headers={"x": TOKEN})
    operation = Operation(GraphQLRequest(PLAIN, {"token": TOKEN}))

    request = link._requests.build(operation)

    assert "operation Q to http://host/graphql" == str(request)
    assert TOKEN not in repr(request)
