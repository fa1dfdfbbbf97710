"""A subscription as the links below a trace link have it."""

from __future__ import annotations

from typing import Any, Protocol

from reactivex import abc

from rxlink.core.subscription import Cancellable, Scope, Subscription

__all__ = ["Watched", "Watcher"]


class Watcher(Protocol):
    """Who is told how a place was left."""

    def leave(self) -> None:
        """Take note that it was left from above."""


class Watched(Subscription):
    """The subscription above, with a slot of its own that is seen through.

    Workers know nobody below them, so a worker does not hear that it was left: only what is in the slot is cancelled.
    Therefore this stands in the slot as long as something runs below, and only so long: for the links above the slot is
    busy exactly when it would be without it.
    """

    __slots__ = ("_held", "_parent", "_side", "watcher")

    def __init__(self, parent: Subscription, watcher: Watcher) -> None:
        # Written out, without callbacks: whatever is told to it is told to the subscription above.
        self._parent = parent
        self._context = parent._context
        self._held: Cancellable | None = None
        self._side: Scope | None = None
        self.watcher = watcher
        self.loop_at_start = None
        self.scheduler: abc.SchedulerBase | None = parent.scheduler

    @property
    def is_stopped(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - an attribute there
        """Whether the subscription above has ended."""
        return self._parent.is_stopped

    @property
    def _resource(self) -> Cancellable | None:  # pyright: ignore[reportIncompatibleVariableOverride] - as above
        return self._held

    @_resource.setter
    def _resource(self, resource: Cancellable | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] - as above
        was_busy = self._held is not None
        self._held = resource
        if resource is not None and not was_busy:
            self._side = side = self._parent.open_scope()
            side.hold(self)
        elif resource is None and was_busy and self._side is not None:
            side, self._side = self._side, None
            side.release()
            side.close()

    def cancel(self) -> None:
        """Cancel what runs below: a link above, or the subscriber, has left."""
        resource, self._held, self._side = self._held, None, None
        self.watcher.leave()
        if resource is not None:
            resource.cancel()

    def on_next(self, value: Any) -> None:
        """Hand on a value."""
        self._parent.on_next(value)

    def on_error(self, error: Exception) -> None:
        """End the whole, as links do with what a callback of the subscriber has raised."""
        self._parent.on_error(error)

    def on_completed(self) -> None:
        """End the whole."""
        self._parent.on_completed()

    def dispose(self) -> None:
        """Leave the whole."""
        self._parent.dispose()
