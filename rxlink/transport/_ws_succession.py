"""What becomes of the connection when there are newer tokens: it goes over to them, or parts with the login before."""

from __future__ import annotations

import asyncio
from typing import Protocol

from rxlink.errors import SocketClosed
from rxlink.transport._ws_closes import CLIENT_RESTART
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_parting import Parting
from rxlink.transport._ws_placement import Placement
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_sockets import Sockets
from rxlink.transport._ws_token_watch import KEEP, TokenWatch
from rxlink.transport._ws_tokens import SessionTokens

__all__ = ["Succession", "SuccessionOwner"]

RECONNECT = "reconnect"
"""The policy for a new token with which the older socket closes before the newer one opens."""
GOODBYE = "Client Restart"


class SuccessionOwner(Protocol):
    """Who opens and closes sockets."""

    @property
    def is_closed(self) -> bool:
        """Whether the link was closed."""
        ...

    def open(self) -> None:
        """Have a socket opened, unless one is."""

    def close(self, socket: Socket, code: int, reason: str, /) -> None:
        """Close a socket."""

    def close_normally(self, socket: Socket, /) -> None:
        """Close a socket that nobody needs."""


class Succession:
    """Sees to it that the connection has the tokens in use.

    Args:
        options: Of the link.
        tokens: The session whose tokens its sockets have, None for none.
        sockets: The sockets.
        operations: What runs on them.
        loop: The event loop.
        owner: Who opens and closes sockets.
    """

    __slots__ = ("_loop", "_operations", "_options", "_owner", "_parting", "_sockets", "_tokens", "_watch")

    def __init__(
        self,
        options: WebSocketOptions,
        tokens: SessionTokens | None,
        sockets: Sockets,
        operations: Placement,
        loop: asyncio.AbstractEventLoop,
        owner: SuccessionOwner,
    ) -> None:
        self._options = options
        self._tokens = tokens
        self._sockets = sockets
        self._operations = operations
        self._loop = loop
        self._owner = owner
        self._parting = Parting(loop, options.keep_alive_timeout, self._part)
        self._watch = TokenWatch(tokens, options.on_new_token, loop, self.look)

    @property
    def is_parting(self) -> bool:
        """Whether the current socket will close as soon as it owes no answers."""
        return self._parting.is_under_way

    def begin(self) -> None:
        """Hear of newer tokens."""
        self._watch.begin()

    def end(self) -> None:
        """Hear of nothing any more."""
        self._watch.end()

    def look(self) -> None:
        """Go over to the newer token, or part with the login before."""
        tokens = self._tokens
        if tokens is None or self._owner.is_closed or self._loop.is_closed() or (epoch := tokens.epoch) is None:
            return
        self._operations.part_with_logins_before(epoch)
        for socket in [socket for socket in self._sockets.all() if socket.ticket.epoch not in {None, epoch}]:
            self._owner.close_normally(socket)
        current = self._sockets.current
        if current is None:
            if self._operations or not self._options.is_lazy:
                self._owner.open()
        elif self.is_outdated():
            self._move(current)
        self.look_ahead()

    def look_ahead(self) -> None:
        """Look at the tokens when they are due, as long as a socket lives on them."""
        if self._sockets.current is not None:
            self._watch.look_ahead()
        else:
            self.look_away()

    def look_away(self) -> None:
        """Look at them no more: there is no current socket."""
        self._watch.look_away()
        self._parting.stop()

    def is_outdated(self) -> bool:
        """Tell whether the current socket should make place for one with newer tokens."""
        tokens, current = self._tokens, self._sockets.current
        if tokens is None or current is None or self._sockets.handover is not None:
            return False
        return self._options.on_new_token != KEEP and not tokens.is_current(current.ticket.credential)

    def part_if_answered(self) -> None:
        """Go over to another socket when the current one has answered what it should answer first."""
        is_kept = bool(self._operations) or not self._options.is_lazy  # else it closes soon anyway
        current = self._sockets.current
        if is_kept and self.is_parting and current is not None and not self._operations.owes_answers(current):
            self._parting.end()

    def _move(self, older: Socket) -> None:
        """Open a socket with the token that is in use now, in the place of the one that there is."""
        if self._options.on_new_token != RECONNECT or self._sockets.opening is not None:
            self._owner.open()
        elif not self._operations.owes_answers(older):
            self._part()
        else:
            self._parting.begin()

    def _part(self) -> None:
        """Close the current socket before there is another one."""
        older = self._sockets.current
        if older is not None:
            self._owner.close(older, CLIENT_RESTART, GOODBYE)
            self._operations.lose(older, SocketClosed(CLIENT_RESTART, GOODBYE, retryable=True))
            self._owner.open()
