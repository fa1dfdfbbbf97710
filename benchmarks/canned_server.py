"""A server that answers every POST with the same GraphQL response, as fast as Python can.

It is no web server: it trusts its client.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from benchmarks.second_process import second_process, serve

__all__ = ["BODY", "RESPONSE", "RESPONSE_TO_TEN", "canned_server", "length_of_request", "response_of", "serve_answers"]

BODY = b'{"data":{"viewer":{"id":"1","name":"Ada"}}}'
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Server: canned\r\n"
    b"Date: Sat, 21 Nov 2026 19:37:33 GMT\r\n"
    b"Content-Type: %b; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
)


def response_of(body: bytes, content_type: str = "application/graphql-response+json") -> bytes:
    """Return a whole response."""
    return HEAD % (content_type.encode(), len(body)) + body


RESPONSE = response_of(BODY)
RESPONSE_TO_TEN = response_of(b"[%b]" % b",".join([BODY] * 10))
"""The answer to a batch of ten operations."""

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


class _Connection(asyncio.Protocol):
    """One connection: finds where each request ends, and answers it."""

    def __init__(self, answer_to: Callable[[bytes], bytes]) -> None:
        self._answer_to = answer_to
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (length := length_of_request(self._received)) is not None:
            request, self._received = self._received[:length], self._received[length:]
            self._transport.write(self._answer_to(request))


def length_of_request(received: bytes) -> int | None:
    """Return how long the first request is, None while a part of it is missing."""
    end = received.find(END_OF_HEAD)
    if end < 0:
        return None
    _, _, rest = received[:end].lower().partition(LENGTH)
    length = end + len(END_OF_HEAD) + int(rest.split(b"\r\n", 1)[0])
    return length if len(received) >= length else None


async def serve_answers(answer_to: Callable[[bytes], bytes]) -> None:
    """Answer each request with what a function returns for it, until the standard input ends."""
    await serve(lambda: _Connection(answer_to))


@contextlib.asynccontextmanager
async def canned_server() -> AsyncGenerator[str]:
    """Run the server in a second process, and give its address."""
    async with second_process("benchmarks.canned_server") as place:
        yield f"http://{place}/graphql"


if __name__ == "__main__":
    asyncio.run(serve_answers(lambda _: RESPONSE))
