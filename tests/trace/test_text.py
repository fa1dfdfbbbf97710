"""Marble diagrams for the terminal."""

import pytest
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute
from rxlink.errors import InvariantError
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace
from rxlink.trace.scale import Scale, in_digits
from rxlink.trace.text import to_text
from tests.recording import DATA, FAILED, REQUEST, sending, subscribed
from tests.trace.traces import refused_storm, retrying, traced_run


@virtual
async def test_a_storm_shows_who_waited_for_which_refresh():
    trace, _ = await refused_storm(2)

    refresh, first, second = to_text(trace, width=70).splitlines()[1:4]
    assert "[= token rejected, 2 waited =" in refresh
    assert first.index("1w") == second.index("1w")
    for lane in (first, second):
        assert lane.index(">") < lane.index("x") < lane.index("1w") < lane.rindex(">") < lane.index("o|")
    assert refresh.index("[") <= first.index("1w") <= refresh.index("]")


def test_each_way_to_end_has_its_sign():
    trace = traced_run(MockLink([MockedResponse(result=DATA)]))
    traced_run(MockLink([MockedResponse(result=FAILED)]), trace=trace)
    traced_run(MockLink([MockedResponse(error=OSError())]), trace=trace)
    scheduler = TestScheduler()
    leaving = subscribed(execute(traced(MockLink([MockedResponse(result=DATA, delay=9)]), trace), REQUEST), scheduler)
    scheduler.advance_to(1)
    leaving.subscription.dispose()

    lanes = to_text(trace).splitlines()[1:5]
    assert [True] * 4 == [lane.endswith(end) for lane, end in zip(lanes, ["o|", "x|", "!", "/"], strict=True)]


def test_attempts_stand_one_behind_another():
    trace = traced_run(*retrying(MockedResponse(error=OSError()), MockedResponse(result=DATA)))

    lane = to_text(trace, width=60).splitlines()[1].partition("Viewer")[2].strip()
    assert lane.startswith(">--")
    assert "!" in lane
    assert "..." in lane
    assert lane.endswith("o|")


def test_what_goes_on_is_drawn_to_the_end():
    trace = traced_run(MockLink([MockedResponse(result=DATA, delay=float("inf"))]), seconds=1)
    traced_run(MockLink([MockedResponse(result=DATA, delay=5)]), trace=trace)

    open_lane, other = to_text(trace, width=50).splitlines()[1:3]
    assert len(open_lane) >= len(other) - 4
    assert set(open_lane.partition("Viewer")[2].strip()) == {">", "-"}


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_no_line_is_wider_than_the_width(width):
    trace = traced_run(*retrying(MockedResponse(error=OSError()), MockedResponse(result=DATA)))

    picture = to_text(trace, width=width).splitlines()

    assert max(map(len, picture)) <= width


def test_where_rows_are_few_those_that_did_not_go_straight_through_are_drawn():
    trace = Trace()
    for _ in range(5):
        traced_run(sending(DATA), trace=trace)
    traced_run(MockLink([MockedResponse(error=OSError())]), trace=trace)

    lines = to_text(trace, rows=2).splitlines()

    assert ["1 Viewer", "6 Viewer"] == [line.split("  ")[0] for line in lines[1:3]]
    assert "and 4 more operations" in lines


def test_an_empty_trace_can_be_drawn():
    assert "seconds" in to_text(Trace())


def test_control_characters_and_long_names_cannot_harm_a_terminal():
    def rename(operation, forward):
        operation.operation_name = "\x1b[31mred\nline\r" + "x" * 200
        return forward(operation)

    from rxlink.core.chain import from_
    from rxlink.core.link import ApolloLink

    trace = Trace()
    subscribed(execute(from_([ApolloLink(rename), traced(sending(DATA), trace)]), REQUEST))

    text = to_text(trace, width=80)
    assert "\x1b" not in text
    assert "\r" not in text
    assert "1 ?[31mred?line?xxxxxx" in text


@pytest.mark.parametrize(
    "options", [{"width": 39}, {"width": 0}, {"width": "wide"}, {"width": None}, {"rows": 0}, {"rows": 1.5}]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InvariantError, match=f"`{next(iter(options))}`"):
        to_text(Trace(), **options)


class TestScale:
    def test_is_in_proportion_where_something_happens_all_the_time(self):
        scale = Scale([1, 2, 3, 4])

        assert [0.0, 0.25, 0.5, 0.625, 1.0] == [scale.at(moment) for moment in (0, 1, 2, 2.5, 4)]
        assert [] == scale.gaps

    def test_shortens_what_is_much_longer_than_the_rest(self):
        scale = Scale([1, 2, 3, 100, 101, 102])

        assert [(3, 100)] == [(gap.began, gap.ended) for gap in scale.gaps]
        assert scale.at(100) - scale.at(3) < 0.1
        assert 1.0 == scale.at(102)

    def test_shortens_less_what_an_operation_took(self):
        idle, waited = (Scale([1, 2, 3, 100, 101, 102], lambda *_, waits=waits: waits) for waits in (False, True))

        assert waited.at(100) - waited.at(3) > 2 * (idle.at(100) - idle.at(3))

    def test_names_moments_that_do_not_stand_in_one_place(self):
        assert [0.0, 2] == Scale([1e-9, 2]).ticks(5)

    def test_of_nothing_is_one_place(self):
        assert 0.0 == Scale([]).at(5)


def test_moments_that_are_close_have_digits_that_tell_them_apart():
    assert ["0.00", "2.00", "2.25"] == in_digits([0.0, 2.0, 2.25])
    assert ["0.000", "0.001", "0.004"] == in_digits([0.0, 0.001, 0.0042])
    assert ["0.0000", "0.0000"] == in_digits([0.0, 0.00001])
