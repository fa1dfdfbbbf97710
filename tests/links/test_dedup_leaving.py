"""DedupLink: who shares a request leaves alone, raises alone, and keeps a context and a loop of its own."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex.disposable import Disposable
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.links.context import SetContextLink
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink
from rxlink.links.retry import DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    Recorder,
    Worker,
    garbage_of,
    source_of,
    subscribed,
)

DOWN = OSError("down")


class Source(ApolloLink):
    """A terminal whose requests the test answers: one Subject for each."""

    def __init__(self):
        super().__init__()
        self.requests = []

    def request(self, operation, forward):
        self.requests.append(Subject())
        return self.requests[-1]


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def results(source):
    return execute(from_([DedupLink(), source]), REQUEST)


class TestLeaving:
    @pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
    def test_stops_only_the_own_part_and_the_last_one_aborts(self, source, results, order):
        recorders = [subscribed(results) for _ in range(3)]

        kept = []
        for number in order:
            recorders[number].subscription.dispose()
            kept.append(len(source.requests[0].observers))

        assert [1, 1, 0] == kept

    def test_of_the_first_leaves_the_answer_to_the_others(self, source, results):
        first, second = subscribed(results), subscribed(results)

        first.subscription.dispose()
        source.requests[0].on_next(DATA)
        source.requests[0].on_completed()

        assert ([], [DATA, END]) == (first.seen, second.seen)

    def test_of_all_makes_the_next_one_send_anew(self, source, results):
        subscribed(results).subscription.dispose()

        subscribed(results)

        assert (2, [], 1) == (len(source.requests), source.requests[0].observers, len(source.requests[1].observers))

    def test_in_the_midst_of_an_answer_leaves_the_rest_to_the_others(self, source, results):
        first, second = subscribed(results), subscribed(results)
        source.requests[0].on_next(DATA)

        first.subscription.dispose()
        source.requests[0].on_next(FAILED)
        second.subscription.dispose()

        assert ([DATA], [DATA, FAILED], []) == (first.seen, second.seen, source.requests[0].observers)

    def test_of_an_old_answers_last_does_not_touch_a_newer_request(self, source, results):
        old = subscribed(results)
        source.requests[0].on_next(DATA)
        new = subscribed(results)

        old.subscription.dispose()
        joined = subscribed(results)
        source.requests[1].on_next(FAILED)

        assert (2, [FAILED], [FAILED]) == (len(source.requests), new.seen, joined.seen)

    def test_before_the_request_is_made_makes_none(self, source):
        gate = Subject()
        leave = SetContextLink(lambda *_: recorder.subscription.dispose())
        recorder = subscribed(execute(from_([SetContextLink(lambda *_: gate), leave, DedupLink(), source]), REQUEST))

        gate.on_next({})
        gate.on_completed()

        assert [] == source.requests

    @pytest.mark.parametrize("event", [("on_next", DATA), ("on_error", DOWN), ("on_completed",)])
    def test_also_by_turning_to_something_else_inside_a_callback_of_another(self, source, event):
        roots = []
        results = execute(from_([Noting(roots), DedupLink(), source]), REQUEST)

        def turn(*_):
            roots[1].cancel_resource()
            roots[1].hold(Held(lambda: None))

        results.subscribe(turn, turn, turn if event == ("on_completed",) else None)
        other = subscribed(results)
        getattr(source.requests[0], event[0])(*event[1:])

        assert ([], True) == (other.seen, roots[1].is_busy)

    def test_ends_before_a_retry_link_in_front_waits_and_shares_again(self):
        server = MockLink([MockedResponse(error=DOWN, delay=1), MockedResponse(result=DATA, delay=1)])
        scheduler = TestScheduler()
        results = execute(from_([RetryLink(delay=DelayOptions(jitter=False)), DedupLink(), server]), REQUEST)

        recorders = [subscribed(results, scheduler) for _ in range(3)]
        scheduler.start()

        assert ([[DATA, END]] * 3, 2) == ([recorder.seen for recorder in recorders], len(server.operations))

    def test_is_what_an_error_link_does_that_answers_in_the_midst(self, source):
        link = from_([ErrorLink(lambda _: reactivex.of(DATA)), DedupLink(), source])
        recorders = [subscribed(execute(link, REQUEST)) for _ in range(2)]

        source.requests[0].on_next(FAILED)

        assert ([[DATA, END]] * 2, []) == ([recorder.seen for recorder in recorders], source.requests[0].observers)


class TestConsumers:
    @pytest.mark.parametrize("place", [0, 1, 2])
    async def test_that_raise_end_their_own_stream_and_no_other(self, source, results, place):
        errors, recorders = [], []
        for number in range(3):
            if number == place:
                results.subscribe(lambda _: 1 / 0, errors.append)
            else:
                recorders.append(subscribed(results))

        source.requests[0].on_next(DATA)
        source.requests[0].on_completed()

        assert ([ZeroDivisionError], [[DATA, END]] * 2) == (list(map(type, errors)), [r.seen for r in recorders])

    @pytest.mark.parametrize("callbacks", [{"on_next": lambda _: 1 / 0}, {"on_completed": lambda: 1 / 0}])
    async def test_that_raise_where_nobody_takes_it_are_reported(self, source, results, callbacks):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: complaints.append(type(c["exception"])))
        results.subscribe(**callbacks)
        other = subscribed(results)

        source.requests[0].on_next(DATA)
        source.requests[0].on_completed()

        assert ([ZeroDivisionError], [DATA, END]) == (complaints, other.seen)

    async def test_that_raise_alone_abort_the_request(self, source, results):
        results.subscribe(lambda _: 1 / 0, lambda _: None)

        source.requests[0].on_next(DATA)

        assert [] == source.requests[0].observers

    def test_hear_of_the_end_though_a_teardown_raises(self):
        def teardown():
            raise KeyError("teardown")

        def start(operation, observer, root):
            root.hold(Held(teardown))
            observer.on_completed()

        recorder, results = Recorder(), execute(from_([DedupLink(), Worker(start)]), REQUEST)
        with pytest.raises(KeyError, match="teardown"):
            results.subscribe(recorder)

        assert [END] == recorder.seen


class Noting(ApolloLink):
    """Passes operations on and notes their subscriptions."""

    def __init__(self, roots):
        super().__init__()
        self.roots = roots

    def connect(self, forward):
        return lambda operation, observer, root: (self.roots.append(root), forward.connect(operation, observer, root))


class Held:
    def __init__(self, cancel):
        self.cancel = cancel


class TestEventLoops:
    def test_one_after_another_share_nothing(self):
        """What was under way when a loop was given up must not swallow the operations of the next."""
        server = MockLink([MockedResponse(result=DATA, delay=1, max_usage=None)])
        results = execute(from_([DedupLink(), server]), REQUEST)

        seen = []
        for patience in (0.5, 2):
            with VirtualTime() as time:
                recorder = time.call(lambda: subscribed(results))
                time.advance(patience)
                seen.append(recorder.seen)

        assert ([[], [DATA, END]], 2) == (seen, len(server.operations))


class TestContextVariables:
    def test_of_a_hundred_operations_stay_apart_though_they_share_one_request(self):
        """P11: links in front and observers see the values of their own subscription."""
        variable = ContextVar("variable", default="nobody")
        source, seen = Source(), {}
        link = from_([ErrorLink(lambda r: reactivex.of(variable.get())), DedupLink(), source])

        def start(name):
            variable.set(name)
            execute(link, REQUEST).subscribe(lambda value: seen.setdefault(name, []).append((variable.get(), value)))

        for name in range(100):
            copy_context().run(start, name)
        [shared] = source.requests
        copy_context().run(lambda: (variable.set("somebody else"), shared.on_next(DATA), shared.on_error(DOWN)))

        assert {name: [(name, DATA), (name, name)] for name in range(100)} == {
            name: [(own, value) for own, value in events] for name, events in seen.items()
        }

    @virtual
    async def test_of_the_shared_request_are_those_of_the_first(self):
        variable = ContextVar("variable", default="nobody")
        server = Observable(lambda observer, _: observer.on_next(variable.get()) or Disposable())
        gate = asyncio.Event()

        async def wait(context, operation):
            await gate.wait()

        link = from_([DedupLink(), SetContextLink(wait), source_of(server)])
        seen = []

        def start(name):
            variable.set(name)
            return subscribed(execute(link, REQUEST))

        recorders = [copy_context().run(start, name) for name in ("first", "second")]
        await asyncio.sleep(1)
        gate.set()
        await asyncio.sleep(1)
        for recorder in recorders:
            seen += recorder.seen
            recorder.subscription.dispose()

        assert ["first", "first"] == seen


def test_nothing_is_left_for_the_garbage_collector():
    under_way = []

    def start(operation, observer, root):
        under_way.append(observer)
        root.hold(Held(lambda: None))

    results = execute(from_([DedupLink(), Worker(start)]), REQUEST)

    def run():
        first, second = results.subscribe(), results.subscribe()
        under_way.pop().on_next(DATA)
        first.dispose()
        second.dispose()
        results.subscribe(), results.subscribe()
        under_way.pop().on_completed()

    assert 0 == garbage_of(run, 50)
