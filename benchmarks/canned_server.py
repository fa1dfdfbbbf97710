"""A server that answers every POST with the same GraphQL response, as fast as Python can.

It is no web server: it trusts its client. It runs in a process of its own, so that the client has
a core for itself, and ends when its standard input does.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

__all__ = ["RESPONSE", "RESPONSE_TO_TEN", "canned_server"]

HOST = "127.0.0.1"
BODY = b'{"data":{"viewer":{"id":"1","name":"Ada"}}}'


def _response(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\n"
        b"Server: canned\r\n"
        b"Date: Sat, 21 Nov 2026 19:37:33 GMT\r\n"
        b"Content-Type: application/graphql-response+json; charset=utf-8\r\n"
        b"Content-Length: %d\r\n"
        b"Connection: keep-alive\r\n"
        b"\r\n%b"
    ) % (len(body), body)


RESPONSE = _response(BODY)
RESPONSE_TO_TEN = _response(b"[%b]" % b",".join([BODY] * 10))
"""The answer to a batch of ten operations."""

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"
BACKLOG = 1_024


class _Connection(asyncio.Protocol):
    """One connection: finds where each request ends, and answers it."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (length := _length_of_request(self._received)) is not None:
            self._received = self._received[length:]
            self._transport.write(RESPONSE)


def _length_of_request(received: bytes) -> int | None:
    """Return how long the first request is, None while a part of it is missing."""
    end = received.find(END_OF_HEAD)
    if end < 0:
        return None
    _, _, rest = received[:end].lower().partition(LENGTH)
    length = end + len(END_OF_HEAD) + int(rest.split(b"\r\n", 1)[0])
    return length if len(received) >= length else None


@contextlib.asynccontextmanager
async def canned_server() -> AsyncGenerator[str]:
    """Run the server in a second process, and give its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"http://{HOST}:{port}/graphql"
    finally:
        process.stdin.close()
        await process.wait()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, HOST, 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
