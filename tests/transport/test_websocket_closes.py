"""A server that closes, with whatever code or none: what operations get, and what is left."""

import asyncio

import pytest

from rxlink.core.chain import execute
from rxlink.errors import NetworkError, SocketClosed
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import subscribed
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import Make, begun, both, ids_of, serving
from tests.transport.websocket_wire import ALL, frame, gone, shown


class TestAClose:
    @both
    @pytest.mark.parametrize("code", [1001, 1011, 1013, 3000, 4000, 4205, 4400, 4401, 4403, 4500, 4999])
    def test_ends_all_operations_with_its_code_and_reason(self, make: Make, code: int) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            _, errors = await gone(make, lambda connection: connection.close(code, "for a test"), time)

            assert {(code, "for a test")} == {(error.code, error.reason) for error in errors}
            assert all(text.startswith(f"Socket closed with event {code} for a test") for text in shown(errors))

        test()

    @both
    def test_without_a_code_has_1005(self, make: Make) -> None:
        async def how(connection: Connection) -> None:
            connection.send_raw(frame(8))

        @virtual
        async def test(time: VirtualTime) -> None:
            _, errors = await gone(make, how, time)

            assert {"Socket closed with event 1005"} == shown(errors)

        test()

    @pytest.mark.parametrize(
        ("code", "is_retried"),
        [
            *(
                (code, True)
                for code in (1000, 1001, 1012, 1013, 1014, 3000, 3999, 4000, 4205, 4403, 4408, 4499, 4504, 4999)
            ),
            *((code, False) for code in (1002, 1003, 1007, 1008, 1009, 1010, 1011)),
            *((code, False) for code in (4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500)),
        ],
    )
    def test_is_fatal_or_not(self, code: int, *, is_retried: bool) -> None:
        """As in graphql-ws, `isFatalInternalCloseCode` and the list beside it."""

        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(GraphQLWsLink) as server, GraphQLWsLink(server.url, retry_wait=lambda _: 1.0) as link:
                connection, (recorder,) = await begun(server, link)
                await connection.close(code)
                if is_retried:
                    again = await server.connection()
                    await again.acknowledge()
                    assert ids_of(connection) == [await again.begin()]
                    assert 1.0 == time.monotonic()

            seen = recorder.seen[0]
            assert is_retried == (not isinstance(seen, SocketClosed))
            assert is_retried == (len(server.handshakes) == 2)
            assert is_retried or (code, False) == (seen.code, seen.retryable)

        test()

    @both
    @pytest.mark.parametrize("how", ["hang_up", "abort"])
    def test_that_is_none_has_1006(self, make: Make, how: str) -> None:
        async def end(connection: Connection) -> None:
            getattr(connection, how)()

        @virtual
        async def test(time: VirtualTime) -> None:
            _, errors = await gone(make, end, time)

            assert {"Socket closed with event 1006"} == shown(errors)
            assert all(isinstance(error, NetworkError) and error.retryable for error in errors)

        test()

    @both
    @pytest.mark.parametrize("how", ["hang_up", "abort"])
    def test_in_the_midst_of_a_frame_has_1006(self, make: Make, how: str) -> None:
        async def end(connection: Connection) -> None:
            connection.send_raw(frame(1, b"{" * 100)[:50])
            getattr(connection, how)()

        @virtual
        async def test(time: VirtualTime) -> None:
            _, errors = await gone(make, end, time)

            assert {"Socket closed with event 1006"} == shown(errors)

        test()

    @both
    @pytest.mark.parametrize("how", ["close", "hang_up", "abort"])
    def test_before_the_acknowledgement_ends_them_too(self, make: Make, how: str) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                recorders = [subscribed(execute(link, request)) for request in ALL]
                connection = await server.connection()
                await connection.expect("connection_init")
                await connection.close(4408, "too late") if how == "close" else getattr(connection, how)()
                await asyncio.sleep(0.01)

            code = 4408 if how == "close" else 1006
            assert [[code]] * 3 == [[error.code for error in recorder.seen] for recorder in recorders]
            assert [] == time.leftovers()

        test()
