"""A server that answers every subscription over a WebSocket with as many results as it asks for, all at once.

It speaks as much of ``graphql-transport-ws`` as a client needs that does nothing wrong, and is no faster than its
kernel: what it sends was made before, and goes out in one write.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from benchmarks.canned_server import BODY
from benchmarks.second_process import second_process, serve

__all__ = ["PROTOCOL", "QUERY", "canned_websocket", "variables"]

PROTOCOL = "graphql-transport-ws"
QUERY = "subscription Viewers($count: Int!, $beside: Int!) { viewer(count: $count, beside: $beside) { id name } }"
ANSWERS = {"connection_init": '{"type":"connection_ack"}', "ping": '{"type":"pong"}'}
TEXT = 0x81  # the first byte of a frame with a whole message
SHORT, LONG = 126, 2**16  # from which size on a frame says it in more bytes


def variables(count: int, beside: int) -> dict[str, int]:
    """Return the variables of each of several subscriptions.

    Args:
        count: How many results they get together, in turns.
        beside: How many run side by side; none gets a result before all have begun.
    """
    return {"count": count // beside, "beside": beside}


@contextlib.asynccontextmanager
async def canned_websocket() -> AsyncGenerator[str]:
    """Run the server in a second process, and give its address."""
    async with second_process("benchmarks.canned_websocket") as place:
        yield f"ws://{place}/graphql"


async def _speak(request: BaseRequest) -> web.WebSocketResponse:
    """Answer what comes over one socket, until it closes."""
    socket = web.WebSocketResponse(protocols=(PROTOCOL,))
    await socket.prepare(request)
    assert request.transport is not None
    begun: list[str] = []
    async for received in socket:
        message = json.loads(received.data)
        if message["type"] in ANSWERS:
            await socket.send_str(ANSWERS[message["type"]])
        elif message["type"] == "subscribe":
            begun.append(message["id"])
            asked: dict[str, Any] = message["payload"]["variables"]
            if len(begun) == asked["beside"]:
                request.transport.write(_answers(begun, asked["count"]))
                begun.clear()
    return socket


def _answers(identities: Sequence[str], count: int) -> bytes:
    """Return the frames of so many results for each subscription, in turns, and of the end of each."""
    results = [_frame(b'{"id":"%b","type":"next","payload":%b}' % (each.encode(), BODY)) for each in identities]
    ends = [_frame(b'{"id":"%b","type":"complete"}' % each.encode()) for each in identities]
    return b"".join(results) * count + b"".join(ends)


def _frame(message: bytes) -> bytes:
    """Return a message as a server puts it on the wire (RFC 6455, section 5.2)."""
    size = len(message)
    assert size < LONG, "no canned message is longer"
    head = bytes([TEXT, size]) if size < SHORT else bytes([TEXT, SHORT]) + size.to_bytes(2)
    return head + message


async def _main() -> None:
    await serve(web.Server(_speak))


if __name__ == "__main__":
    asyncio.run(_main())
