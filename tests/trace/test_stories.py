"""What the views draw of an operation: what it did, and what is marked."""

from rxlink.links.error import ErrorLink
from rxlink.links.retry import RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from rxlink.trace.marks import MarkKind
from rxlink.trace.stories import SpanKind, stories_of
from tests.recording import DATA, FAILED
from tests.trace.traces import refused_storm, retrying, traced_run


def marks_in(trace):
    return [mark.kind for mark in stories_of(trace).operations[0].marks]


def spans_in(trace):
    spans = stories_of(trace).operations[0].spans
    return [(span.kind, round(span.began, 3), round(span.ended, 3), span.where, span.refresh) for span in spans]


def test_errors_that_reached_the_subscriber_are_marked_once():
    trace = traced_run(RetryLink(), ErrorLink(lambda _: None), MockLink([MockedResponse(result=FAILED)]))

    assert [MarkKind.SENT, MarkKind.ERRORS, MarkKind.COMPLETED] == marks_in(trace)


def test_failures_that_were_retried_are_marked_each():
    trace = traced_run(*retrying(MockedResponse(error=OSError()), MockedResponse(result=DATA)))

    expected = [MarkKind.SENT, MarkKind.FAILED, MarkKind.SENT, MarkKind.RESULT, MarkKind.COMPLETED]
    assert expected == marks_in(trace)
    assert 2 == stories_of(trace).operations[0].sends


def test_between_two_attempts_the_link_above_has_it():
    trace = traced_run(*retrying(MockedResponse(error=OSError()), MockedResponse(result=DATA)))

    assert [
        (SpanKind.UNDER_WAY, 0.0, 0.5, "MockLink", None),
        (SpanKind.HELD, 0.5, 1.5, "RetryLink", None),
        (SpanKind.UNDER_WAY, 1.5, 2.0, "MockLink", None),
    ] == spans_in(trace)


@virtual
async def test_a_refused_operation_waits_and_goes_on():
    trace, _ = await refused_storm(1)

    assert [
        (SpanKind.UNDER_WAY, 0.0, 0.1, "MockLink", None),
        (SpanKind.WAITING, 0.1, 0.4, "AuthLink", 1),
        (SpanKind.UNDER_WAY, 0.4, 0.5, "MockLink", None),
    ] == spans_in(trace)
    expected = [MarkKind.SENT, MarkKind.REFUSED, MarkKind.SENT, MarkKind.RESULT, MarkKind.COMPLETED]
    assert expected == marks_in(trace)
