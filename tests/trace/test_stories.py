"""What the views draw of an operation: what it did, and what is marked."""

import asyncio

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.errors import SessionEnded
from rxlink.links.error import ErrorLink
from rxlink.links.retry import RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.trace.link import traced
from rxlink.trace.marks import MarkKind
from rxlink.trace.recorder import Trace
from rxlink.trace.stories import SpanKind, stories_of
from tests.recording import DATA, FAILED
from tests.trace.traces import VIEWER, refused_storm, retrying, traced_run


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


@virtual
async def test_a_wait_ends_with_the_refresh_that_fails():
    """And what waits for the next attempt is with the link that makes it."""
    tries = []

    async def refresh(old, reason):
        await asyncio.sleep(1)
        tries.append(old)
        if len(tries) == 1:
            raise ValueError
        return TokenSet("new-token")

    trace = Trace()
    async with AuthSession(refresh=refresh, tokens=TokenSet("old-token")) as session:
        trace.watch(session)
        retry = RetryLink(attempts=lambda attempt, *_: attempt < 3, delay=lambda *_: 10)
        server = MockLink([MockedResponse(result=result, delay=0.5) for result in (FAILED, DATA)])
        assert DATA == await execute(traced(from_([retry, AuthLink(session), server]), trace), VIEWER)

    spans = spans_in(trace)
    assert [
        (SpanKind.UNDER_WAY, 0.0, 0.5, "MockLink", None),
        (SpanKind.WAITING, 0.5, 1.5, "AuthLink", 1),
        (SpanKind.HELD, 1.5, 11.5, "RetryLink", None),
    ] == spans[:3]
    assert [(SpanKind.WAITING, "AuthLink"), (SpanKind.UNDER_WAY, "MockLink")] == [span[::3] for span in spans[3:]]
    assert [2] == [event.refresh for event in trace.events if event.kind == "refreshed"]


@virtual
async def test_what_never_came_to_the_transport_was_not_sent(time: VirtualTime):
    async def refuse(old, reason):
        raise SessionEnded

    trace = Trace()
    async with AuthSession(refresh=refuse, tokens=TokenSet("old", expires_in=10), clock=time.clock) as session:
        trace.watch(session)
        await asyncio.sleep(20)
        (failure,) = await asyncio.gather(
            execute(traced(from_([AuthLink(session), MockLink([])]), trace), VIEWER), return_exceptions=True
        )

    assert "SessionEnded" == type(failure).__name__
    assert [MarkKind.FAILED] == marks_in(trace)
    assert 0 == stories_of(trace).operations[0].sends


async def test_who_has_it_when_its_subscriber_leaves_is_the_last_that_got_it():
    """In real time, in which the links are left one after another."""
    trace = Trace()
    server = MockLink([MockedResponse(result=DATA, delay=60)])
    links = from_([RetryLink(), ErrorLink(lambda _: None), server])
    waiting = asyncio.ensure_future(execute(traced(links, trace), VIEWER))
    await asyncio.sleep(0.001)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    last = stories_of(trace).operations[0].spans[-1]
    assert (SpanKind.UNDER_WAY, "MockLink") == (last.kind, last.where)
