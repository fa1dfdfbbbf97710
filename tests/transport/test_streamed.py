"""The lists that an execution streams, in the hands of whoever reads them."""

import asyncio
from types import SimpleNamespace

import pytest
from graphql import parse

from rxlink.transport._streamed import StreamedLists
from tests.transport.schema_world import NEEDS_PIECES, turns

pytestmark = NEEDS_PIECES


class Source:
    """An asynchronous iterator that counts how it is closed, and takes its time for it."""

    def __init__(self, *items):
        self.items = list(items)
        self.closings = []

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.items:
            await asyncio.Event().wait()
        item = self.items.pop(0)
        if item is StopAsyncIteration:
            raise item
        return item

    async def aclose(self):
        self.closings.append("begun")
        await turns(3)
        self.closings.append("done")


def held(lists, value, field="items @stream"):
    [operation] = parse(f"{{ {field} }}").definitions
    info = SimpleNamespace(field_nodes=operation.selection_set.selections)
    return lists.resolve(lambda source, info: value, None, info)


async def none():
    """Return nothing; it is to be closed."""


class TestPlainLists:
    @pytest.mark.parametrize("field", ["items", "items @include(if: true)"])
    def test_that_are_not_streamed_are_left_alone(self, field):
        items = [1]

        assert held(StreamedLists(), items, field) is items

    def test_are_read_as_they_are_and_forgotten_at_their_end(self):
        lists = StreamedLists()

        assert [1, 2] == list(held(lists, [1, 2]))
        assert not lists._open

    def test_stay_at_their_end(self):
        items = held(StreamedLists(), iter([1]))

        assert ([1], []) == (list(items), list(items))

    def test_are_at_their_end_when_they_are_closed_and_forgotten(self):
        lists = StreamedLists()
        items = held(lists, [1, 2, none()])
        first = next(items)

        lists.stop()
        lists.stop()

        assert (1, [], {}) == (first, list(items), lists._open)

    def test_that_are_opened_after_the_end_are_closed_at_once(self):
        lists = StreamedLists()
        lists.stop()

        items = held(lists, [1, none()])

        assert ([], {}) == (list(items), lists._open)

    def test_that_fail_are_forgotten(self):
        def failing():
            raise OSError
            yield

        lists = StreamedLists()
        with pytest.raises(OSError):  # noqa: PT011 - it has no words
            next(held(lists, failing()))

        assert not lists._open


class TestAsynchronousLists:
    async def test_are_closed_at_their_end_once_before_that_is_told(self):
        lists, source = StreamedLists(), Source(1, StopAsyncIteration)
        items = held(lists, source)

        read = [item async for item in items]
        again = [item async for item in items]

        assert ([1], [], ["begun", "done"], {}) == (read, again, source.closings, lists._open)

    async def test_that_are_cut_are_closed_once_and_waited_for_by_all(self):
        lists, source = StreamedLists(), Source(1)
        items = held(lists, source)
        first = await anext(items)
        waiting = asyncio.ensure_future(anext(items))
        await turns(2)

        await asyncio.gather(lists.aclose(), lists.aclose(), items.aclose())

        assert (1, ["begun", "done"], {}) == (first, source.closings, lists._open)
        waiting.cancel()

    async def test_tell_whoever_still_waits_that_they_were_cut(self):
        items = held(StreamedLists(), Source())
        waiting = asyncio.ensure_future(anext(items))
        await turns(2)

        await items.aclose()

        with pytest.raises(Exception, match="was cancelled from outside"):
            await waiting

    async def test_are_closed_while_nobody_asks(self):
        source = Source(1, 2)
        items = held(StreamedLists(), source)
        await anext(items)

        await items.aclose()

        assert ([2], ["begun", "done"]) == (source.items, source.closings)
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    async def test_are_not_cancelled_again_while_they_come_to_their_end(self):
        source = Source(StopAsyncIteration)
        items = held(StreamedLists(), source)
        waiting = asyncio.ensure_future(anext(items))
        await turns(3)
        before = list(source.closings)

        await items.aclose()

        assert (["begun"], ["begun", "done"]) == (before, source.closings)
        with pytest.raises(StopAsyncIteration):
            await waiting

    async def test_are_closed_before_they_have_begun(self):
        lists, source = StreamedLists(), Source(1)
        items = held(lists, source)

        await lists.aclose()

        assert (["begun", "done"], {}) == (source.closings, lists._open)
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    async def test_are_closed_before_their_first_step(self):
        lists, source = StreamedLists(), Source(1)
        items = held(lists, source)
        asking = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)  # it has made the task, which has not begun

        await items.aclose()
        asking.cancel()

        assert (["begun", "done"], {}, [1]) == (source.closings, lists._open, source.items)

    async def test_close_what_comes_when_nobody_waits_any_more(self):
        source = Source()
        gate = asyncio.Event()

        async def later():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                source.items.append("cancelled")
            return none()

        source.__class__ = type("Late", (Source,), {"__anext__": lambda self: later()})
        items = held(StreamedLists(), source)
        asking = asyncio.ensure_future(anext(items))
        await turns(3)
        asking.cancel()

        await items.aclose()  # a warning "was never awaited" would fail the test

        assert (["cancelled"], ["begun", "done"]) == (source.items, source.closings)

    async def test_that_go_on_in_spite_of_their_cancellation_end_for_whoever_asks(self):
        async def stubborn():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield 1

        items = held(StreamedLists(), stubborn())
        asking = asyncio.ensure_future(anext(items))
        await turns(3)

        await items.aclose()

        assert await asking == 1
        with pytest.raises(StopAsyncIteration):
            await anext(items)

    async def test_are_not_cancelled_a_second_time_by_who_closes(self):
        lists, ended = StreamedLists(), []

        async def numbers():
            try:
                await asyncio.Event().wait()
                yield 1
            finally:
                await turns(5)
                ended.append("done")

        items = held(lists, numbers())
        asking = asyncio.ensure_future(anext(items))
        await turns(3)
        items._task.cancel()  # such as a loop that closes
        await turns(2)

        await lists.aclose()
        asking.cancel()

        assert ["done"] == ended
