"""What passes at the places of a chain is recorded, and nothing else changes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.errors import InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink
from rxlink.links.polling import PollingLink
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink, MockSubscriptionLink
from rxlink.trace.link import TraceLink, traced
from rxlink.trace.recorder import Trace
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    Recorder,
    Worker,
    answering,
    failing,
    garbage_of,
    seen_of,
    sending,
    subscribed,
)
from tests.trace.traces import VIEWER, retrying, steps, times, traced_run

ROOT = Path(__file__).parents[2]


class TestPlaces:
    def test_an_operation_is_seen_on_its_way_down_and_its_answer_on_its_way_up(self):
        trace = traced_run(SetContextLink(lambda *_: {}), MockLink([MockedResponse(result=DATA)]))

        assert [
            "1 started SetContextLink",
            "1 forwarded MockLink",
            "1 result MockLink data",
            "1 result SetContextLink data",
            "1 completed MockLink",
            "1 completed SetContextLink",
        ] == steps(trace)

    def test_each_event_says_of_which_operation_it_is_and_between_which_links(self):
        trace = traced_run(SetContextLink(lambda *_: {}), MockLink([MockedResponse(result=DATA)]))

        first, second, *_ = trace.events
        assert (1, 1, "Viewer", "query", "SetContextLink", None, 0, False) == (
            *(first.number, first.operation, first.operation_name, first.operation_type),
            *(first.place, first.above, first.depth, first.is_transport),
        )
        assert ("MockLink", "SetContextLink", 1, True) == (
            *(second.place, second.above, second.depth, second.is_transport),
        )

    def test_a_second_time_below_a_link_is_a_retry_at_the_time_of_the_scheduler(self):
        trace = traced_run(*retrying(MockedResponse(error=OSError("down")), MockedResponse(result=DATA)))

        forwarded = [event for event in trace.events if event.kind == "forwarded"]
        assert [1, 2] == [event.attempt for event in forwarded]
        assert [0.0, 1.5] == times(trace, "forwarded")
        assert [0.5] == times(trace, "error")
        assert [2.0, 2.0] == times(trace, "completed")

    def test_branches_and_nested_chains_have_their_places_too(self):
        trace = Trace()
        inner = from_([SetContextLink(lambda *_: {}), sending(DATA)])
        link = traced(from_([RetryLink(), split(lambda operation: True, inner, failing(OSError()))]), trace)

        assert [DATA, END] == seen_of(execute(link, REQUEST))

        started = [(event.place, event.above) for event in trace.events if event.kind in {"started", "forwarded"}]
        assert [
            ("RetryLink", None),
            ("split", "RetryLink"),
            ("SetContextLink", "split"),
            ("Worker", "SetContextLink"),
        ] == started

    def test_places_are_named_after_functions_and_counted_where_a_name_is_taken(self):
        def log(operation, forward):
            return forward(operation)

        trace = traced_run(ApolloLink(log), RetryLink(), RetryLink(), sending(DATA))

        places = [event.place for event in trace.events if event.kind in {"started", "forwarded"}]
        assert ["log", "RetryLink", "RetryLink 2", "Worker"] == places

    def test_one_link_may_stand_in_a_chain_twice(self):
        link = SetContextLink(lambda *_: {})

        trace = traced_run(link, link, sending(DATA))

        assert ["SetContextLink", "SetContextLink 2", "Worker"] == [event.place for event in trace.events[:3]]

    def test_a_link_may_be_traced_by_hand_where_it_is_wanted(self):
        trace = Trace()
        link = from_([*retrying()[:1], TraceLink(trace, name="server"), failing(OSError("down"))])
        scheduler = TestScheduler()
        recorder = subscribed(execute(link, REQUEST), scheduler)
        scheduler.start()

        assert [OSError] == [type(error) for error in recorder.seen]
        assert ["1 started server", "1 error server OSError"] * 5 == steps(trace)
        assert [1, 2, 3, 4, 5] == [event.attempt for event in trace.events if event.kind == "started"]

    def test_two_traces_may_look_at_one_chain(self):
        inner, outer = Trace(), Trace()

        traced_run(traced(sending(DATA), inner), trace=outer)

        assert steps(inner) == ["1 started Worker", "1 result Worker data", "1 completed Worker"]
        assert steps(outer) == ["1 started Worker", "1 result Worker data", "1 completed Worker"]

    def test_what_is_traced_already_is_not_recorded_twice(self):
        trace = Trace()

        traced_run(traced(from_([RetryLink(), sending(DATA)]), trace), trace=trace)

        assert ["1 started RetryLink", "1 forwarded Worker"] == steps(trace)[:2]
        assert 6 == len(trace.events)

    def test_closing_a_traced_chain_closes_each_of_its_links_once(self):
        closed = []

        class Closing(ApolloLink):
            async def aclose(self):
                closed.append(self)

        link = Closing(lambda operation, forward: forward(operation))

        asyncio.run(traced(from_([link, split(bool, link, link), sending(DATA)]), Trace()).aclose())

        assert [link] == closed

    def test_a_chain_whose_request_was_redefined_is_one_place(self):
        chain = from_([SetContextLink(lambda *_: {}), sending(DATA)])
        chain.request = lambda operation, forward: reactivex.of("mine")

        trace = traced_run(RetryLink(), chain)

        assert "1 result TestPlaces" not in steps(trace)
        assert 2 == sum(event.kind in {"started", "forwarded"} for event in trace.events)

    @pytest.mark.parametrize(
        ("call", "told"),
        [
            (lambda: traced("link", Trace()), "traced got a str where a link belongs"),
            (lambda: traced(RetryLink(), None), "TraceLink got None; give it a Trace"),
            (lambda: TraceLink(Trace(), name=7), "`name` of TraceLink is an int; give text"),
        ],
    )
    def test_misuse_is_told(self, call, told):
        with pytest.raises(InvariantTypeError) as caught:
            call()

        assert told in str(caught.value)


class TestOperations:
    def test_each_has_a_number_and_subscribing_again_is_another(self):
        trace = Trace()
        observable = execute(traced(sending(DATA), trace), REQUEST)

        observable.subscribe()
        observable.subscribe()

        assert [1, 1, 1, 2, 2, 2] == [event.operation for event in trace.events]

    def test_one_that_runs_twice_at_once_is_two(self):
        trace, link = Trace(), MockSubscriptionLink()
        observable = execute(traced(link, trace), REQUEST)
        first, second = subscribed(observable), subscribed(observable)

        link.simulate_result(DATA)
        first.subscription.dispose()
        second.subscription.dispose()

        started, left = ([e.operation for e in trace.events if e.kind == kind] for kind in ("started", "disposed"))
        assert [1, 2] == started == left

    def test_one_that_failed_and_is_subscribed_again_is_sent_again(self):
        trace = Trace()
        observable = execute(traced(failing(OSError("down")), trace), REQUEST)

        seen_of(observable.pipe(ops.retry(2)))

        assert [(1, 1), (1, 2)] == [(e.operation, e.attempt) for e in trace.events if e.kind == "started"]

    def test_one_that_is_sent_again_and_runs_twice_at_once_is_two(self):
        answers = [MockedResponse(error=OSError()), MockedResponse(result=DATA, delay=5, max_usage=None)]
        trace, scheduler = Trace(), TestScheduler()
        observable = execute(traced(MockLink(answers), trace), REQUEST)

        for _ in range(3):
            subscribed(observable, scheduler)

        assert [1, 1, 2] == [event.operation for event in trace.events if event.kind == "started"]

    def test_it_stays_the_same_below_operators(self):
        named = ApolloLink(lambda operation, forward: forward(operation).pipe(ops.map(lambda result: result)))

        trace = traced_run(named, SetContextLink(lambda *_: {}), sending(DATA))

        assert {1} == {event.operation for event in trace.events}
        assert ["<lambda>", "SetContextLink", "Worker"] == [event.place for event in trace.events[:3]]

    def test_it_stays_the_same_below_a_stream_that_comes_later(self):
        async def main():
            async def token():
                await asyncio.sleep(0)
                return "token"

            later = ApolloLink(lambda operation, forward: from_future(token).flat_map(lambda _: forward(operation)))
            await execute(traced(from_([later, sending(DATA)]), trace), REQUEST)

        trace = Trace()
        asyncio.run(main())

        assert {1} == {event.operation for event in trace.events}

    def test_those_who_share_a_request_are_told_apart_above_it(self):
        async def main():
            server = MockLink([MockedResponse(result=DATA, delay=0.01)])
            link = traced(from_([DedupLink(), server]), trace)
            await asyncio.gather(execute(link, VIEWER).to_future(), execute(link, VIEWER).to_future())

        trace = Trace()
        asyncio.run(main())

        assert ["1 started DedupLink", "1 forwarded MockLink", "2 started DedupLink"] == steps(trace)[:3]
        assert {"1 completed DedupLink", "2 completed DedupLink"} <= set(steps(trace))


class TestLeaving:
    def test_is_recorded_at_each_place_that_has_not_ended(self):
        trace, scheduler = Trace(), TestScheduler()
        links = RetryLink(), MockLink([MockedResponse(result=DATA, delay=5)])
        recorder = subscribed(execute(traced(from_(links), trace), REQUEST), scheduler)
        scheduler.advance_to(2)

        recorder.subscription.dispose()

        assert ["1 disposed RetryLink", "1 disposed MockLink"] == steps(trace)[2:]
        assert [2.0, 2.0] == times(trace, "disposed")

    def test_is_recorded_of_a_place_that_a_link_above_turned_away_from(self):
        polling = PollingLink(poll_interval=lambda _: 1)
        slow = MockLink([MockedResponse(result=DATA, delay=5, max_usage=None)])
        trace, scheduler = Trace(), TestScheduler()
        recorder = subscribed(execute(traced(from_([polling, slow]), trace), REQUEST), scheduler)

        scheduler.advance_to(1.5)
        recorder.subscription.dispose()

        left = [(event.place, event.attempt) for event in trace.events if event.kind == "disposed"]
        assert [("MockLink", 1), ("PollingLink", 1), ("MockLink", 2)] == left

    def test_inside_on_next_is_recorded_though_nothing_was_in_the_slot(self):
        trace, observers = Trace(), []
        silent = Worker(lambda operation, observer, root: observers.append(observer))
        link = traced(from_([RetryLink(), silent]), trace)
        subscription = execute(link, REQUEST).subscribe(lambda _: subscription.dispose())

        observers[0].on_next(DATA)

        assert {"1 disposed RetryLink", "1 disposed Worker"} <= set(steps(trace))

    def test_of_a_subscriber_whose_callback_raises_is_told_as_that(self):
        trace = Trace()
        seen = []

        def fail(_):
            raise ValueError("of the subscriber")

        execute(traced(from_([RetryLink(), sending(DATA)]), trace), REQUEST).subscribe(fail, seen.append)

        assert ["of the subscriber"] == [str(error) for error in seen]
        assert "1 broken RetryLink ValueError" in steps(trace)
        assert not {"error", "completed", "disposed"} & {event.kind.value for event in trace.events}

    def test_of_one_whose_callback_raises_later_is_told_and_what_comes_then_is_not(self):
        trace, observers = Trace(), []
        silent = Worker(lambda operation, observer, root: observers.append(observer))

        def fail(_):
            raise ValueError("of the subscriber")

        execute(traced(from_([RetryLink(), silent]), trace), REQUEST).subscribe(fail)
        with pytest.raises(ValueError, match="of the subscriber"):
            observers[0].on_next(DATA)
        observers[0].on_completed()

        assert ["1 broken RetryLink ValueError", "1 broken Worker ValueError"] == steps(trace)[4:]


class TestSameness:
    """A chain with and without a trace behaves alike."""

    def test_a_handler_at_the_head_runs_when_execute_does(self):
        called = []

        def handler(operation, forward):
            called.append(operation.operation_name)
            return forward(operation)

        observable = execute(traced(from_([ApolloLink(handler), sending(DATA)]), Trace()), REQUEST)

        assert ["Viewer"] == called
        assert [DATA, END] == seen_of(observable)
        assert ["Viewer"] == called

    def test_what_a_handler_at_the_head_raises_leaves_execute(self):
        def handler(operation, forward):
            raise ValueError("at once")

        with pytest.raises(ValueError, match="at once"):
            execute(traced(from_([ApolloLink(handler), sending(DATA)]), Trace()), REQUEST)

    def test_an_answer_before_subscribe_returns_stays_one(self):
        recorder = Recorder()

        execute(traced(from_([RetryLink(), answering(DATA)]), Trace()), REQUEST).subscribe(recorder)

        assert [DATA, END] == recorder.seen

    @pytest.mark.parametrize("leaves", [False, True])
    def test_nothing_is_left_for_the_garbage_collector(self, leaves):
        link = traced(from_([ErrorLink(lambda _: None), RetryLink(), MockSubscriptionLink()]), Trace(max_events=5))
        answered = traced(from_([ErrorLink(lambda _: None), RetryLink(), sending(DATA)]), Trace(max_events=5))

        def run():
            if leaves:
                execute(link, REQUEST).subscribe().dispose()
            else:
                execute(answered, REQUEST).subscribe()

        assert 0 == garbage_of(run, 20)

    @given(
        st.lists(st.sampled_from(["retry", "error", "context", "handler", "operators", "recipe"]), max_size=3),
        st.lists(
            st.tuples(st.sampled_from(["data", "errors", "failure"]), st.sampled_from([None, 0, 0.5])), max_size=4
        ),
        st.sampled_from([None, 0.25, 0.75, 2.5]),
    )
    def test_any_chain_gives_the_same_at_the_same_time(self, kinds, answers, leaving):
        plain, traced_too = (self._notifications(kinds, answers, leaving, is_traced=each) for each in (False, True))

        assert plain == traced_too

    def _notifications(self, kinds, answers, leaving, *, is_traced):
        """Subscribes a chain; gives what came with its times, and what the server saw."""
        scheduler, seen = TestScheduler(), []
        server = MockLink([_answer(*each) for each in answers])
        link = from_([*(_link(kind) for kind in kinds), server])
        observable = execute(traced(link, Trace()) if is_traced else link, REQUEST)
        subscription = observable.subscribe(
            lambda value: seen.append((scheduler.clock, value)),
            lambda error: seen.append((scheduler.clock, type(error), str(error))),
            lambda: seen.append((scheduler.clock, END)),
            scheduler=scheduler,
        )
        if leaving is not None:
            scheduler.advance_to(leaving)
            subscription.dispose()
        scheduler.start()
        return seen, len(server.operations), len(server.unsubscribed)

    def test_the_tests_of_the_links_pass_with_every_chain_traced(self):
        files = ("test_retry.py", "test_error_slot.py", "test_dedup.py", "test_polling_leaving.py")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--no-cov",  # which this very run may measure
            "-p",
            "tests.trace.tracing_everything",
        ]

        program = subprocess.run(
            [*command, *(f"tests/links/{file}" for file in files)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

        assert 0 == program.returncode, program.stdout
        assert " traced chains" in program.stdout


def _answer(kind, delay):
    if kind == "failure":
        return MockedResponse(error=OSError("down"), delay=delay)
    return MockedResponse(result=DATA if kind == "data" else FAILED, delay=delay)


def _link(kind):
    if kind == "retry":
        options = AttemptsOptions(max=3, retry_if=lambda error, operation: isinstance(error, OSError))
        return RetryLink(delay=DelayOptions(initial=0.5, jitter=False), attempts=options)
    if kind == "error":
        return ErrorLink(lambda response: reactivex.of({"data": "instead"}) if response.graphql_errors else None)
    if kind == "recipe":
        return ErrorLink(
            lambda response: reactivex.of("").filter(bool).flat_map(lambda _: response.forward(response.operation))
        )
    if kind == "context":
        return SetContextLink(lambda context, operation: {"set": True})
    if kind == "handler":
        return ApolloLink(lambda operation, forward: forward(operation))
    return ApolloLink(lambda operation, forward: forward(operation).pipe(ops.map(lambda result: {**result})))
