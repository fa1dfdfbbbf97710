"""ObservableStream: takes what comes, and says what came instead."""

import asyncio
from datetime import timedelta

import pytest
import reactivex
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxlink.errors import InvariantTypeError
from rxlink.testing import ObservableStream
from rxlink.testing.virtual_time import VirtualTime, virtual


async def test_takes_what_came_before_and_what_comes_later():
    subject = Subject[int]()
    with ObservableStream(subject) as stream:
        subject.on_next(1)
        asyncio.get_running_loop().call_soon(subject.on_next, 2)
        asyncio.get_running_loop().call_soon(subject.on_completed)

        taken = [await stream.take_next(), await stream.take_next()]

        assert [1, 2] == taken
        await stream.take_completed()


async def test_takes_the_error():
    error = OSError("down")

    with ObservableStream(reactivex.throw(error)) as stream:
        assert error is await stream.take_error()


async def test_takes_none_as_the_value_it_is():
    with ObservableStream(reactivex.of(None)) as stream:
        assert await stream.take_next() is None


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("take_error", "expected an error, but got the value 7; before: nothing"),
        ("take_completed", "expected the completion, but got the value 7; before: nothing"),
        ("expect_nothing", "expected nothing, but got the value 7; before: nothing"),
    ],
)
async def test_says_which_value_came_instead(method, message):
    with ObservableStream(reactivex.of(7)) as stream:
        with pytest.raises(AssertionError) as failure:
            await getattr(stream, method)()

    assert message == str(failure.value)


async def test_says_that_the_end_came_instead_and_what_came_before():
    with ObservableStream(reactivex.of(1, 2)) as stream:
        await stream.take_next()
        await stream.take_next()
        with pytest.raises(AssertionError) as failure:
            await stream.take_next()

    assert "expected a value, but got the completion; before: the value 1, the value 2" == str(failure.value)


async def test_chains_the_error_that_came_instead():
    error = OSError("down")

    with ObservableStream(reactivex.throw(error)) as stream:
        with pytest.raises(AssertionError, match=r"got the error OSError\('down'\)") as failure:
            await stream.take_next()

    assert error is failure.value.__cause__


@pytest.mark.parametrize("timeout", [5, timedelta(seconds=5)])
def test_waits_as_long_as_it_is_told(timeout):
    @virtual
    async def story(time: VirtualTime):
        with ObservableStream(reactivex.never()) as stream:
            with pytest.raises(AssertionError, match="expected a value within 5 s, but nothing came"):
                await stream.take_next(timeout=timeout)
        assert 5.0 == time.monotonic()

    story()


@virtual
async def test_sees_that_nothing_comes_and_goes_on(time: VirtualTime):
    subject = Subject[int]()
    with ObservableStream(subject) as stream:
        await stream.expect_nothing(timeout=3)
        subject.on_next(1)

        assert (1, 3.0) == (await stream.take_next(), time.monotonic())


async def test_leaves_the_observable_at_the_end_of_the_block_or_when_told():
    subject = Subject[int]()
    with ObservableStream(subject):
        pass
    stream = ObservableStream(subject)

    subject.on_next(1)
    stream.unsubscribe()
    subject.on_next(2)

    assert 1 == await stream.take_next()
    assert [] == subject.observers


async def test_hands_its_scheduler_to_subscribe():
    scheduler = TestScheduler()
    stream = ObservableStream(reactivex.timer(10.0), scheduler=scheduler)

    scheduler.advance_by(10)

    assert 0 == await stream.take_next()
    await stream.take_completed()


@pytest.mark.parametrize(
    ("observable", "options", "message"),
    [
        ([1], {}, "ObservableStream got a list; give it an Observable"),
        (None, {}, "ObservableStream got None; give it an Observable"),
        (reactivex.of(1), {"scheduler": 5}, "`scheduler` is 5; give a scheduler of RxPY"),
    ],
)
def test_refuses_what_cannot_be_subscribed(observable, options, message):
    with pytest.raises(InvariantTypeError, match=message):
        ObservableStream(observable, **options)
