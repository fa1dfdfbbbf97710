"""RetryLink: how often, how long after, and for which errors an operation is sent again."""

import asyncio
import random
from datetime import timedelta

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.errors import (
    ClientClosed,
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvariantError,
    NetworkError,
    NetworkTimeout,
    OperationCancelled,
    ServerError,
    ServerParseError,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing.virtual_time import virtual
from tests.recording import DATA, END, FAILED, REQUEST, seen_of, sending, subscribed

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


def server_error(status):
    return ServerError("no", status_code=status, headers={}, body_text="")


class TestAttempts:
    @virtual
    async def test_end_with_the_first_answer(self, time):
        server = Server(2, time=time)

        assert DATA == await execute(from_([RetryLink(delay=STEADY), server]), REQUEST)
        assert [0, 0.5, 1.5] == server.asked_at

    @pytest.mark.parametrize(("most", "sent"), [(1, 1), (2, 2), (5, 5), (9, 9), (None, 21)])
    @virtual
    async def test_are_at_most_so_many_the_first_one_included(self, most, sent):
        server = Server(20)
        link = from_([RetryLink(delay=DelayOptions(initial=0), attempts=AttemptsOptions(max=most)), server])

        recorder = subscribed(execute(link, REQUEST))
        await asyncio.sleep(1)

        assert (sent, [DATA, END] if most is None else [DOWN]) == (len(server.asked_at), recorder.seen)

    @virtual
    async def test_are_five_by_default(self):
        server = Server(20)

        with pytest.raises(OSError, match="down"):
            await execute(from_([RetryLink(), server]), REQUEST)

        assert 5 == len(server.asked_at)

    @virtual
    async def test_are_counted_for_each_subscription(self):
        server = Server(99)
        results = execute(from_([RetryLink(attempts=AttemptsOptions(max=3)), server]), REQUEST)

        recorders = [subscribed(results), subscribed(results)]
        await asyncio.sleep(60)

        assert (6, [[DOWN], [DOWN]]) == (len(server.asked_at), [recorder.seen for recorder in recorders])

    @virtual
    async def test_pass_results_on_also_those_with_errors(self):
        link = from_([RetryLink(), sending(DATA, FAILED)])

        assert [DATA, FAILED, END] == seen_of(execute(link, REQUEST))

    @virtual
    async def test_go_on_after_results_as_in_apollo(self):
        sources = iter([reactivex.concat(reactivex.of(DATA), reactivex.throw(DOWN)), reactivex.of(FAILED)])
        link = from_([RetryLink(delay=STEADY), ApolloLink(lambda *_: next(sources))])

        recorder = subscribed(execute(link, REQUEST))
        await asyncio.sleep(1)

        assert [DATA, FAILED, END] == recorder.seen

    @virtual
    async def test_run_the_links_behind_again_and_not_those_in_front(self):
        ran = []
        link = from_(
            [
                SetContextLink(lambda *_: ran.append("front")),
                RetryLink(delay=STEADY),
                SetContextLink(lambda *_: ran.append("behind")),
                Server(2),
            ]
        )

        await execute(link, REQUEST)

        assert ["front", "behind", "behind", "behind"] == ran

    @virtual
    async def test_are_hidden_from_an_error_link_in_front_up_to_the_last(self):
        asked = []
        retry = RetryLink(delay=STEADY, attempts=AttemptsOptions(max=2))

        subscribed(execute(from_([ErrorLink(lambda r: asked.append(r.error)), retry, Server(9)]), REQUEST))
        await asyncio.sleep(2)

        assert [DOWN] == asked

    @virtual
    async def test_begin_again_where_an_error_link_in_front_answers_with_another_try(self):
        server = Server(3)
        retry = RetryLink(delay=STEADY, attempts=AttemptsOptions(max=2))

        assert DATA == await execute(from_([ErrorLink(lambda r: r.forward(r.operation)), retry, server]), REQUEST)
        assert 4 == len(server.asked_at)

    @virtual
    async def test_include_what_a_later_link_raises_at_once(self):
        broken = iter([True, False])

        def handle(operation, forward):
            if next(broken):
                raise KeyError("bug")
            return reactivex.of(DATA)

        assert DATA == await execute(from_([RetryLink(delay=STEADY), ApolloLink(handle)]), REQUEST)

    @virtual
    async def test_end_where_the_operation_cannot_be_sent_again(self):
        server = Server(1)

        def spend(operation, forward):
            operation.spend()
            return forward(operation)

        link = from_([RetryLink(delay=STEADY), ApolloLink(spend), server])

        assert [DOWN] == subscribed(execute(link, REQUEST)).seen
        assert 1 == len(server.asked_at)


class TestTheDefaultCondition:
    @pytest.mark.parametrize(
        "error",
        [
            DOWN,
            TimeoutError(),
            NetworkError("broken"),
            NetworkTimeout("POST", seconds=1),
            server_error(500),
            server_error(400),
            server_error(403),
            ServerParseError("no", status_code=200, headers={}, body_text=""),
            CombinedProtocolErrors([{"message": "gone"}]),
            CombinedGraphQLErrors(FAILED),
            TokenRefreshError("issuer is down", retryable=True),
            TokenRefreshTimeout(seconds=30),
            TokenStorageError("loaded"),
        ],
    )
    @virtual
    async def test_retries_what_may_pass_and_whatever_apollo_retries(self, error):
        assert DATA == await execute(from_([RetryLink(), Server(1, error)]), REQUEST)

    @pytest.mark.parametrize(
        "error",
        [
            server_error(401),
            ServerParseError("no", status_code=401, headers={}, body_text=""),
            SessionEnded(),
            TokenRefreshError("nothing returned", retryable=False),
            ClientClosed("HttpLink"),
            InvariantError("misuse"),
            OperationCancelled("work"),
        ],
    )
    @virtual
    async def test_leaves_auth_errors_and_misuse_alone(self, error):
        server = Server(1, error)

        assert [error] == seen_of(execute(from_([RetryLink(), server]), REQUEST))
        assert 1 == len(server.asked_at)

    @virtual
    async def test_gives_way_to_one_of_the_users(self):
        asked = []
        attempts = AttemptsOptions(retry_if=lambda error, operation: asked.append((error, operation)) or True)
        error = SessionEnded()

        assert DATA == await execute(from_([RetryLink(attempts=attempts), Server(1, error)]), REQUEST)
        assert [(error, "Viewer")] == [(error, operation.operation_name) for error, operation in asked]

    @virtual
    async def test_is_not_asked_about_the_last_attempt(self):
        asked = []
        attempts = AttemptsOptions(max=3, retry_if=lambda error, operation: asked.append(error) or True)

        subscribed(execute(from_([RetryLink(attempts=attempts), Server(9)]), REQUEST))
        await asyncio.sleep(9)

        assert 2 == len(asked)


class TestDelays:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            (DelayOptions(jitter=False), [0.3, 0.6, 1.2, 2.4]),
            (DelayOptions(initial=timedelta(seconds=1), jitter=False), [1, 2, 4, 8]),
            (DelayOptions(initial=1, max=3, jitter=False), [1, 2, 3, 3]),
            (DelayOptions(initial=1, max=timedelta(seconds=0.5), jitter=False), [0.5] * 4),
            (DelayOptions(initial=0, jitter=False), [0] * 4),
        ],
    )
    @virtual
    async def test_double_up_to_the_longest(self, options, expected, time):
        server = Server(4, time=time)

        await execute(from_([RetryLink(delay=options), server]), REQUEST)

        waited = [after - before for before, after in zip(server.asked_at, server.asked_at[1:], strict=False)]
        assert expected == pytest.approx(waited)

    @pytest.mark.parametrize(("drawn", "expected"), [(0.5, [0.3, 0.6, 1.0]), (0, [0, 0, 0]), (0.25, [0.15, 0.3, 0.5])])
    @virtual
    async def test_with_jitter_are_drawn_below_twice_as_much_or_the_longest(self, drawn, expected, monkeypatch, time):
        monkeypatch.setattr(random, "uniform", lambda low, high: low + drawn * (high - low))
        server = Server(3, time=time)

        await execute(from_([RetryLink(delay=DelayOptions(max=2)), server]), REQUEST)

        waited = [after - before for before, after in zip(server.asked_at, server.asked_at[1:], strict=False)]
        assert expected == pytest.approx(waited)

    @given(attempt=st.integers(1, 10**9), initial=st.floats(0, 1e6), most=st.floats(0, 1e6), jitter=st.booleans())
    def test_never_overflow_and_never_exceed_the_longest(self, attempt, initial, most, jitter):
        link = RetryLink(delay=DelayOptions(initial=initial, max=most, jitter=jitter))

        assert 0 <= link.delay_for(attempt, None, DOWN) <= most

    def test_are_the_schedulers_where_the_subscriber_gave_one(self):
        scheduler = TestScheduler()
        recorder = subscribed(execute(from_([RetryLink(delay=STEADY), Server(1)]), REQUEST), scheduler)

        scheduler.advance_by(0.4)
        before = list(recorder.seen)
        scheduler.advance_by(0.1)

        assert ([], [DATA, END]) == (before, recorder.seen)

    def test_need_a_scheduler_or_a_loop_to_pass(self):
        [error] = seen_of(execute(from_([RetryLink(), Server(1)]), REQUEST))

        assert InvariantError is type(error)
        assert "no event loop" in str(error)

    def test_need_neither_where_nothing_is_retried(self):
        link = from_([RetryLink(attempts=AttemptsOptions(max=1)), Server(1)])

        assert [DOWN] == seen_of(execute(link, REQUEST))
