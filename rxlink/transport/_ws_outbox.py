"""What waits to be sent on a WebSocket, in its order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from enum import Enum

import aiohttp

from rxlink.transport._ws_events import log_frame
from rxlink.transport._ws_pings import Pongs

__all__ = ["Outbox"]

logger = logging.getLogger("rxlink.transport.websocket")  # the public module that this is a part of


class _Place(Enum):
    """What waits to be sent, beside messages."""

    PING = "a ping of the WebSocket"
    PONG = "the next answer to one"


class Outbox:
    """What waits to be sent."""

    __slots__ = ("_moved", "_pongs", "_seen", "_since", "_waiting", "_wake")

    def __init__(self) -> None:
        self._waiting: deque[str | _Place] = deque()  # messages, and places of pongs, and of pings of the WebSocket
        self._pongs = Pongs()
        self._wake = asyncio.Event()
        self._moved = 0
        self._seen = (0, 0)
        self._since = 0.0

    def put(self, message: str) -> None:
        """Have a message wait."""
        self._put(message)

    def ping(self) -> None:
        """Have a ping of the WebSocket wait."""
        self._put(_Place.PING)

    def respond(self, pong: str | bytes) -> None:
        """Have the answer to a ping wait, of the protocol or of the WebSocket; of too many, only the last."""
        if self._pongs.add(pong):
            self._put(_Place.PONG)

    def clear(self) -> None:
        """Have nothing wait."""
        self._waiting.clear()

    async def wait(self) -> None:
        """Wait until something waits."""
        await self._wake.wait()
        self._wake.clear()

    async def send(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Send all that waits."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if waiting is _Place.PING:
                await socket.ping()
                continue
            message = self._pongs.take() if waiting is _Place.PONG else waiting
            if isinstance(message, bytes):
                await socket.pong(message)
            elif message is not None:
                if logger.isEnabledFor(logging.DEBUG):
                    log_frame(">>>", message.encode())
                await socket.send_str(message)
            self._moved += 1

    def standstill(self, size: int, now: float) -> float:
        """Return for how many seconds nothing has moved, as far as was looked.

        Args:
            size: How many bytes wait in the transport: the other side has not taken them.
            now: The time in seconds.
        """
        seen = (size, self._moved)
        if size == 0 or seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since

    def _put(self, waiting: str | _Place) -> None:
        self._waiting.append(waiting)
        self._wake.set()
