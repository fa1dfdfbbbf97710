"""How a session tells its listeners: subjects whose observers cannot harm one another."""

from __future__ import annotations

from asyncio import CancelledError
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from threading import Lock
from typing import TypeVar

from reactivex import Subject, abc

from rxlink.auth.loops import call_on, loop_here
from rxlink.core.work import report_callback_error

__all__ = ["CurrentSignal", "Signal"]

T = TypeVar("T")


class Signal(Subject[T]):
    """A Subject whose observers are strangers to one another.

    One that raises does not stop the others, each is called in the ``contextvars.Context`` and on the event loop in
    which it subscribed, and all hear everything in the same order, even of what one of them sets off.
    """

    def __init__(self) -> None:
        super().__init__()
        self._to_tell: deque[T] = deque()
        self._is_telling = False

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return super()._subscribe_core(_Listener(observer), scheduler)

    def _on_next_core(self, value: T) -> None:
        self.note(value)
        self.tell()

    def note(self, value: T) -> None:
        """Put a value behind those that are still to be told; :meth:`tell` tells it."""
        self._to_tell.append(value)

    def tell(self) -> None:
        """Tell what was noted, unless somebody further up the stack, or in another thread, is at it."""
        with self.lock:
            if self._is_telling:
                return
            self._is_telling = True
        try:
            while (told := self._next_to_tell()) is not None:
                self._tell(told[0])
        except BaseException:
            self._is_telling = False  # the program is leaving, or a loop was told to stop
            raise

    def _next_to_tell(self) -> tuple[T] | None:
        with self.lock:
            self._is_telling = bool(self._to_tell)
            return (self._to_tell.popleft(),) if self._to_tell else None

    def _tell(self, value: T) -> None:
        super()._on_next_core(value)


class CurrentSignal(Signal[T]):
    """A :class:`Signal` of changes that tells each new observer the current value at once."""

    def __init__(self, value: T) -> None:
        super().__init__()
        self._value = value

    def _tell(self, value: T) -> None:
        with self.lock:  # who subscribes meanwhile gets this value either as the current one or as a change
            if value == self._value:
                return
            self._value = value
            observers = self.observers.copy()
        for observer in observers:
            observer.on_next(value)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        with self.lock:
            if self.is_stopped:
                return super()._subscribe_core(observer, scheduler)
            listener = _Listener(observer)
            listener.note(observer.on_next, self._value)
            subscription = super(Signal, self)._subscribe_core(listener, scheduler)
        listener.call()
        return subscription


class _Listener(abc.ObserverBase[T]):
    """An observer in its own context and on its own loop, whose exceptions stay with it."""

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        self._observer = observer
        self._context = copy_context()
        self._loop = loop_here()
        self._lock = Lock()
        self._to_call: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        self._is_busy = False

    def on_next(self, value: T) -> None:
        self.note(self._observer.on_next, value)
        self.call()

    def on_error(self, error: Exception) -> None:
        self.note(self._observer.on_error, error)
        self.call()

    def on_completed(self) -> None:
        self.note(self._observer.on_completed)
        self.call()

    def note(self, method: Callable[..., None], *values: object) -> None:
        """Put a call behind those that are still to be made; :meth:`call` makes it."""
        self._to_call.append((method, values))

    def call(self) -> None:
        """Make the calls that were noted: what other threads have told comes before what this one tells."""
        loop = self._loop
        if loop is not None and loop is not loop_here() and not loop.is_closed():
            call_on(loop, self._call_all)
        else:
            self._call_all()

    def _call_all(self) -> None:
        """Make the calls, unless somebody further up the stack, or in another thread, is at it."""
        with self._lock:
            if self._is_busy:
                return
            self._is_busy = True
        try:
            while (call := self._next_to_call()) is not None:
                method, values = call
                self._run(method, *values)
        except BaseException:
            self._is_busy = False  # the program is leaving, or a loop was told to stop
            raise

    def _next_to_call(self) -> tuple[Callable[..., None], tuple[object, ...]] | None:
        with self._lock:
            self._is_busy = bool(self._to_call)
            return self._to_call.popleft() if self._to_call else None

    def _run(self, method: Callable[..., None], *values: object) -> None:
        try:
            # A copy: this very context may be entered further up the stack, and a context is entered once.
            self._context.copy().run(method, *values)
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - reported; others still hear of it
            report_callback_error(error)
