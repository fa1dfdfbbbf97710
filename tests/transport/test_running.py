"""What ends requests early: one timer for all of them, and closing."""

import asyncio

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._running import Ended, Running


async def run(running: Running, seconds: float, ends: list) -> None:
    """A request that takes so long, and notes when and how it ended."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    running.enter(task)
    try:
        await asyncio.sleep(seconds)
        ends.append((loop.time(), "done"))
    except asyncio.CancelledError:
        ended = running.why_cancelled(task)
        ends.append((loop.time(), ended))
        if ended is None:
            raise
    finally:
        del running.due[task]


@virtual
async def test_each_ends_exactly_at_its_own_time(time: VirtualTime):
    running, ends = Running(time.loop, 10), []

    async def start_later(delay: float, seconds: float) -> None:
        await asyncio.sleep(delay)
        await run(running, seconds, ends)

    await asyncio.gather(*(start_later(*plan) for plan in [(0, 1), (0.5, 99), (3, 9), (4.25, 99), (7, 99)]))

    late = Ended.BY_TIMEOUT
    assert [(1, "done"), (10.5, late), (12, "done"), (14.25, late), (17, late)] == ends
    assert 0 == len(running)


@virtual
async def test_has_one_timer_for_all_which_ends_when_it_finds_none(time: VirtualTime):
    running, ends = Running(time.loop, 10), []

    for _ in range(3):
        tasks = [asyncio.create_task(run(running, 1, ends)) for _ in range(100)]
        await asyncio.sleep(0)
        assert 1 == [timer.when() for timer in time.loop.timers()].count(10)
        await asyncio.gather(*tasks)
    await asyncio.sleep(7)

    assert [] == time.loop.timers()


@virtual
async def test_has_no_timer_once_it_is_closed(time: VirtualTime):
    running = Running(time.loop, 10)
    await run(running, 1, [])

    await running.close()

    assert [] == time.loop.timers()


@virtual
async def test_ends_the_next_one_in_time_as_well(time: VirtualTime):
    running, ends = Running(time.loop, 10), []

    for seconds in (5, 99, 99):
        await run(running, seconds, ends)

    late = Ended.BY_TIMEOUT
    assert [(5, "done"), (15, late), (25, late)] == ends


@virtual
async def test_ends_one_that_begins_in_the_moment_in_which_another_is_late(time: VirtualTime):
    running, ends = Running(time.loop, 10), []
    first = asyncio.create_task(run(running, 99, ends))
    await asyncio.sleep(0)
    second = asyncio.create_task(asyncio.Event().wait())
    time.loop.call_at(10, running.enter, second)

    await first
    with pytest.raises(asyncio.CancelledError):
        await second

    assert (20, Ended.BY_TIMEOUT) == (time.monotonic(), running.why_cancelled(second))


@virtual
async def test_ends_each_once_however_often_there_is_reason_to(time: VirtualTime):
    running, ends = Running(time.loop, 10), []
    late = asyncio.create_task(run(running, 99, ends))
    await asyncio.sleep(0)
    closing = []
    time.loop.call_at(10, lambda: closing.append(asyncio.ensure_future(running.close())))
    time.loop.call_at(10, running._end, late, Ended.BY_CLOSING)

    await late

    assert [(10, Ended.BY_TIMEOUT)] == ends
    assert {} == running._ended
    await asyncio.gather(*closing)


@virtual
async def test_without_a_timeout_has_no_timer(time: VirtualTime):
    running, ends = Running(time.loop, None), []

    await run(running, 1e6, ends)

    assert [(1e6, "done")] == ends


@virtual
async def test_closing_ends_all_and_waits_for_them(time: VirtualTime):
    running, ends = Running(time.loop, 10), []
    tasks = [asyncio.create_task(run(running, 5, ends)) for _ in range(3)]
    await asyncio.sleep(1)

    await running.close()

    assert [(1, Ended.BY_CLOSING)] * 3 == ends
    await asyncio.gather(*tasks)
    await running.close()


@pytest.mark.parametrize("moment", [0, 10])
def test_somebody_elses_cancelling_counts_more(moment: float):
    with VirtualTime() as time:
        running, ends = Running(time.loop, 10), []

        async def story() -> None:
            task = asyncio.create_task(run(running, 99, ends))
            await asyncio.sleep(0)
            time.loop.call_at(moment, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task

        time.run(story())

        assert [None] == [ended for _, ended in ends]
