"""The operations of a link on one event loop, and on which socket each of them runs."""

from __future__ import annotations

from typing import Protocol

from rxlink.core.result import FetchResult
from rxlink.errors import SessionEnded
from rxlink.transport._ws_operation import Leg, LiveOperation
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_resumption import Resumption
from rxlink.transport._ws_retrying import Retrying
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_sockets import Sockets
from rxlink.transport._ws_tokens import SessionTokens

__all__ = ["Placement", "PlacementOwner"]


class PlacementOwner(Protocol):
    """Who sees to it that there is a socket."""

    @property
    def is_parting(self) -> bool:
        """Whether the current socket will close soon, so that nothing begins on it."""
        ...

    def wake(self) -> None:
        """An operation comes."""

    def open(self) -> None:
        """Operations need a socket."""

    def rest_if_idle(self) -> None:
        """An operation has ended."""


class Placement:
    """The operations of a link on one event loop.

    Args:
        options: Of the link.
        tokens: The session whose tokens its sockets have, None for none.
        sockets: On which they run.
        retrying: Who is told that a socket was good for something.
        resumption: What is still to be told of those that were sent again.
        owner: Who opens sockets.

    Attributes:
        on_served: Called when a server has sent a result.
    """

    __slots__ = ("_identities", "_operations", "_options", "_owner", "_resumption", "_retrying", "_sockets", "_tokens",
                 "on_served")  # fmt: skip

    def __init__(
        self,
        options: WebSocketOptions,
        tokens: SessionTokens | None,
        sockets: Sockets,
        retrying: Retrying,
        resumption: Resumption,
        owner: PlacementOwner,
    ) -> None:
        self._options = options
        self._tokens = tokens
        self._sockets = sockets
        self._retrying = retrying
        self._resumption = resumption
        self._owner = owner
        self._operations: dict[LiveOperation, None] = {}
        self._identities: set[str] = set()
        self.on_served = retrying.served

    def __bool__(self) -> bool:
        return bool(self._operations)

    # -- which there are ----------------------------------------------------------------------------------------------

    def add(self, operation: LiveOperation) -> None:
        """Run an operation, as soon as there is a socket for it."""
        self._operations[operation] = None
        self._identities.add(operation.identity)
        self._owner.wake()
        if not operation.is_over and operation.leg is None:
            self._place(operation)

    def forget(self, operation: LiveOperation) -> None:
        """An operation has ended, or its subscriber has left."""
        if operation in self._operations:
            del self._operations[operation]
            self._identities.discard(operation.identity)

    def has_identity(self, identity: str) -> bool:
        """Tell whether an operation with this id runs."""
        return identity in self._identities

    def all(self) -> list[LiveOperation]:
        """Return all, in their order."""
        return list(self._operations)

    def waiting(self) -> list[LiveOperation]:
        """Return those that have no socket."""
        return [operation for operation in self._operations if operation.leg is None]

    def moving(self, older: Socket) -> list[LiveOperation]:
        """Return those on a socket that go over to a newer one."""
        return [operation for operation in self._operations if operation.runs_on(older) and operation.streams]

    def owes_answers(self, socket: Socket) -> bool:
        """Tell whether queries or mutations are under way on a socket, which end there."""
        return any(operation.runs_on(socket) and not operation.streams for operation in self._operations)

    # -- where they run -----------------------------------------------------------------------------------------------

    def place_waiting(self) -> None:
        """Run what waits on the newest socket, and tell of what ran before."""
        waiting = self.waiting()
        again = [operation for operation in waiting if operation.was_sent]
        for operation in waiting:
            if not operation.is_over:
                self._place(operation)
        newest = self._sockets.newest
        if newest is not None:
            self._resumption.begin([operation for operation in again if operation.runs_on(newest)], newest)

    def lose(self, socket: Socket, error: Exception) -> None:
        """A socket is gone: what ran there waits for another one, or ends with the error."""
        for operation in [operation for operation in self._operations if operation.runs_on(socket)]:
            operation.forgive()
            operation.lose()
            operation.losses += 1
            if not operation.goes_again(retries_mutations=self._options.retries_mutations):
                operation.fail(error, is_shared=True)
        self._resumption.leave(socket)
        if self._sockets.newest is not None:
            self.place_waiting()

    def part_with_logins_before(self, epoch: int) -> None:
        """End what belongs to a login before this one."""
        for operation in list(self._operations):
            if operation.epoch not in {None, epoch}:
                self._part_with(operation)

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
            operation.has_left_early = True  # the newer socket may not have begun it yet
            operation.switch()
        else:
            operation.lose()
            self._place(operation)
        self._owner.rest_if_idle()
        return True

    def rest_if_idle(self) -> None:
        """An operation has ended."""
        self._owner.rest_if_idle()

    def _place(self, operation: LiveOperation) -> None:
        """Run an operation on the newest socket, or have one opened for it."""
        newest, tokens = self._sockets.newest, self._tokens
        if tokens is not None and operation.epoch not in {None, tokens.epoch}:
            self._part_with(operation)
        elif newest is None or not newest.is_ready or not self._suits(newest):
            self._owner.open()
        elif newest.ticket.epoch is not None and operation.epoch not in {None, newest.ticket.epoch}:
            self._part_with(operation)
        else:
            operation.epoch = newest.ticket.epoch
            operation.denial = None
            operation.ride(newest)

    def _suits(self, socket: Socket) -> bool:
        """Tell whether operations may begin on the newest socket: not where its token was refused, say."""
        if self._tokens is None:
            return True
        if self._owner.is_parting:
            return False
        ticket = socket.ticket
        if ticket.epoch not in {None, self._tokens.epoch}:
            return False
        return ticket.credential is None or not ticket.credential.is_rejected

    def _part_with(self, operation: LiveOperation) -> None:
        """End an operation of a login before; with what the server had said, if it waited."""
        assert self._tokens is not None, "only they know logins"
        error: SessionEnded = self._tokens.parted()
        answer = operation.denial or (self._retrying.refusal if operation.leg is None else None)
        operation.fail(error if answer is None else error.for_operation(operation.operation.operation_name, answer))
