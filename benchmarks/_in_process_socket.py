"""A real aiohttp session whose WebSocket is answered inside the process, in the protocol `graphql-transport-ws`.

What the server says is the same each time, and arrives in the same turn of the loop: it can be counted.
"""

import base64
import hashlib
import json
import re
import struct
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from benchmarks.four_links import ANSWER
from benchmarks.in_process import InProcessTransport

__all__ = ["InProcessSocketConnector"]

HANDSHAKE_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
KEY_HEADER = re.compile(rb"sec-websocket-key: *([^\r]+)", re.IGNORECASE)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)
TEXT, CLOSE = 0x1, 0x8
LAST_FRAME = 0x80
LENGTH_BITS = 0x7F
SHORT, MEDIUM = 126, 127
"""Lengths from which on, and by which numbers, a frame says its length in two bytes, or in eight."""
MASK_SIZE = 4


class InProcessSocketConnector(aiohttp.TCPConnector):
    """A pool of connections that lead nowhere, whose WebSockets answer every operation.

    Args:
        results: How many results each operation has before it is complete; None never answers.
    """

    def __init__(self, results: int | None) -> None:
        super().__init__(limit=0)
        self._results = results

    async def _create_connection(self, *_: Any) -> ResponseHandler:
        protocol = ResponseHandler(self._loop)
        protocol.connection_made(_ServerSide(self._loop, protocol, self._results))
        return protocol


class _ServerSide(InProcessTransport):
    """What a server would be on the other side of one connection."""

    def __init__(self, loop: Any, protocol: ResponseHandler, results: int | None) -> None:
        super().__init__(loop, protocol)
        self._results = results
        self._received = b""
        self._is_open = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._received += data
        if not self._is_open:
            self._shake_hands()
            return
        messages, self._received = _messages_in(self._received)
        for opcode, payload in messages:
            if opcode == CLOSE:
                self.answer(_frame(CLOSE, payload))
            elif opcode == TEXT:
                self._hear(json.loads(payload))

    def get_write_buffer_size(self) -> int:
        return 0

    def _shake_hands(self) -> None:
        head, end, _ = self._received.partition(b"\r\n\r\n")
        key = KEY_HEADER.search(head)
        if end and key is not None:
            digest = hashlib.sha1(key[1] + HANDSHAKE_KEY, usedforsecurity=False).digest()
            self._received = b""
            self._is_open = True
            self.answer(SWITCHING % base64.b64encode(digest))

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "connection_init":
            self.answer(_message(type="connection_ack"))
        elif message["type"] == "subscribe" and self._results is not None:
            identity = message["id"]
            result = _message(id=identity, type="next", payload=ANSWER)
            self.answer(result * self._results + _message(id=identity, type="complete"))


def _message(**members: object) -> bytes:
    return _frame(TEXT, json.dumps(members).encode())


def _frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame as servers send them: without a mask."""
    head = bytes([LAST_FRAME | opcode])
    if len(payload) < SHORT:
        return head + bytes([len(payload)]) + payload
    return head + struct.pack("!BH", SHORT, len(payload)) + payload


def _messages_in(received: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the frames that have come whole, and the rest."""
    messages: list[tuple[int, bytes]] = []
    while (end := _end_of_frame(received)) is not None:
        start, stop = end
        mask, payload = received[start - MASK_SIZE : start], received[start:stop]
        messages.append((received[0] & 0x0F, _unmasked(payload, mask)))
        received = received[stop:]
    return messages, received


def _end_of_frame(received: bytes) -> tuple[int, int] | None:
    """Return where the payload of the first frame begins and ends; None while a part of it is missing."""
    if len(received) < 2 + MASK_SIZE:
        return None
    length, start = received[1] & LENGTH_BITS, 2 + MASK_SIZE
    if length == SHORT:
        length, start = struct.unpack_from("!H", received, 2)[0], start + 2
    elif length == MEDIUM:
        length, start = struct.unpack_from("!Q", received, 2)[0], start + 8
    return (start, start + length) if len(received) >= start + length else None


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    repeated = mask * (len(payload) // MASK_SIZE + 1)
    return bytes(a ^ b for a, b in zip(payload, repeated, strict=False))
