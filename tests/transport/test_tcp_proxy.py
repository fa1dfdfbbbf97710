"""The proxy that tests of sockets put between client and server: what each of its commands does to the bytes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

from rxlink.testing import AuthServer, VirtualTime, virtual
from tests.transport.tcp_proxy import GARBAGE, KINDS, TcpProxy, proxied


class Upper:
    """A server that repeats in capitals what it hears, and keeps it; at the end of that it says `bye`."""

    def __init__(self) -> None:
        self.heard = b""
        self.ended = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                self.heard += data
                writer.write(data.upper())
            self.ended.set()
            writer.write(b"bye")
            await writer.drain()
        except ConnectionError:
            pass  # it was cut
        finally:
            self.left.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.reader.readexactly(len(data))

    async def hears_nothing(self) -> bool:
        try:
            async with asyncio.timeout(0.05):
                return await self.reader.read(1) == b"nothing can be"
        except TimeoutError:
            return True


@asynccontextmanager
async def connected(proxy: TcpProxy) -> AsyncIterator[Client]:
    port = int(proxy.url.rpartition(":")[2])
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.writer.close()
        with suppress(ConnectionError):
            await client.writer.wait_closed()


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Upper, TcpProxy]]:
    upper = Upper()
    server = await asyncio.start_server(upper.serve, "127.0.0.1", 0)
    async with server, proxied(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}") as proxy:
        yield upper, proxy


async def test_passes_both_ways_on_and_the_ends_too() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        answer = await client.ask(b"abc")
        client.writer.write_eof()
        rest = await client.reader.read()

    assert (b"ABC", b"bye", b"abc") == (answer, rest, upper.heard)
    assert (1, 0) == (proxy.accepted, proxy.connections)


async def test_cuts_both_sides() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        struck = proxy.cut()
        with suppress(ConnectionError):
            assert b"" == await client.reader.read()
        await upper.left.wait()

    assert (1, b"abc") == (struck, upper.heard)


async def test_closes_half_toward_the_client() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.half_close("client")
        end = await client.reader.read()
        client.writer.write(b"still heard")
        client.writer.write_eof()
        await upper.ended.wait()

    assert (b"", b"abcstill heard") == (end, upper.heard)


async def test_closes_half_toward_the_server() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.half_close("server")
        client.writer.write(b"not heard")
        rest = await client.reader.read()

    assert (b"bye", b"abc") == (rest, upper.heard)


@pytest.mark.parametrize("toward", ["client", "server"])
async def test_stalls_one_way_and_resumes(toward: str) -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.stall(toward)
        client.writer.write(b"def")
        nothing = await client.hears_nothing()
        heard = upper.heard
        proxy.resume()
        late = await client.reader.readexactly(3)

    assert (True, b"DEF") == (nothing, late)
    assert (b"abc" if toward == "server" else b"abcdef") == heard


async def test_a_stall_both_ways_hides_the_end_of_a_side() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.stall()
        client.writer.write_eof()
        nothing = await client.hears_nothing()
        hidden = not upper.ended.is_set()

    assert (True, True) == (nothing, hidden)


async def test_cuts_what_is_stalled() -> None:
    async with scene() as (_, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.stall()
        client.writer.write(b"def")
        await client.hears_nothing()
        proxy.cut()
        with suppress(ConnectionError):
            assert b"" == await client.reader.read()
        while proxy.connections:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


@virtual
async def test_passes_on_slowly(time: VirtualTime) -> None:
    async with scene() as (_, proxy), connected(proxy) as client:
        proxy.slow(2, 1.0)
        await client.ask(b"abcdef")
        now = time.monotonic()
        proxy.slow()
        await client.ask(b"abcdef")

    # The last two of six bytes have two pauses before them on the way there; the way back adds little.
    assert 2.0 <= now <= 5.0
    assert time.monotonic() - now <= 2.0


async def test_inserts_garbage() -> None:
    async with scene() as (upper, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.insert()
        proxy.insert(b"xyz", toward="server")
        heard = await client.reader.readexactly(len(GARBAGE) + 3)

    assert (GARBAGE + b"XYZ", b"abcxyz") == (heard, upper.heard)


async def test_refuses_new_connections_and_keeps_the_open_ones() -> None:
    async with scene() as (_, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.is_refusing = True
        async with connected(proxy) as refused:
            with suppress(ConnectionError):
                assert b"" == await refused.reader.read()
        answer = await client.ask(b"abc")

    assert (b"ABC", 2) == (answer, proxy.accepted)


@virtual
async def test_is_out_for_a_while(time: VirtualTime) -> None:
    async with scene() as (_, proxy), connected(proxy) as client:
        await client.ask(b"abc")
        proxy.outage(5.0)
        proxy.outage(10.0)
        async with connected(proxy) as refused:
            with suppress(ConnectionError):
                assert b"" == await refused.reader.read()
        await asyncio.sleep(10.0)
        async with connected(proxy) as accepted:
            answer = await accepted.ask(b"abc")

    assert b"ABC" == answer


async def test_a_server_that_is_not_there_breaks_off() -> None:
    async with scene() as (_, proxy):
        pass
    async with proxied(proxy.url) as lost, connected(lost) as client:
        with suppress(ConnectionError):
            assert b"" == await client.reader.read()


@virtual
async def test_attacks_are_the_same_for_the_same_seed(time: VirtualTime) -> None:
    async def attacks(seed: int) -> list[tuple[float, str]]:
        begin = time.monotonic()
        choices = random.Random(seed)  # noqa: S311 - no secret
        async with scene() as (_, proxy):
            done = await proxy.attack(choices, seconds=60, pauses=(1.0, 5.0), kinds=KINDS)
        assert 60 == pytest.approx(time.monotonic() - begin)
        return [(round(each.at - begin, 6), each.kind) for each in done]

    first, again, other = await attacks(1), await attacks(1), await attacks(2)

    assert first == again != other
    assert 12 <= len(first) <= 60
    assert set(KINDS) == {kind for _, kind in first + other}


async def test_carries_a_socket_of_graphql() -> None:
    async with AuthServer() as server, proxied(server.ws_url) as proxy, aiohttp.ClientSession() as session:
        async with session.ws_connect(proxy.url, protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json(
                {"type": "connection_init", "payload": {"authorization": server.sign_in("ada").access_token}}
            )
            answer = await socket.receive_json()

    assert {"type": "connection_ack"} == answer
    assert proxy.url.endswith("/graphql")
