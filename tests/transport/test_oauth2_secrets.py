"""P7: no secret of a request for tokens, or of its answer, shows in a log record, repr, error or event."""

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator

import pytest
from aiohttp import web

from rxlink.auth.events import RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import RxlinkError
from rxlink.transport.oauth2 import oauth2_refresh
from tests.transport.scripted_server import Answer, ScriptedServer, answer_json, answer_never, drop_connection

OLD = TokenSet("pl4nted-access", refresh_token="pl4nted-refresh")
EXPIRED = RefreshReason.EXPIRED
SECRETS = {
    "client_id": "app",
    "client_secret": "pl4nted-secret",
    "extra": {"code": "pl4nted-code", "resource": ["pl4nted-resource"]},
    "headers": {"x-api-key": "pl4nted-key"},
}


def echo(status: int, content_type: str = "text/plain", *, code: str | None = None) -> Answer:
    """Answer with everything that was sent: in the body, in headers, and as an OAuth2 error."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sent = (await request.read()).decode()
        authorization = request.headers.get("authorization", "")
        headers = {"www-authenticate": f"{authorization}", "retry-after": "pl4nted", "x-echo": sent}
        headers |= {"content-type": content_type, "set-cookie": f"sid={OLD.refresh_token}", "location": f"/?{sent}"}
        fields = {"error": code or sent, "error_description": sent, "error_uri": sent, "access_token": None}
        body = json.dumps(fields) if content_type.endswith("json") else f"{sent} {authorization}"
        return web.Response(body=body, status=status, headers=headers, reason="pl4nted")

    return answer


async def bad_chunk(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    sent = await request.read()
    request.transport.write(b"HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n" + sent + b"\r\n")
    request.transport.close()
    return web.Response()


async def no_http(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 " + await request.read() + b"\r\n\r\n")
    request.transport.close()
    return web.Response()


def unusable(**fields: object) -> Answer:
    return answer_json({"access_token": "a1", "refresh_token": "pl4nted-new", **fields})


ANSWERS: dict[str, Answer] = {
    "400 with an error of its own": echo(400, "application/json"),
    "400 with a known error": echo(400, "application/json", code="invalid_client"),
    "400 invalid_grant": echo(400, "application/json", code="invalid_grant"),
    "200 with an error": echo(200, "application/json"),
    "401 as text": echo(401),
    "503 as text": echo(503),
    "307": echo(307),
    "308": echo(308),
    "200 as text": echo(200),
    "200 as HTML": echo(200, "text/html"),
    "dropped": drop_connection,
    "never": answer_never,
    "a bad chunk": bad_chunk,
    "no HTTP": no_http,
    "success": answer_json({"access_token": "pl4nted-new", "refresh_token": "pl4nted-newer", "expires_in": 60}),
    "a token with white space": unusable(access_token="pl4nted new"),
    "a token with its scheme": unusable(access_token="Bearer pl4nted"),
    "tokens in a list": unusable(access_token=["pl4nted"]),
    "a strange type": unusable(token_type=["pl4nted"]),
    "a strange life": unusable(expires_in="pl4nted"),
    "a strange scope": unusable(scope="pl4nted"),
}


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield all that an error, its causes and its contexts show of themselves."""
    while error is not None:
        yield "".join(traceback.format_exception(error))
        yield from (repr(error), str(error), repr(error.args), repr(vars(error)))
        yield from texts_of(error.__context__)
        error = error.__cause__


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("way", ["basic", "body"])
async def test_no_secret_is_shown(server: ScriptedServer, answer: Answer, way: str, caplog: pytest.LogCaptureFixture):
    """P7, E98: client secret, tokens and codes, with an endpoint that sends back what it was sent, at DEBUG."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0.0
    server.answer = answer
    url = f"{server.uri}?key=pl4nted"
    refresh = oauth2_refresh(url, client_authentication=way, timeout=0.1, **SECRETS)
    things: list[object] = [refresh, refresh._grant, refresh._sender]

    async with refresh, AuthSession(refresh=refresh, tokens=OLD, refresh_timeout=0.15) as session:
        session.events.subscribe(things.append)
        for call in (lambda: refresh(OLD, EXPIRED), lambda: session.refresh(force=True)):
            try:
                things.append(await call())
            except RxlinkError as error:
                things += texts_of(error)

    assert server.requests, "something was sent"
    shown = [f"{thing!r} {thing!s}" for thing in things]
    records = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    shown += [text for text in records if "RequestHandler" not in text]  # the server's own tasks
    assert [] == [text for text in shown if "pl4nted" in text]


async def test_what_is_sent_and_answered_is_logged_without_its_values(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
):
    """E98: enough to see what went on."""
    caplog.set_level(logging.DEBUG, "rxlink.transport.oauth2")
    server.answer = answer_json({"access_token": "a1"})

    async with oauth2_refresh(server.uri, client_id="app", client_secret="s") as refresh:
        await refresh(TokenSet("a0", "r0"), EXPIRED)

    what = f"the refresh_token request to {server.uri}"
    headers = "accept: application/json, content-type: application/x-www-form-urlencoded, authorization: ***"
    assert [f">>> {what}: 41 bytes; {headers}", f"<<< {what}: 200, 22 bytes"] == caplog.messages
