"""`to_async_iterator`: each value once and in order, and then what the source ended with."""

import asyncio

import pytest
import reactivex
from reactivex import Subject
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.errors import BufferOverflow, InvariantError, InvariantTypeError, OperationCancelled
from rxlink.testing import MockedResponse, MockLink, VirtualTime, virtual
from tests.core.iterating import rest_of, settle
from tests.recording import DATA, END, REQUEST, Worker, sending


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_buffer": 0}, "`max_buffer` is 0; give a whole number, 1 or more"),
            ({"max_buffer": -1}, "`max_buffer` is -1; give a whole number, 1 or more"),
            ({"overflow": "latest"}, "`overflow` is 'latest'; give 'error', 'drop_oldest' or 'drop_newest'"),
            ({"overflow": None}, "`overflow` is None; give 'error', 'drop_oldest' or 'drop_newest'"),
        ],
    )
    def test_that_make_no_sense_are_refused_at_once(self, options, message):
        with pytest.raises(InvariantError) as caught:
            to_async_iterator(reactivex.never(), **options)

        assert message == str(caught.value)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"max_buffer": None}, "`max_buffer` is None; give a whole number, 1 or more"),
            ({"max_buffer": True}, "`max_buffer` is True; give a whole number, 1 or more"),
            ({"max_buffer": 2.0}, "`max_buffer` is 2.0; give a whole number, 1 or more"),
            (
                {"scheduler": "loop"},
                "`scheduler` is a str; give a scheduler of RxPY, or None for the running event loop's time",
            ),
        ],
    )
    def test_of_the_wrong_type_are_refused_at_once(self, options, message):
        with pytest.raises(InvariantTypeError) as caught:
            to_async_iterator(reactivex.never(), **options)

        assert message == str(caught.value)

    @pytest.mark.parametrize(("thing", "kind"), [(None, "None"), ([1], "a list"), (reactivex.of, "a function")])
    def test_what_is_no_observable_is_refused_at_once(self, thing, kind):
        with pytest.raises(InvariantTypeError) as caught:
            to_async_iterator(thing)

        assert f"to_async_iterator got {kind}; give it an Observable" == str(caught.value)

    async def test_a_thousand_values_may_wait_unless_it_is_said_otherwise(self):
        source = Subject()

        async with to_async_iterator(source) as values:
            for number in range(1001):
                source.on_next(number)
            *taken, end = await rest_of(values)

        assert (list(range(1000)), BufferOverflow) == (taken, type(end))


class TestIteration:
    async def test_gives_each_value_in_order_and_then_ends(self):
        assert [1, 2, 3, END] == await rest_of(to_async_iterator(reactivex.of(1, 2, 3)))

    async def test_gives_what_came_before_an_error_and_then_raises_it(self):
        down = OSError("down")

        seen = await rest_of(to_async_iterator(reactivex.of(1, 2).concat(reactivex.throw(down))))

        assert [1, 2, down] == seen

    @pytest.mark.parametrize("source", [reactivex.of(1), reactivex.throw(OSError()), reactivex.empty()])
    async def test_is_over_once_it_has_ended(self, source):
        values = to_async_iterator(source)
        await rest_of(values)

        assert [[END], [END]] == [await rest_of(values), await rest_of(values)]

    async def test_waits_for_what_comes_later(self):
        source = Subject()
        seen = asyncio.create_task(rest_of(to_async_iterator(source)))

        for number in (1, 2):
            await settle()
            source.on_next(number)
        await settle()
        source.on_completed()

        assert [1, 2, END] == await seen

    async def test_an_error_wakes_the_one_who_waits(self):
        source, down = Subject(), OSError("down")
        seen = asyncio.create_task(rest_of(to_async_iterator(source)))
        await settle()

        source.on_error(down)

        assert [down] == await seen

    async def test_subscribes_at_the_first_step_and_once(self):
        counted = []

        def subscribe(observer, scheduler=None):
            counted.append(1)
            return reactivex.of(1, 2).subscribe(observer)

        values = to_async_iterator(reactivex.create(subscribe))
        before = len(counted)

        await rest_of(values)

        assert (0, 1) == (before, len(counted))

    async def test_subscribes_where_async_with_begins(self):
        source = Subject()

        async with to_async_iterator(source) as values:
            source.on_next("before the first step")
            source.on_completed()

            assert ["before the first step", END] == await rest_of(values)

    async def test_takes_the_results_of_a_chain(self):
        link = MockLink([MockedResponse(result=DATA)])

        assert [DATA, END] == await rest_of(to_async_iterator(execute(link, REQUEST)))

    async def test_takes_what_a_chain_sends_before_subscribe_returns(self):
        assert [1, 2, END] == await rest_of(to_async_iterator(execute(sending(1, 2), REQUEST)))

    async def test_takes_what_an_observable_sends_before_subscribe_returns(self):
        def subscribe(observer, scheduler=None):
            observer.on_next(1)
            observer.on_error(failed)

        failed = OSError("at once")

        assert [1, failed] == await rest_of(to_async_iterator(reactivex.create(subscribe)))

    async def test_raises_what_subscribe_raises_after_what_it_had_sent(self):
        def subscribe(observer, scheduler=None):
            observer.on_next(1)
            raise failed

        failed = ZeroDivisionError()
        values = to_async_iterator(reactivex.create(subscribe))

        assert ([1, failed], [END]) == (await rest_of(values), await rest_of(values))

    @pytest.mark.parametrize("send", [lambda observer: None, lambda observer: observer.on_completed()])
    async def test_raises_what_leaves_subscribe_itself(self, send):
        """After an end too: nobody else would hear of it."""

        class Odd(reactivex.Observable):
            def subscribe(self, observer, scheduler=None):
                send(observer)
                raise ZeroDivisionError

        values = to_async_iterator(Odd())

        with pytest.raises(ZeroDivisionError):
            await anext(values)
        assert [END] == await rest_of(values)

    async def test_hears_nothing_after_the_end(self):
        observers = []
        rude = Worker(lambda operation, observer, root: observers.append(observer))
        values = to_async_iterator(execute(rude, REQUEST))
        await values.__aenter__()
        [observer] = observers
        observer.on_completed()

        observer.on_next(1)
        observer.on_error(OSError())
        observer.on_completed()

        assert [END] == await rest_of(values)

    @pytest.mark.parametrize("error", [StopIteration(7), StopAsyncIteration()])
    async def test_an_error_that_python_takes_for_an_end_is_an_error(self, error):
        [seen] = await rest_of(to_async_iterator(reactivex.throw(error)))

        message = f"the source of to_async_iterator ended with {type(error).__name__}"
        assert (RuntimeError, message, error) == (type(seen), str(seen), seen.__cause__)

    async def test_a_source_that_was_cancelled_does_not_look_as_if_the_consumer_were(self):
        future = asyncio.get_running_loop().create_future()
        future.cancel()

        [seen] = await rest_of(to_async_iterator(reactivex.from_future(future)))

        assert (OperationCancelled, asyncio.CancelledError) == (type(seen), type(seen.__cause__))
        assert "the source of to_async_iterator was cancelled from outside" in str(seen)


class TestTime:
    @virtual
    async def test_is_the_running_loops_also_for_sources_of_rxpy(self, time: VirtualTime):
        """Without a scheduler RxPY would start a thread for each timer."""
        assert [0, END] == await rest_of(to_async_iterator(reactivex.timer(10)))

        assert 10.0 == time.monotonic()
        assert [] == time.leftovers()

    @virtual
    async def test_is_the_schedulers_that_is_given(self, time: VirtualTime):
        given = []

        def subscribe(observer, scheduler=None):
            given.append(scheduler)
            observer.on_completed()

        source = reactivex.create(subscribe)

        await rest_of(to_async_iterator(source, scheduler=time.scheduler))
        await rest_of(to_async_iterator(source))

        assert (time.scheduler, AsyncIOScheduler) == (given[0], type(given[1]))
        assert given[1]._loop is time.loop
