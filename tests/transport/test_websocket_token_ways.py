"""P7: where what is secret of a WebSocket may go, and where not; redirects of its handshake."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp.resolver import ThreadedResolver

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.errors import InvariantError, SocketClosed
from rxlink.testing.virtual_time import virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import subscribed
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import TICKS, Make, both, serving

TOKEN = "s3cret-token-of-ada"


class Everywhere(ThreadedResolver):
    """Knows every name as loopback."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> Any:
        return await super().resolve("127.0.0.1", port, family)


@asynccontextmanager
async def resolving() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session that finds loopback under every name."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Everywhere())) as session:
        yield session


class TestTheToken:
    """P7: no token to another origin, or over plain ws; loopback apart."""

    @pytest.mark.parametrize(
        ("url", "allow_insecure", "is_sent"),
        [
            ("ws://localhost:PORT/", False, True),
            ("ws://127.0.0.1:PORT/", False, True),
            ("ws://example.com:PORT/", False, False),
            ("ws://10.0.0.1:PORT/", False, False),
            ("ws://localhost.example.com:PORT/", False, False),
            ("ws://example.com:PORT/", True, True),
        ],
    )
    @pytest.mark.parametrize("is_function", [False, True])
    def test_does_not_go_over_plain_ws_to_another_machine(
        self, url: str, *, allow_insecure: bool, is_sent: bool, is_function: bool
    ) -> None:
        @virtual
        async def test() -> None:
            async with ScriptedWebSocketServer() as server, resolving() as client:
                there = url.replace("PORT", str(server.port))
                session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet(TOKEN))
                link = GraphQLWsLink(
                    (lambda: there) if is_function else there,
                    auth=session,
                    allow_insecure=allow_insecure,
                    session=client,
                )
                async with session, link:
                    recorder = subscribed(execute(link, TICKS))
                    await asyncio.sleep(0.01)
                    if is_sent:
                        message = await (await server.connection()).acknowledge()
                        assert {"authorization": f"Bearer {TOKEN}"} == message["payload"]
                        return

            (error,) = recorder.seen
            assert isinstance(error, InvariantError)
            assert str(error).startswith(f"the token was not sent to {there}: over plain ws everybody on the way can")
            assert "allow_insecure=True" in str(error)
            assert [] == server.handshakes

        test()

    @both
    @pytest.mark.parametrize("is_same_origin", [True, False])
    def test_follows_no_redirect_nor_does_any_header(self, make: Make, *, is_same_origin: bool) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, serving(make) as other:
                session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet(TOKEN))
                target = (server if is_same_origin else other).url.replace("ws:", "http:")
                server.redirection = f"{target}/elsewhere?token={TOKEN}"
                url = server.url.replace("ws://", f"ws://ada:{TOKEN}@")
                async with session, make(url, auth=session, headers={"X-Api-Key": TOKEN}) as link:
                    recorder = subscribed(execute(link, TICKS))
                    await server.handshake()
                    await asyncio.sleep(10)

            (error,) = recorder.seen
            assert isinstance(error, InvariantError)
            expected = f"the WebSocket at {server.url} answered with a redirect, and a WebSocket follows none; give the"
            assert str(error).startswith(expected)
            assert (1, 0) == (len(server.handshakes), len(other.handshakes))

        test()

    def test_in_the_url_becomes_a_header_unless_there_is_one(self) -> None:
        @virtual
        async def test() -> None:
            seen: list[Any] = []
            async with ScriptedWebSocketServer() as server:
                url = server.url.replace("ws://", "ws://ada:pass@")
                for headers in ({}, {"Authorization": "Key 1"}, {"authorization": "Key 2"}):
                    async with GraphQLWsLink(url, headers=headers) as link:
                        subscribed(execute(link, TICKS))
                        seen.append((await server.handshake()).headers.getall("authorization"))

            assert [["Basic YWRhOnBhc3M="], ["Key 1"], ["Key 2"]] == seen

        test()

    def test_is_not_sent_where_the_server_speaks_something_else(self) -> None:
        @virtual
        async def test() -> None:
            async with ScriptedWebSocketServer(subprotocol=None) as server:
                async with GraphQLWsLink(server.url, connection_params={"token": TOKEN}) as link:
                    recorder = subscribed(execute(link, TICKS))
                    connection = await server.connection()
                    assert (4406, "Subprotocol not acceptable") == await connection.closed()

            assert [SocketClosed] == [type(error) for error in recorder.seen]
            assert [] == connection.received

        test()
