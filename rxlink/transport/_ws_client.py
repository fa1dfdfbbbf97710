"""The sockets of a link on one event loop, and the operations that they carry.

There is at most one *current* socket, on which operations begin, and one that is *opening* to take its place. What ran
on an older one goes over (:mod:`rxlink.transport._ws_handover`), or, where that was lost, is sent again; a query or a
mutation that is under way on an older one ends there. ::

    (nobody) ──► opening ──► current ──► (a newer one is current) ──► retiring ──► closed
                  ▲   │         │
                  └───┴─────────┘  lost: open again, after a wait, until the tries are used up
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context
from typing import Any

from rxlink.core.result import FetchResult
from rxlink.core.work import report_callback_error
from rxlink.errors import ClientClosed, SessionEnded, SocketClosed
from rxlink.transport._sessions import Sessions
from rxlink.transport._ws_closes import CLIENT_RESTART, NORMAL, as_error
from rxlink.transport._ws_events import (
    Announcer,
    Resubscribed,
    WebSocketClosed,
    WebSocketConnected,
    WebSocketConnecting,
    WebSocketRetrying,
    WebSocketState,
)
from rxlink.transport._ws_handover import Handover
from rxlink.transport._ws_operation import Leg, LiveOperation
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_parting import Parting
from rxlink.transport._ws_retrying import Retrying, Verdict
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_token_watch import KEEP, TokenWatch
from rxlink.transport._ws_tokens import SessionTokens, TokenRefused

__all__ = ["SocketClient"]

RECONNECT = "reconnect"
"""The policy for a new token with which the older socket closes before the newer one opens."""


class SocketClient:
    """The sockets of a link on one event loop.

    Args:
        options: Of the link.
        sessions: Who opens sockets.
        tokens: The session with whose tokens they are opened, None for none.
        announcer: Who is told what happens.
        loop: The event loop.
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
        self._retrying = Retrying(options, tokens)
        self._operations: dict[LiveOperation, None] = {}
        self._identities: set[str] = set()
        self._current: Socket | None = None
        self._opening: Socket | None = None
        self._opening_state = WebSocketState.CONNECTING
        self._handover: Handover | None = None
        self._retiring: dict[Socket, None] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._rest_timer: asyncio.Handle | None = None
        self._parting = Parting(loop, options.keep_alive_timeout, self._part)
        self._watch = TokenWatch(tokens, options.on_new_token, loop, self._tokens_changed)
        self._is_judging = False
        self._may_repeat = False
        self._is_closed = False

    # -- operations ---------------------------------------------------------------------------------------------------

    def add(self, operation: LiveOperation) -> None:
        """Run an operation, as soon as there is a socket for it."""
        self._operations[operation] = None
        self._identities.add(operation.identity)
        self.wake()
        if not operation.is_over and operation.leg is None:
            self._place(operation)

    def wake(self) -> None:
        """Have a socket open, or opened."""
        self._stop_rest_timer()
        self._watch.begin()
        if self._current is None:
            self._open()

    def has_identity(self, identity: str) -> bool:
        """Tell whether an operation with this id runs."""
        return identity in self._identities

    def forget(self, operation: LiveOperation) -> None:
        """An operation has ended, or its subscriber has left."""
        if operation in self._operations:
            del self._operations[operation]
            self._identities.discard(operation.identity)

    def rest_if_idle(self) -> None:
        """Close the sockets that nobody needs, the last one after the time that was asked for."""
        self._close_unneeded()
        self._part_if_answered()
        if self._operations or not self._options.is_lazy or self._is_closed or self._rest_timer is not None:
            return
        is_lost = self._current is None and self._retrying.is_retry
        seconds = 0.0 if is_lost else self._options.lazy_close_timeout
        # Not at once: whoever has waited for the last result may go on with the next operation.
        context = Context()
        self._rest_timer = (
            self._loop.call_later(seconds, self._rest, context=context)
            if seconds
            else self._loop.call_soon(self._rest, context=context)
        )

    def is_denied(self, operation: LiveOperation, leg: Leg, answer: FetchResult | Exception) -> bool:
        """Take an answer that may mean that the token is no longer good; tell whether the operation goes on.

        It does so with a newer token, once: where it is denied again it ends, and it alone (E90).
        """
        tokens, credential = self._tokens, leg.socket.ticket.credential
        if tokens is None or credential is None or not tokens.is_denied(operation.operation, answer):
            return False
        if tokens.has_had_its_time(credential, leg.socket.age):
            tokens.accept(credential)
        elif operation.was_denied:
            return False
        tokens.refuse(credential)
        operation.was_denied = True
        if not operation.goes_again(retries_mutations=self._options.retries_mutations):
            tokens.look()
            return False
        operation.denial = answer
        leg.leave()
        if operation.coming is not None:
            operation.switch()
        else:
            operation.lose()
            self._place(operation)
        self.rest_if_idle()
        return True

    def on_served(self) -> None:
        """A server has sent a result."""
        self._retrying.served()

    # -- for sockets --------------------------------------------------------------------------------------------------

    def on_opening(self, socket: Socket) -> None:
        """A socket begins to connect."""
        self._opening_state = WebSocketState.CONNECTING
        if self._current is None:
            self._announcer.stand(WebSocketState.CONNECTING)
        self._announcer.tell(WebSocketConnecting(self._retrying.is_retry))

    def on_ready(self, socket: Socket, payload: Mapping[str, Any] | None) -> None:
        """Operations may be sent on a socket: it takes the place of the one before."""
        if self._handover is not None:
            self._handover.finish()
        older, self._current, self._opening = self._current, socket, None
        if older is not None:
            self._retiring[older] = None
        was_retry = self._retrying.connected()
        self._announcer.stand(WebSocketState.CONNECTED)
        self._announcer.tell(WebSocketConnected(was_retry, payload))
        if socket.is_over:  # an observer has closed the link
            return
        if older is not None:
            self._begin_handover(older, socket)
        self._place_waiting()
        self._look_ahead()
        if self._tokens is not None:
            self._tokens_changed()
        self.rest_if_idle()

    def on_closed(self, socket: Socket, error: Exception) -> None:
        """A socket is gone, or could not be opened."""
        code, reason = (error.code, error.reason) if isinstance(error, SocketClosed) else (None, type(error).__name__)
        self._see_through(socket.close())
        self._part_with(socket)
        # What observers begin now waits for the decision, as what was lost does.
        self._is_judging = True
        try:
            self._announcer.tell(WebSocketClosed(code, reason))
            self._lose_operations_of(socket, error)
        finally:
            self._is_judging = False
        if self._is_closed:
            return
        if self._opening is None and not self._parting.is_under_way:
            self._decide(socket, error)
        elif self._current is None:
            self._announcer.stand(self._opening_state)
        self._close_unneeded()

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _tokens_changed(self) -> None:
        """Go over to the newer token, or part with the login before."""
        tokens = self._tokens
        if tokens is None or self._is_closed or self._loop.is_closed() or (epoch := tokens.epoch) is None:
            return
        for operation in list(self._operations):
            if operation.epoch not in {None, epoch}:
                operation.fail(self._farewell_of(operation, tokens))
        for socket in [socket for socket in self._sockets() if socket.ticket.epoch not in {None, epoch}]:
            self._close(socket)
        if self._current is None:
            if self._operations or not self._options.is_lazy:
                self._open()
        elif self._is_outdated():
            self._move(self._current)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Look at the tokens when they are due, as long as a socket lives on them."""
        if self._current is not None:
            self._watch.look_ahead()

    def _look_away(self) -> None:
        """There is no current socket any more."""
        self._watch.look_away()
        self._parting.stop()

    def _farewell_of(self, operation: LiveOperation, tokens: SessionTokens) -> SessionEnded:
        """Return why an operation of the login before cannot go on, with what the server had said if it waited."""
        error = tokens.parted()
        answer = operation.denial or (self._retrying.refusal if operation.leg is None else None)
        return error if answer is None else error.for_operation(operation.operation.operation_name, answer)

    def _is_outdated(self) -> bool:
        """Tell whether the current socket should make place for one with newer tokens."""
        tokens, current = self._tokens, self._current
        if tokens is None or current is None or self._handover is not None or self._options.on_new_token == KEEP:
            return False
        return not tokens.is_current(current.ticket.credential)

    def _move(self, older: Socket) -> None:
        """Open a socket with the token that is in use now, in the place of the one that there is."""
        if self._options.on_new_token != RECONNECT or self._opening is not None:
            self._open()
        elif not self._owes_answers(older):
            self._part()
        else:
            self._parting.begin()

    def _owes_answers(self, socket: Socket) -> bool:
        """Tell whether queries or mutations are under way on a socket, which end there."""
        return any(operation.runs_on(socket) and not operation.streams for operation in self._operations)

    def _part_if_answered(self) -> None:
        """Go over to another socket when the current one has answered what it should answer first."""
        is_kept = bool(self._operations) or not self._options.is_lazy  # else it closes soon anyway
        current = self._current
        if is_kept and self._parting.is_under_way and current is not None and not self._owes_answers(current):
            self._parting.end()

    def _part(self) -> None:
        """Close the current socket before there is another one."""
        older = self._current
        if older is not None:
            self._close(older, CLIENT_RESTART, "Client Restart")
            self._lose_operations_of(older, SocketClosed(CLIENT_RESTART, "Client Restart", retryable=True))
            self._open()

    def _begin_handover(self, older: Socket, newer: Socket) -> None:
        moving = [operation for operation in self._operations if operation.runs_on(older) and operation.streams]
        self._handover = Handover(older, newer, moving, self._options, self._loop, self._handed_over)
        self._handover.begin()

    def _handed_over(self, handover: Handover) -> None:
        """What could go over to the newer socket has done so."""
        self._handover = None
        moved = [operation for operation in handover.operations if not operation.is_over]
        if moved:
            has_gap = handover.may_have_gap or any(operation.has_left_early for operation in moved)
            has_duplicates = self._options.dedup_key is None
            operations = tuple(operation.operation for operation in moved)
            self._announcer.tell(Resubscribed(operations, may_have_gap=has_gap, may_have_duplicates=has_duplicates))
        self.rest_if_idle()
        if self._tokens is not None:
            self._tokens_changed()

    # -- sockets ------------------------------------------------------------------------------------------------------

    def _open(self, retries: int | None = None) -> None:
        is_possible = not (self._is_closed or self._is_judging or self._parting.is_under_way)
        if self._opening is None and is_possible:
            self._opening_state = WebSocketState.CONNECTING if retries is None else WebSocketState.RETRYING
            self._opening = Socket(self._options, self._sessions, self._tokens, self, retries, self._loop)
        if self._opening is not None and self._current is None:
            self._announcer.stand(self._opening_state)

    def _place(self, operation: LiveOperation) -> None:
        """Run an operation on the current socket, or open one for it."""
        current, tokens = self._current, self._tokens
        if tokens is not None and operation.epoch not in {None, tokens.epoch}:
            operation.fail(self._farewell_of(operation, tokens))
        elif current is None or not current.is_ready or not self._suits(current):
            self._open()
        elif current.ticket.epoch is not None and operation.epoch not in {None, current.ticket.epoch}:
            assert tokens is not None, "only they know logins"
            operation.fail(self._farewell_of(operation, tokens))
        else:
            operation.epoch = current.ticket.epoch
            operation.denial = None
            operation.ride(current)

    def _place_waiting(self) -> None:
        """Run what waits on the current socket, and tell of what ran before."""
        waiting = self._waiting()
        again = [operation for operation in waiting if operation.was_sent]
        for operation in waiting:
            if not operation.is_over:
                self._place(operation)
        moved = tuple(operation.operation for operation in again if operation.leg is not None)
        if moved:
            has_duplicates, self._may_repeat = self._may_repeat and self._options.dedup_key is None, False
            self._announcer.tell(Resubscribed(moved, may_have_gap=True, may_have_duplicates=has_duplicates))

    def _suits(self, socket: Socket) -> bool:
        """Tell whether operations may begin on a socket: not where its token was refused, or is of another login."""
        if self._tokens is None:
            return True
        if self._parting.is_under_way and socket is self._current:
            return False
        ticket = socket.ticket
        if ticket.epoch not in {None, self._tokens.epoch}:
            return False
        return ticket.credential is None or not ticket.credential.is_rejected

    def _part_with(self, socket: Socket) -> None:
        """A socket has ended by itself."""
        handover = self._handover
        self._retiring.pop(socket, None)
        if socket is self._opening:
            self._opening = None
        elif socket is self._current:
            self._current = None
            self._take_back(socket)
        elif handover is not None and handover.older is socket:
            handover.lose_older()
        if self._current is None:
            self._look_away()

    def _take_back(self, socket: Socket) -> None:
        """The current socket is gone; the one before is current again, if it still stands and nothing has left it.

        What has left it does not come back: its id may still be in use there.
        """
        handover = self._handover
        if handover is None or handover.newer is not socket:
            return
        may_stay = handover.may_stay
        handover.abandon()
        self._handover = None
        self._may_repeat = self._may_repeat or handover.have_gone  # of that overlap nothing was told yet
        if not may_stay:
            handover.lose_operations()
        elif handover.older.is_ready:
            self._retiring.pop(handover.older, None)
            self._current = handover.older
            self._watch.look_ahead()

    def _lose_operations_of(self, socket: Socket, error: Exception) -> None:
        for operation in [operation for operation in self._operations if operation.runs_on(socket)]:
            operation.forgive()
            operation.lose()
            operation.losses += 1
            if not operation.goes_again(retries_mutations=self._options.retries_mutations):
                operation.fail(error, is_shared=True)
        if self._current is not None:
            self._place_waiting()

    def _close_unneeded(self) -> None:
        """Close the older sockets on which nothing is under way any more."""
        for socket in [socket for socket in self._retiring if not self._is_needed(socket)]:
            self._close(socket)

    def _is_needed(self, older: Socket) -> bool:
        """Tell whether something runs on a socket that is no longer current, or goes over from it."""
        handover = self._handover
        is_left = handover is not None and handover.older is older and handover.has_operations
        return is_left or bool(older.conversation.receivers)

    def _decide(self, socket: Socket, error: Exception) -> None:
        """After a socket is gone: open another one, now or later, or tell those who wait."""
        is_kept = self._current is None and not self._options.is_lazy
        if not (self._waiting() or is_kept or self._is_outdated()):
            if self._current is None:
                self._retrying.reset()
                if not self._operations:  # else they end on an older one
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
        self._open(retries)
        if retries is not None:
            self._announcer.tell(WebSocketRetrying(retries))

    def _give_up(self, error: Exception) -> None:
        """End the operations that have no socket."""
        waiting, refusal = self._waiting(), self._retrying.refusal
        self._retrying.reset()
        if self._current is None:
            self._announcer.stand(WebSocketState.IDLE)
            if not self._options.is_lazy:
                self._tell_non_lazy(refusal or error if isinstance(error, TokenRefused) else error)
        for operation in waiting:
            operation.fail(operation.error_without_socket(error, refusal))
        self.rest_if_idle()

    def _tell_non_lazy(self, error: Exception) -> None:
        try:
            self._options.on_non_lazy_error(error)
        except (Exception, asyncio.CancelledError, GeneratorExit) as failure:  # noqa: BLE001 - of the application
            report_callback_error(failure)

    def _waiting(self) -> list[LiveOperation]:
        return [operation for operation in self._operations if operation.leg is None]

    def _sockets(self) -> list[Socket]:
        named = (self._opening, self._current)  # who begins something when one closes opens a new one
        return [*(socket for socket in named if socket is not None), *self._retiring]

    # -- the end ------------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Close all; operations get ``ClientClosed``."""
        self._is_closed = True
        for operation in list(self._operations):
            operation.fail(ClientClosed(self._options.link))
        self._rest()
        if self._closing:
            await asyncio.wait(self._closing)

    def _rest(self) -> None:
        self._rest_timer = None
        if self._operations and not self._is_closed:
            return
        self._stop_rest_timer()
        self._watch.end()
        self._retrying.reset()
        for socket in self._sockets():
            self._close(socket)
        if self._current is None and self._opening is None:  # else an observer has begun an operation
            self._announcer.stand(WebSocketState.IDLE)

    def _close(self, socket: Socket, code: int = NORMAL, reason: str = "Normal Closure") -> None:
        """Close a socket that nobody needs, and wait for that in the background."""
        self._retiring.pop(socket, None)
        if self._handover is not None and socket in {self._handover.older, self._handover.newer}:
            self._handover.abandon()
            self._handover = None
        if socket is self._opening:
            self._opening = None
        was_open = socket.is_ready
        if socket is self._current:
            self._current = None
            self._look_away()
        self._see_through(socket.close(code, reason))
        if was_open:
            self._announcer.tell(WebSocketClosed(code, reason))

    def _see_through(self, task: asyncio.Task[None]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
