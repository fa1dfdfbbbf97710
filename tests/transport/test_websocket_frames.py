"""What a server can say on a socket that it must not: how the socket ends, what operations get, and what is left."""

import struct
from typing import Any

import pytest

from rxlink.core.chain import execute
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import subscribed
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import Make, begun, both, ids_of, serving, ticked
from tests.transport.websocket_wire import ALL, closing, frame, gone, shown

ACK = {"type": "connection_ack"}


class TestABadMessage:
    """PROTOCOL.md: the socket is closed immediately with the event `4400: <error-message>`."""

    @both
    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (b'{"type":"connection_ack"}', "a message is binary"),
            (b"", "a message is binary"),
            ("", "a message is no JSON"),
            ("{", "a message is no JSON"),
            ("[" * 100_000, "a message is no JSON"),
            ("null", "a message has no type"),
            ({"id": "1"}, "a message has no type"),
            ({"type": "hello"}, "a message has the unknown type 'hello'"),
            (ACK, "a second 'connection_ack'"),
            ({"type": "complete"}, "a message of type 'complete' has no id"),
            ({"type": "error", "id": "unknown", "payload": "no"}, "the payload of 'error' is no list of errors"),
        ],
    )
    def test_closes_the_socket_and_ends_all_operations(self, make: Make, message: Any, reason: str) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            connection, errors = await gone(make, lambda connection: connection.send(message), time)

            assert (4400, reason) == await connection.closed()
            assert {f"Socket closed with event 4400 {reason} (a message that the protocol does not know)"} == shown(
                errors
            )
            assert [(4400, reason, False)] * 3 == [(error.code, error.reason, error.retryable) for error in errors]

        test()

    @both
    def test_is_never_tried_again(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, should_retry=lambda error: True) as link:
                connection, (recorder,) = await begun(server, link)
                await connection.send("no JSON")
                await connection.closed()

            assert [4400] == [error.code for error in recorder.seen]
            assert 1 == len(server.handshakes)

        test()

    @both
    @pytest.mark.parametrize("message", ["no JSON", b"binary", {"type": "complete", "id": "1"}])
    def test_may_be_the_first_one(self, make: Make, message: Any) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                recorders = [subscribed(execute(link, request)) for request in ALL]
                connection = await server.connection()
                await connection.expect("connection_init")
                await connection.send(message)
                code, _ = await connection.closed()

            assert 4400 == code
            assert [[4400]] * 3 == [[error.code for error in recorder.seen] for recorder in recorders]
            assert ["connection_init"] == connection.kinds

        test()

    @both
    def test_ends_what_came_behind_it_too(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, (recorder,) = await begun(server, link)
                (identity,) = ids_of(connection)
                await connection.deliver(identity, ticks=1)
                await connection.send(b"binary")
                await connection.deliver(identity, ticks=2)
                await connection.complete(identity)
                end = await connection.closed()

            assert (4400, "a message is binary") == end
            assert ticked(1) == recorder.seen[:-1]
            assert 4400 == recorder.seen[-1].code

        test()

    @both
    def test_is_not_one_with_an_unknown_id(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, (recorder,) = await begun(server, link)
                await connection.deliver("unknown", ticks=1)
                await connection.complete("unknown")
                await connection.send({"type": "error", "id": "?", "payload": [{}]})
                await connection.deliver(ids_of(connection)[0], ticks=2)
                await connection.complete(ids_of(connection)[0])
                await connection.closed()

            assert [*ticked(2), "completed"] == recorder.seen

        test()


class TestABadFrame:
    """RFC 6455: a broken WebSocket fails with 1002; text that is no UTF-8 is no JSON; a huge message is not read."""

    @both
    @pytest.mark.parametrize(
        ("raw", "code", "reason"),
        [
            (frame(3, b"{}"), 1002, "the server has broken the rules of WebSockets"),
            (frame(0, b"{}"), 1002, "the server has broken the rules of WebSockets"),
            (frame(1, b"{}", flags=0xA0), 1002, "the server has broken the rules of WebSockets"),
            (frame(9, b"", flags=0), 1002, "the server has broken the rules of WebSockets"),
            (frame(8, b"x"), 1002, "the server has broken the rules of WebSockets"),
            (closing(999), 1002, "the server has broken the rules of WebSockets"),
            (closing(1015), 1002, "the server has broken the rules of WebSockets"),
            (closing(1001, b"\xff"), 1007, "the server has broken the rules of WebSockets"),
            (frame(1, b"\xff"), 4400, "a message is no JSON"),
            (b"\x81\x7e" + struct.pack("!H", 1001) + b" " * 1001, 1009, "a message is larger than 1000 bytes"),
        ],
    )
    def test_closes_the_socket_and_ends_all_operations(self, make: Make, raw: bytes, code: int, reason: str) -> None:
        async def how(connection: Connection) -> None:
            connection.send_raw(raw)

        @virtual
        async def test(time: VirtualTime) -> None:
            connection, errors = await gone(make, how, time, max_msg_size=1000)

            assert code == (await connection.closed())[0]
            assert {(code, reason, False)} == {(error.code, error.reason, error.retryable) for error in errors}

        test()

    @both
    def test_is_not_one_that_comes_in_parts_with_a_ping_between_them(self, make: Make) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url) as link:
                connection, (recorder,) = await begun(server, link)
                text = f'{{"id":"{ids_of(connection)[0]}","type":"complete"}}'.encode()
                connection.send_raw(frame(1, text[:10], flags=0) + frame(9) + frame(0, text[10:]))
                await connection.closed()

            assert ["completed"] == recorder.seen

        test()

    @both
    @pytest.mark.parametrize(("max_msg_size", "passes"), [(1000, False), (1100, True), (0, True)])
    def test_is_one_that_is_larger_than_is_allowed(self, make: Make, max_msg_size: int, *, passes: bool) -> None:
        @virtual
        async def test(time: VirtualTime) -> None:
            async with serving(make) as server, make(server.url, max_msg_size=max_msg_size) as link:
                connection, (recorder,) = await begun(server, link)
                (identity,) = ids_of(connection)
                await connection.deliver(identity, ticks="x" * 1000)
                await connection.complete(identity)
                code, _ = await connection.closed()

            assert ["data" in str(seen) for seen in recorder.seen[:1]] == [passes]
            assert code == (1000 if passes else 1009)

        test()
