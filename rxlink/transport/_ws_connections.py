"""The connections of a link: one for each event loop on which it is used."""

from __future__ import annotations

import asyncio

from rxlink.auth.loops import call_on
from rxlink.transport._sessions import Sessions
from rxlink.transport._ws_client import SocketClient
from rxlink.transport._ws_events import Announcer
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_tokens import SessionTokens

__all__ = ["Connections"]


class Connections:
    """The connections of a link.

    Args:
        options: Of the link.
        sessions: Who opens sockets.
        tokens: The session with whose tokens they are opened, None for none.
        announcer: Who is told what happens.

    Attributes:
        is_closed: Whether the link was closed.
    """

    def __init__(
        self, options: WebSocketOptions, sessions: Sessions, tokens: SessionTokens | None, announcer: Announcer
    ) -> None:
        self._options = options
        self._sessions = sessions
        self._tokens = tokens
        self._announcer = announcer
        self._clients: dict[asyncio.AbstractEventLoop, SocketClient] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.is_closed = False

    def on(self, loop: asyncio.AbstractEventLoop) -> SocketClient:
        """Return the one on a loop."""
        client = self._clients.get(loop)
        if client is None:
            self._clients = {known: client for known, client in self._clients.items() if not known.is_closed()}
            client = SocketClient(self._options, self._sessions, self._tokens, self._announcer, loop)
            self._clients[loop] = client
        return client

    async def aclose(self) -> None:
        """Close all: those of other loops do so there, soon."""
        self.is_closed = True
        here = asyncio.get_running_loop()
        for loop in list(self._clients):
            if loop is not here and loop.is_running():
                call_on(loop, self._begin_to_close)
        await self._close_here()

    def _begin_to_close(self) -> None:
        closing = asyncio.get_running_loop().create_task(self._close_here())
        self._closing.add(closing)  # a loop holds its tasks weakly
        closing.add_done_callback(self._closing.discard)

    async def _close_here(self) -> None:
        """Close what belongs to this event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is not None:
            await client.aclose()  # also where somebody else is at it: the session closes after the sockets
            self._clients.pop(loop, None)
        await self._sessions.aclose()
        if not any(other.is_running() for other in list(self._clients)):
            self._announcer.close()
