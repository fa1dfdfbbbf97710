"""One virtual time for a whole test: event loop, reactivex scheduler and clock move together.

Nothing waits: when all is done that can be done now, time jumps to the next timer. Real loopback
sockets and executor jobs work in the same loop and take no virtual time, so a client and its server
can be tested together through hours of token life within a moment.

Not for peers outside the loop (subprocesses, other threads): while a timer is set, time does not
wait for them longer than `io_grace`.
"""

import asyncio
import functools
import inspect
import math
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.testing._virtual_loop import VirtualLoop, describe

__all__ = ["VirtualTime", "virtual"]

START = datetime(2026, 1, 1, tzinfo=UTC)
IO_GRACE = 0.002  # real seconds
PATIENCE = 5.0  # real seconds

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


class VirtualTime:
    """A time that passes only when told to, or when nothing else is left to do.

    Close it, or use it in a `with` statement: closing cancels what is left and closes the loop.

    Args:
        start: What `clock()` tells at the beginning; any aware datetime. The default is
            2026-01-01 00:00 UTC, so that each run of a test sees the same dates.
        io_grace: Real seconds (default 0.002) given to bytes in flight before each jump of time;
            only spent while a socket is open. Loopback within one process needs no more.
        patience: Real seconds (default 5) that `run` listens to silent sockets when there is no
            timer to jump to, before it says that time stands still.

    Raises:
        ValueError: `start` has no time zone.
        RuntimeError: an event loop runs already.

    Example:
        >>> import asyncio
        >>> with VirtualTime() as time:
        ...     time.run(asyncio.sleep(3600))
        ...     print(time.monotonic(), time.clock())
        3600.0 2026-01-01 01:00:00+00:00
    """

    def __init__(self, *, start: datetime = START, io_grace: float = IO_GRACE, patience: float = PATIENCE) -> None:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                "an event loop runs here already, and VirtualTime runs one of its own: make it in a plain function, or "
                "let `@virtual` run the whole test"
            )
        if start.tzinfo is None:
            raise ValueError(f"start={start.isoformat()} has no time zone; write datetime(..., tzinfo=UTC)")
        self._start = start.astimezone(UTC)
        self._loop = VirtualLoop(io_grace=io_grace, patience=patience)
        self._threads = ThreadPoolExecutor(thread_name_prefix="virtual-time")
        self._loop.set_default_executor(self._threads)
        self._scheduler = _ClockScheduler(self._loop, self.clock)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop. Its `time()` is `monotonic()`.

        Timers of one moment fire in the order they were set, which a real loop does not promise.
        """
        return self._loop

    @property
    def scheduler(self) -> AsyncIOScheduler:
        """A reactivex scheduler on the loop. Its `now` is `clock()`."""
        return self._scheduler

    def clock(self) -> datetime:
        """Return the virtual date and time, in UTC, to the microsecond.

        The method itself is what `AuthSession(clock=...)` takes.
        """
        return self._start + timedelta(seconds=self._loop.time())

    def monotonic(self) -> float:
        """Return the virtual seconds since the beginning, to the nanosecond."""
        return self._loop.time()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end, jumping from timer to timer, and return its result.

        May be called again; what one run leaves behind goes on in the next.

        Raises:
            RuntimeError: virtual time stands still: nothing is ready, no timer is set and no
                executor job runs (with open sockets: none had anything for `patience` real
                seconds). The message lists the waiting tasks.
            BaseException: whatever the coroutine raises.
        """
        return self._loop.run_until_complete(coroutine)

    def advance(self, seconds: float | timedelta) -> None:
        """Let exactly `seconds` pass, from outside the loop, running what becomes due in order.

        What is due at the last moment runs too, with all that it makes ready.

        Args:
            seconds: Virtual seconds, 0 or more; 0 is `settle()`.

        Raises:
            ValueError: `seconds` is negative or not finite.
            RuntimeError: called from inside the loop; there, `await asyncio.sleep(seconds)`.
        """
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if not (math.isfinite(step) and step >= 0):
            raise ValueError(f"time cannot advance by {step} s; give a finite number of seconds, 0 or more")
        self._loop.run_until(self._loop.time() + step)

    def settle(self) -> None:
        """Run all that is ready, and what that makes ready, until nothing is; no time passes.

        Bytes on loopback and executor jobs count as ready and are waited for.

        Raises:
            RuntimeError: called from inside the loop.
        """
        self._loop.run_until(self._loop.time())

    def call(
        self,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **named: Parameters.kwargs,
    ) -> Result:
        """Call a function inside the loop, settle, and return its result; no time passes.

        Inside the loop means that `asyncio.get_running_loop()` works and tasks can be created.

        Raises:
            RuntimeError: called from inside the loop.
            BaseException: whatever the function raises, once everything has settled.
        """
        if self._loop.is_running():
            raise RuntimeError("VirtualTime.call is for code outside the loop; inside it, call the function itself")
        outcome: Future[Result] = Future()

        def run() -> None:
            try:
                outcome.set_result(function(*args, **named))
            except BaseException as error:  # noqa: BLE001 - raised again below, pytest's too
                outcome.set_exception(error)

        self._loop.call_soon(run)
        self.settle()
        return outcome.result()

    def leftovers(self) -> list[asyncio.Task[Any] | asyncio.TimerHandle]:
        """Return what is pending: tasks by name, then timers by time; not the task that asks.

        A task that sleeps appears twice, as itself and as its timer.
        """
        return [*self._waiting_tasks(), *self._loop.timers()]

    def close(self) -> None:
        """Cancel the tasks that are left and let them end, drop the timers, close the loop.

        What a cancelled task raises goes to the loop's exception handler, as with `asyncio.run`.
        A second call does nothing.
        """
        if self._loop.is_closed():
            return
        try:
            self._loop.run_until_complete(_cancel(self._waiting_tasks()))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._threads.shutdown()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _waiting_tasks(self) -> list[asyncio.Task[Any]]:
        asking = asyncio.current_task(self._loop)
        others = (task for task in asyncio.all_tasks(self._loop) if task is not asking)
        return sorted(others, key=lambda task: task.get_name())


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a plain test function of an `async def` one, run on a `VirtualTime` of its own.

    The test gets that time if it has a parameter `time`; its other parameters stay for pytest's
    fixtures (sync ones: async fixtures live on another loop) and for hypothesis, whose `@given`
    goes above `@virtual`.

    Raises:
        TypeError: `test` is no `async def` function.
        AssertionError: when called: the test passed but left tasks pending, which are listed.
    """
    if not inspect.iscoroutinefunction(test):
        raise TypeError(
            f"@virtual needs an async def function, got {test!r}; write @given and other decorators above @virtual"
        )
    signature = inspect.signature(test)
    others = [parameter for name, parameter in signature.parameters.items() if name != "time"]
    visible = signature.replace(parameters=others)

    @functools.wraps(test)
    def run_test(*args: Any, **named: Any) -> None:
        with VirtualTime() as time:
            call = inspect.BoundArguments(signature, visible.bind(*args, **named).arguments)
            if len(others) < len(signature.parameters):
                call.arguments["time"] = time
            time.run(test(*call.args, **call.kwargs))
            time.settle()
            left = [describe(item) for item in time.leftovers() if isinstance(item, asyncio.Task)]
            if left:
                raise AssertionError(f"{test.__qualname__} left tasks pending: {'; '.join(left)}")

    # Where inspect.signature looks first; typeshed does not declare it on functions.
    run_test.__dict__["__signature__"] = visible
    return run_test


class _ClockScheduler(AsyncIOScheduler):
    """RxPY's scheduler with the loop's own `now`; the original tells the wall clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], datetime]) -> None:
        super().__init__(loop)
        self._clock = clock

    @property
    def now(self) -> datetime:
        return self._clock()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            message = f"{describe(task)} failed when virtual time was closed"
            report = {"message": message, "exception": error, "task": task}
            asyncio.get_running_loop().call_exception_handler(report)
