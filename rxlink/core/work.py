"""A task that works for a subscription: what is in the slot meanwhile, and what its end means.

Work tells its observer itself how it went. What is here is for the other ends: a stranger cancelled it, or before its
first step; a callback of the subscriber raised; the program is leaving.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from reactivex.internal import default_error

from rxlink.core.observer import Observer
from rxlink.errors import ClientClosed, OperationCancelled

if TYPE_CHECKING:
    from rxlink.core.subscription import Subscription

__all__ = ["Work", "close_unawaited", "report_callback_error"]

logger = logging.getLogger("rxlink.core.subscription")  # where its subscriptions are


class Work:
    """A task in the slot of a subscription; called with the task when that has ended.

    Attributes:
        task: Which.
    """

    __slots__ = ("_awaits", "_observer", "_root", "task")

    def __init__(
        self,
        task: asyncio.Task[None],
        root: Subscription,
        observer: Observer[Any],
        awaits: Awaitable[object] | None,
    ) -> None:
        self.task = task
        self._root = root
        self._observer = observer
        self._awaits = awaits

    def cancel(self) -> None:
        """Cancel the task."""
        self.task.cancel()

    def dismiss(self) -> None:
        """Let the task end unseen: it has told all that there was to tell."""
        self.task.remove_done_callback(self)

    def __call__(self, task: asyncio.Task[None]) -> None:
        """Tell the observer what the task could not tell."""
        if task.cancelled():
            close_unawaited(self._awaits)
            if self._root.lose(self):
                # Not the slot's doing: that would have emptied it first.
                self._observer.on_error(OperationCancelled("the work of an operation"))
            return
        error = task.exception()
        if error is None:
            return
        if not isinstance(error, Exception):
            # Such as an exit: it is not an answer, but the operation has ended.
            if self._root.lose(self):
                cancelled = OperationCancelled("the work of an operation")
                cancelled.__cause__ = error
                self._observer.on_error(cancelled)
            return
        # From a callback of the subscriber: work passes its own failures on and does not raise them.
        if self._root.lose(self):
            # In the midst of a stream, which has died of it; the workers above have no part in that.
            self._root.on_error(error)
        else:
            report_callback_error(error)


def report_callback_error(error: BaseException) -> None:
    """Give an exception that a callback raised to the event loop's exception handler, as asyncio does.

    For places where raising it further would stop others; without a running loop it is logged. What RxPY raises for a
    subscriber that has no ``on_error`` is no callback's mistake, and is told as what it is.
    """
    is_unheard = _is_unheard(error)
    name = type(error).__name__
    message = f"rxlink: a subscriber without on_error got {name}" if is_unheard else f"rxlink: a callback raised {name}"
    if is_unheard and isinstance(error, ClientClosed):
        error = error.with_traceback(None)  # somebody has closed the link: no place in the program is to be looked at
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        logger.error(message, exc_info=error)
        return
    loop.call_exception_handler({"message": message, "exception": error})


def _is_unheard(error: BaseException) -> bool:
    """Tell whether an exception was raised by RxPY because its subscriber takes no errors."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_code is not default_error.__code__:
        step = step.tb_next  # where it was raised for the first time comes behind
    return step is not None


def close_unawaited(awaits: Awaitable[object] | None) -> None:
    """Close a coroutine that was never awaited, which Python would warn of; closing a finished one does nothing."""
    if asyncio.iscoroutine(awaits):
        awaits.close()
