"""A subscription to an SSE link: its operation, and how it goes on when its stream is lost.

Ports: ``graphql-sse`` 2.6.1 ``src/client.ts``, the loop in ``subscribe``.
Differs: only subscriptions are sent again (there mutations are too, and run twice); the last event's id goes along; the
pause that the server wishes is kept; a server that refuses for good is not asked again (there any answer but a stream
is tried five times); waits stop growing at 64 s; a loss is told.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Cancellable, Connect, ResultObserver, Subscription
from rxlink.core.timing import Duration, start_timer, to_seconds
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantTypeError, RxlinkError
from rxlink.transport._body import NOT_AWAITED
from rxlink.transport._retry_wait import NO_END, default_retry_wait, whole_number
from rxlink.transport._sse_events import SseAnnouncer, SseRetrying

__all__ = ["ResumingSubscription", "RetryOptions", "StreamedOperation", "Waits", "checked_retry_options"]


class StreamedOperation(Operation):
    """An operation as it is sent: made for each subscription, with the context of the original.

    Attributes:
        original: The operation, as the links above know it.
        identity: Its id on a connection that it shares; another one in each attempt.
        last_id: The id of the last event whose result was delivered, "" for none.
        coming_id: That of the event whose result comes now: a refused one never counts.
        retry: The pause in milliseconds that the server wishes before the next connection, None for none.
        was_lost: Whether a stream of it was lost, and no result has come since.
    """

    __slots__ = ("coming_id", "identity", "last_id", "original", "retry", "was_lost")

    def __init__(self, original: Operation) -> None:
        # All of it has been checked.
        self.original = original
        for name in Operation.__slots__:
            setattr(self, name, getattr(original, name))
        self.extensions = {**original.extensions}
        self.identity = ""
        self.last_id = self.coming_id = ""
        self.retry: int | None = None
        self.was_lost = False

    @property
    def resumes_after(self) -> str | None:
        """The id of the last event, None where there is none, or one that no header can hold."""
        return self.last_id if self.last_id and self.last_id.isprintable() else None

    @property
    def _context(self) -> dict[str, Any]:
        return self.original._context

    @_context.setter
    def _context(self, context: dict[str, Any]) -> None:  # pyright: ignore[reportIncompatibleVariableOverride] - no slot
        self.original._context = context

    def renew_identity(self) -> None:
        """Take another id, which goes along among the extensions."""
        self.identity = str(uuid.uuid4())
        self.extensions["operationId"] = self.identity


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOptions:
    """When a lost stream is opened again.

    Attributes:
        attempts: How often in a row; None for no limit.
        wait: Gets how often that was tried since the last result; returns how long to wait before.
        should_retry: Decides by the error; None for those that are ``retryable``.
    """

    attempts: int | None
    wait: Callable[[int], Duration]
    should_retry: Callable[[Exception], bool] | None

    def wait_after(self, error: Exception, retries: int, retry: int | None) -> float | None:
        """Return for how many seconds to wait, None where the error is final.

        Args:
            error: What has happened.
            retries: How often in a row another stream was opened.
            retry: The pause in milliseconds that the server wishes, None for none.

        Raises:
            InvariantError: The function returned no duration.
        """
        if self.attempts is not None and retries >= self.attempts:
            return None
        if not (_is_retryable(error) if self.should_retry is None else self.should_retry(error)):
            return None
        wait: Any = self.wait(retries)
        if wait is None:
            raise InvariantTypeError(f"`retry_wait` returned {kind_of(wait)}; return seconds or a timedelta")
        return max(to_seconds("retry_wait", wait), (retry or 0) / 1000)


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, RxlinkError) and error.retryable


class ResumingSubscription:
    """One subscription, over as many streams as it takes.

    Args:
        operation: Its operation.
        observer: Who gets the results.
        root: What it runs in.
        proceed: Sends the operation, once for each stream.
        options: When another one is opened.
        announcer: Tells of it.
        waits: Lets it wait.
    """

    __slots__ = ("_announcer", "_observer", "_operation", "_options", "_proceed", "_retries", "_root", "_waits",
                 "on_completed")  # fmt: skip

    def __init__(
        self,
        operation: StreamedOperation,
        observer: ResultObserver,
        root: Subscription,
        *,
        proceed: Connect,
        options: RetryOptions,
        announcer: SseAnnouncer,
        waits: Waits,
    ) -> None:
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._options = options
        self._announcer = announcer
        self._retries = 0
        self._waits = waits
        self.on_completed = observer.on_completed

    def open_stream(self) -> None:
        """Send the operation."""
        self._proceed(self._operation, self, self._root)

    def on_next(self, result: FetchResult) -> None:
        """Pass a result on: the stream was good for something."""
        self._retries = 0
        self._operation.was_lost = False
        self._operation.last_id = self._operation.coming_id  # before it is told: who raises has had it
        self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        """Open another stream after a while, or pass the error on."""
        operation, retries = self._operation, self._retries
        try:
            wait = self._options.wait_after(error, retries, operation.retry)
        except Exception as raised:  # noqa: BLE001 - users' functions run here
            self._observer.on_error(raised)
            return
        if wait is None:
            self._observer.on_error(error)
            return
        self._retries += 1
        operation.was_lost = True
        self._announcer.tell(SseRetrying(operation.original, retries, wait, error))
        if not self._root.is_stopped:  # somebody who was told may have made the subscriber leave
            resource = self._waits.begin(self, self._root)
            self._root.hold(resource)
            resource.start(wait)  # only now: a scheduler may run at once what is due

    def wake(self) -> None:
        """Open another stream now."""
        self._root.release()
        self.open_stream()

    def give_up(self, error: Exception) -> None:
        """End, because the link closes."""
        self._root.release()
        self._observer.on_error(error)


class Waits:
    """The subscriptions of a link that wait for another stream."""

    def __init__(self) -> None:
        self._waits: dict[_Wait, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, subscription: ResumingSubscription, root: Subscription) -> _Wait:
        """Return what wakes a subscription when its time has come, unless it is cancelled."""
        wait = _Wait(self._waits, subscription, root)
        if wait.loop is not self._loop:  # those of loops that have ended wake nobody
            self._loop = wait.loop
            for stale in [known for known in self._waits if known.loop.is_closed()]:
                del self._waits[stale]
        self._waits[wait] = None
        return wait

    def close(self, error: Callable[[], Exception]) -> None:
        """End those on the running loop, each with an error of its own."""
        here = asyncio.get_running_loop()
        for wait in [wait for wait in self._waits if wait.loop is here]:
            wait.give_up(error())


class _Wait:
    """One of them, as the resource of its subscription."""

    __slots__ = ("_root", "_subscription", "_timer", "_waits", "loop")

    def __init__(self, waits: dict[_Wait, None], subscription: ResumingSubscription, root: Subscription) -> None:
        self._waits = waits
        self._subscription = subscription
        self._root = root
        self.loop = asyncio.get_running_loop()
        self._timer: Cancellable | None = None

    def start(self, seconds: float) -> None:
        timer = start_timer(seconds, self.end, self._root.scheduler)
        if self in self._waits:
            self._timer = timer

    def cancel(self) -> None:
        self._waits.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def end(self) -> None:
        self._waits.pop(self, None)
        self._subscription.wake()

    def give_up(self, error: Exception) -> None:
        self.cancel()
        try:
            self._root.resume(self._subscription.give_up, error)
        except Exception as raised:  # noqa: BLE001 - one subscriber's callback must not keep a link from closing
            report_callback_error(raised)


def checked_retry_options(
    link: str,
    attempts: int | None,
    wait: Callable[[int], Duration] | None,
    should_retry: Callable[[Exception], bool] | None,
) -> RetryOptions:
    """Check the options of a link that say when a lost stream is opened again.

    Raises:
        InvariantError: The number of attempts is negative; an :class:`InvariantTypeError` where a type is wrong.
    """
    for name, function, argument in (("retry_wait", wait, "retries"), ("should_retry", should_retry, "error")):
        if function is not None:
            checked_function(f"`{name}` of {link}", function, argument, or_else=", or None", instead=NOT_AWAITED)
    return RetryOptions(
        attempts=None if attempts is None else whole_number("retry_attempts", attempts, NO_END),
        wait=wait or default_retry_wait,
        should_retry=should_retry,
    )
