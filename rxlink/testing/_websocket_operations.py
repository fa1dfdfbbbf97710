"""Operations over a socket: queries and mutations with one result, subscriptions with many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rxlink.testing._answers import unauthenticated_error
from rxlink.testing._auth_schema import AuthSchema, GraphQLCall
from rxlink.testing._fault_injection import FaultInjector
from rxlink.testing._faults import Fault
from rxlink.testing._ledger_records import Arrival, Send
from rxlink.testing._token_table import Verdict
from rxlink.testing._websocket_subscriptions import Source, SubscriptionRefused, read_source
from rxlink.testing._websocket_ticks import Ticks

__all__ = ["Execute", "OperationDesk", "SocketOperation", "Voice"]

Execute = Callable[[GraphQLCall, Arrival, Verdict, Fault | None], dict[str, Any]]
"""Runs a query or a mutation, writes it into the ledger, and returns its result."""

_KEPT_SOURCES = 10_000


class Voice(Protocol):
    """A socket, as the operations on it need it."""

    def next(self, id: str, result: Mapping[str, Any]) -> None:
        """Send a result."""
        ...

    def error(self, id: str, errors: Sequence[Mapping[str, Any]]) -> None:
        """Send the errors that end an operation, and forget it."""
        ...

    def complete(self, id: str) -> None:
        """Send the end of an operation, and forget it."""
        ...

    def cut(self, why: str) -> None:
        """Cut the connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationDesk:
    """What the operations of all sockets share.

    Attributes:
        schema: Reads and runs them.
        injector: Lets faults strike them.
        execute: Runs queries and mutations.
        ticks: The counters.
        sources: What subscriptions ask for that came before: a thousand come again with each socket.
    """

    schema: AuthSchema
    injector: FaultInjector
    execute: Execute
    ticks: Ticks
    sources: dict[tuple[str, str], Source] = field(default_factory=dict[tuple[str, str], Source])

    def source(self, call: GraphQLCall, arrival: Arrival, verdict: Verdict) -> Source:
        """Return what a subscription asks for.

        Raises:
            SubscriptionRefused: Its token is not accepted, or something is wrong with it.
        """
        key = arrival.operation_id, call.query
        source = self.sources.get(key) if verdict.why is None else None
        if source is None:
            source = read_source(self.schema, call, verdict)
            if len(self.sources) >= _KEPT_SOURCES:
                self.sources.clear()
            self.sources[key] = source
        return source


@dataclass(slots=True, kw_only=True, eq=False)
class SocketOperation:
    """One operation on a socket, from its start until it has ended or is stopped.

    Attributes:
        id: What the client calls it.
        call: What it is.
        arrival: What the ledger and the script of faults know of it.
        judge: Says whether the token of the socket is good at this moment.
        voice: The socket.
        desk: What it shares with others.
    """

    id: str
    call: GraphQLCall
    arrival: Arrival
    judge: Callable[[], Verdict]
    voice: Voice
    desk: OperationDesk
    _leave: Callable[[], None] | None = field(default=None, init=False)
    _held_by: Fault | None = field(default=None, init=False)

    def start(self) -> None:
        """Do what it asks for, or what a fault makes of that."""
        fault = self.desk.injector.script.take(self.arrival)
        if fault is None:
            self._process(None)
        elif fault.seconds > 0 or fault.kind == "hang":
            self._held_by = fault
            if fault.kind != "hang":
                self._leave = asyncio.get_running_loop().call_later(fault.seconds, self._strike, fault).cancel
        else:
            self._strike(fault)

    def stop(self) -> None:
        """Do and say nothing more."""
        if self._held_by is not None:
            self.desk.injector.write_down(self.arrival, self._held_by, "client-left")
            self._held_by = None
        if self._leave is not None:
            self._leave()
            self._leave = None

    def _strike(self, fault: Fault) -> None:
        self._held_by = self._leave = None
        match fault.kind:
            case "drop":
                self.desk.injector.write_down(self.arrival, fault, "drop")
                self.voice.cut("drop")
            case "unauthenticated" | "invalid_grant":
                self.desk.injector.write_down(self.arrival, fault, fault.kind)
                why = "invalid_token" if fault.kind == "unauthenticated" else "invalid_grant"
                self.voice.error(self.id, [unauthenticated_error(why)])
            case _:
                self._process(fault)
                if fault.kind == "drop_after":
                    self.voice.cut("drop_after")

    def _process(self, fault: Fault | None) -> None:
        if self.call.document is None:
            self.voice.error(self.id, [error.formatted for error in self.call.errors])
        elif self.call.is_subscription:
            self._subscribe(fault)
        else:
            self.voice.next(self.id, self.desk.execute(self.call, self.arrival, self.judge(), fault))
            self.voice.complete(self.id)

    def _subscribe(self, fault: Fault | None) -> None:
        try:
            source = self.desk.source(self.call, self.arrival, self.judge())
        except SubscriptionRefused as refused:
            self._write_down(refused.why, fault)
            self.voice.error(self.id, refused.errors)
        else:
            self._write_down(None, fault)
            self._listen(source)

    def _listen(self, source: Source) -> None:
        id, voice = self.id, self.voice
        self._leave = source.listen(
            self.desk.ticks,
            lambda number: voice.next(id, source.result(number)),
            lambda: voice.complete(id),
        )

    def _write_down(self, why: str | None, fault: Fault | None) -> None:
        if why is not None:
            self.arrival.note_refusal()
        outcome = "accepted" if why is None else "refused"
        kind = None if fault is None else fault.kind
        self.desk.injector.ledger.all_sends.append(Send.of(self.arrival, outcome, why=why, fault=kind))
