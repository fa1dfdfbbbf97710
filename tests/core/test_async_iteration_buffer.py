"""`to_async_iterator`: what waits is bounded, and what happens at the bound is as the option says."""

import asyncio
import itertools
from typing import get_args

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Subject
from reactivex.scheduler import CurrentThreadScheduler

from rxlink.core.async_iteration import Overflow, to_async_iterator
from rxlink.errors import BufferOverflow
from rxlink.testing import virtual
from tests.core.iterating import Source, rest_of, settle
from tests.recording import END


class TestBuffer:
    @pytest.mark.parametrize(("overflow", "taken", "dropped"), [("drop_oldest", [3, 4], 2), ("drop_newest", [1, 2], 2)])
    async def test_that_is_full_drops_what_the_option_says_and_counts(self, overflow, taken, dropped):
        source = Subject()

        async with to_async_iterator(source, max_buffer=2, overflow=overflow) as values:
            for number in (1, 2, 3, 4):
                source.on_next(number)
            source.on_completed()

            assert ([*taken, END], dropped) == (await rest_of(values), values.dropped)

    async def test_that_overflows_leaves_the_source_at_once_and_says_so_after_what_waits(self):
        source = Subject()

        async with to_async_iterator(source, max_buffer=2) as values:
            source.on_next(1)
            source.on_next(2)
            before = len(source.observers)
            source.on_next(3)
            after = len(source.observers)
            source.on_next(4)
            *taken, error = await rest_of(values)

        assert (1, 0, [1, 2], 1) == (before, after, taken, values.dropped)
        assert (BufferOverflow, 2) == (type(error), error.max_buffer)

    async def test_that_overflows_says_so_also_where_the_teardown_raises(self):
        source = Source(teardown=lambda: 1 / 0)
        values = to_async_iterator(source, max_buffer=1)
        waiting = asyncio.create_task(rest_of(values))
        await settle()

        source.send(1)
        with pytest.raises(ZeroDivisionError):
            source.send(2)
        *taken, error = await waiting

        assert ([1], BufferOverflow) == (taken, type(error))

    async def test_counts_a_value_also_where_the_loop_waits_for_it(self):
        """Otherwise how many fit would depend on who came first."""
        source = Subject()
        values = to_async_iterator(source, max_buffer=1, overflow="drop_newest")
        waiting = asyncio.create_task(anext(values))
        await settle()

        source.on_next(1)
        source.on_next(2)

        assert (1, 1) == (await waiting, values.dropped)

    async def test_of_one_that_drops_the_oldest_gives_the_latest(self):
        source = Subject()

        async with to_async_iterator(source, max_buffer=1, overflow="drop_oldest") as values:
            seen = []
            for burst in ("ab", "c", "def"):
                for letter in burst:
                    source.on_next(letter)
                seen.append(await anext(values))

        assert (["b", "c", "f"], 3) == (seen, values.dropped)

    @pytest.mark.parametrize("scheduler", [None, CurrentThreadScheduler.singleton()])
    async def test_ends_a_source_that_never_stops_by_itself(self, scheduler):
        """On the current thread all of it comes before `subscribe` has returned."""
        counted = itertools.count()
        endless = reactivex.from_iterable(counted)

        *taken, error = await rest_of(to_async_iterator(endless, max_buffer=3, scheduler=scheduler))

        assert ([0, 1, 2], BufferOverflow, 4) == (taken, type(error), next(counted))

    async def test_keeps_its_bound_where_the_end_of_a_dropped_value_sends_another(self):
        source = Subject()

        class Loud:
            def __del__(self):
                source.on_next("from a destructor")

        async with to_async_iterator(source, max_buffer=2, overflow="drop_oldest") as values:
            source.on_next(Loud())
            source.on_next(1)
            source.on_next(2)
            source.on_completed()

            assert ([2, "from a destructor", END], 2) == (await rest_of(values), values.dropped)

    async def test_drops_nothing_where_the_loop_keeps_pace(self):
        async with to_async_iterator(reactivex.range(1000), max_buffer=1) as values:
            assert ([*range(1000), END], 0) == (await rest_of(values), values.dropped)


class Model:
    """What the buffer does, in the plainest words."""

    def __init__(self, max_buffer, overflow):
        self.max_buffer = max_buffer
        self.overflow = overflow
        self.waiting = []
        self.end = None
        self.dropped = 0

    def send(self, number):
        if self.end is not None:
            return
        if len(self.waiting) < self.max_buffer:
            self.waiting.append(number)
            return
        self.dropped += 1
        if self.overflow == "drop_oldest":
            self.waiting = [*self.waiting[1:], number]
        elif self.overflow == "error":
            self.end = "BufferOverflow"

    def finish(self, end):
        self.end = self.end or end

    def take(self):
        if self.waiting:
            return self.waiting.pop(0)
        end, self.end = self.end, self.end and "StopAsyncIteration"
        return end


class Consumer:
    """One task that takes a value when it is told to, and what it got."""

    def __init__(self, values):
        self.values = values
        self.waiting = None
        self.taken = []

    async def take(self):
        self.waiting = self.waiting or asyncio.create_task(self.values.__anext__())
        await self.look()

    async def cancel(self):
        if self.waiting is not None:
            self.waiting.cancel()
            await settle()
            self.waiting = None

    async def look(self):
        await settle()
        if self.waiting is not None and self.waiting.done():
            error = self.waiting.exception()
            self.taken.append(self.waiting.result() if error is None else type(error).__name__)
            self.waiting = None


class Rehearsal:
    """The source, the model and the consumer, step by step; a burst is so many values at once."""

    def __init__(self, source, model, values):
        self.source = source
        self.model = model
        self.consumer = Consumer(values)
        self.expected = []
        self.numbers = itertools.count()

    async def do(self, step):
        if step == "cancel":
            await self.consumer.cancel()
            return
        if isinstance(step, int):
            self.send(step)
        elif step != "take":
            self.end(step)
        is_waited = step == "take" or self.consumer.waiting is not None
        if is_waited and (taken := self.model.take()) is not None:
            self.expected.append(taken)
        await (self.consumer.take() if step == "take" else self.consumer.look())

    def send(self, count):
        for number in itertools.islice(self.numbers, count):
            self.source.on_next(number)
            self.model.send(number)

    def end(self, end):
        self.model.finish(end)
        if end == "OSError":
            self.source.on_error(OSError())
        else:
            self.source.on_completed()


STEPS = st.lists(
    st.one_of(st.integers(1, 6), st.sampled_from(["take", "take", "cancel", "OSError", "StopAsyncIteration"]))
)


@given(max_buffer=st.integers(1, 4), overflow=st.sampled_from(get_args(Overflow)), steps=STEPS)
@virtual
async def test_any_order_of_bursts_and_steps_gives_what_the_model_gives(max_buffer, overflow, steps):
    source, model = Subject(), Model(max_buffer, overflow)
    async with to_async_iterator(source, max_buffer=max_buffer, overflow=overflow) as values:
        rehearsal = Rehearsal(source, model, values)

        for step in [*steps, "StopAsyncIteration", *["take"] * 6]:
            await rehearsal.do(step)

        assert (rehearsal.expected, model.dropped) == (rehearsal.consumer.taken, values.dropped)
