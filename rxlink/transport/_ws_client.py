"""The connection of a link on one event loop: when a socket is opened, and which takes the place of which.

::

    (nobody) ──► opening ──► current ──► (a newer one is current) ──► retiring ──► closed
                  ▲   │         │
                  └───┴─────────┘  lost: open again, after a wait, until the tries are used up
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from rxlink.errors import ClientClosed, SocketClosed
from rxlink.transport._sessions import Sessions
from rxlink.transport._ws_alarm import Alarm
from rxlink.transport._ws_closes import NORMAL, as_error
from rxlink.transport._ws_events import (
    Announcer,
    WebSocketClosed,
    WebSocketConnected,
    WebSocketConnecting,
    WebSocketRetrying,
    WebSocketState,
)
from rxlink.transport._ws_handover import Handover
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_pings import PongHabits
from rxlink.transport._ws_placement import Placement
from rxlink.transport._ws_resumption import Resumption
from rxlink.transport._ws_retrying import Retrying, Verdict
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_sockets import Sockets
from rxlink.transport._ws_succession import Succession
from rxlink.transport._ws_tokens import SessionTokens, TokenRefused

__all__ = ["SocketClient"]


class SocketClient:
    """The connection of a link on one event loop.

    Args:
        options: Of the link.
        sessions: Who opens sockets.
        tokens: The session with whose tokens they are opened, None for none.
        announcer: Who is told what happens.
        loop: The event loop.

    Attributes:
        is_closed: Whether the link was closed.
        operations: What runs.
        pong_habits: What is known of the server's pongs.
    """

    def __init__(
        self,
        options: WebSocketOptions,
        sessions: Sessions,
        tokens: SessionTokens | None,
        announcer: Announcer,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._options = options
        self._sessions = sessions
        self._tokens = tokens
        self._announcer = announcer
        self._loop = loop
        self._retrying = Retrying(options, tokens, loop)
        self._sockets = Sockets(announcer)
        self.pong_habits = PongHabits()
        self._resumption = Resumption(options, loop, announcer.tell)
        self.operations = Placement(options, tokens, self._sockets, self._retrying, self._resumption, self)
        self._opening_state = WebSocketState.CONNECTING
        self._rest_alarm = Alarm(loop)
        self._succession = Succession(options, tokens, self._sockets, self.operations, loop, self)
        self._next: tuple[Socket, Mapping[str, Any] | None] | None = None
        self._is_judging = False
        self.is_closed = False

    # -- for operations -----------------------------------------------------------------------------------------------

    @property
    def is_parting(self) -> bool:
        """Whether the current socket will close as soon as it owes no answers."""
        return self._succession.is_parting

    def wake(self) -> None:
        """Have a socket open, or opened."""
        self._rest_alarm.stop()
        self._succession.begin()
        if self._sockets.current is None:
            self.open()

    def open(self, retries: int | None = None) -> None:
        """Have a socket opened, unless one is: now, or after the wait for so many tries."""
        sockets = self._sockets
        if sockets.opening is None and not (self.is_closed or self._is_judging or self.is_parting):
            self._opening_state = WebSocketState.CONNECTING if retries is None else WebSocketState.RETRYING
            sockets.opening = Socket(self._options, self._sessions, self._tokens, self, retries, self._loop)
        if sockets.opening is not None and sockets.current is None:
            self._announcer.stand(self._opening_state)

    def rest_if_idle(self) -> None:
        """Close the sockets that nobody needs, the last one after the time that was asked for."""
        self._close_unneeded()
        self._succession.part_if_answered()
        if self.operations or not self._options.is_lazy or self.is_closed or self._rest_alarm.is_set:
            return
        # Not at once: whoever has waited for the last result may go on with the next operation.
        is_lost = self._sockets.current is None and self._retrying.is_retry
        self._rest_alarm.set(0.0 if is_lost else self._options.lazy_close_timeout, self._rest)

    # -- for sockets --------------------------------------------------------------------------------------------------

    def on_opening(self, socket: Socket) -> None:
        """A socket begins to connect."""
        self._opening_state = WebSocketState.CONNECTING
        if self._sockets.current is None:
            self._announcer.stand(WebSocketState.CONNECTING)
        self._announcer.tell(WebSocketConnecting(self._retrying.is_retry))

    def on_ready(self, socket: Socket, payload: Mapping[str, Any] | None) -> None:
        """Operations may be sent on a socket: it takes the place of the one before, when that has the operations."""
        handover = self._sockets.handover
        if handover is not None and not handover.have_gone:
            self._next = (socket, payload)
            self.operations.place_waiting()
            return
        if handover is not None:
            handover.finish()
        if socket.is_over or socket is not self._sockets.opening:  # an observer has signed out, or closed the link
            return
        older = self._sockets.promote(socket)
        was_retry = self._retrying.connected()
        self._announcer.stand(WebSocketState.CONNECTED)
        self._announcer.tell(WebSocketConnected(was_retry, payload))
        if socket.is_over:  # an observer has closed the link
            return
        if older is not None:
            moving = self.operations.moving(older)
            self._sockets.handover = Handover(older, socket, moving, self._options, self._loop, self._handed_over)
            self._sockets.handover.begin()
        self.operations.place_waiting()
        self._succession.look_ahead()
        self._succession.look()
        self.rest_if_idle()

    def on_closed(self, socket: Socket, error: Exception) -> None:
        """A socket is gone, or could not be opened."""
        code, reason = (error.code, error.reason) if isinstance(error, SocketClosed) else (None, type(error).__name__)
        self._part_with(socket)
        # What observers begin now waits for the decision, as what was lost does.
        self._is_judging = True
        try:
            self._announcer.tell(WebSocketClosed(code, reason))
            self.operations.lose(socket, error)
        finally:
            self._is_judging = False
        if self.is_closed:
            return
        if self._sockets.opening is None and not self.is_parting:
            self._decide(socket, error)
        elif self._sockets.current is None:
            self._announcer.stand(self._opening_state)
        self._go_on_with_next()
        self._close_unneeded()

    # -- from one to the next -----------------------------------------------------------------------------------------

    def _handed_over(self, handover: Handover) -> None:
        """What could go over to the newer socket has done so."""
        self._sockets.handover = None
        if (event := handover.event()) is not None:
            self._announcer.tell(event)
        self._go_on_with_next()
        self.rest_if_idle()
        self._succession.look()

    def _go_on_with_next(self) -> None:
        """Go on with a socket that was ready before the handover to the current one was done."""
        if self._next is not None and self._sockets.handover is None:
            (socket, payload), self._next = self._next, None
            self.on_ready(socket, payload)

    # -- sockets ------------------------------------------------------------------------------------------------------

    def _part_with(self, socket: Socket) -> None:
        """A socket has ended by itself."""
        failed = self._sockets.part_with(socket)
        if failed is not None:
            self._resumption.may_repeat |= failed.have_gone  # of that overlap nothing was told yet
        self._succession.look_ahead()

    def _close_unneeded(self) -> None:
        """Close the older sockets on which nothing is under way any more; with one, a handover may have ended."""
        for socket in self._sockets.unneeded():
            self.close_normally(socket)
        if self._next is not None:
            self._go_on_with_next()

    def close_normally(self, socket: Socket) -> None:
        """Close a socket that nobody needs."""
        self.close(socket, NORMAL, "Normal Closure")

    def close(self, socket: Socket, code: int, reason: str) -> None:
        """Close a socket."""
        if socket is self._sockets.current:
            self._succession.look_away()
        self._sockets.close(socket, code, reason)
        self._resumption.leave(socket)

    # -- after a loss -------------------------------------------------------------------------------------------------

    def _decide(self, socket: Socket, error: Exception) -> None:
        """After a socket is gone: open another one, now or later, or tell those who wait."""
        is_kept = self._sockets.current is None and not self._options.is_lazy
        if not (self.operations.waiting() or is_kept or self._succession.is_outdated()):
            if self._sockets.current is None:
                self._retrying.reset(keeps_refusal=bool(self._sockets.all()))
                if not self.operations:  # else they end on an older one
                    self._announcer.stand(WebSocketState.IDLE)
            return
        try:
            verdict = self._retrying.judge(socket, error)
        except (Exception, asyncio.CancelledError, GeneratorExit) as failure:  # noqa: BLE001 - users' functions decide
            verdict, error = Verdict.FAIL, as_error(failure)
        if verdict is Verdict.FAIL:
            self._give_up(error)
            return
        retries = self._retrying.next_try() if verdict is Verdict.LATER else None
        self._retrying.is_retry = True
        self.open(retries)
        if retries is not None:
            self._announcer.tell(WebSocketRetrying(retries))

    def _give_up(self, error: Exception) -> None:
        """End the operations that have no socket."""
        waiting, refusal = self.operations.waiting(), self._retrying.refusal
        self._retrying.reset(keeps_refusal=bool(self._sockets.all()))
        if self._sockets.current is None:
            self._announcer.stand(WebSocketState.IDLE)
            if not self._options.is_lazy:
                self._options.tell_non_lazy(refusal or error if isinstance(error, TokenRefused) else error)
        for operation in waiting:
            operation.fail(operation.error_without_socket(error, refusal))
        self.rest_if_idle()

    # -- the end ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close all; operations get ``ClientClosed``."""
        self.is_closed = True
        for operation in self.operations.all():
            operation.fail(ClientClosed(self._options.link))
        self._rest()
        await self._sockets.wait_closed()

    def _rest(self) -> None:
        self._rest_alarm.stop()
        if self.operations and not self.is_closed:
            return
        self._succession.end()
        self._retrying.reset()
        for socket in self._sockets.all():
            self.close_normally(socket)
        if self._sockets.current is None and self._sockets.opening is None:  # else an observer has begun an operation
            self._announcer.stand(WebSocketState.IDLE)
