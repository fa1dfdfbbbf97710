"""The operations that run on a client: each with its time limit, until the client is closed."""

from __future__ import annotations

from typing import Any

from rxlink.core.observer import Cancellable, Observer
from rxlink.core.operation import Operation
from rxlink.core.subscription import Subscription
from rxlink.core.timing import start_timer
from rxlink.core.work import report_callback_error
from rxlink.errors import ClientClosed, InvariantError, NetworkTimeout

__all__ = ["OperationRun", "RunningOperations"]


class RunningOperations:
    """Those of one client.

    Attributes:
        is_closed: Whether the client is.
    """

    def __init__(self) -> None:
        self._runs: set[OperationRun] = set()
        self.is_closed = False

    def begin(self, observer: Observer[Any], parent: Subscription) -> OperationRun | None:
        """Return what one more operation runs in; None where the client is closed, or the subscriber has left."""
        if self.is_closed:
            observer.on_error(ClientClosed("the client"))
            return None
        run = OperationRun(self._runs, observer, parent)
        parent.hold(run)
        if run.is_stopped:
            return None
        self._runs.add(run)
        return run

    def close(self) -> None:
        """Let no operation begin any more, and end those that run with :class:`~rxlink.errors.ClientClosed`."""
        self.is_closed = True
        for run in tuple(self._runs):
            try:
                run.refuse(ClientClosed("the client"))
            except Exception as error:  # noqa: BLE001 - one subscriber's callback must not stop the others
                report_callback_error(error)


class OperationRun(Subscription):
    """The root of one operation's chain, and the resource in the slot of the subscription that it is a part of.

    Not the chain's observer: what comes to :meth:`on_error` here is what a callback of the subscriber has raised.
    """

    __slots__ = ("_observer", "_parent", "_runs", "_timer")

    def __init__(self, runs: set[OperationRun], observer: Observer[Any], parent: Subscription) -> None:
        # Written out: the slot is its own, all else that of the subscription above.
        self._resource = None
        self._context = parent._context  # pyright: ignore[reportPrivateUsage] - a subscription inside another one
        self.is_stopped = False
        self.loop_at_start = None
        self.scheduler = parent.scheduler
        self._runs = runs
        self._observer = observer
        self._parent = parent
        self._timer: Cancellable | None = None

    def on_error(self, error: Exception) -> None:
        """Die of what the subscriber has raised."""
        if not self.is_stopped:
            self.end()
            self._parent.on_error(error)

    def refuse(self, error: Exception) -> None:
        """End with an error."""
        if not self.is_stopped:
            try:
                self.end()
            finally:  # a foreign teardown may raise
                self._observer.on_error(error)

    def end(self) -> None:
        """Cancel what still runs, and give the place in the slot back, before the subscriber is told."""
        self._parent.release()
        self.cancel()

    def cancel(self) -> None:
        """Leave, because the subscriber has."""
        self._runs.discard(self)
        self.stop_timer()
        self.dispose()

    def limit(self, seconds: float, operation: Operation, worker: Observer[Any]) -> bool:
        """Let the operation fail when it takes longer.

        Args:
            seconds: Than this.
            operation: Which.
            worker: The observer that then gets :class:`~rxlink.errors.NetworkTimeout`.

        Returns:
            Whether it may begin; where there is neither a scheduler nor an event loop to wait by, it is refused.
        """

        def give_up() -> None:
            self._timer = None
            what = f"{operation.operation_type.value} {operation.operation_name or '(anonymous)'}"
            worker.on_error(NetworkTimeout(what, seconds=seconds))

        try:
            if self.scheduler is None:
                self.event_loop()
        except InvariantError as failure:
            self.refuse(failure)
            return False
        self._timer = start_timer(seconds, give_up, self.scheduler)
        return True

    def stop_timer(self) -> None:
        """Wait for as long as it takes, from here on."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
