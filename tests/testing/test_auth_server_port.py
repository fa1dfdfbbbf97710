"""The auth server: where it listens, and that it comes back there."""

import socket
from typing import Any

import aiohttp
import pytest

from rxlink import AuthSession, GraphQLRequest, GraphQLWsLink, TokenSet, execute, to_async_iterator
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.testing.auth_server import AuthServer
from tests.testing.auth_server_client import VIEWER

TICKS = GraphQLRequest("subscription Ticks { ticks(every: 0.01) }")


def free_port() -> int:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        return other.getsockname()[1]


class TestPort:
    async def test_is_the_one_that_was_given(self) -> None:
        port = free_port()

        async with AuthServer(port=port) as server:
            addresses = [server.url, server.ws_url, server.token_url, server.cookie_url]

        assert all(f"://127.0.0.1:{port}/" in address for address in addresses)

    async def test_is_any_free_one_by_default(self) -> None:
        async with AuthServer() as one, AuthServer(port=0) as another:
            assert one.url != another.url

    async def test_stays_over_a_restart_with_all_that_was_handed_out(self) -> None:
        server = AuthServer(token_life=60)
        async with server:
            before = [server.url, server.ws_url, server.token_url, server.cookie_url]
            token = server.sign_in("ada").access_token

        async with server, aiohttp.ClientSession() as session:
            after = [server.url, server.ws_url, server.token_url, server.cookie_url]
            headers = {"authorization": f"Bearer {token}"}
            async with session.post(before[0], json={"query": VIEWER}, headers=headers) as response:
                answer = await response.json()

        assert before == after
        assert "ada" == answer["data"]["viewer"]["name"]

    async def test_is_no_address_while_the_server_is_down(self) -> None:
        server = AuthServer()
        await server.start()
        await server.aclose()

        with pytest.raises(RuntimeError, match="not running"):
            _ = server.ws_url

    async def test_that_somebody_else_has_is_an_error_after_which_it_may_start_again(self) -> None:
        async with AuthServer() as other:
            port = int(other.url.split(":")[2].split("/")[0])
            server = AuthServer(port=port)
            with pytest.raises(OSError, match="address already in use"):
                await server.start()

        async with server:
            assert f"http://127.0.0.1:{port}/graphql" == server.url

    async def test_that_stays_is_found_again_by_a_subscription_over_a_socket(self) -> None:
        server = AuthServer(token_life=60)
        await server.start()
        tokens = TokenSet(server.sign_in("ada").access_token)
        async with (
            AuthSession(refresh=lambda tokens, reason: None, tokens=tokens) as session,
            GraphQLWsLink(server.ws_url, auth=session, retry_wait=lambda retries: 0.01, retry_attempts=None) as link,
        ):
            async with to_async_iterator(execute(link, TICKS)) as ticks:
                await anext(ticks)

                await server.aclose()
                await server.start()
                async for _ in ticks:
                    if len(server.ledger.sockets) > 1:
                        break

        assert [1001, 1000] == [record.code for record in server.ledger.sockets]
        await server.aclose()

    @pytest.mark.parametrize(
        ("port", "kind", "message"),
        [
            (-1, InvariantError, "`port` is -1; give 1 to 65535, or 0 for any free port"),
            (65536, InvariantError, "`port` is 65536; give 1 to 65535, or 0 for any free port"),
            ("80", InvariantTypeError, "`port` is '80'; give a whole number, or 0 for any free port"),
            (None, InvariantTypeError, "`port` is None; give a whole number, or 0 for any free port"),
            (True, InvariantTypeError, "`port` is True; give a whole number, or 0 for any free port"),
        ],
    )
    def test_that_cannot_be_one_is_refused(self, port: Any, kind: type[InvariantError], message: str) -> None:
        with pytest.raises(kind) as caught:
            AuthServer(port=port)

        assert (kind, message) == (caught.type, str(caught.value))
