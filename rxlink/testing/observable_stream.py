"""Take the notifications of an Observable one by one in a test.

Ports: ``@apollo/client`` 4.3.8 ``src/testing/internal/ObservableStream.ts``.
Differs: a notification of the wrong kind, and none at all, are an ``AssertionError`` that shows
what came instead; ``expect_nothing`` stands for its matcher ``not.toEmitAnything``.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.notification import Notification, OnCompleted, OnError, OnNext

from rxlink.core.options import checked_scheduler, kind_of
from rxlink.errors import InvariantTypeError

__all__ = ["ObservableStream"]

PATIENCE = 1.0  # seconds to wait for a notification
QUIET = 0.1  # seconds in which nothing may come

T = TypeVar("T")
Seconds: TypeAlias = float | timedelta


class ObservableStream(Generic[T]):
    """A subscription whose notifications wait in a queue until the test takes them.

    Time is the running loop's, so in virtual time no test waits for long.

    Attributes:
        subscription: The subscription, made with the stream.

    Example:
        >>> from reactivex import of
        >>> async def test():
        ...     with ObservableStream(of(1)) as stream:
        ...         assert 1 == await stream.take_next()
        ...         await stream.take_completed()
        >>> asyncio.run(test())
    """

    def __init__(self, observable: Observable[T], *, scheduler: abc.SchedulerBase | None = None) -> None:
        """Subscribe.

        Args:
            observable: What to look at.
            scheduler: Handed to ``subscribe``; None for the default of whatever needs one.

        Raises:
            InvariantTypeError: It cannot be subscribed, or the scheduler is none.
        """
        if not hasattr(observable, "subscribe"):
            raise InvariantTypeError(f"ObservableStream got {kind_of(observable)}; give it an Observable")
        checked_scheduler("scheduler", scheduler)
        self._notifications: asyncio.Queue[Notification[T]] = asyncio.Queue()
        self._seen: list[str] = []
        put = self._notifications.put_nowait
        self.subscription = observable.subscribe(
            lambda value: put(OnNext(value)),
            lambda error: put(OnError(error)),
            lambda: put(OnCompleted()),
            scheduler=scheduler,
        )

    async def take_next(self, *, timeout: Seconds = PATIENCE) -> T:
        """Return the next value.

        Args:
            timeout: How many seconds to wait for it.

        Raises:
            AssertionError: An error or the end came instead, or nothing in time.
        """
        notification = await self._take("a value", timeout)
        if isinstance(notification, OnNext):
            return notification.value
        raise self._mismatch("a value", notification)

    async def take_error(self, *, timeout: Seconds = PATIENCE) -> Exception:
        """Return the error that ends the stream.

        Args:
            timeout: How many seconds to wait for it.

        Raises:
            AssertionError: A value or a completion came instead, or nothing in time.
        """
        notification = await self._take("an error", timeout)
        if isinstance(notification, OnError):
            return notification.exception
        raise self._mismatch("an error", notification)

    async def take_completed(self, *, timeout: Seconds = PATIENCE) -> None:
        """Wait for the completion.

        Args:
            timeout: How many seconds to wait for it.

        Raises:
            AssertionError: A value or an error came instead, or nothing in time.
        """
        notification = await self._take("the completion", timeout)
        if not isinstance(notification, OnCompleted):
            raise self._mismatch("the completion", notification)

    async def expect_nothing(self, *, timeout: Seconds = QUIET) -> None:
        """Wait and see that nothing comes.

        Args:
            timeout: How many seconds to wait.

        Raises:
            AssertionError: Something came.
        """
        notification = await self._next(timeout)
        if notification is not None:
            raise self._mismatch("nothing", notification)

    def unsubscribe(self) -> None:
        """Leave the Observable; what has come before can still be taken."""
        self.subscription.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unsubscribe()

    async def _take(self, expected: str, timeout: Seconds) -> Notification[T]:
        notification = await self._next(timeout)
        if notification is None:
            raise AssertionError(
                f"expected {expected} within {_seconds(timeout):g} s, but nothing came; before: {self._history()}"
            )
        return notification

    async def _next(self, timeout: Seconds) -> Notification[T] | None:
        try:
            async with asyncio.timeout(_seconds(timeout)):
                notification = await self._notifications.get()
        except TimeoutError:
            return None
        self._seen.append(_describe(notification))
        return notification

    def _mismatch(self, expected: str, actual: Notification[T]) -> AssertionError:
        failure = AssertionError(f"expected {expected}, but got {self._seen[-1]}; before: {self._history(-1)}")
        if isinstance(actual, OnError):
            failure.__cause__ = actual.exception
        return failure

    def _history(self, end: int | None = None) -> str:
        return ", ".join(self._seen[:end]) or "nothing"


def _describe(notification: Notification[Any]) -> str:
    if isinstance(notification, OnNext):
        return f"the value {notification.value!r}"
    if isinstance(notification, OnError):
        return f"the error {notification.exception!r}"
    return "the completion"


def _seconds(duration: Seconds) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration
