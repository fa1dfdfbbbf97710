"""`from_future`: a function runs for each subscription, an awaitable is shared; leaving never cancels it for others."""

import asyncio
import gc
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import operators as ops

from rxlink.core.chain import execute
from rxlink.core.observables import from_error, from_future, resolve
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError, OperationCancelled
from rxlink.testing import MockedResponse, MockLink
from tests.recording import DATA, END, REQUEST, Recorder, seen_of, subscribed


async def turns(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


class Job:
    """A coroutine function that waits for the test, and counts."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.started = 0
        self.cancelled = 0

    async def __call__(self):
        self.started += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.started


class TestFunction:
    async def test_runs_once_for_each_subscription_and_not_before(self):
        """E48: a future starts eagerly and can be used once; a function does neither."""
        job = Job()
        job.gate.set()
        results = from_future(job)
        await turns()
        before = job.started

        seen = [await results, await results]

        assert (0, [1, 2]) == (before, seen)

    async def test_gives_its_one_value_and_completes(self):
        recorder = subscribed(from_future(lambda: asyncio.sleep(0, "token")))
        before = list(recorder.seen)

        await turns()

        assert ([], ["token", END]) == (before, recorder.seen)

    async def test_leaving_cancels_its_own_run_only(self):
        job = Job()
        results = from_future(job)
        left, stayed = subscribed(results), subscribed(results)
        await turns()

        left.subscription.dispose()
        job.gate.set()
        await turns()

        assert (1, [], [2, END]) == (job.cancelled, left.seen, stayed.seen)

    async def test_leaving_before_it_has_started_starts_nothing(self):
        job = Job()

        subscribed(from_future(job)).subscription.dispose()
        await turns()

        assert 0 == job.started

    async def test_hands_on_what_it_raises(self):
        async def fail():
            raise OSError("down")

        [error] = await settled(from_future(fail))

        assert "down" == str(error)

    async def test_hands_on_what_it_raises_before_there_is_an_awaitable(self):
        def fail():
            raise OSError("down")

        [error] = await settled(from_future(fail))

        assert "down" == str(error)

    async def test_that_returns_no_awaitable_is_named(self):
        def give_token():
            return "token"

        [error] = await settled(from_future(give_token))

        assert InvariantTypeError is type(error)
        assert "give_token" in str(error)
        assert "returned a str instead of an awaitable" in str(error)

    async def test_may_return_a_future(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result("token")

        assert ["token", END] == await settled(from_future(lambda: future))

    async def test_that_is_cancelled_inside_ends_with_a_defined_error(self):
        """E49."""
        inner = asyncio.get_running_loop().create_future()
        inner.cancel()

        [error] = await settled(from_future(lambda: inner))

        assert OperationCancelled is type(error)

    def test_without_a_loop_says_what_to_do(self):
        [error] = seen_of(from_future(lambda: asyncio.sleep(0)))

        assert "subscribe inside a coroutine" in str(error)

    async def test_flows_into_filter_and_flat_map_as_in_the_recipe(self):
        sent = MockLink([MockedResponse(result=DATA, max_usage=None)])
        retry = (
            from_future(lambda: asyncio.sleep(0, "token")).filter(bool).flat_map(lambda token: execute(sent, REQUEST))
        )

        assert ([DATA, END], 1) == (await settled(retry), len(sent.operations))

    async def test_an_exception_of_the_consumer_does_not_keep_the_end_from_it(self):
        """E51: it is reported to the loop's handler, and the operation still ends."""
        complaints = complaints_of(asyncio.get_running_loop())
        seen = []

        from_future(lambda: asyncio.sleep(0, 1)).subscribe(lambda _: 1 / 0, seen.append, lambda: seen.append(END))
        await turns()

        assert ([END], [ZeroDivisionError]) == (seen, list(map(type, complaints)))


class TestAwaitable:
    async def test_starts_at_the_first_subscription_and_is_shared_with_later_ones(self):
        """E48."""
        job = Job()
        results = from_future(job())
        await turns()
        before = job.started
        recorders = [subscribed(results), subscribed(results)]
        await turns()

        job.gate.set()
        await turns()
        recorders.append(subscribed(results))

        assert (0, 1, [[1, END]] * 3) == (before, job.started, [recorder.seen for recorder in recorders])

    async def test_leaving_does_not_cancel_it_for_others(self):
        """E43."""
        job = Job()
        results = from_future(job())
        leader, follower = subscribed(results), subscribed(results)
        await turns()

        leader.subscription.dispose()
        job.gate.set()
        await turns()

        assert (0, [], [1, END]) == (job.cancelled, leader.seen, follower.seen)

    async def test_goes_on_when_everybody_has_left_and_whoever_comes_later_joins(self):
        """E44: the work ends when it ends, not when a waiter leaves."""
        job = Job()
        results = from_future(job())
        subscribed(results).subscription.dispose()
        await turns()

        late = subscribed(results)
        job.gate.set()
        await turns()

        assert (1, 0, [1, END]) == (job.started, job.cancelled, late.seen)

    async def test_ten_thousand_leavers_take_one_callback_and_one_step_each(self):
        """E45: counted, not timed."""
        future = asyncio.get_running_loop().create_future()
        added = []

        class Watched(asyncio.Future):
            def add_done_callback(self, callback, *, context=None):
                added.append(callback)
                super().add_done_callback(callback, context=context)

            def remove_done_callback(self, callback):
                raise AssertionError("asyncio removes callbacks by scanning all of them")

        future = Watched()
        results = from_future(future)
        recorders = [subscribed(results) for _ in range(10_000)]
        callbacks = len(added)

        steps_of_one = steps_of(recorders[5_000].subscription.dispose)
        steps_of_all = steps_of(lambda: [recorder.subscription.dispose() for recorder in recorders])
        future.set_exception(OSError("nobody is left to see it"))
        await turns()
        del future, results
        gc.collect()  # asyncio would complain of an exception that was never retrieved

        assert (1, True) == (callbacks, steps_of_all <= 10_000 * steps_of_one + 2)
        assert [] == [recorder.seen for recorder in recorders if recorder.seen]

    async def test_one_subscriber_that_raises_does_not_starve_the_others(self):
        """E50."""
        complaints = complaints_of(asyncio.get_running_loop())
        job = Job()
        results = from_future(job())
        results.subscribe(lambda _: 1 / 0)
        other = subscribed(results)
        await turns()

        job.gate.set()
        await turns()

        assert ([1, END], [ZeroDivisionError]) == (other.seen, list(map(type, complaints)))

    async def test_a_subscriber_may_leave_another_while_they_are_released(self):
        job = Job()
        results = from_future(job())
        first, second = Recorder(), Recorder()
        results.subscribe(lambda value: (first.on_next(value), second.subscription.dispose()))
        second.subscription = results.subscribe(second)
        await turns()

        job.gate.set()
        await turns()

        assert ([1], []) == (first.seen, second.seen)

    async def test_each_subscriber_is_released_in_its_own_context(self):
        """P11."""
        variable = ContextVar("variable")
        job = Job()
        results = from_future(job())
        seen = []

        def subscribe(name):
            variable.set(name)
            results.subscribe(lambda _: seen.append(variable.get()))

        for name in "abc":
            copy_context().run(subscribe, name)
        await turns()
        job.gate.set()
        await turns()

        assert ["a", "b", "c"] == seen

    async def test_hands_its_error_to_all(self):
        future = asyncio.get_running_loop().create_future()
        error = OSError("down")
        results = from_future(future)
        recorders = [subscribed(results), subscribed(results)]

        future.set_exception(error)
        await turns()

        assert [[error], [error], [error]] == [*(r.seen for r in recorders), seen_of(results)]

    async def test_cancelled_from_outside_ends_all_with_a_defined_error(self):
        """E49: no CancelledError in on_error, and no silence."""
        task = asyncio.ensure_future(Job()())
        results = from_future(task)
        recorders = [subscribed(results), subscribed(results)]

        task.cancel()
        await turns()

        assert [[OperationCancelled]] * 3 == [
            list(map(type, seen)) for seen in (*(r.seen for r in recorders), seen_of(results))
        ]

    async def test_nobody_ever_subscribed_to_is_closed_quietly(self):
        job = Job()

        del_me = from_future(job())
        del del_me

        assert 0 == job.started  # a warning "was never awaited" would fail the test

    async def test_leaves_no_cycle(self):
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                from_future(Job()())
            left = gc.collect()
        finally:
            gc.enable()

        assert 0 == left

    async def test_a_task_that_nobody_subscribes_to_is_left_alone(self):
        job = Job()
        task = asyncio.ensure_future(job())
        from_future(task)
        await turns()

        job.gate.set()

        assert 1 == await task

    def test_without_a_loop_says_what_to_do_and_closes_the_coroutine(self):
        async def never_awaited():
            pass

        [error] = seen_of(from_future(never_awaited()))

        assert InvariantError is type(error)
        assert "subscribe inside a coroutine" in str(error)

    async def test_may_be_any_object_that_can_be_awaited(self):
        class Awaitable:
            def __await__(self):
                yield from asyncio.sleep(0).__await__()
                return "value"

        assert ["value", END] == await settled(from_future(Awaitable()))

    async def test_gives_every_operator_the_same_as_a_plain_observable(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result(2)

        assert [4, 2, END] == seen_of(
            from_future(future).pipe(ops.map(lambda n: n * 2), ops.concat(from_future(future)))
        )


class TestBadSources:
    @pytest.mark.parametrize("source", [7, None, "text", reactivex.of(1)])
    def test_are_named(self, source):
        with pytest.raises(TypeError, match=f"from_future got {kind_of(source)}") as failure:
            from_future(source)

        assert isinstance(failure.value, InvariantError)


class TestFromError:
    def test_ends_each_subscription_with_the_error(self):
        error = OSError("no")
        stream = from_error(error)

        assert [[error], [error]] == [seen_of(stream), seen_of(stream)]

    def test_can_be_caught(self):
        assert [1, END] == seen_of(from_error(OSError()).pipe(ops.catch(reactivex.of(1))))


class TestResolve:
    @pytest.mark.parametrize(
        "make", [lambda: 7, lambda: asyncio.sleep(0, 7), lambda: reactivex.of(6, 7), lambda: from_future(resolve_seven)]
    )
    async def test_waits_for_whatever_a_function_returned(self, make):
        assert 7 == await resolve(make())


async def resolve_seven():
    return 7


async def settled(observable):
    recorder = subscribed(observable)
    await turns(5)
    return recorder.seen


def complaints_of(loop):
    complaints = []
    loop.set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
    return complaints


def steps_of(function):
    """How many Python functions it calls."""
    import sys

    count = 0

    def profile(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def test_an_error_that_is_no_exception_is_refused():
    with pytest.raises(InvariantTypeError, match="from_error got a str; give it an exception"):
        from_error("bad")
