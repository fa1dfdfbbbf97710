"""RetryLink: nobody who has left is sent again, and what consumers do stays theirs."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import Subject
from reactivex.disposable import Disposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.links.context import SetContextLink
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, REQUEST, Worker, garbage_of, source_of, subscribed

DOWN = OSError("down")
STEADY = DelayOptions(initial=0.5, jitter=False)


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


class Server(ApolloLink):
    """A terminal that fails so many times before it answers, and notes when it was asked."""

    def __init__(self, failures, error=DOWN, time=None):
        super().__init__()
        self.failures = failures
        self.error = error
        self.time = time
        self.asked_at = []

    def request(self, operation, forward):
        self.asked_at.append(self.time.monotonic() if self.time else 0)
        return reactivex.throw(self.error) if len(self.asked_at) <= self.failures else reactivex.of(DATA)


class Timers:
    """A scheduler that is nothing but a list, and so makes no garbage of its own."""

    def __init__(self):
        self.due = []

    def schedule_relative(self, seconds, action):
        self.due.append(action)
        return Disposable(lambda: action in self.due and self.due.remove(action))

    def ring(self):
        while self.due:
            self.due.pop(0)(self)


class TestLeaving:
    @virtual
    async def test_while_waiting_stops_the_timer_and_sends_nothing(self, time):
        server = Server(9)
        recorder = subscribed(execute(from_([RetryLink(), server]), REQUEST))
        waiting = len(time.leftovers())

        recorder.subscription.dispose()

        assert (1, []) == (waiting, time.leftovers())
        await asyncio.sleep(60)
        assert (1, []) == (len(server.asked_at), recorder.seen)

    @pytest.mark.parametrize("option", ["delay", "attempts"])
    @virtual
    async def test_while_a_function_is_awaited_stops_it_and_sends_nothing(self, option):
        """In Apollo the retries go on."""
        stopped = []

        async def think(attempt, operation, error):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                stopped.append(attempt)
                raise
            return 1

        server = Server(9)
        recorder = subscribed(execute(from_([RetryLink(**{option: think}), server]), REQUEST))
        await turns()

        recorder.subscription.dispose()
        await asyncio.sleep(60)

        assert ([1], 1, []) == (stopped, len(server.asked_at), recorder.seen)

    @pytest.mark.parametrize("option", ["delay", "attempts"])
    @virtual
    async def test_sends_nothing_even_where_the_function_swallows_its_cancellation(self, option, time):
        async def stubborn(attempt, operation, error):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return 1

        server = Server(9)
        recorder = subscribed(execute(from_([RetryLink(**{option: stubborn}), server]), REQUEST))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert (1, [], []) == (len(server.asked_at), recorder.seen, time.leftovers())

    @pytest.mark.parametrize("option", ["delay", "attempts"])
    @virtual
    async def test_inside_a_function_ends_all(self, option, time):
        source = Subject()
        asked = []

        def leave(attempt, operation, error):
            asked.append(option)
            recorder.subscription.dispose()
            return 1

        options = {"delay": lambda *_: asked.append("delay") or 1, option: leave}
        recorder = subscribed(execute(from_([RetryLink(**options), source_of(source)]), REQUEST))
        source.on_error(DOWN)

        assert ([option], [], []) == (asked, recorder.seen, time.leftovers())

    @virtual
    async def test_during_the_second_attempt_aborts_it(self):
        server = MockLink([MockedResponse(error=DOWN), MockedResponse(result=DATA, delay=5)])
        recorder = subscribed(execute(from_([RetryLink(delay=STEADY), server]), REQUEST))
        await asyncio.sleep(1)

        recorder.subscription.dispose()
        await asyncio.sleep(9)

        assert (2, 1, []) == (len(server.operations), len(server.unsubscribed), recorder.seen)

    @virtual
    async def test_stops_only_the_one_who_leaves(self):
        results = execute(from_([RetryLink(delay=STEADY), Server(2)]), REQUEST)
        leaves, stays = subscribed(results), subscribed(results)

        leaves.subscription.dispose()
        await asyncio.sleep(9)

        assert ([], [DATA, END]) == (leaves.seen, stays.seen)


class TestConsumers:
    async def test_that_raise_are_no_reason_to_retry(self):
        server, errors = Server(0), []
        execute(from_([RetryLink(), server]), REQUEST).subscribe(lambda _: 1 / 0, errors.append)

        assert ([ZeroDivisionError], 1) == (list(map(type, errors)), len(server.asked_at))

    @virtual
    async def test_that_raise_in_a_later_attempt_end_their_stream_with_it(self, time):
        server, errors = MockLink([MockedResponse(error=DOWN), MockedResponse(result=DATA)]), []
        execute(from_([RetryLink(delay=STEADY), server]), REQUEST).subscribe(lambda _: 1 / 0, errors.append)
        await asyncio.sleep(9)

        assert ([ZeroDivisionError], 2, []) == (list(map(type, errors)), len(server.operations), time.leftovers())

    @virtual
    async def test_that_raise_at_the_end_are_reported(self):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(type(c["exception"])))
        execute(from_([RetryLink(delay=STEADY), Server(1)]), REQUEST).subscribe(on_completed=lambda: 1 / 0)
        await asyncio.sleep(9)

        assert [ZeroDivisionError] == complaints


class TestContextVariables:
    @pytest.mark.parametrize("is_async", [False, True])
    @virtual
    async def test_of_a_hundred_operations_stay_apart_though_one_event_fails_them_all(self, is_async):
        """P11: functions, links and observers see the values of their own subscription."""
        variable = ContextVar("variable", default="nobody")
        shared, seen, attempts = Subject(), {}, iter([True] * 100)

        async def later(error, operation):
            operation.set_context({"retry_if": variable.get()})
            return True

        def plain(error, operation):
            operation.set_context({"retry_if": variable.get()})
            return True

        def answer(operation, forward):
            return shared if next(attempts, False) else reactivex.of(dict(operation.get_context()))

        retry = RetryLink(delay=STEADY, attempts=AttemptsOptions(retry_if=later if is_async else plain))
        link = from_([retry, SetContextLink(lambda *_: {"setter": variable.get()}), ApolloLink(answer)])

        def start(name):
            variable.set(name)
            execute(link, REQUEST).subscribe(
                lambda context: seen.setdefault(name, (variable.get(), set(context.values())))
            )

        for name in range(100):
            copy_context().run(start, name)
        copy_context().run(lambda: (variable.set("somebody else"), shared.on_error(DOWN)))
        await asyncio.sleep(1)

        assert {name: (name, {name}) for name in range(100)} == seen


def test_nothing_is_left_for_the_garbage_collector():
    failing = Worker(lambda operation, observer, root: observer.on_error(DOWN))
    results = execute(from_([RetryLink(delay=STEADY, attempts=AttemptsOptions(max=3)), failing]), REQUEST)
    scheduler = Timers()

    def run():
        results.subscribe(on_error=lambda _: None, scheduler=scheduler)
        scheduler.ring()
        results.subscribe(scheduler=scheduler).dispose()
        scheduler.ring()

    assert 0 == garbage_of(run, 50)
