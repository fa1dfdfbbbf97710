"""Which event loop a caller is on, and how to reach another one."""

import asyncio
import threading

import pytest

from rxlink.auth.loops import call_on, loop_here, running_loop
from rxlink.errors import InvariantError


async def test_the_running_loop_is_found() -> None:
    assert asyncio.get_running_loop() is running_loop()


def test_without_one_the_cure_is_named() -> None:
    with pytest.raises(InvariantError, match="no event loop runs; subscribe or await inside a coroutine"):
        running_loop()


def test_where_none_runs_there_is_none() -> None:
    assert loop_here() is None


class TestCallOn:
    async def test_on_the_callers_own_loop_it_is_called_at_once(self) -> None:
        """E53."""
        called: list[int] = []

        call_on(asyncio.get_running_loop(), called.append, 1)

        assert [1] == called

    async def test_from_another_thread_it_is_called_in_the_thread_of_the_loop(self) -> None:
        """E53: never on a thread that nobody expects."""
        called: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()

        thread = threading.Thread(target=call_on, args=(loop, lambda: called.set_result(threading.get_ident())))
        thread.start()

        assert threading.get_ident() == await called
        thread.join()

    async def test_on_a_closed_loop_nothing_is_called(self) -> None:
        loop = asyncio.new_event_loop()
        loop.close()
        called: list[int] = []

        call_on(loop, called.append, 1)

        assert [] == called
