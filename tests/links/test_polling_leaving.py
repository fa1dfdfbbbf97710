"""PollingLink: each subscription has its own timer, request and context, and nothing goes on after its end."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import Subject
from reactivex.disposable import Disposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.links.context import SetContextLink
from rxlink.links.polling import PollingLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, REQUEST, garbage_of, sending, source_of, subscribed

DOWN = OSError("down")


def every(seconds):
    return PollingLink(lambda operation: seconds)


def counting(delay=None, most=99):
    """A server that answers with how often it was asked."""
    return MockLink([MockedResponse(result={"data": number}, delay=delay) for number in range(most)])


def numbers(count):
    return [{"data": number} for number in range(count)]


class TestLeaving:
    @pytest.mark.parametrize("moment", [0, 0.25, 0.5, 1, 1.25, 1.5])
    @virtual
    async def test_at_any_moment_stops_timer_and_request(self, moment, time):
        server = counting(delay=0.5)
        recorder = subscribed(execute(from_([every(1), server]), REQUEST))
        await asyncio.sleep(moment)
        seen, asked = len(recorder.seen), len(server.operations)

        recorder.subscription.dispose()
        left = time.leftovers()
        await asyncio.sleep(9)

        assert ([], seen, asked) == (left, len(recorder.seen), len(server.operations))

    @virtual
    async def test_inside_on_next_stops_timer_and_request(self, time):
        link = from_([every(1), source_of(source := Subject())])
        subscription = execute(link, REQUEST).subscribe(lambda _: subscription.dispose())

        source.on_next(DATA)

        assert ([], []) == (source.observers, time.leftovers())

    @virtual
    async def test_inside_the_interval_function_sends_nothing(self, time):
        source, server = Subject(), counting()
        polling = PollingLink(lambda operation: recorder.subscription.dispose() or 1)
        link = from_([SetContextLink(lambda *_: source), polling, server])
        recorder = subscribed(execute(link, REQUEST))

        source.on_next({})
        source.on_completed()

        assert ([], [], []) == (recorder.seen, server.operations, time.leftovers())

    @virtual
    async def test_in_the_teardown_of_an_attempt_sends_no_other(self, time):
        subscribed_times = []

        def subscribe(observer, scheduler):
            subscribed_times.append(time.monotonic())
            return Disposable(lambda: recorder.subscription.dispose())  # noqa: PLW0108 - it is assigned later

        recorder = subscribed(execute(from_([every(1), source_of(reactivex.create(subscribe))]), REQUEST))
        await asyncio.sleep(9)

        assert ([0], []) == (subscribed_times, time.leftovers())

    @virtual
    async def test_stops_only_the_one_who_leaves(self):
        """In apollo-link-polling two operations share the timer and the subscription of the link."""
        results = execute(from_([every(1), sending(DATA)]), REQUEST)
        leaves, stays = subscribed(results), subscribed(results)

        leaves.subscription.dispose()
        await asyncio.sleep(2.5)
        stays.subscription.dispose()

        assert ([DATA], [DATA] * 3) == (leaves.seen, stays.seen)


class TestContextVariables:
    @virtual
    async def test_of_a_hundred_operations_stay_apart(self):
        """P11: timers, links and observers see the values of their own subscription, though one event starts all."""
        variable = ContextVar("variable", default="nobody")
        gate, seen, subscriptions = Subject(), {}, []
        link = from_(
            [
                SetContextLink(lambda *_: gate),
                every(1),
                SetContextLink(lambda *_: {"setter": variable.get()}),
                ApolloLink(lambda operation, forward: reactivex.of(dict(operation.get_context()))),
            ]
        )

        def start(name):
            variable.set(name)
            results = execute(link, REQUEST)
            subscriptions.append(
                results.subscribe(lambda context: seen.setdefault(name, []).append((variable.get(), context["setter"])))
            )

        for name in range(100):
            copy_context().run(start, name)
        copy_context().run(lambda: (variable.set("somebody else"), gate.on_next({}), gate.on_completed()))
        await asyncio.sleep(2.5)
        for subscription in subscriptions:
            subscription.dispose()

        assert {name: [(name, name)] * 2 for name in range(100)} == {name: got[1:] for name, got in seen.items()}


def test_nothing_is_left_for_the_garbage_collector():
    results = execute(from_([every(1), sending(DATA)]), REQUEST)

    def run():
        results.subscribe(scheduler=Timers()).dispose()

    assert 0 == garbage_of(run, 50)


class Timers:
    """A scheduler that is nothing but a list, and so makes no garbage of its own."""

    def __init__(self):
        self.due = []

    def schedule_relative(self, seconds, action):
        self.due.append(action)
        return Disposable(lambda: self.due.remove(action))
