"""Telling that subscriptions go on after a loss, once the server has begun them again.

Whoever asks the server again at that moment misses nothing: what comes later comes on the observables. A ping behind
the subscriptions tells when that is, since servers read one message after the other. Where it is not answered in time,
it is told without certainty, and once more when the answer comes; where the protocol has no pings, after a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from rxlink.transport._ws_alarm import Alarm
from rxlink.transport._ws_events import Resubscribed
from rxlink.transport._ws_operation import LiveOperation
from rxlink.transport._ws_options import WebSocketOptions
from rxlink.transport._ws_socket import Socket

__all__ = ["Resumption"]


class Resumption:
    """What is still to be told of subscriptions that were sent again.

    Args:
        options: Of the link.
        loop: The event loop.
        tell: Called with what is told.

    Attributes:
        may_repeat: Whether what came on the socket before may come again, because a handover was broken off.
    """

    __slots__ = ("_batches", "_loop", "_options", "_tell", "may_repeat")

    def __init__(
        self, options: WebSocketOptions, loop: asyncio.AbstractEventLoop, tell: Callable[[Resubscribed], None]
    ) -> None:
        self._options = options
        self._loop = loop
        self._tell = tell
        self._batches: dict[_Batch, None] = {}
        self.may_repeat = False

    def begin(self, operations: Iterable[LiveOperation], socket: Socket) -> None:
        """Tell of operations that were sent on a socket just now, as soon as they have begun there."""
        if subscriptions := [operation for operation in operations if operation.streams]:
            batch = _Batch(subscriptions, socket, self._options, self._loop, self._end)
            self._batches[batch] = None
            batch.begin()

    def leave(self, socket: Socket) -> None:
        """A socket is no more: tell of what went on there, but for what is sent on the next one."""
        for batch in [batch for batch in self._batches if batch.socket is socket]:
            batch.leave()

    def _end(self, batch: _Batch, *, is_certain: bool) -> None:
        if is_certain:
            self._batches.pop(batch, None)
        operations = tuple(operation.operation for operation in batch.operations if operation.goes_on)
        if operations:
            has_duplicates, self.may_repeat = self.may_repeat and self._options.dedup_key is None, False
            self._tell(Resubscribed(operations, may_have_gap=True, may_have_duplicates=has_duplicates))


class _Batch:
    """Subscriptions that were sent again together.

    Attributes:
        operations: Which.
        socket: Where.
    """

    __slots__ = ("_alarm", "_end", "_is_over", "_options", "operations", "socket")

    def __init__(
        self,
        operations: list[LiveOperation],
        socket: Socket,
        options: WebSocketOptions,
        loop: asyncio.AbstractEventLoop,
        end: Callable[..., None],
    ) -> None:
        self.operations = operations
        self.socket = socket
        self._options = options
        self._end = end
        self._alarm = Alarm(loop)
        self._is_over = False

    def begin(self) -> None:
        """Wait until the server has begun them."""
        if self._options.dialect.has_pings:
            self._alarm.set(self._options.keep_alive_timeout, lambda: self._end(self, is_certain=False))
            self.socket.ask(self._wait)
        else:
            self._wait()

    def leave(self) -> None:
        """The socket is no more: forget what is sent on the next one, or waits for that."""
        self.operations = [one for one in self.operations if one.is_over or not (one.waits or one.runs_on(self.socket))]
        self._tell()

    def _wait(self) -> None:
        """Give the server the time that was asked for, where operations begin later than a ping is answered."""
        if self._is_over:
            return
        if self._options.overlap:
            self._alarm.set(self._options.overlap, self._tell)
        else:
            self._tell()

    def _tell(self) -> None:
        self._alarm.stop()
        self._is_over = True
        self._end(self, is_certain=True)
