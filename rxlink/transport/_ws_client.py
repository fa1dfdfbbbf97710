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
from rxlink.transport._ws_closes import CLIENT_RESTART, NORMAL, as_error
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
from rxlink.transport._ws_parting import Parting
from rxlink.transport._ws_pings import PongHabits
from rxlink.transport._ws_placement import Placement
from rxlink.transport._ws_resumption import Resumption
from rxlink.transport._ws_retrying import Retrying, Verdict
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_sockets import Sockets
from rxlink.transport._ws_token_watch import KEEP, TokenWatch
from rxlink.transport._ws_tokens import SessionTokens, TokenRefused

__all__ = ["SocketClient"]

RECONNECT = "reconnect"
"""The policy for a new token with which the older socket closes before the newer one opens."""


class SocketClient:
    """The connection of a link on one event loop.

    Args:
        options: Of the link.
        sessions: Who opens sockets.
        tokens: The session with whose tokens they are opened, None for none.
        announcer: Who is told what happens.
        loop: The event loop.

    Attributes:
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
        self._parting = Parting(loop, options.keep_alive_timeout, self._part)
        self._watch = TokenWatch(tokens, options.on_new_token, loop, self._tokens_changed)
        self._next: tuple[Socket, Mapping[str, Any] | None] | None = None
        self._is_judging = False
        self._is_closed = False

    # -- for operations -----------------------------------------------------------------------------------------------

    @property
    def is_parting(self) -> bool:
        """Whether the current socket will close as soon as it owes no answers."""
        return self._parting.is_under_way

    def wake(self) -> None:
        """Have a socket open, or opened."""
        self._rest_alarm.stop()
        self._watch.begin()
        if self._sockets.current is None:
            self.open()

    def open(self, retries: int | None = None) -> None:
        """Have a socket opened, unless one is: now, or after the wait for so many tries."""
        sockets = self._sockets
        if sockets.opening is None and not (self._is_closed or self._is_judging or self.is_parting):
            self._opening_state = WebSocketState.CONNECTING if retries is None else WebSocketState.RETRYING
            sockets.opening = Socket(self._options, self._sessions, self._tokens, self, retries, self._loop)
        if sockets.opening is not None and sockets.current is None:
            self._announcer.stand(self._opening_state)

    def rest_if_idle(self) -> None:
        """Close the sockets that nobody needs, the last one after the time that was asked for."""
        self._close_unneeded()
        self._part_if_answered()
        if self.operations or not self._options.is_lazy or self._is_closed or self._rest_alarm.is_set:
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
        self._look_ahead()
        if self._tokens is not None:
            self._tokens_changed()
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
        if self._is_closed:
            return
        if self._sockets.opening is None and not self.is_parting:
            self._decide(socket, error)
        elif self._sockets.current is None:
            self._announcer.stand(self._opening_state)
        self._go_on_with_next()
        self._close_unneeded()

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _tokens_changed(self) -> None:
        """Go over to the newer token, or part with the login before."""
        tokens = self._tokens
        if tokens is None or self._is_closed or self._loop.is_closed() or (epoch := tokens.epoch) is None:
            return
        self.operations.part_with_logins_before(epoch)
        for socket in [socket for socket in self._sockets.all() if socket.ticket.epoch not in {None, epoch}]:
            self._close(socket)
        current = self._sockets.current
        if current is None:
            if self.operations or not self._options.is_lazy:
                self.open()
        elif self._is_outdated():
            self._move(current)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Look at the tokens when they are due, as long as a socket lives on them."""
        if self._sockets.current is not None:
            self._watch.look_ahead()
        else:
            self._watch.look_away()
            self._parting.stop()

    def _is_outdated(self) -> bool:
        """Tell whether the current socket should make place for one with newer tokens."""
        tokens, current = self._tokens, self._sockets.current
        if (
            tokens is None
            or current is None
            or self._sockets.handover is not None
            or self._options.on_new_token == KEEP
        ):
            return False
        return not tokens.is_current(current.ticket.credential)

    def _move(self, older: Socket) -> None:
        """Open a socket with the token that is in use now, in the place of the one that there is."""
        if self._options.on_new_token != RECONNECT or self._sockets.opening is not None:
            self.open()
        elif not self.operations.owes_answers(older):
            self._part()
        else:
            self._parting.begin()

    def _part_if_answered(self) -> None:
        """Go over to another socket when the current one has answered what it should answer first."""
        is_kept = bool(self.operations) or not self._options.is_lazy  # else it closes soon anyway
        current = self._sockets.current
        if is_kept and self.is_parting and current is not None and not self.operations.owes_answers(current):
            self._parting.end()

    def _part(self) -> None:
        """Close the current socket before there is another one."""
        older = self._sockets.current
        if older is not None:
            self._close(older, CLIENT_RESTART, "Client Restart")
            self.operations.lose(older, SocketClosed(CLIENT_RESTART, "Client Restart", retryable=True))
            self.open()

    def _handed_over(self, handover: Handover) -> None:
        """What could go over to the newer socket has done so."""
        self._sockets.handover = None
        if (event := handover.event()) is not None:
            self._announcer.tell(event)
        self._go_on_with_next()
        self.rest_if_idle()
        if self._tokens is not None:
            self._tokens_changed()

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
        self._look_ahead()

    def _close_unneeded(self) -> None:
        """Close the older sockets on which nothing is under way any more."""
        for socket in self._sockets.unneeded():
            self._close(socket)

    def _close(self, socket: Socket, code: int = NORMAL, reason: str = "Normal Closure") -> None:
        """Close a socket that nobody needs."""
        if socket is self._sockets.current:
            self._watch.look_away()
            self._parting.stop()
        self._sockets.close(socket, code, reason)
        self._resumption.leave(socket)

    # -- after a loss -------------------------------------------------------------------------------------------------

    def _decide(self, socket: Socket, error: Exception) -> None:
        """After a socket is gone: open another one, now or later, or tell those who wait."""
        is_kept = self._sockets.current is None and not self._options.is_lazy
        if not (self.operations.waiting() or is_kept or self._is_outdated()):
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
        self._is_closed = True
        for operation in self.operations.all():
            operation.fail(ClientClosed(self._options.link))
        self._rest()
        await self._sockets.wait_closed()

    def _rest(self) -> None:
        self._rest_alarm.stop()
        if self.operations and not self._is_closed:
            return
        self._watch.end()
        self._retrying.reset()
        for socket in self._sockets.all():
            self._close(socket)
        if self._sockets.current is None and self._sockets.opening is None:  # else an observer has begun an operation
            self._announcer.stand(WebSocketState.IDLE)
