"""What a server sends over one socket: in order, without making whoever sends wait."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import web

__all__ = ["Outbox"]


class Outbox:
    """Frames on their way out.

    Attributes:
        is_closing: Whether it was told to close the socket, or to cut it: nothing is sent any more.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        """Make an empty one; `run` sends what is put into it."""
        self._socket = socket
        self._transport = transport
        self._frames: deque[str | bytes] = deque()
        self._news = asyncio.Event()
        self._end: tuple[int, str] | None = None
        self._is_held = self._is_cut = False
        self.is_closing = False

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message as JSON."""
        self.put(json.dumps(message))

    def put(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        if not self.is_closing and not self._is_held:
            self._frames.append(frame)
            self._news.set()

    def close(self, code: int, reason: str) -> None:
        """Close the socket once all has been sent."""
        if not self.is_closing and not self._is_held:
            self.is_closing = True
            self._end = code, reason
            self._news.set()

    def cut(self) -> None:
        """Cut the connection now; what was not sent yet is lost."""
        self.is_closing = self._is_cut = True
        self._frames.clear()
        self._news.set()
        if self._transport is not None:
            self._transport.abort()

    def hold(self) -> None:
        """Send nothing from now on, and do not close: only a cut still works."""
        self._is_held = True
        self._frames.clear()

    async def run(self) -> None:
        """Send until the socket is closed, by either side."""
        try:
            while not self._is_cut:
                await self._send_all()
                if self._end is not None:
                    code, reason = self._end
                    await self._socket.close(code=code, message=reason.encode())
                    return
                self._news.clear()
                await self._news.wait()
        except ConnectionError:
            return  # the client has gone, which the reader hears as well

    async def _send_all(self) -> None:
        while self._frames:
            frame = self._frames.popleft()
            if isinstance(frame, str):
                await self._socket.send_str(frame)
            else:
                await self._socket.send_bytes(frame)
