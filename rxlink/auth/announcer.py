"""How a session tells what happens: to the observers of its states and events, and to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from reactivex.disposable import Disposable

from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    CallbackFailed,
    Ended,
    LeaseLost,
    LoadFailed,
    RefreshFailed,
    RefreshStarted,
    RefreshSucceeded,
    RefreshSuperseded,
    RefreshTryFailed,
    SaveFailed,
    SignedInAgain,
    TokensAdopted,
)
from rxlink.auth.signals import CurrentSignal, Signal
from rxlink.core.work import report_callback_error

__all__ = ["Announcer"]

logger = logging.getLogger("rxlink.auth.session")  # whose part this is

LEVELS: Final[dict[object, int]] = {
    CallbackFailed: logging.WARNING,
    LeaseLost: logging.WARNING,
    LoadFailed: logging.WARNING,
    RefreshFailed: logging.WARNING,
    SaveFailed: logging.WARNING,
    Ended: logging.INFO,
    RefreshStarted: logging.INFO,
    RefreshSucceeded: logging.INFO,
    RefreshSuperseded: logging.INFO,
    RefreshTryFailed: logging.INFO,
    SignedInAgain: logging.INFO,
    TokensAdopted: logging.INFO,
}
"""What concerns the session itself; the rest is of single operations, at DEBUG."""


class Announcer:
    """Tells a session's observers and its log.

    Args:
        generation: Tells which token set is in use.
        name: The name of the session, for the log.

    Attributes:
        states: Where the session stands.
        events: What happens.
        changes: Which login, and which of its token sets, is in use; for links that keep a connection.
    """

    def __init__(self, generation: Callable[[], int], name: str | None = None) -> None:
        self._generation = generation
        self._form = "%s" if name is None else f"{name.replace('%', '%%')}: %s"
        self.states = CurrentSignal(AuthState(AuthStatus.LOADING))
        self.events = Signal[AuthEvent]()
        self.changes = CurrentSignal[tuple[int, int]]((0, 0))
        self._watchers: tuple[Callable[[AuthEvent], None], ...] = ()

    def watch(self, watcher: Callable[[AuthEvent], None]) -> Disposable:
        """Have a function called with each event at once, on the thread and in the context of whoever sets it off.

        Observers of :attr:`events` are called in a context of their own, on their own event loop and in turn: they
        cannot tell which operation it was, nor how long ago. The function must be quick and return at once.

        Returns:
            What ends it.
        """
        with self.events.lock:
            self._watchers = (*self._watchers, watcher)
        return Disposable(lambda: self._leave(watcher))

    def emit(self, event: Callable[..., AuthEvent], /, *values: object) -> None:
        """Tell of an event, if anybody listens."""
        level = LEVELS.get(event, logging.DEBUG)
        if logger.isEnabledFor(level) or self.events.observers or self._watchers:
            self.tell(event(self._generation(), *values))

    def tell(self, event: AuthEvent) -> None:
        """Tell of an event."""
        try:
            logger.log(LEVELS.get(type(event), logging.DEBUG), self._form, event)
        except Exception as error:  # noqa: BLE001 - a handler or a filter of the application must not stop a refresh
            report_callback_error(error)
        for watcher in self._watchers:
            try:
                watcher(event)
            except Exception as error:  # noqa: BLE001 - nor must whoever only looks on
                report_callback_error(error)
        self.events.on_next(event)

    def tell_of_failed_callback(self, callback: str, error: BaseException) -> None:
        """Tell that a function of the application raised; the loop's exception handler gets the exception itself."""
        report_callback_error(error)
        self.emit(CallbackFailed, callback, type(error).__name__)

    def close(self) -> None:
        """Tell that nothing more will happen."""
        self.events.on_completed()
        self.states.on_completed()
        self.changes.on_completed()

    def _leave(self, watcher: Callable[[AuthEvent], None]) -> None:
        with self.events.lock:
            self._watchers = tuple(other for other in self._watchers if other is not watcher)
