"""From one socket to the next without a gap: make before break.

The newer socket is acknowledged, and every subscription was sent on it. What arrives there is held back. A ping that it
answers says that the server has taken them all; a ping that the older one answers after that says that nothing is under
way there any more which the newer one does not have too. Then what was held back is delivered: nothing is missing, and
the order is kept. What came on both is there twice, unless a ``dedup_key`` tells. What the older one has delivered may
still be under way on the newer one; so it is closed, and keys are forgotten, only when that has answered one more ping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rxlink.transport._ws_alarm import Alarm
from rxlink.transport._ws_events import Resubscribed
from rxlink.transport._ws_operation import LiveOperation
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_socket import Socket

__all__ = ["Handover"]


class Handover:
    """The time in which two sockets are open.

    Args:
        older: The one.
        newer: The other.
        operations: What goes over.
        options: Of the link.
        loop: The event loop.
        done: Called with this when the operations have gone over.

    Attributes:
        have_gone: Whether the operations have gone over; the older socket may still stand.
        older: Where they ran.
        newer: Where they will run.
        operations: Those that go over, or have gone over.
        is_over: Whether they have, and nothing more can come twice, or never will.
        may_have_gap: Whether it is not certain that the newer one has all that the older one has not delivered.
    """

    __slots__ = (
        "_alarm",
        "_done",
        "_first",
        "_options",
        "_question",
        "have_gone",
        "is_over",
        "may_have_gap",
        "newer",
        "older",
        "operations",
    )  # fmt: skip

    def __init__(
        self,
        older: Socket,
        newer: Socket,
        operations: list[LiveOperation],
        options: WebSocketOptions,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Handover], None],
    ) -> None:
        self.older = older
        self.newer = newer
        self.operations = operations
        self.is_over = False
        self.may_have_gap = False
        self._options = options
        self._done = done
        self._first = 0  # of those that may still run
        self._alarm = Alarm(loop)
        self._question: object = None
        self.have_gone = False

    def begin(self) -> None:
        """Send the operations on the newer socket."""
        for operation in self.operations:
            operation.prepare(self.newer)
        if self._options.dialect.has_pings:
            self._ask(self.newer, self._wait, or_else=self._wait)
        else:
            self._wait()

    @property
    def has_operations(self) -> bool:
        """Whether there are still some of those that go over."""
        while self._first < len(self.operations) and self.operations[self._first].is_over:
            self._first += 1
        return self._first < len(self.operations)

    def event(self) -> Resubscribed | None:
        """Return what is to be told when it is over, None where nothing has gone over."""
        moved = [one for one in self.operations if not one.is_over or one.completed_on is self.newer]
        if not moved:
            return None
        return Resubscribed(
            tuple(operation.operation for operation in moved),
            may_have_gap=self.may_have_gap or any(operation.has_left_early for operation in moved),
            may_have_duplicates=self._options.dedup_key is None,
        )

    @property
    def may_stay(self) -> bool:
        """Whether none of those that go over has left the older socket, so that they may stay there."""
        return not self.have_gone and all(
            operation.is_over or operation.runs_on(self.older) for operation in self.operations
        )

    def lose_operations(self) -> None:
        """Have those that are still on the older socket wait for another one, as the others do."""
        for operation in self.operations:
            if operation.leg is not None and operation.runs_on(self.older):
                operation.leg.leave()
                operation.lose()

    def lose_older(self) -> None:
        """Go over at once: the older socket is gone."""
        if not self.have_gone:
            self.may_have_gap = True
            self._go_over()

    def finish(self) -> None:
        """Go over and be done, now: there is a socket that is newer still."""
        if not self.is_over:
            self.may_have_gap = self.may_have_gap or not self.have_gone
            self._switch()
            if not self.is_over:
                self._end()

    def abandon(self) -> None:
        """Stay with the older socket: the newer one is gone."""
        if not self.is_over:
            self.is_over = True
            self._alarm.stop()
            for operation in self.operations:
                operation.stay()

    def _wait(self) -> None:
        """Hear both for as long as is wished."""
        self._alarm.set(self._options.overlap, self._ask_older)

    def _ask_older(self) -> None:
        if self._options.dialect.has_pings:
            self._ask(self.older, self._go_over, or_else=self._go_over)
        else:
            self.may_have_gap = True  # nothing proves the contrary
            self._go_over()

    def _go_over(self) -> None:
        self._switch()
        if self.is_over:  # a subscriber has closed the link
            return
        if self._options.dialect.has_pings:
            self._ask(self.newer, self._begun, or_else=self._end)  # keys are kept where nothing is certain
        else:
            self._alarm.set(self._options.overlap, self._settle)

    def _switch(self) -> None:
        self.have_gone = True
        for operation in self.operations:
            if operation.coming is not None:
                operation.switch()

    def _begun(self) -> None:
        """The newer socket has the operations, or will have them soon."""
        if self.may_have_gap and self._options.overlap:
            self._alarm.set(self._options.overlap, self._settle)
        else:
            self._settle()

    def _settle(self) -> None:
        """Nothing can come on the newer socket any more that came on the older one."""
        for operation in self.operations:
            operation.settle()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self._alarm.stop()
        self._done(self)

    def _ask(self, socket: Socket, then: Callable[[], None], *, or_else: Callable[[], None]) -> None:
        """Go on when a socket has answered a ping, or has had the time for it."""
        question = self._question = object()

        def go_on(step: Callable[[], None]) -> None:
            if self._question is question and not self.is_over:
                self._question = None
                step()

        def give_up() -> None:
            self.may_have_gap = self.may_have_gap or not self.have_gone
            go_on(or_else)

        self._alarm.set(self._options.keep_alive_timeout, give_up)
        socket.ask(lambda: go_on(then))
