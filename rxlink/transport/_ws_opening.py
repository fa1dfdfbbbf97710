"""With what a WebSocket is opened: the address, what the server is told first, and the token in it."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from rxlink.transport._sessions import Sessions
from rxlink.transport._uri import Target
from rxlink.transport._ws_closes import masked
from rxlink.transport._ws_handshake import secrets_of, shake_hands, written_params
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_tokens import Pass, SessionTokens

__all__ = ["Opening"]


class Opening:
    """With what a socket is opened.

    Args:
        options: Of the link.
        sessions: Who opens it.
        tokens: The session whose token the server is told, None for none.

    Attributes:
        params: What it is told first, as JSON; None for nothing.
        ticket: Which token that is.
    """

    __slots__ = ("_options", "_sessions", "_target", "_tokens", "params", "ticket")

    def __init__(self, options: WebSocketOptions, sessions: Sessions, tokens: SessionTokens | None) -> None:
        self._options = options
        self._sessions = sessions
        self._tokens = tokens
        self._target: Target | None = None
        self.params: str | None = None
        self.ticket = Pass()

    async def gather(self) -> None:
        """Gather all; a refresh happens here, before the server begins to wait (E93)."""
        options, tokens, token = self._options, self._tokens, {}
        if tokens is not None:
            self.ticket = await tokens.obtain()
        params = await options.current_params()
        if tokens is not None:
            while not tokens.is_current(self.ticket.credential):  # the user's function took its time
                self.ticket = await tokens.obtain()
            if self.ticket.credential is not None:
                token = tokens.params(self.ticket.credential)
        if params is not None or token:
            self.params = written_params({**(params or {}), **token}, options.link)
        target = self._target = await options.current_url()
        if tokens is not None and self.ticket.credential is not None:
            tokens.check_way(target)

    async def connect(self) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open the socket."""
        target = self._target
        assert target is not None, "gathered before"
        session = self._sessions.opened(None) or await self._sessions.open(None)
        return await shake_hands(session, target, self._options, f"the WebSocket at {target}")

    def masked(self, words: str) -> str:
        """Blot out of a server's words what was sent to it and may be secret."""
        secrets = [] if self._target is None else secrets_of(self._target)
        if self._tokens is not None:
            secrets += self._tokens.secrets()
        params: Any = json.loads(self.params or "null")
        return masked(words, params, self._options.headers, secrets)
