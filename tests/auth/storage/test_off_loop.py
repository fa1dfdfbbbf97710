"""Calls that block, beside the loop that waits for them."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from rxlink.auth.storage._off_loop import off_loop

PATIENCE = 10
current: ContextVar[str] = ContextVar("current", default="nobody")


async def test_what_is_returned_or_raised_comes_out_and_nothing_is_handed_back() -> None:
    handed_back: list[object] = []

    def fail() -> None:
        raise OSError("no")

    returned = await off_loop(lambda: 5, unwanted=handed_back.append)
    with pytest.raises(OSError, match="no"):
        await off_loop(fail, unwanted=handed_back.append)

    assert (5, []) == (returned, handed_back)


async def test_it_runs_in_a_thread_of_its_own_in_the_callers_context() -> None:
    """P11."""
    current.set("ada")

    name, daemon, user = await off_loop(
        lambda: (threading.current_thread().name, threading.current_thread().daemon, current.get())
    )

    assert ("rxlink-token-storage", True, "ada") == (name, daemon, user)


async def test_who_is_cancelled_gets_nothing_and_the_result_is_handed_back_once() -> None:
    begun, may_end, handed_back = threading.Event(), threading.Event(), list[int]()

    def slow() -> int:
        begun.set()
        assert may_end.wait(PATIENCE)
        return 5

    task = asyncio.create_task(off_loop(slow, unwanted=handed_back.append))
    assert await asyncio.to_thread(begun.wait, PATIENCE)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = list(handed_back)
    thread = next(thread for thread in threading.enumerate() if thread.name == "rxlink-token-storage")
    may_end.set()
    thread.join(PATIENCE)

    assert ([], [5]) == (before, handed_back)


async def test_an_error_that_nobody_waits_for_is_not_handed_back() -> None:
    may_end, handed_back = threading.Event(), list[object]()

    def fail() -> None:
        assert may_end.wait(PATIENCE)
        raise OSError("no")

    task = asyncio.create_task(off_loop(fail, unwanted=handed_back.append))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    thread = next(thread for thread in threading.enumerate() if thread.name == "rxlink-token-storage")
    may_end.set()
    thread.join(PATIENCE)

    assert [] == handed_back


def test_the_result_is_handed_back_where_the_loop_is_closed_and_the_call_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, may_end, handed_back = threading.Event(), threading.Event(), list[int]()

    def slow() -> int:
        begun.set()
        assert may_end.wait(PATIENCE)
        return 5

    async def begin() -> object:
        call = off_loop(slow, unwanted=handed_back.append)
        call.send(None)
        return call

    call = asyncio.run(begin())
    assert begun.wait(PATIENCE)
    thread = next(thread for thread in threading.enumerate() if thread.name == "rxlink-token-storage")
    may_end.set()
    thread.join(PATIENCE)  # it tells the loop, which is closed
    before = list(handed_back)
    call.close()  # pyright: ignore[reportAttributeAccessIssue]

    assert ([], [5], []) == (before, handed_back, caplog.messages)
