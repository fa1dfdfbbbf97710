"""SchemaLink: the asynchronous lists that it streams live in one task each, and come to their own end."""

import asyncio
from contextvars import ContextVar

import pytest

from rxlink.core.chain import execute
from tests.recording import END, subscribed
from tests.transport.schema_world import NEEDS_PIECES, World, link_of, request, turns

pytestmark = NEEDS_PIECES
NUMBERS = request("{ numbers @stream(initialCount: 1) }")


async def seen_with(numbers):
    recorder = subscribed(execute(link_of(World(numbers=numbers)), NUMBERS))
    await turns()
    return recorder.seen


def lists(seen):
    return [result["data"]["numbers"] for result in seen[:-1]]


async def test_a_generator_runs_in_one_task_and_keeps_its_context():
    variable, tasks = ContextVar("variable"), []

    async def numbers(info):
        variable.set(1)
        try:
            async with asyncio.timeout(1):
                for _ in range(3):
                    tasks.append(asyncio.current_task())
                    yield variable.get()
        finally:
            tasks.append(asyncio.current_task())

    *_, last, end = await seen_with(numbers)

    assert ([1, 1, 1], END) == (last["data"]["numbers"], end)
    assert 1 == len(set(tasks))


async def test_a_generator_that_is_cut_runs_to_its_own_end_in_its_task():
    tasks, ended = [], []

    async def numbers(info):
        tasks.append(asyncio.current_task())
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            await turns(5)
            ended.append(asyncio.current_task())

    recorder = subscribed(execute(link_of(World(numbers=numbers)), NUMBERS))
    await turns()

    recorder.subscription.dispose()
    await turns()

    assert [{"data": {"numbers": [1]}}] == recorder.seen
    assert tasks == ended


async def test_a_generator_that_swallows_its_cancellation_is_closed():
    ended = []

    async def numbers(info):
        try:
            yield 1
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    yield 2
        finally:
            ended.append(1)

    recorder = subscribed(execute(link_of(World(numbers=numbers)), NUMBERS))
    await turns()

    recorder.subscription.dispose()
    await turns()

    assert ([1], 1) == (ended, len(recorder.seen))


@pytest.mark.parametrize("error", [OSError("gone"), asyncio.CancelledError()])
async def test_what_a_generator_raises_ends_the_list_with_an_error(error):
    async def numbers(info):
        yield 1
        raise error

    *_, last, end = await seen_with(numbers)

    message = "gone" if isinstance(error, OSError) else "the iterator of a streamed list was cancelled from outside"
    assert ([1], END) == (last["data"]["numbers"], end)
    assert last["errors"][0]["message"].startswith(message)


async def test_an_iterable_that_cannot_begin_is_an_error_of_its_field():
    class Broken:
        def __aiter__(self):
            raise OSError("closed")

    result, end = await seen_with(lambda info: Broken())

    assert ({"numbers": None}, END) == (result["data"], end)
    assert "closed" == result["errors"][0]["message"]


async def test_an_iterator_without_a_way_to_close_it_is_as_good():
    class Two:
        left = 2

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert [1, 0] == lists(await seen_with(lambda info: Two()))[-1]


@pytest.mark.parametrize("value", [None, 7, "text"])
async def test_what_is_no_list_is_what_it_is_without_the_directive(value):
    [result, end] = await seen_with(lambda info: value)
    expected = await execute(link_of(World(numbers=lambda info: value)), request("{ numbers }"))

    assert (expected, END) == (result, end)


@pytest.mark.parametrize("make", [list, iter, tuple])
async def test_a_plain_list_may_come_from_a_resolver_that_waits(make):
    async def numbers(info):
        await asyncio.sleep(0)
        return make([1, 2, 3])

    assert [[1], [1, 2, 3]] == lists(await seen_with(numbers))


async def test_an_asynchronous_list_may_come_from_a_resolver_that_waits():
    async def numbers(info):
        await asyncio.sleep(0)
        return World().numbers(info)

    assert [0, 1, 2] == lists(await seen_with(numbers))[-1]


async def test_arguments_may_have_any_name():
    async def numbers(info, **arguments):
        yield len(arguments)

    assert [0] == lists(await seen_with(numbers))[-1]


async def test_left_before_it_began_a_list_is_closed_once():
    closed = []

    class Source:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return 1

        async def aclose(self):
            closed.append(1)

    recorder = subscribed(
        execute(
            link_of(World(numbers=lambda info: Source())), request("{ numbers @stream hero { ... @defer { slow } } }")
        )
    )
    while not recorder.seen:
        await turns(1)
    recorder.subscription.dispose()
    await turns()

    assert [1] == closed
