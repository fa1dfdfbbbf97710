"""`to_async_iterator`: whoever leaves the loop leaves the source, and a wait that is cancelled loses nothing."""

import asyncio
import contextlib

import pytest
import reactivex
from reactivex.disposable import Disposable

from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.errors import InvariantError
from rxlink.testing import MockSubscriptionLink
from tests.core.iterating import Source, rest_of, settle
from tests.recording import DATA, END, REQUEST, garbage_of


class TestAsyncWith:
    async def test_leaves_the_source_where_the_block_ends(self):
        source = Source()

        async with to_async_iterator(source) as values:
            source.send(1)
            async for _ in values:
                break
            before = source.left

        assert (0, 1) == (before, source.left)

    async def test_leaves_the_source_where_the_block_raises(self):
        source = Source()

        with pytest.raises(ZeroDivisionError):
            async with to_async_iterator(source):
                raise ZeroDivisionError

        assert 1 == source.left

    async def test_leaves_the_source_where_the_task_is_cancelled(self):
        source = Source()

        async def consume():
            async with to_async_iterator(source) as values:
                await rest_of(values)

        task = asyncio.create_task(consume())
        await settle()
        task.cancel()
        await asyncio.wait([task])

        assert (1, True) == (source.left, task.cancelled())

    async def test_leaves_no_source_twice(self):
        source = Source()

        async with to_async_iterator(source) as values:
            source.finish()
            await rest_of(values)
        await values.aclose()

        assert 1 == source.left


class TestLoopThatIsLeft:
    async def test_leaves_the_source_at_once(self):
        source = Source()
        asyncio.get_running_loop().call_soon(lambda: source.send(1))

        async for _ in to_async_iterator(source):
            break

        assert 1 == source.left

    async def test_by_an_exception_leaves_the_source_at_once(self):
        source = Source()
        asyncio.get_running_loop().call_soon(lambda: source.send(1))

        async def fail():
            async for _ in to_async_iterator(source):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()

        assert 1 == source.left

    async def test_can_be_gone_on_with_while_somebody_refers_to_the_iterator(self):
        source = Source()
        values = to_async_iterator(source)
        asyncio.get_running_loop().call_soon(lambda: source.send(1))
        async for _ in values:
            break

        source.send(2)
        source.finish()

        assert [2, END] == await rest_of(values)

    async def test_leaves_an_operation_of_a_chain(self):
        link = MockSubscriptionLink()
        asyncio.get_running_loop().call_soon(link.simulate_result, DATA)

        async for _ in to_async_iterator(execute(link, REQUEST)):
            break

        assert 0 == link.subscribers

    @pytest.mark.parametrize(
        "send", [lambda link: link.simulate_result(DATA), lambda link: link.simulate_result(error=OSError())]
    )
    async def test_leaves_nothing_to_the_garbage_collector(self, send):
        link = MockSubscriptionLink()

        def take_and_leave():
            """A step by hand, from its wait to its value or error."""
            step = to_async_iterator(execute(link, REQUEST)).__anext__()
            step.send(None)
            send(link)
            with contextlib.suppress(StopIteration, OSError):
                step.send(None)

        assert (0, 0) == (garbage_of(take_and_leave, 10), link.subscribers)

    async def test_gives_what_a_teardown_raises_to_the_event_loop(self):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        source = Source(teardown=lambda: 1 / 0)
        asyncio.get_running_loop().call_soon(lambda: source.send(1))

        async for _ in to_async_iterator(source):
            break

        assert [ZeroDivisionError] == list(map(type, complaints))


class TestClosing:
    async def test_before_the_first_step_subscribes_nothing(self):
        counted = []
        values = to_async_iterator(reactivex.defer(lambda _: counted.append(1) or reactivex.of(1)))

        await values.aclose()

        assert ([END], []) == (await rest_of(values), counted)
        async with values:
            assert ([END], []) == (await rest_of(values), counted)

    async def test_throws_away_what_waits(self):
        source = Source()
        async with to_async_iterator(source) as values:
            source.send(1)
            source.fail(OSError())

        assert [END] == await rest_of(values)

    async def test_ends_the_wait_of_another_task(self):
        source = Source()
        values = to_async_iterator(source)
        waiting = asyncio.create_task(rest_of(values))
        await settle()

        await values.aclose()

        assert ([END], 1) == (await waiting, source.left)

    async def test_raises_what_a_teardown_raises_and_ends_the_wait(self):
        values = to_async_iterator(Source(teardown=lambda: 1 / 0))
        waiting = asyncio.create_task(rest_of(values))
        await settle()

        with pytest.raises(ZeroDivisionError):
            await values.aclose()

        assert [END] == await waiting

    async def test_is_heard_by_a_source_that_goes_on_sending(self):
        class Deaf(reactivex.Observable):
            def subscribe(self, observer, scheduler=None):
                self.observer = observer
                return Disposable()

        source = Deaf()
        values = to_async_iterator(source)
        await values.__aenter__()
        await values.aclose()

        source.observer.on_next(1)
        source.observer.on_error(OSError())

        assert [END] == await rest_of(values)


class TestCancelling:
    async def test_a_wait_loses_no_value(self):
        source = Source()
        values = to_async_iterator(source)
        for number in range(2):
            waiting = asyncio.create_task(anext(values))
            await settle()
            if number == 1:
                source.send("sent before the task could take it")
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()

        source.send("sent afterwards")
        source.finish()

        assert ["sent before the task could take it", "sent afterwards", END] == await rest_of(values)

    async def test_a_wait_with_a_timeout_loses_no_value(self):
        source = Source()
        values = to_async_iterator(source)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(values), 0.001)

        source.send(1)

        assert 1 == await asyncio.wait_for(anext(values), 1)


class TestOneConsumer:
    async def test_a_second_step_while_one_waits_is_refused(self):
        source = Source()
        values = to_async_iterator(source)
        waiting = asyncio.create_task(anext(values))
        await settle()

        with pytest.raises(InvariantError, match="somebody waits for the next value of this iterator already"):
            await anext(values)
        source.send(1)

        assert 1 == await waiting

    async def test_a_second_step_is_refused_also_when_the_value_is_there_but_not_taken(self):
        source = Source()
        values = to_async_iterator(source)
        waiting = asyncio.create_task(anext(values))
        await settle()
        source.send(1)

        with pytest.raises(InvariantError, match="somebody waits"):
            await anext(values)

        assert 1 == await waiting
