"""Telling that operations go on after a loss, once the server has begun them again.

Whoever asks the server again at that moment misses nothing: what comes later comes on the observables. A ping behind
the operations tells when that is, since servers read one message after the other; where it is not answered in time, or
the protocol has none, it is told after a while.
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
    """What is still to be told of operations that were sent again.

    Args:
        options: Of the link.
        loop: The event loop.
        tell: Called with what is told.

    Attributes:
        may_repeat: Whether what came on the socket before may come again, because a handover was broken off.
    """

    __slots__ = ("_alarm", "_options", "_question", "_socket", "_tell", "_untold", "may_repeat")

    def __init__(
        self, options: WebSocketOptions, loop: asyncio.AbstractEventLoop, tell: Callable[[Resubscribed], None]
    ) -> None:
        self._options = options
        self._tell = tell
        self._alarm = Alarm(loop)
        self._socket: Socket | None = None
        self._question: object = None
        self._untold: dict[LiveOperation, None] = {}
        self.may_repeat = False

    def begin(self, operations: Iterable[LiveOperation], socket: Socket) -> None:
        """Tell of operations that were sent on a socket just now, as soon as they have begun there."""
        self._untold |= dict.fromkeys(operations)
        if not self._untold:
            return
        self._socket = socket
        if not self._options.dialect.has_pings:
            self._wait()
            return
        question = self._question = object()  # what was asked before is asked anew, behind what is sent now
        self._alarm.set(self._options.keep_alive_timeout, self.end)
        socket.ask(lambda: self._wait() if question is self._question else None)

    def leave(self, socket: Socket) -> None:
        """A socket is no more: tell of what went on there, but for what is sent on the next one."""
        if socket is self._socket:
            kept = [one for one in self._untold if one.is_over or (one.leg is not None and not one.runs_on(socket))]
            self._untold = dict.fromkeys(kept)
            self.end()

    def end(self) -> None:
        """Tell now."""
        self._alarm.stop()
        self._socket = self._question = None
        untold, self._untold = self._untold, {}
        operations = tuple(operation.operation for operation in untold if operation.goes_on)
        if operations:
            has_duplicates, self.may_repeat = self.may_repeat and self._options.dedup_key is None, False
            self._tell(Resubscribed(operations, may_have_gap=True, may_have_duplicates=has_duplicates))

    def _wait(self) -> None:
        """Give the server the time that was asked for, where operations begin later than a ping is answered."""
        self._question = None
        if self._options.overlap:
            self._alarm.set(self._options.overlap, self.end)
        else:
            self.end()
