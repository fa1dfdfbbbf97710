"""The bytes of a WebSocket as its server sees them (RFC 6455): the handshake, frames in, frames out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

__all__ = ["BINARY", "CLOSE", "TEXT", "close_frame", "close_of", "frame", "frames", "handshake"]

TEXT, BINARY, CLOSE = 1, 2, 8
FINAL = 0x80
KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
EXTENDED = {126: 2, 127: 8}  # a size of this value stands in so many bytes instead


def handshake(key: str, protocol: str | None) -> bytes:
    """Return the answer that opens a WebSocket."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + KEY, usedforsecurity=False).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "connection: upgrade"]
    lines.append(f"sec-websocket-accept: {accept}")
    if protocol is not None:
        lines.append(f"sec-websocket-protocol: {protocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame of a server: whole, not masked."""
    size = len(payload)
    if size < 126:
        return bytes([FINAL | opcode, size]) + payload
    marker = 126 if size < 1 << 16 else 127
    return bytes([FINAL | opcode, marker]) + size.to_bytes(EXTENDED[marker], "big") + payload


def close_frame(code: int | None, reason: str) -> bytes:
    """Return the frame that closes; without a code it is empty."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason.encode())


def close_of(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame; 1005 where there is none."""
    return (int.from_bytes(payload[:2], "big"), payload[2:].decode()) if payload else (1005, "")


def frames(received: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take each whole frame of a client out of what was received."""
    while True:
        found = _first(bytes(received))
        if found is None:
            return
        opcode, payload, length = found
        del received[:length]
        yield opcode, payload


def _first(data: bytes) -> tuple[int, bytes, int] | None:
    if len(data) < 2:
        return None
    assert data[0] & data[1] & FINAL, "the server reads whole and masked frames"
    start, size = 2, data[1] & 0x7F
    if size in EXTENDED:
        start += EXTENDED[size]
        size = int.from_bytes(data[2:start], "big")
    end = start + 4 + size
    if len(data) < end:
        return None
    mask, masked = data[start : start + 4], data[start + 4 : end]
    return data[0] & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked)), end
