"""P7: what is secret of a WebSocket shows in no log record, repr, error or event."""

import asyncio
import json
import logging
from typing import Any

import pytest

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.testing.virtual_time import virtual
from rxlink.transport._ws_closes import masked
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import subscribed
from tests.transport.test_secrets import described
from tests.transport.websocket_server import Connection, ScriptedWebSocketServer
from tests.transport.websocket_stories import TICKS, Make, begun, both, ids_of, serving

TOKEN = "s3cret-token-of-ada"


WITH_TOKEN = GraphQLRequest(
    "subscription Ticks($token: String) { ticks(token: $token) }", {"token": TOKEN}, extensions={"token": TOKEN}
)


async def results(connection: Connection) -> None:
    (identity,) = ids_of(connection)
    await connection.deliver(identity, token=TOKEN)
    await connection.send({"type": "pong" if connection.is_newer else "ka", "payload": {"token": TOKEN}})
    await connection.deliver(f"unknown {TOKEN}", token=TOKEN)
    await connection.complete(identity)


async def close(connection: Connection) -> None:
    await connection.close(4400, f"what is {TOKEN}?")


async def retried_close(connection: Connection) -> None:
    await connection.close(4444, f"Bearer {TOKEN} is bad")


async def auth_close(connection: Connection) -> None:
    await connection.close(4401, f"Bearer {TOKEN} is bad")


async def cut_reason(connection: Connection) -> None:
    await connection.close(4400, f"{'x' * 110} {TOKEN[:12]}")


async def no_json(connection: Connection) -> None:
    await connection.send(f"no JSON {TOKEN}")


async def binary(connection: Connection) -> None:
    await connection.send(TOKEN.encode())


async def unknown_type(connection: Connection) -> None:
    await connection.send({"type": f"Bearer {TOKEN}", "id": TOKEN, "payload": TOKEN})


async def long_unknown_type(connection: Connection) -> None:
    await connection.send({"type": f"{'x' * 45} {TOKEN}"})


async def refusal(connection: Connection) -> None:
    await connection.send({"type": "connection_error", "payload": {"message": f"'{TOKEN}' has expired"}})


async def abort(connection: Connection) -> None:
    connection.abort()


@both
@pytest.mark.parametrize(
    "end",
    [
        results,
        close,
        retried_close,
        auth_close,
        cut_reason,
        no_json,
        binary,
        unknown_type,
        long_unknown_type,
        refusal,
        abort,
    ],
)
@pytest.mark.parametrize("place", ["params", "session", "headers"])
def test_nothing_shows_the_token(make: Make, end: Any, place: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    @virtual
    async def test() -> None:
        session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet(TOKEN))
        options = {
            "params": {"connection_params": {"deep": [{"authorization": f"Bearer {TOKEN}"}]}},
            "session": {"auth": session},
            "headers": {"headers": {"X-Api-Key": TOKEN}},
        }[place]
        async with serving(make) as server, make(f"{server.url}?token={TOKEN}", retry_attempts=0, **options) as link:
            link.events.subscribe(lambda event: shown.append(repr(event) + str(event)))
            link.states.subscribe(lambda state: shown.append(repr(state) + str(state)))
            recorder = subscribed(execute(link, WITH_TOKEN))
            connection = await server.connection()
            await connection.acknowledge({"token": TOKEN})
            await connection.begin()
            await end(connection)
            await asyncio.sleep(0.01)
            shown.append(repr(link))
            assert TOKEN in json.dumps(connection.received)
        await session.aclose()
        for seen in recorder.seen:
            if isinstance(seen, Exception):
                shown.extend([*described(seen), repr(vars(seen))])

    test()

    records = [record for record in caplog.records if record.name.startswith("rxlink")]
    assert any(record.getMessage().startswith("<<< ") for record in records)
    assert any(record.getMessage().startswith(">>> ") for record in records)
    shown += [record.getMessage() + repr(record.args) for record in caplog.records if record.name != "asyncio"]
    assert [] == [text for text in shown if TOKEN[:12] in text]


@pytest.mark.parametrize("status", [401, 500, 302])
def test_a_handshake_that_fails_shows_no_token(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server:
            server.refusal = status
            url = server.url.replace("ws://", f"ws://ada:{TOKEN}@") + f"?token={TOKEN}"
            options = {"lazy": False, "on_non_lazy_error": lambda error: shown.extend(described(error))}
            async with GraphQLWsLink(url, headers={"X-Api-Key": TOKEN}, retry_attempts=0, **options) as link:
                shown.append(repr(link))
                recorder = subscribed(execute(link, TICKS))
                await server.handshake()
                await asyncio.sleep(0.01)
        shown.extend(described(recorder.seen[0]))

    test()

    assert shown[1:]
    shown += [record.getMessage() + repr(record.args) for record in caplog.records]
    assert [] == [text for text in shown if TOKEN in text]


def test_the_cause_of_a_failed_connection_is_kept() -> None:
    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server:
            url = server.url
        async with GraphQLWsLink(url, retry_attempts=0) as link:
            recorder = subscribed(execute(link, TICKS))
            await asyncio.sleep(0.01)

        assert ["ClientConnectorError"] == [type(error.__cause__).__name__ for error in recorder.seen]

    test()


def test_the_options_of_a_link_show_nothing() -> None:
    link = GraphQLWsLink("ws://localhost/", connection_params={"a": TOKEN}, headers={"a": TOKEN})

    assert TOKEN not in repr(link._options)


class TestMasking:
    @pytest.mark.parametrize(
        ("text", "sent", "expected"),
        [
            ("", [{"a": TOKEN}], ""),
            ("a token is missing", [{"a": TOKEN}, None], "a token is missing"),
            (f"{TOKEN} and {TOKEN}", [{"a": [{"b": TOKEN}]}], "*** and ***"),
            (f"Bearer {TOKEN}", [{"a": f"Bearer {TOKEN}"}], "***"),
            (f"not {TOKEN}!", [{"a": f"Bearer {TOKEN}"}], "not ***!"),
            ("no Bearer here", [{"a": f"Bearer {TOKEN}"}], "no Bearer here"),
            ("v1 of ada", [{"version": "v1", "user": "ada", "n": 5, "x": None}], "v1 of ada"),
            (f"cut {TOKEN[:7]}", [None, {"x": TOKEN}], "cut ***"),
            (f"cut {TOKEN[:5]}", [{"x": TOKEN}], f"cut {TOKEN[:5]}"),
            (TOKEN, [], TOKEN),
        ],
    )
    def test_leaves_only_what_says_nothing(self, text: str, sent: list[Any], expected: str) -> None:
        assert expected == masked(text, *sent)


def test_frames_say_what_they_are_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxlink.transport.websocket")

    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server, GraphQLWsLink(server.url, generate_id=lambda _: "1") as link:
            connection, _ = await begun(server, link)
            await connection.deliver("1", ticks=1)
            await connection.send({"type": TOKEN})
            await connection.closed()

    test()

    frames = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert [">>> connection_init: 26 bytes", "<<< connection_ack: 26 bytes"] == frames[:2]
    assert frames[2].startswith(">>> subscribe: ")
    assert ["<<< next: 62 bytes", "<<< (no message): 31 bytes"] == frames[3:]


def test_no_frame_is_looked_at_while_nobody_listens(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("rxlink.transport._ws_socket.log_frame", lambda *_: 1 / 0)

    @virtual
    async def test() -> None:
        async with ScriptedWebSocketServer() as server, GraphQLWsLink(server.url) as link:
            connection, (recorder,) = await begun(server, link)
            await connection.complete(ids_of(connection)[0])
            await connection.closed()

        assert ["completed"] == recorder.seen

    test()
