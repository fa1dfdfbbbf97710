"""Which sockets a link has on one event loop, each in its part.

There is at most one *current* socket, on which operations begin, and one that is *opening* to take its place. What ran
on an older one goes over (:mod:`rxlink.transport._ws_handover`), or ends there. ::

    opening ──► current ──► (a newer one is current) ──► retiring ──► closed
"""

from __future__ import annotations

import asyncio

from rxlink.transport._ws_closes import NORMAL
from rxlink.transport._ws_events import Announcer, WebSocketClosed
from rxlink.transport._ws_handover import Handover
from rxlink.transport._ws_socket import Socket

__all__ = ["Sockets"]


class Sockets:
    """The sockets of a link on one event loop.

    Args:
        announcer: Who is told when one is closed.

    Attributes:
        current: Which operations go over to; None for none.
        opening: Which will take its place; None for none.
        handover: From an older one to the current one, as long as it lasts.
    """

    __slots__ = ("_announcer", "_closing", "_retiring", "current", "handover", "opening")

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._closing: set[asyncio.Task[None]] = set()
        self._retiring: dict[Socket, None] = {}
        self.current: Socket | None = None
        self.opening: Socket | None = None
        self.handover: Handover | None = None

    def all(self) -> list[Socket]:
        """Return all that are not closed: first those that whoever begins something looks for."""
        named = (self.opening, self.current)
        return [*(socket for socket in named if socket is not None), *self._retiring]

    @property
    def newest(self) -> Socket | None:
        """The newest one that is ready: the current one, or one that waits until a handover to that is done."""
        return self.opening if self.opening is not None and self.opening.is_ready else self.current

    def promote(self, socket: Socket) -> Socket | None:
        """Make the one that was opening the current one; return which was it before."""
        older, self.current, self.opening = self.current, socket, None
        if older is not None:
            self._retiring[older] = None
        return older

    def part_with(self, socket: Socket) -> Handover | None:
        """One has ended by itself; return the handover that has failed with it."""
        self._see_through(socket.close())
        self._retiring.pop(socket, None)
        handover = self.handover
        if socket is self.opening:
            self.opening = None
        elif socket is self.current:
            self.current = None
            if handover is not None and handover.newer is socket:
                self._take_back(handover)
                return handover
        elif handover is not None and handover.older is socket:
            handover.lose_older()
        return None

    def close(self, socket: Socket, code: int = NORMAL, reason: str = "Normal Closure") -> None:
        """Close one that nobody needs, and see to it in the background that it is closed."""
        self._retiring.pop(socket, None)
        if self.handover is not None and socket in {self.handover.older, self.handover.newer}:
            self.handover.abandon()
            self.handover = None
        if socket is self.opening:
            self.opening = None
        was_open = socket.is_ready
        if socket is self.current:
            self.current = None
        self._see_through(socket.close(code, reason))
        if was_open:
            self._announcer.tell(WebSocketClosed(code, reason))

    def unneeded(self) -> list[Socket]:
        """Return the older ones on which nothing is under way any more."""
        return [socket for socket in self._retiring if not self._is_needed(socket)]

    async def wait_closed(self) -> None:
        """Wait until all that were closed are."""
        if self._closing:
            await asyncio.wait(self._closing)

    def _take_back(self, handover: Handover) -> None:
        """The current one is gone; the one before is current again, if it still stands and nothing has left it.

        What has left it does not come back: its id may still be in use there.
        """
        may_stay = handover.may_stay
        handover.abandon()
        self.handover = None
        if not may_stay:
            handover.lose_operations()
        elif handover.older.is_ready:
            self._retiring.pop(handover.older, None)
            self.current = handover.older

    def _is_needed(self, older: Socket) -> bool:
        """Tell whether something runs on one that is no longer current, or goes over from it."""
        handover = self.handover
        is_left = handover is not None and handover.older is older and handover.has_operations
        return is_left or bool(older.conversation.receivers)

    def _see_through(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
