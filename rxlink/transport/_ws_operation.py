"""One operation over WebSockets: on one socket, then on another, and for a while on both."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from rxlink.core.documents import OperationType
from rxlink.core.fan_out import own_error
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import AuthError, CombinedGraphQLErrors, OperationCancelled, SocketClosed
from rxlink.transport._ws_keys import Keys
from rxlink.transport._ws_socket import Socket
from rxlink.transport._ws_tokens import PROBATION, TokenRefused

__all__ = ["Leg", "LiveOperation", "OperationOwner"]

UNAUTHORIZED: Final = 4401
MOST_HELD: Final = 10_000
"""Results that are held back while two sockets are open; with more the operation goes over to the newer one at once."""


class OperationOwner(Protocol):
    """The sockets of a link, as an operation sees them."""

    def forget(self, operation: LiveOperation, /) -> None:
        """It has ended, or its subscriber has left."""

    def rest_if_idle(self) -> None:
        """Close what nobody needs."""

    def on_served(self) -> None:
        """A server has sent a result."""

    def is_denied(self, operation: LiveOperation, leg: Leg, answer: FetchResult | Exception, /) -> bool:
        """Take an answer that may mean that the token is no longer good; tell whether the operation goes on."""
        ...


class Leg:
    """An operation on one socket: what the server answers to it there.

    Attributes:
        socket: Which.
        credential: The tokens that it was opened with; None for none.
    """

    __slots__ = ("_operation", "credential", "socket")

    def __init__(self, operation: LiveOperation, socket: Socket) -> None:
        self._operation = operation
        self.socket = socket
        self.credential = socket.ticket.credential
        socket.conversation.subscribe(operation.identity, operation.body, self)

    def on_next(self, result: FetchResult) -> None:
        operation = self._operation
        if operation.leg is self:  # as of nearly all, and there may be very many
            operation.deliver(result)
        else:
            operation.take(self, operation.deliver, result)

    def on_error(self, errors: list[Any]) -> None:
        self._operation.take(self, self._operation.fail_by_server, errors)

    def on_completed(self) -> None:
        self._operation.take(self, self._operation.complete)

    def leave(self) -> None:
        """Hear nothing of it there any more."""
        if not self.socket.is_over:
            self.socket.conversation.unsubscribe(self._operation.identity)


class LiveOperation:
    """An operation that runs, in the slot of its subscription.

    Attributes:
        operation: Which.
        identity: Its id on the socket; the same on each.
        body: What is sent of it, as JSON.
        epoch: The login that it belongs to; None where that is not known yet, or does not matter.
        leg: Where it runs; None while it waits for a socket.
        coming: Where it will run: what arrives there is held back.
        was_sent: Whether it ran before.
        was_denied: Whether the server has denied it because of its token, which was then refreshed.
        denial: What the server said to that, while it waits.
        losses: How many sockets were lost under it.
        completed_on: The socket on which the server has completed it; None for none.
        has_left_early: Whether it went over to a newer socket before it was certain that nothing is missing.
    """

    __slots__ = ("_client", "_has_keys", "_held", "_keys", "_observer", "_root", "body", "coming", "completed_on",
                 "denial", "epoch", "has_left_early", "identity", "is_over", "leg", "losses", "operation",
                 "was_denied", "was_sent")  # fmt: skip

    def __init__(
        self,
        client: OperationOwner,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        *,
        identity: str,
        body: str,
        epoch: int | None,
        dedup_key: Callable[[FetchResult], Hashable] | None,
    ) -> None:
        self._client = client
        self._observer = observer
        self._root = root
        self._held: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._keys = Keys(dedup_key, operation)
        self._has_keys = dedup_key is not None
        self.operation = operation
        self.identity = identity
        self.body = body
        self.epoch = epoch
        self.leg: Leg | None = None
        self.coming: Leg | None = None
        self.was_sent = self.was_denied = False
        self.denial: FetchResult | Exception | None = None
        self.losses = 0
        self.completed_on: Socket | None = None
        self.has_left_early = self.is_over = False

    # -- on which socket ----------------------------------------------------------------------------------------------

    def ride(self, socket: Socket) -> None:
        """Run on a socket, from now on."""
        self.was_sent = True
        self._keys.forget()
        self.leg = Leg(self, socket)

    def prepare(self, socket: Socket) -> None:
        """Begin on a newer socket, and hold back what arrives there, while the older one goes on."""
        self.forgive()
        self._keys.keep()
        self.has_left_early = False
        self.coming = Leg(self, socket)

    def switch(self) -> None:
        """Go over to the newer socket: what was held back is delivered, without what was delivered before."""
        older, self.leg, self.coming = self.leg, self.coming, None
        held, self._held = self._held, []
        if older is not None:
            older.leave()
        leg = self.leg
        for deliver, values in held:
            if self.leg is not leg:  # it has ended, or was denied, and is sent again
                return
            deliver(*values)

    def settle(self) -> None:
        """Forget what the older socket has delivered: nothing of it can come any more."""
        if self.coming is None:
            self._keys.forget()

    def stay(self) -> None:
        """Stay on the older socket: the newer one is gone."""
        self.coming = None
        self._held.clear()
        self._keys.forget()

    def forgive(self) -> None:
        """Count a denial no more that it has outlived: the next one may be no more than the end of a good token."""
        if self.leg is not None and self.leg.socket.age >= PROBATION:
            self.was_denied = False

    def lose(self) -> None:
        """Wait for another socket: the one that it ran on is gone."""
        self.leg = None

    def runs_on(self, socket: Socket) -> bool:
        """Tell whether this is the socket that it runs on."""
        return self.leg is not None and self.leg.socket is socket

    @property
    def goes_on(self) -> bool:
        """Whether it runs, or has come to its own end: not where it waits or has failed, or its subscriber has left."""
        return self.completed_on is not None if self.is_over else not self.waits

    @property
    def waits(self) -> bool:
        """Whether it has no socket."""
        return self.leg is None

    @property
    def streams(self) -> bool:
        """Whether it goes over to a newer socket; others end where they are, with one result."""
        return self.operation.operation_type is OperationType.SUBSCRIPTION

    def goes_again(self, *, retries_mutations: bool) -> bool:
        """Tell whether it may be sent once more; a mutation after one loss at most: the server may die of it."""
        is_mutation = self.operation.operation_type is OperationType.MUTATION
        return not self.operation.is_spent and (not is_mutation or (retries_mutations and self.losses <= 1))

    def error_without_socket(self, error: Exception, refusal: Exception | None) -> Exception:
        """Return what it gets where there is no socket for it: an error of its own, and what the server had said.

        `error` is why there is none, `refusal` how the server has refused the token of all.
        """
        if isinstance(error, TokenRefused):
            if isinstance(self.denial, dict):
                return CombinedGraphQLErrors(self.denial)
            told = refusal or SocketClosed(UNAUTHORIZED, "the token was refused")
            return own_error(told) if self.denial is None else self.denial
        if isinstance(error, AuthError):
            return error.for_operation(self.operation.operation_name, refusal if self.denial is None else self.denial)
        return own_error(error)

    # -- what the server says -----------------------------------------------------------------------------------------

    def take(self, leg: Leg, deliver: Callable[..., None], *values: Any) -> None:
        """Take what came on a leg: now, or hold it back."""
        if leg is self.leg:
            deliver(*values)
        elif leg is self.coming:
            self._held.append((deliver, values))
            if len(self._held) > MOST_HELD:
                self.has_left_early = True
                self.switch()

    def deliver(self, result: FetchResult) -> None:
        """Deliver a result, unless it has come before, or says that the token is no longer good."""
        leg = self.leg
        if leg is not None and ("errors" in result or result.get("data") is None):
            if self._client.is_denied(self, leg, result):
                return
        elif leg is not None and leg.credential is not None and leg.credential.is_unproven:
            leg.socket.prove()
        self._client.on_served()
        if self._has_keys and self._keys.has(result, is_noted=self.coming is not None):
            return
        try:
            self._root.resume_next(self._observer, result)
        except Exception as error:  # noqa: BLE001 - of the subscriber; the others on the socket have no part in it
            self._break_off(error)
        except (CancelledError, GeneratorExit):  # of the subscriber too: nobody can be cancelled in between
            self._break_off(OperationCancelled("a callback"))

    def fail_by_server(self, errors: list[Any]) -> None:
        """End with the errors of the server, unless they say that the token is no longer good."""
        error = CombinedGraphQLErrors({"errors": errors})
        if self.leg is None or not self._client.is_denied(self, self.leg, error):
            self.fail(error)

    def fail(self, error: Exception, *, is_shared: bool = False) -> None:
        """End with an error; each of those who share one gets its own."""
        self._end(self._observer.on_error, own_error(error) if is_shared else error)

    def complete(self) -> None:
        """End."""
        self.completed_on = None if self.leg is None else self.leg.socket
        self._end(self._observer.on_completed)

    def cancel(self) -> None:
        """The subscriber has left."""
        if not self.is_over:
            self._leave_all()
            self._client.rest_if_idle()

    # -- inner parts --------------------------------------------------------------------------------------------------

    def _end(self, tell: Callable[..., None], *values: Any) -> None:
        if not self.is_over:
            self._leave_all()
            self._tell(tell, *values)
            self._client.rest_if_idle()

    def _tell(self, tell: Callable[..., None], *values: Any) -> None:
        self._root.release()
        try:
            self._root.resume(tell, *values)
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - of the subscriber, as above
            report_callback_error(error)

    def _break_off(self, error: Exception) -> None:
        """The subscriber's callback has raised: its stream dies of it, and the workers above have no part in that."""
        if self.is_over:
            report_callback_error(error)
            return
        self._leave_all()
        self._tell(self._root.on_error, error)
        self._client.rest_if_idle()

    def _leave_all(self) -> None:
        self.is_over = True
        self._client.forget(self)
        for leg in (self.leg, self.coming):
            if leg is not None:
                leg.leave()
        self.leg = self.coming = None
        self._held.clear()
