"""RetryLink: the functions and wait objects that decide, and options that cannot work."""

import asyncio
import gc
from datetime import timedelta

import pytest
import reactivex

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    OperationCancelled,
)
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, REQUEST, seen_of, subscribed

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


class TestFunctions:
    @pytest.mark.parametrize("is_async", [False, True])
    @virtual
    async def test_get_attempt_operation_and_error_as_in_apollo(self, is_async, time):
        asked, server = [], Server(9, time=time)

        def note(name, answers):
            answers = iter(answers)

            def plain(attempt, operation, error):
                asked.append((name, attempt, operation.operation_name, error))
                return next(answers)

            async def later(attempt, operation, error):
                await asyncio.sleep(0)
                return plain(attempt, operation, error)

            return later if is_async else plain

        attempts = note("attempts", [True, 1, False])
        link = from_([RetryLink(delay=note("delay", [2, timedelta(seconds=3)]), attempts=attempts), server])
        recorder = subscribed(execute(link, REQUEST))
        await asyncio.sleep(10)

        expected = [("attempts", 1), ("delay", 1), ("attempts", 2), ("delay", 2), ("attempts", 3)]
        assert [(name, attempt, "Viewer", DOWN) for name, attempt in expected] == asked
        assert ([0, 2, 5], [DOWN]) == (server.asked_at, recorder.seen)

    @pytest.mark.parametrize("answer", [True, False])
    @virtual
    async def test_may_be_a_coroutine_function_as_retry_if(self, answer):
        async def retry_if(error, operation):
            await asyncio.sleep(1)
            return answer

        link = from_([RetryLink(attempts=AttemptsOptions(retry_if=retry_if)), Server(1)])
        recorder = subscribed(execute(link, REQUEST))
        await asyncio.sleep(9)

        assert ([DATA, END] if answer else [DOWN]) == recorder.seen

    @virtual
    async def test_may_answer_with_a_future_that_leaving_does_not_cancel(self):
        shared = asyncio.get_running_loop().create_future()
        link = from_([RetryLink(attempts=lambda *_: shared), Server(9)])
        stays, leaves = subscribed(execute(link, REQUEST)), subscribed(execute(link, REQUEST))
        await turns()

        leaves.subscription.dispose()
        shared.set_result(False)
        await turns()

        assert ([], [DOWN]) == (leaves.seen, stays.seen)

    @pytest.mark.parametrize("option", ["delay", "attempts", "retry_if"])
    @pytest.mark.parametrize("is_async", [False, True])
    @virtual
    async def test_that_raise_end_the_operation_with_what_they_raised(self, option, is_async):
        def broken(*_):
            raise KeyError("bug")

        async def broken_later(*_):
            raise KeyError("bug")

        function = broken_later if is_async else broken
        link = (
            RetryLink(attempts=AttemptsOptions(retry_if=function))
            if option == "retry_if"
            else RetryLink(**{option: function})
        )
        server = Server(9)
        recorder = subscribed(execute(from_([link, server]), REQUEST))
        await asyncio.sleep(9)

        assert ([KeyError], 1) == (list(map(type, recorder.seen)), len(server.asked_at))

    @pytest.mark.parametrize("is_async", [False, True])
    @pytest.mark.parametrize(
        ("delay", "kind"),
        [(-1, InvariantError), (float("nan"), InvariantError), ("1", InvariantTypeError), (None, InvariantTypeError)],
    )
    @virtual
    async def test_that_return_no_duration_are_told_so(self, is_async, delay, kind):
        async def later(*_):
            return delay

        link = from_([RetryLink(delay=later if is_async else lambda *_: delay), Server(9)])
        recorder = subscribed(execute(link, REQUEST))
        await turns()

        assert [kind] == list(map(type, recorder.seen))
        assert "`delay` is" in str(recorder.seen[0])

    @pytest.mark.parametrize("is_async", [False, True])
    @virtual
    async def test_that_raise_can_be_answered_by_a_link_in_front(self, is_async):
        async def broken(*_):
            raise KeyError("bug")

        server = Server(9)
        outer = RetryLink(delay=STEADY, attempts=AttemptsOptions(max=2))
        inner = RetryLink(attempts=broken if is_async else lambda *_: {}["bug"])
        recorder = subscribed(execute(from_([outer, inner, server]), REQUEST))
        await asyncio.sleep(2)

        assert ([KeyError], 2) == (list(map(type, recorder.seen)), len(server.asked_at))

    def test_that_wait_where_no_loop_runs_end_with_the_cure_and_leave_nothing_unawaited(self):
        async def retry_if(error, operation):
            return True

        seen = seen_of(execute(from_([RetryLink(attempts=AttemptsOptions(retry_if=retry_if)), Server(1)]), REQUEST))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [InvariantError] == list(map(type, seen))

    async def test_whose_task_somebody_cancels_end_the_operation(self):
        before = asyncio.all_tasks()
        recorder = subscribed(execute(from_([RetryLink(attempts=lambda *_: asyncio.sleep(9)), Server(1)]), REQUEST))
        [task] = asyncio.all_tasks() - before

        task.cancel()
        await turns()

        assert [OperationCancelled] == list(map(type, recorder.seen))


class TestWaitObjects:
    """Those of tenacity, and what looks like them."""

    @virtual
    async def test_are_functions_of_a_retry_state(self, time):
        states = []

        def wait(retry_state):
            states.append((retry_state.attempt_number, retry_state.outcome.exception(), retry_state.outcome.failed))
            return 2

        server = Server(2, time=time)
        await execute(from_([RetryLink(delay=wait), server]), REQUEST)

        assert ([(1, DOWN, True), (2, DOWN, True)], [0, 2, 4]) == (states, server.asked_at)

    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda t: t.wait_fixed(2), [0, 2, 4, 6]),
            (lambda t: t.wait_none(), [0, 0, 0, 0]),
            (lambda t: t.wait_incrementing(start=1, increment=2), [0, 1, 4, 9]),
            (lambda t: t.wait_exponential(multiplier=1, max=3), [0, 1, 3, 6]),
            (lambda t: t.wait_chain(t.wait_fixed(1), t.wait_fixed(5)), [0, 1, 6, 11]),
            (lambda t: t.wait_fixed(1) + t.wait_fixed(2), [0, 3, 6, 9]),
            (lambda t: t.wait_exception(lambda error: 4 if error is DOWN else 0), [0, 4, 8, 12]),
            (lambda t: t.wait_random(min=2, max=2), [0, 2, 4, 6]),
            (lambda t: t.wait_random_exponential(min=1, max=1), [0, 1, 2, 3]),
            (lambda t: t.wait_exponential_jitter(jitter=0), [0, 1, 3, 7]),
        ],
    )
    @virtual
    async def test_of_tenacity_are_taken_as_they_are(self, make, expected, time):
        tenacity = pytest.importorskip("tenacity")
        server = Server(3, time=time)

        await execute(from_([RetryLink(delay=make(tenacity)), server]), REQUEST)

        assert expected == server.asked_at


class TestBadOptions:
    @pytest.mark.parametrize(
        ("make", "kind", "message"),
        [
            (lambda: DelayOptions(initial=-1), InvariantError, r"`delay.initial` is -1; give 0 or more seconds"),
            (lambda: DelayOptions(max=float("inf")), InvariantError, r"`delay.max` is inf; give 0 or more seconds"),
            (lambda: DelayOptions(initial="1"), InvariantTypeError, "`delay.initial` is '1'"),
            (lambda: DelayOptions(max=True), InvariantTypeError, "`delay.max` is True"),
            (lambda: DelayOptions(jitter=1), InvariantTypeError, "`delay.jitter` is 1; give True or False"),
            (lambda: AttemptsOptions(max=0), InvariantError, "`attempts.max` is 0; give 1 or more"),
            (lambda: AttemptsOptions(max=-3), InvariantError, "`attempts.max` is -3; give 1 or more"),
            (lambda: AttemptsOptions(max=2.5), InvariantTypeError, "`attempts.max` is 2.5; give a whole number"),
            (lambda: AttemptsOptions(max=True), InvariantTypeError, "`attempts.max` is True; give a whole number"),
            (
                lambda: AttemptsOptions(retry_if=True),
                InvariantTypeError,
                r"`attempts.retry_if` is (True|False); give a function of \(error, operation\)",
            ),
            (
                lambda: AttemptsOptions(retry_if=lambda error: True),
                InvariantTypeError,
                r"`attempts.retry_if` is .*<lambda>, which takes .*; give a function of \(error, operation\), or None",
            ),
            (lambda: RetryLink(delay=3), InvariantTypeError, "`delay` is 3; give a function of .*, DelayOptions"),
            (
                lambda: RetryLink(delay={"initial": 1}),
                InvariantTypeError,
                "`delay` is a dict; give a function of .*, DelayOptions, or a tenacity wait object",
            ),
            (
                lambda: RetryLink(delay=lambda attempt: 1),
                InvariantTypeError,
                "`delay` is .*<lambda>, which takes other arguments; give a function",
            ),
            (
                lambda: RetryLink(delay=lambda: 1),
                InvariantTypeError,
                "`delay` is .*<lambda>, which takes other arguments; give a function",
            ),
            (lambda: RetryLink(delay=len), InvariantTypeError, "`delay` is len, which takes other arguments; give a"),
            (lambda: RetryLink(attempts=5), InvariantTypeError, "`attempts` is 5; give a .*, or AttemptsOptions"),
            (
                lambda: RetryLink(attempts=lambda: True),
                InvariantTypeError,
                "`attempts` is .*<lambda>, which takes other arguments; give a function",
            ),
        ],
    )
    def test_are_refused_with_name_and_value(self, make, kind, message):
        with pytest.raises(InvariantError, match=message) as caught:
            make()

        assert kind is caught.type

    def test_are_not_functions_that_take_whatever_comes(self):
        RetryLink(delay=lambda *args: 1, attempts=lambda attempt, operation, error, more=1: True)

    def test_are_not_functions_that_do_not_tell_what_they_take(self):
        RetryLink(delay=max, attempts=max)  # their call will tell
