"""A TCP proxy between a client and a server on loopback, which cuts, stalls, slows and garbles as a test says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

__all__ = ["Attack", "Kind", "Side", "TcpProxy", "proxied"]

Side = Literal["client", "server"]
Kind = Literal["cut", "half_close_client", "half_close_server", "stall", "garbage", "outage"]
SIDES: tuple[Side, ...] = get_args(Side)
KINDS: tuple[Kind, ...] = get_args(Kind)
GARBAGE = b"\xff\xfe not what was asked for \x00"
AT_ONCE = 65536
OUTAGES = (0.2, 1.0)
"""Seconds that an outage of an attack takes, at least and at most."""


@dataclass(frozen=True)
class Attack:
    """What `attack` did, and when: in seconds of the loop."""

    at: float
    kind: Kind
    connections: int


class TcpProxy:
    """Passes bytes on between clients and one server.

    A command strikes the connections that are open; `slow` and `is_refusing` hold for later ones as well.

    Attributes:
        url: That of the server, with the proxy's address in it.
        accepted: How many connections there were.
        is_refusing: Whether new connections are cut at once.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._open: dict[_Connection, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = _Pace()
        self._recovery: asyncio.TimerHandle | None = None
        self.url = url
        self.accepted = 0
        self.is_refusing = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target._replace(netloc=f"127.0.0.1:{port}").geturl()

    async def close(self) -> None:
        """Take no more connections, and cut those that are open."""
        assert self._server is not None
        self._server.close()
        if self._recovery is not None:
            self._recovery.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> int:
        """Break every connection off, on both sides; return how many there were."""
        return self._each(_Connection.cut)

    def half_close(self, toward: Side) -> int:
        """Tell one side that nothing more comes, and go on with what it says itself."""
        return self._each(lambda connection: connection.ways[toward].end())

    def stall(self, *toward: Side) -> int:
        """Pass nothing on any more to these sides, or to both, not even the end: as if one of them were dead."""
        return self._each(lambda connection: [connection.ways[side].gate.clear() for side in toward or SIDES])

    def resume(self) -> int:
        """Pass on what was held back, and all that follows."""
        return self._each(lambda connection: [way.gate.set() for way in connection.ways.values()])

    def insert(self, data: bytes = GARBAGE, *, toward: Side = "client") -> int:
        """Say to one side what the other did not."""
        return self._each(lambda connection: connection.ways[toward].insert(data))

    def slow(self, size: int = 0, pause: float = 0.0) -> None:
        """Pass on only so many bytes at a time, with so many seconds in between; 0 for as they come."""
        self._pace.size, self._pace.pause = size, pause

    def outage(self, seconds: float) -> int:
        """Cut every connection, and refuse new ones for so many seconds."""
        if self._recovery is not None:
            self._recovery.cancel()
        self.is_refusing = True
        self._recovery = asyncio.get_running_loop().call_later(seconds, self._recover)
        return self.cut()

    def _recover(self) -> None:
        self.is_refusing = False
        self._recovery = None

    async def attack(
        self,
        choices: random.Random,
        *,
        seconds: float,
        pauses: tuple[float, float],
        kinds: Sequence[Kind] = ("cut",),
    ) -> list[Attack]:
        """Strike at random for so many seconds, with pauses between two bounds; return what was done."""
        loop = asyncio.get_running_loop()
        end, done = loop.time() + seconds, []
        while (pause := choices.uniform(*pauses)) < end - loop.time():
            await asyncio.sleep(pause)
            done.append(self._strike(choices.choice(kinds), choices))
        await asyncio.sleep(max(0.0, end - loop.time()))
        return done

    def _strike(self, kind: Kind, choices: random.Random) -> Attack:
        match kind:
            case "cut":
                struck = self.cut()
            case "half_close_client":
                struck = self.half_close("client")
            case "half_close_server":
                struck = self.half_close("server")
            case "stall":
                struck = self.stall()
            case "garbage":
                struck = self.insert()
            case "outage":
                struck = self.outage(choices.uniform(*OUTAGES))
        return Attack(asyncio.get_running_loop().time(), kind, struck)

    def _each(self, command: object) -> int:
        assert callable(command)
        connections = list(self._open)
        for connection in connections:
            command(connection)
        return len(connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.is_refusing:
            writer.transport.abort()
            return
        try:
            server = await asyncio.open_connection(self._target.hostname, self._target.port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection((reader, writer), server, self._pace)
        self._open[connection] = None
        try:
            await connection.run()
        finally:
            del self._open[connection]


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """A connection of a client, and the one to the server in its name; `ways` by the side they lead to."""

    def __init__(self, client: Stream, server: Stream, pace: _Pace) -> None:
        self._writers = (client[1], server[1])
        self.ways: dict[Side, _Way] = {
            "client": _Way(server[0], client[1], pace),
            "server": _Way(client[0], server[1], pace),
        }

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for way in self.ways.values():
            way.cut()

    async def run(self) -> None:
        """Pass on until both sides have ended, or one of them breaks off."""
        try:
            async with asyncio.TaskGroup() as both:
                for way in self.ways.values():
                    both.create_task(way.run())
        except* OSError:
            pass
        finally:
            self.cut()
            for writer in self._writers:
                with suppress(OSError):
                    await writer.wait_closed()


@dataclass
class _Pace:
    size: int = 0
    pause: float = 0.0


class _Way:
    """The way of the bytes to one side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pace: _Pace) -> None:
        self._reader = reader
        self._writer = writer
        self._pace = pace
        self._has_ended = False
        self.gate = asyncio.Event()
        self.gate.set()

    def insert(self, data: bytes) -> None:
        if not self._has_ended:
            self._writer.write(data)

    def end(self) -> None:
        if not self._has_ended and not self._writer.is_closing():
            self._has_ended = True
            with suppress(OSError):  # it has gone
                self._writer.write_eof()

    def cut(self) -> None:
        self._has_ended = True
        self.gate.set()

    async def run(self) -> None:
        while data := await self._reader.read(AT_ONCE):
            while data:
                await self.gate.wait()
                size = self._pace.size or len(data)
                self.insert(data[:size])
                data = data[size:]
                await self._writer.drain()
                await asyncio.sleep(self._pace.pause)
        await self.gate.wait()
        self.end()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[TcpProxy]:
    """Give a proxy for the server of a URL."""
    proxy = TcpProxy(url)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
