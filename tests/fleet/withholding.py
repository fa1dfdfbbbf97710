"""A TCP proxy that from a certain request on withholds what the server answers, or half of the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Proxy", "proxied"]


class Proxy:
    """Stands before a server.

    Attributes:
        url: That of the server, with the proxy's address in it.
    """

    def __init__(self, url: str, mark: bytes, *, halves: bool) -> None:
        self._target = urlsplit(url)
        self._mark = mark
        self._halves = halves
        self._is_marked = False
        self._reached = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = url

    async def reached(self, within: float) -> None:
        """Wait until the answer is withheld, or the request was cut in half."""
        async with asyncio.timeout(within):
            await self._reached.wait()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        self.url = self._target._replace(netloc=f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}").geturl()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_requests(client, to_server))
                both.create_task(self._pass_answers(server, to_client))
        finally:
            for writer in (to_client, to_server):
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    async def _pass_requests(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await _read(client):
            self._is_marked = self._is_marked or self._mark in data
            if self._is_marked and self._halves:
                to_server.write(data[: len(data) // 2])
                self._reached.set()
                while await _read(client):
                    pass
                break
            to_server.write(data)
        to_server.close()

    async def _pass_answers(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        while data := await _read(server):
            if self._is_marked:
                self._reached.set()
            else:
                to_client.write(data)
        to_client.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""


@asynccontextmanager
async def proxied(url: str, mark: bytes, *, halves: bool = False) -> AsyncIterator[Proxy]:
    """Give a proxy for a URL.

    Args:
        url: Of the server.
        mark: Stands in the first request that matters; until then everything is passed on.
        halves: Whether that one reaches the server by half; else whole, and from then on no answer the client.
    """
    proxy = Proxy(url, mark, halves=halves)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
