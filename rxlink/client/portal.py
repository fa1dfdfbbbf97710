"""An event loop in a thread of its own, and the way into it for threads that have none.

As small as it can be; anyio's ``BlockingPortal`` is the same idea. The thread starts with the first call. It is a
daemon, for Python waits for others before it lets anybody close them; at the interpreter's exit the portal is closed.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from rxlink.errors import ClientClosed, InvariantError, OperationCancelled

__all__ = ["Portal"]

T = TypeVar("T")


class Portal:
    """Runs coroutines on a loop of its own, for any number of threads, until it is closed.

    Nothing in it refers to whoever made it: the thread would keep that alive.
    """

    def __init__(self, at_end: Callable[[], Awaitable[None]]) -> None:
        """Start nothing yet.

        Args:
            at_end: Called on the loop when the portal is closed, after all that was handed in before has begun.
        """
        self._at_end = at_end
        self._lock = threading.RLock()  # a client may be found to be garbage anywhere, here too
        self._is_closing = False
        self._process: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._is_ready = threading.Event()
        self._failure: Exception | None = None

    def run(self, work: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function on the loop, in the ``contextvars`` context of now, and wait for what it returns.

        What interrupts the wait, such as Ctrl-C, cancels it.

        Raises:
            ClientClosed: The portal was closed, before or meanwhile.
            OperationCancelled: Something else has cancelled it.
            InvariantError: An event loop runs in this thread, or the portal's was left behind in another process.
            Exception: What it raises.
        """
        self._refuse_elsewhere()
        # Not asyncio's run_coroutine_threadsafe: what interrupts that has nothing in its hand to cancel.
        answer: Future[T] = Future()
        try:
            with self._lock:
                loop = self._started_loop()
                loop.call_soon_threadsafe(_begin, loop, answer, work, args)
            return answer.result()
        except CancelledError:
            # With its loop, or by a function that it has called.
            raise ClientClosed("the client") if self._is_closing else OperationCancelled("a call") from None
        finally:
            answer.cancel()  # if something has interrupted this
            del answer  # its exception knows this frame: no cycles

    def ask_to_close(self) -> None:
        """Let the thread end, without waiting for it; in a forked child there is none."""
        if not self.is_here():
            return
        with self._lock:
            is_first, self._is_closing = not self._is_closing, True
            if is_first and self._loop is not None and self._stopping is not None:
                self._loop.call_soon_threadsafe(self._stopping.set)

    def close(self) -> None:
        """Close; closing twice is fine, and in a forked child nothing happens: the portal is the parent's.

        Raises:
            InvariantError: This is the portal's own thread, which cannot wait for itself.
            Exception: What ``at_end`` has raised.
        """
        if not self.is_here():
            return
        if threading.current_thread() is self._thread:
            raise InvariantError("a SyncClient was closed in a function that it has called itself; close it outside")
        self.ask_to_close()
        if self._thread is not None:
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def is_here(self) -> bool:
        """Tell whether this process is the first that has used the portal, not one that it has forked since.

        Asked before each use of the lock: in a forked child that may be held for ever, by a thread that is not there.
        """
        if self._process is None:
            self._process = os.getpid()
        return self._process == os.getpid()

    def _refuse_elsewhere(self) -> None:
        _refuse_in_a_loop()
        if not self.is_here():
            raise InvariantError(
                "this SyncClient was used before the process was forked, and its thread has stayed in the other one; "
                "make a client in each process"
            )

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        if self._is_closing:
            raise ClientClosed("the client")
        if self._loop is not None:
            return self._loop
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve_in_thread, name="rxlink", daemon=True)
            atexit.register(self.close)
            self._thread.start()
        self._is_ready.wait()
        if self._loop is None:
            raise self._failed_to_start(self._thread)
        return self._loop

    def _failed_to_start(self, thread: threading.Thread) -> Exception:
        """Return why there is no loop, such as too many open files; the next call tries again."""
        thread.join()
        self._thread = None
        self._is_ready.clear()
        failure, self._failure = self._failure, None
        return failure or ClientClosed("the client")

    def _serve_in_thread(self) -> None:
        try:
            with asyncio.Runner() as runner:
                loop = runner.get_loop()
                try:
                    runner.run(self._serve())
                finally:
                    self._let_nobody_in(loop)
        except Exception as failure:  # noqa: BLE001 - raised by `close`, for whoever waits for it
            self._failure = failure
        except BaseException:  # noqa: BLE001, S110 - such as an exit: it is raised where its operation was called
            pass
        finally:
            self._is_ready.set()
            atexit.unregister(self.close)

    async def _serve(self) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._is_ready.set()
        try:
            await self._stopping.wait()
        finally:  # or something that was run here has asked the program to leave
            await self._at_end()

    def _let_nobody_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that who has come until now is a task, which is then cancelled and gets its end."""
        with self._lock:
            self._is_closing = True
        loop.run_until_complete(asyncio.sleep(0))


def _begin(
    loop: asyncio.AbstractEventLoop,
    answer: Future[T],
    work: Callable[..., Coroutine[Any, Any, T]],
    args: tuple[Any, ...],
) -> None:
    """Start work on the loop, unless whoever waits for it has left already."""
    if not answer.cancelled():
        task = loop.create_task(work(*args))
        task.add_done_callback(partial(_hand_over, answer))
        answer.add_done_callback(partial(_leave, loop, task))


def _hand_over(answer: Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        answer.cancel()
        return
    error = task.exception()
    if not answer.set_running_or_notify_cancel():  # nobody waits any more
        return
    if error is None:
        answer.set_result(task.result())
    else:
        answer.set_exception(error)


def _leave(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any], answer: Future[Any]) -> None:
    if answer.cancelled():
        with suppress(RuntimeError):  # so it says that it is closed, and the task with it
            loop.call_soon_threadsafe(task.cancel)


def _refuse_in_a_loop() -> None:
    with suppress(RuntimeError):  # so it says that none runs
        asyncio.get_running_loop()
        raise InvariantError(
            "a SyncClient was called where an event loop runs, and would stop it until the answer comes; use Client "
            "there, and await its calls"
        )
