"""Frames as they are on the wire, and how a socket with operations ends."""

import asyncio
import struct
from typing import Any

from rxlink.errors import SocketClosed
from rxlink.testing.virtual_time import VirtualTime
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import RENAME, TICKS, VIEWER, Make, begun, serving

ALL = (TICKS, VIEWER, RENAME)


def frame(opcode: int, payload: bytes = b"", *, flags: int = 0x80) -> bytes:
    """Return a frame as it is on the wire; the flags say that it is whole."""
    assert len(payload) < 126
    return bytes([flags | opcode, len(payload)]) + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack("!H", code) + reason)


async def gone(make: Make, how: Any, time: VirtualTime, **options: Any) -> tuple[Connection, list[Any]]:
    """Let something happen to a socket with three operations; return it, and what they got."""
    async with serving(make) as server, make(server.url, retry_attempts=0, **options) as link:
        connection, recorders = await begun(server, link, *ALL)
        await how(connection)
        await asyncio.sleep(0.01)
        errors = [recorder.seen for recorder in recorders]
        assert [[SocketClosed]] * 3 == [[type(error) for error in seen] for seen in errors]
    assert [] == time.leftovers()
    assert 1 == len(server.handshakes)
    each = [error for (error,) in errors]
    assert 3 == len(set(map(id, each))), "each operation has an error of its own"
    return connection, each


def shown(errors: list[Any]) -> set[str]:
    return {str(error) for error in errors}
