"""What a server says in its own words: how much of it is shown, and what of the address is not (P7)."""

import time
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.testing.virtual_time import virtual
from rxlink.transport._ws_closes import masked
from tests.recording import subscribed
from tests.transport.test_secrets import described
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import TICKS, Make, both, serving

SECRETS = ("secret-user", "pass%word", "query token", "query%20token", "c2VjcmV0LXVzZXI6cGFzcyV3b3Jk")


class TestManyWords:
    def test_are_cut(self) -> None:
        shown = masked("word " * 1_000_000, {"authorization": "Bearer s3cret-token"})

        assert len(shown) <= 503
        assert shown.endswith("...")

    def test_are_masked_in_no_time(self) -> None:
        began = time.perf_counter()

        masked("x" * 4_000_000, {"authorization": "s3cret-token" * 100_000})

        assert time.perf_counter() - began < 0.5

    @pytest.mark.parametrize("place", range(470, 510))
    def test_show_no_part_of_a_secret_where_they_are_cut(self, place: int) -> None:
        shown = masked("." * place + " s3cret-token-of-ada " + "." * 1000, {"token": "s3cret-token-of-ada"})

        assert "s3cret" not in shown

    def test_that_are_few_are_shown(self) -> None:
        assert "x" * 500 == masked("x" * 500, {"token": "s3cret-token-of-ada"})

    @both
    def test_of_a_refusal_are_cut_in_the_error(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.expect("connection_init")
                await connection.send({"type": "connection_error", "payload": {"message": "word " * 100_000}})
                await connection.closed()

                (error,) = recorder.seen
                assert len(str(error)) < 600

        test()


async def close(connection: Connection, echo: str) -> None:
    await connection.expect("connection_init")
    await connection.close(4400, echo)


async def refuse(connection: Connection, echo: str) -> None:
    await connection.expect("connection_init")
    await connection.send({"type": "connection_error", "payload": {"message": echo}})
    await connection.closed()


@both
@pytest.mark.parametrize("end", [close, refuse])
def test_secrets_of_the_address_are_not_shown(make: Make, end: Any) -> None:
    @virtual
    async def test() -> None:
        async with serving(make) as server:
            url = server.url.replace("ws://", "ws://secret-user:pass%25word@") + "?token=query%20token&flag"
            async with make(url, retry_attempts=0) as link:
                events: list[str] = []
                link.events.subscribe(lambda event: events.append(repr(event)))
                recorder = subscribed(execute(link, TICKS))
                connection = await server.connection()
                assert "Basic c2VjcmV0LXVzZXI6cGFzcyV3b3Jk" == connection.request.headers["authorization"]
                await end(connection, " ".join(SECRETS))

            shown = "".join([*described(recorder.seen[0]), *events])
            assert [] == [secret for secret in SECRETS if secret in shown]
            assert "***" in shown

    test()
