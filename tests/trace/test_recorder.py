"""The recorder is bounded, and its time is the subscriber's."""

import asyncio
import threading

import pytest
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute
from rxlink.errors import InvariantError
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.trace.clocks import Clocks
from rxlink.trace.explain import explain
from rxlink.trace.html import to_html
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace
from rxlink.trace.svg import to_svg
from rxlink.trace.text import to_text
from tests.recording import DATA, REQUEST, sending
from tests.trace.traces import refused_storm, times, traced_run


def test_the_oldest_events_go_and_are_counted():
    trace = Trace(max_events=4)
    link = traced(sending(DATA), trace)

    for _ in range(3):
        execute(link, REQUEST).subscribe()

    assert [6, 7, 8, 9] == [event.number for event in trace.events]
    assert 5 == trace.dropped


def test_what_was_recorded_can_be_forgotten_and_numbers_go_on():
    trace = Trace()
    link = traced(sending(DATA), trace)
    execute(link, REQUEST).subscribe()

    trace.clear()
    execute(link, REQUEST).subscribe()

    assert (2, 0) == (trace.events[0].operation, trace.dropped)
    assert [4, 5, 6] == [event.number for event in trace.events]


def test_operations_that_never_end_are_not_kept_for_ever():
    trace = Trace(max_events=10)
    link = traced(MockLink([MockedResponse(result=DATA, delay=float("inf"), max_usage=None)]), trace)
    scheduler = TestScheduler()

    for _ in range(100):
        execute(link, REQUEST).subscribe(scheduler=scheduler)

    assert 10 == len(trace._runs._known)


def test_threads_may_record_at_the_same_time():
    trace = Trace(max_events=100_000)
    link = traced(sending(DATA), trace)

    def run():
        for _ in range(200):
            execute(link, REQUEST).subscribe()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(range(1, 2401)) == [event.number for event in trace.events]
    by_operation = {}
    for event in trace.events:
        by_operation.setdefault(event.operation, []).append(event.kind.value)
    assert [["started", "result", "completed"]] * 800 == list(by_operation.values())


@pytest.mark.parametrize("max_events", [0, -1, 1.5, True, "many", None])
def test_a_bound_that_is_none_is_refused(max_events):
    with pytest.raises(InvariantError, match="`max_events`"):
        Trace(max_events=max_events)


def test_it_is_shown_by_its_size():
    assert "<Trace: 3 events>" == repr(traced_run(sending(DATA)))


class TestTime:
    def test_comes_from_the_subscribers_scheduler(self):
        trace = traced_run(MockLink([MockedResponse(result=DATA, delay=120)]))

        assert [120.0] == times(trace, "result")

    @virtual
    async def test_comes_from_the_running_loop_where_there_is_no_scheduler(self):
        trace = Trace()

        await execute(traced(MockLink([MockedResponse(result=DATA, delay=120)]), trace), REQUEST)
        await asyncio.sleep(30)

        assert [120.0] == times(trace, "result")
        assert 150.0 == trace.seconds

    def test_begins_for_a_new_clock_where_the_trace_stands(self):
        trace = Trace()
        for _ in range(2):
            traced_run(MockLink([MockedResponse(result=DATA, delay=10)]), trace=trace)

        assert [0.0, 10.0] == times(trace, "started")
        assert [10.0, 20.0] == times(trace, "result")

    def test_goes_on_from_one_ordinary_loop_to_the_next(self):
        clocks = Clocks()

        async def read():
            return clocks.seconds()

        assert asyncio.run(read()) <= asyncio.run(read())
        assert [asyncio.BaseEventLoop] == [*clocks._origins]

    def test_forgets_loops_that_are_closed(self):
        clocks = Clocks()

        async def read():
            return clocks.seconds()

        for _ in range(3):
            with VirtualTime() as time:
                time.run(read())

        assert 1 == len(clocks._origins)

    def test_stands_still_for_a_scheduler_that_cannot_say(self):
        class Mute:
            @property
            def now(self):
                raise ValueError("no clock")

        assert 0.0 == Clocks().seconds(Mute())


@pytest.mark.parametrize("kept", range(1, 15))
@virtual
async def test_a_trace_whose_beginning_is_gone_can_be_looked_at(kept):
    whole, _ = await refused_storm(1)
    trace, _ = await refused_storm(1, trace=Trace(max_events=kept))

    assert len(whole.events) - kept == trace.dropped
    assert "completed without a result" not in to_html(trace)
    assert f"The first {trace.dropped} event" in explain(trace)
    assert "ended without a result" not in explain(trace)
    assert to_svg(trace).endswith("</svg>\n")
    assert "events had to go" in to_text(trace)
