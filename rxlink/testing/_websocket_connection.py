"""What a server says and does on one socket: the protocol, the token, the faults. It knows no bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rxlink.testing._answers import unauthenticated_error
from rxlink.testing._auth_schema import MalformedRequest
from rxlink.testing._durations import nonnegative_seconds, positive_seconds
from rxlink.testing._faults import Fault
from rxlink.testing._ledger import operation_key
from rxlink.testing._ledger_records import Arrival
from rxlink.testing._token_table import TokenTable
from rxlink.testing._websocket_messages import BadMessage, Dialect, Message
from rxlink.testing._websocket_operations import OperationDesk, SocketOperation
from rxlink.testing._websocket_outbox import Outbox
from rxlink.testing._websocket_rules import SocketRecord, SocketRules
from rxlink.testing._websocket_token import SocketToken

__all__ = ["Connection", "House"]

_ABNORMAL = 1006
_INTERNAL_ERROR = 1011
_REASONS = {4401: "Unauthorized", 4403: "Forbidden"}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What all sockets of a server share."""

    rules: SocketRules
    table: TokenTable
    clock: Callable[[], float]
    desk: OperationDesk


class Connection:
    """The server's side of one socket.

    Attributes:
        is_stalled: Whether it has fallen silent for good: it hears and says nothing more.
    """

    def __init__(self, *, house: House, dialect: Dialect, outbox: Outbox, record: SocketRecord) -> None:
        """Begin; from now on the client has some time to initialise the connection."""
        self._house = house
        self._dialect = dialect
        self._outbox = outbox
        self._record = record
        leeway = nonnegative_seconds("leeway", house.rules.leeway)
        self._token = SocketToken(house.table, house.clock, leeway)
        self._early: list[Message] = []
        self._running: dict[str, SocketOperation] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self.is_stalled = False
        self._init_timer = self._later(positive_seconds("init_timeout", house.rules.init_timeout), self._never_began)

    def hear(self, text: str) -> None:
        """Do what a frame asks for."""
        if self.is_stalled or self._outbox.is_closing:
            return
        try:
            self._obey(self._dialect.read(text))
        except BadMessage as bad:
            self.hear_nonsense(bad)

    def hear_nonsense(self, bad: BadMessage) -> None:
        """Answer a frame that is no message: by the end of the socket, in the older protocol by an error."""
        if self._dialect.is_legacy:
            self._outbox.send({"type": "error", "id": bad.id, "payload": {"message": str(bad)}})
        else:
            self.close(4400, "Invalid message received")

    def recheck(self) -> None:
        """Refuse the socket if its token has been revoked, and that is what the server does."""
        self._token.recheck()

    def strike(self, fault: Fault) -> None:
        """Let a fault have its way with the socket."""
        match fault.kind:
            case "hang":
                self.is_stalled = True
                self._outbox.hold()
                self._stop_all()
            case "close":
                if fault.close_code in _REASONS:
                    self._token.arrival().note_refusal()
                self.close(fault.close_code, fault.close_reason, why="close")
            case "frame":
                self._outbox.put(fault.frame_data)
            case "unauthenticated":
                self._token.is_denied = True
                self._refuse("invalid_token", why="unauthenticated")
            case _:
                self.cut(fault.kind)

    def close(self, code: int, reason: str, *, why: str | None = None) -> None:
        """Close the socket."""
        if not self.is_stalled:
            self._record.close(self._house.clock(), "server", code=code, why=why or reason)
            self._outbox.close(code, reason)
            self._stop_all()

    def cut(self, why: str) -> None:
        """Cut the connection."""
        self._record.close(self._house.clock(), "server", code=_ABNORMAL, why=why)
        self._outbox.cut()
        self._stop_all()

    def end(self, code: int | None) -> None:
        """Stop all that runs, for the client has left: with a code, or without a word."""
        if code is None:
            self._record.close(self._house.clock(), "lost", code=_ABNORMAL)
        else:
            self._record.close(self._house.clock(), "client", code=code)
        self._stop_all()

    def next(self, id: str, result: Mapping[str, Any]) -> None:
        """Send a result."""
        self._outbox.send(self._dialect.next(id, result))

    def error(self, id: str, errors: Sequence[Mapping[str, Any]]) -> None:
        """Send the errors that end an operation, and forget it."""
        self._forget(id)
        self._outbox.send(self._dialect.error(id, errors))

    def complete(self, id: str) -> None:
        """Send the end of an operation, and forget it."""
        self._forget(id)
        self._outbox.send(self._dialect.complete(id))

    def _obey(self, message: Message) -> None:
        match message.kind:
            case "init":
                self._initialise(message)
            case "subscribe":
                self._subscribe(message)
            case "stop":
                self._forget(message.id)
            case "ping":
                payload = {} if message.payload is None else {"payload": message.payload}
                self._outbox.send({"type": "pong", **payload})
            case "pong":
                pass
            case "terminate":
                self.close(1000, "Normal Closure")

    def _initialise(self, message: Message) -> None:
        if self._record.initialised is not None:
            self.close(4429, "Too many initialisation requests")
            return
        self._init_timer.cancel()
        self._token.read(message.payload, self._record)
        fault = self._house.desk.injector.script.take(self._token.arrival())
        if fault is None:
            self._admit()
        elif fault.kind == "delay":
            self._later(fault.seconds, self._admit)
        elif fault.seconds > 0:
            self._later(fault.seconds, self.strike, fault)
            self._admit()
        else:
            self.strike(fault)
            self._admit()

    def _admit(self) -> None:
        if self.is_stalled or self._outbox.is_closing:
            return
        verdict, rules = self._token.judge(), self._house.rules
        if verdict.why is not None and rules.refusal != "error":
            self._refuse(verdict.why, why=verdict.why)
            return
        self._record.acknowledged = self._house.clock()
        self._outbox.send({"type": "connection_ack"})
        if verdict.why is None and rules.ends_with_token:
            self._token.watch(lambda why: self._refuse(why, why=why))
        early, self._early = self._early, []
        for message in early:
            self._subscribe(message)

    def _refuse(self, reason: str, *, why: str) -> None:
        self._token.arrival().note_refusal()
        code = self._house.rules.refusal
        if code == "error":
            for id in list(self._running):
                self.error(id, [unauthenticated_error(reason)])
        elif self._dialect.is_legacy and self._record.acknowledged is None:
            self._outbox.send({"type": "connection_error", "payload": {"message": _REASONS[code]}})
            self.close(_INTERNAL_ERROR, "", why=why)
        else:
            self.close(code, _REASONS[code], why=why)

    def _subscribe(self, message: Message) -> None:
        if self._record.acknowledged is None:
            if self._dialect.is_legacy:
                self._early.append(message)  # its clients do not wait for the acknowledgement
            else:
                self.close(4401, "Unauthorized")
        elif message.id in self._running and not self._dialect.is_legacy:
            self.close(4409, f"Subscriber for {message.id} already exists")
        else:
            self._forget(message.id)
            self._start(message)

    def _start(self, message: Message) -> None:
        desk = self._house.desk
        try:
            call = desk.schema.read(message.payload)
        except MalformedRequest as malformed:
            raise BadMessage(str(malformed), message.id) from malformed
        token = self._house.table.generation_of(call.refresh_token) if call.is_refresh else None
        arrival = Arrival(
            at=self._house.clock(),
            endpoint="websocket",
            is_refresh=call.is_refresh,
            operation_id=operation_key(call.operation_name, call.variables, query=call.query),
            operation_name=call.operation_name,
            variables=call.variables,
            generation=token if call.is_refresh else self._record.generation,
        )
        operation = SocketOperation(
            id=message.id, call=call, arrival=arrival, judge=self._token.judge, voice=self, desk=desk
        )
        self._record.operations += 1
        self._running[message.id] = operation
        operation.start()

    def _never_began(self) -> None:
        self.close(4408, "Connection initialisation timeout")

    def _forget(self, id: str) -> None:
        operation = self._running.pop(id, None)
        if operation is not None:
            operation.stop()

    def _stop_all(self) -> None:
        self._token.stop()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for id in list(self._running):
            self._forget(id)

    def _later(self, seconds: float, function: Callable[..., None], *arguments: object) -> asyncio.TimerHandle:
        def strike() -> None:
            self._timers.discard(timer)
            function(*arguments)

        timer = asyncio.get_running_loop().call_later(seconds, strike)
        self._timers.add(timer)
        return timer
