"""PollingLink: when each attempt is made, what the interval may be, and that an error ends it."""

import asyncio
from datetime import timedelta

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from rxlink.links.polling import PollingLink
from rxlink.links.retry import DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import DATA, END, FAILED, REQUEST, Worker, answering, seen_of, sending, subscribed

DOWN = OSError("down")


def every(seconds):
    return PollingLink(lambda operation: seconds)


def counting(delay=None, most=99):
    """A server that answers with how often it was asked."""
    return MockLink([MockedResponse(result={"data": number}, delay=delay) for number in range(most)])


def numbers(count):
    return [{"data": number} for number in range(count)]


class TestAttempts:
    @pytest.mark.parametrize("interval", [2, 2.0, timedelta(seconds=2)])
    @virtual
    async def test_are_made_at_once_and_then_at_each_interval(self, interval):
        recorder = subscribed(execute(from_([every(interval), counting()]), REQUEST))

        seen = []
        for _ in range(4):
            seen.append(len(recorder.seen))
            await asyncio.sleep(1.5)
        recorder.subscription.dispose()

        assert ([1, 1, 2, 3], numbers(3)) == (seen, recorder.seen[:3])

    @pytest.mark.parametrize(
        "terminal", [sending(DATA), answering(DATA), MockLink([MockedResponse(result=DATA, delay=1, max_usage=None)])]
    )
    @virtual
    async def test_do_not_complete_the_stream(self, terminal):
        recorder = subscribed(execute(from_([every(2), terminal]), REQUEST))
        await asyncio.sleep(5.5)
        recorder.subscription.dispose()

        assert [DATA, DATA, DATA] == recorder.seen

    @virtual
    async def test_keep_their_distance_however_long_an_answer_takes(self, time):
        asked_at = []
        server = counting(delay=0.75)
        note = ApolloLink(lambda operation, forward: asked_at.append(time.monotonic()) or forward(operation))
        recorder = subscribed(execute(from_([every(1), note, server]), REQUEST))
        await asyncio.sleep(3.9)
        recorder.subscription.dispose()

        assert ([0, 1, 2, 3], numbers(4)) == (asked_at, recorder.seen)

    @virtual
    async def test_take_the_place_of_one_that_is_still_under_way_as_in_apollo(self):
        server = MockLink([MockedResponse(result=FAILED, delay=5), MockedResponse(result=DATA, delay=1)])
        recorder = subscribed(execute(from_([every(2), server]), REQUEST))
        await asyncio.sleep(3.5)
        recorder.subscription.dispose()

        assert ([DATA], 1) == (recorder.seen, len(server.unsubscribed))

    @pytest.mark.parametrize("event", [("on_next", DATA), ("on_error", DOWN), ("on_completed",)])
    def test_are_deaf_once_another_has_taken_their_place(self, event):
        """Also where the old one is in the midst of sending when the subscriber makes time pass."""
        scheduler, seen = TestScheduler(), []

        def consume(result):
            seen.append(result)
            if len(seen) == 1:
                scheduler.advance_by(1)

        def start(operation, observer, root):
            observer.on_next(1)
            getattr(observer, event[0])(*event[1:])

        terminals = iter([Worker(start), sending(2), sending(3)])
        link = from_([every(1), ApolloLink(lambda operation, forward: execute(next(terminals), REQUEST))])
        subscription = execute(link, REQUEST).subscribe(consume, seen.append, scheduler=scheduler)
        scheduler.advance_by(1)
        subscription.dispose()

        assert [1, 2, 3] == seen

    @virtual
    async def test_run_the_links_behind_each_time(self):
        ran = []
        recorder = subscribed(
            execute(from_([every(1), SetContextLink(lambda *_: ran.append(1)), sending(DATA)]), REQUEST)
        )
        await asyncio.sleep(2.5)
        recorder.subscription.dispose()

        assert [1, 1, 1] == ran

    def test_follow_the_scheduler_of_the_subscriber(self):
        scheduler = TestScheduler()
        recorder = subscribed(execute(from_([every(1), counting()]), REQUEST), scheduler)

        scheduler.advance_by(2)
        recorder.subscription.dispose()
        scheduler.advance_by(9)

        assert numbers(3) == recorder.seen


class TestTheInterval:
    @virtual
    async def test_is_asked_for_once_a_subscription(self):
        asked = []
        link = from_([PollingLink(lambda operation: asked.append(operation.operation_name) or 1), sending(DATA)])
        results = execute(link, REQUEST)

        recorders = [subscribed(results), subscribed(results)]
        await asyncio.sleep(5)
        for recorder in recorders:
            recorder.subscription.dispose()

        assert ["Viewer", "Viewer"] == asked

    def test_may_be_none_and_then_the_operation_passes_and_completes(self):
        assert [DATA, END] == seen_of(execute(from_([every(None), sending(DATA)]), REQUEST))

    @pytest.mark.parametrize(
        ("interval", "kind"),
        [(0, InvariantError), (-1, InvariantError), (float("inf"), InvariantError), ("1", InvariantTypeError)],
    )
    @virtual
    async def test_that_cannot_be_is_the_operations_error_and_nothing_is_sent(self, interval, kind):
        server = counting()

        [error] = seen_of(execute(from_([every(interval), server]), REQUEST))

        assert (kind, []) == (type(error), server.operations)
        assert "`poll_interval` is" in str(error)

    def test_that_raises_is_the_operations_error(self):
        [error] = seen_of(execute(from_([PollingLink(lambda operation: 1 / 0), counting()]), REQUEST))

        assert ZeroDivisionError is type(error)

    def test_needs_a_scheduler_or_a_loop(self):
        server = counting()

        [error] = seen_of(execute(from_([every(1), server]), REQUEST))

        assert (InvariantError, []) == (type(error), server.operations)
        assert "no event loop" in str(error)

    @pytest.mark.parametrize(
        ("poll_interval", "message"),
        [(None, "`poll_interval` is None; give a function"), (2, "`poll_interval` is 2; give a function")],
    )
    def test_is_a_function(self, poll_interval, message):
        with pytest.raises(InvariantTypeError, match=message):
            PollingLink(poll_interval)

    def test_is_no_coroutine_function(self):
        async def interval(operation):
            return 1

        with pytest.raises(InvariantTypeError, match=r"is the coroutine function .*interval; give a plain one"):
            PollingLink(interval)


class TestErrors:
    @pytest.mark.parametrize("delay", [None, 0.5])
    @virtual
    async def test_of_an_attempt_end_the_stream_and_the_polling(self, delay, time):
        server = MockLink([MockedResponse(result=DATA, delay=delay), MockedResponse(error=DOWN, delay=delay)])
        recorder = subscribed(execute(from_([every(1), server]), REQUEST))
        await asyncio.sleep(9)

        assert ([DATA, DOWN], 2, []) == (recorder.seen, len(server.operations), time.leftovers())

    @virtual
    async def test_of_the_first_attempt_leave_nothing_behind(self, time):
        recorder = subscribed(execute(from_([every(1), MockLink([MockedResponse(error=DOWN)])]), REQUEST))

        assert ([DOWN], []) == (recorder.seen, time.leftovers())

    @virtual
    async def test_can_be_answered_by_a_link_in_front(self, time):
        link = from_([ErrorLink(lambda r: reactivex.of(FAILED)), every(1), MockLink([MockedResponse(error=DOWN)])])
        recorder = subscribed(execute(link, REQUEST))

        assert ([FAILED, END], []) == (recorder.seen, time.leftovers())

    @pytest.mark.parametrize("delay", [None, 0.5])
    @virtual
    async def test_make_a_retry_link_in_front_begin_to_poll_anew(self, delay):
        server = MockLink([MockedResponse(error=DOWN, delay=delay), MockedResponse(result=DATA, max_usage=None)])
        retry = RetryLink(delay=DelayOptions(initial=1, jitter=False))
        recorder = subscribed(execute(from_([retry, every(2), server]), REQUEST))
        await asyncio.sleep(4)
        recorder.subscription.dispose()

        assert ([DATA, DATA], 3) == (recorder.seen, len(server.operations))

    @pytest.mark.parametrize("query", ["query Q { a }", "subscription S { a }"])
    @virtual
    async def test_in_results_can_be_answered_by_a_link_in_front_which_ends_the_polling(self, query, time):
        server = MockLink([MockedResponse(result=DATA), MockedResponse(result=FAILED)])
        link = from_([ErrorLink(lambda r: reactivex.of(DATA)), every(1), server])
        recorder = subscribed(execute(link, GraphQLRequest(query)))
        await asyncio.sleep(9)

        assert ([DATA, DATA, END], 2, []) == (recorder.seen, len(server.operations), time.leftovers())

    @pytest.mark.parametrize("delay", [None, 0.5])
    @virtual
    async def test_of_a_consumer_end_the_stream_and_the_polling(self, time, delay):
        server, errors, seen = counting(delay), [], []

        def consume(result):
            seen.append(result)
            if len(seen) == 2:
                raise KeyError("consumer")

        execute(from_([every(1), server]), REQUEST).subscribe(consume, errors.append)
        await asyncio.sleep(9)

        assert ([KeyError], 2, []) == (list(map(type, errors)), len(server.operations), time.leftovers())

    @pytest.mark.parametrize("delay", [None, 0.5])
    @virtual
    async def test_of_a_consumer_who_leaves_as_well_are_reported(self, time, delay):
        server, complaints = counting(delay), []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))

        def consume(result):
            if result == {"data": 1}:
                subscription.dispose()
                raise KeyError("consumer")

        subscription = execute(from_([every(1), server]), REQUEST).subscribe(consume)
        await asyncio.sleep(9)

        assert ([KeyError], 2, []) == (list(map(type, complaints)), len(server.operations), time.leftovers())


@given(
    interval=st.sampled_from([0.5, 1.0, 1.5]),
    latencies=st.lists(st.sampled_from([None, 0.25, 0.5, 1.0, 2.0]), min_size=20, max_size=20),
    failing=st.integers(0, 19),
    left=st.sampled_from([0.25, 1.25, 3.25, 7.25]),
)
def test_each_stream_is_what_a_model_says(interval, latencies, failing, left):
    # given
    expected, asked = [], 0
    for number, latency in enumerate(latencies):
        sent = number * interval
        if sent > left:
            break
        asked += 1
        answered = sent + (latency or 0)
        # What is due at the same moment runs in the order it was set: the next attempt was set first.
        if answered <= left and (latency is None or (latency or 0) < interval):
            expected.append((answered, DOWN if number == failing else {"data": number}))
            if number == failing:
                break
    outcomes = [{"error": DOWN} if number == failing else {"result": {"data": number}} for number in range(20)]
    answers = [MockedResponse(delay=delay, **outcome) for delay, outcome in zip(latencies, outcomes, strict=True)]
    server, seen = MockLink(answers), []

    # when
    with VirtualTime() as time:

        def note(event):
            seen.append((time.monotonic(), event))

        subscription = time.call(lambda: execute(from_([every(interval), server]), REQUEST).subscribe(note, note))
        time.advance(left)
        time.call(subscription.dispose)
        leftovers = time.leftovers()

    # then
    assert (expected, asked, []) == (seen, len(server.operations), leftovers)
