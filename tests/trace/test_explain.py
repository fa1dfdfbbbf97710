"""A trace in words."""

import asyncio

import pytest
import reactivex
from reactivex.testing import TestScheduler

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.client.client import Client
from rxlink.core.chain import execute, from_
from rxlink.core.observables import from_future
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import CombinedGraphQLErrors, SessionEnded
from rxlink.links.error import ErrorLink
from rxlink.testing import MockedResponse, MockLink, MockSubscriptionLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.trace.explain import explain
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace
from tests.recording import DATA, FAILED, REQUEST, sending, subscribed
from tests.trace.traces import COUNT, VIEWER, refused_storm, retrying, traced_run

NEVER = float("inf")


def test_nothing_is_said_of_operations_that_went_straight_through():
    trace = traced_run(sending(DATA))
    assert "The operation went straight through." == explain(trace)

    traced_run(sending(DATA), trace=trace)
    assert "All 2 operations went straight through." == explain(trace)


def test_an_empty_trace_says_what_cannot_be_seen():
    assert "No operation was traced; one that was never subscribed or awaited has not begun." == explain(Trace())


def test_an_operation_without_a_name_is_called_anonymous():
    trace = Trace()
    subscribed(execute(traced(MockLink([MockedResponse(error=OSError())]), trace), GraphQLRequest("{ a }")))

    assert explain(trace).startswith("Operation 1 (anonymous) ")


@virtual
async def test_a_wait_for_a_refresh_is_told_with_its_reason():
    trace, _ = await refused_storm(1)

    assert [
        "Refresh 1 (token rejected) took 0.30 s; 1 operation waited for it.",
        "Operation 1 (Viewer) waited 0.30 s for refresh 1 (token rejected), was sent again and answered.",
    ] == explain(trace).splitlines()


@virtual
async def test_those_who_share_a_story_share_a_line():
    trace, _ = await refused_storm(5, requests=[VIEWER, VIEWER, COUNT, VIEWER, VIEWER])

    assert [
        "Operations 1-2, 4-5 (4 x Viewer) waited 0.30 s for refresh 1 (token rejected), were sent again and answered.",
        "Operation 3 (Count) waited 0.30 s for refresh 1 (token rejected), was sent again and answered.",
    ] == explain(trace).splitlines()[1:]


@virtual
async def test_a_refresh_that_failed_is_told_with_those_who_waited():
    def refuse(tokens, reason):
        raise SessionEnded

    trace, _ = await refused_storm(1, refresh=refuse)

    assert "Refresh 1 (token rejected) failed with SessionEnded after 0.000 s; 1 operation waited for it." in explain(
        trace
    )
    assert "which failed with SessionEnded and failed with SessionEnded." in explain(trace)


class Stored:
    """A storage that takes its time."""

    def __init__(self, seconds):
        self.seconds = seconds

    async def load(self):
        await asyncio.sleep(self.seconds)
        return TokenSet("old-token")

    async def save(self, tokens):
        """Keep nothing."""

    async def clear(self):
        """Keep nothing."""


async def refreshed_after_a_load(**options):
    """One operation whose token has to come from somewhere, and is then refused once."""

    async def refresh(old, reason):
        await asyncio.sleep(1)
        return TokenSet("new-token")

    trace = Trace()
    async with AuthSession(refresh=refresh, **options) as session:
        trace.watch(session)
        server = MockLink([MockedResponse(result=result, delay=0.5) for result in (FAILED, DATA)])
        await execute(traced(from_([AuthLink(session), server]), trace), VIEWER)
    return explain(trace).splitlines()[-1]


@virtual
async def test_each_wait_has_its_own_time():
    assert (
        "Operation 1 (Viewer) waited 4.00 s for the stored tokens, waited 1.00 s for refresh 1 (token rejected), "
        "was sent again and answered."
    ) == await refreshed_after_a_load(storage=Stored(4))


@virtual
async def test_what_was_stored_nowhere_was_not_waited_for():
    assert (
        "Operation 1 (Viewer) waited 1.00 s for refresh 1 (no token yet), "
        "waited 1.00 s for refresh 2 (token rejected), was sent again and answered."
    ) == await refreshed_after_a_load(obtain_first=True)


@virtual
async def test_a_refresh_that_somebody_has_overtaken_is_over(time: VirtualTime):
    trace, tokens = Trace(), TokenSet("old-token", expires_in=10)
    session = AuthSession(refresh=lambda *_: asyncio.sleep(60), tokens=tokens, clock=time.clock)
    trace.watch(session)
    await asyncio.sleep(20)
    waiting = asyncio.ensure_future(execute(traced(from_([AuthLink(session), sending(DATA)]), trace), VIEWER))
    await asyncio.sleep(1)
    await session.clear()
    await asyncio.gather(waiting, return_exceptions=True)
    await session.aclose()

    refreshed, ended = explain(trace).splitlines()
    assert (
        "Refresh 1 (token ended) was given up after 1.00 s, since somebody had signed in or out, or closed the "
        "session; 1 operation waited for it."
    ) == refreshed
    assert "Operation 1 (Viewer) waited 1.00 s for refresh 1 (token ended) and failed with SessionEnded." == ended


@virtual
async def test_a_refresh_that_is_not_over_is_told_with_those_who_wait():
    async def never(tokens, reason):
        await asyncio.get_running_loop().create_future()

    trace = Trace()
    session = AuthSession(refresh=never, tokens=TokenSet("old"))
    trace.watch(session)
    answers = MockLink([MockedResponse(result=FAILED, delay=0.5)])
    recorder = subscribed(execute(traced(from_([AuthLink(session), answers]), trace), REQUEST))
    await asyncio.sleep(12.5)

    assert [
        "Refresh 1 (token rejected) has run for 12.00 s and is not over; 1 operation waited for it.",
        (
            "Operation 1 (Viewer) has waited since 0.50 s for refresh 1 (token rejected), "
            "which has run for 12.00 s and is not over."
        ),
    ] == explain(trace).splitlines()
    recorder.subscription.dispose()
    await session.aclose()


class TestNotAnswered:
    @virtual
    async def test_says_who_has_it_and_since_when(self):
        trace = Trace()
        server = MockLink([MockedResponse(result=DATA, delay=NEVER)])
        recorder = subscribed(execute(traced(from_([ErrorLink(lambda _: None), server]), trace), REQUEST))

        await asyncio.sleep(12)

        assert "Operation 1 (Viewer) has not been answered for 12.00 s: MockLink has it since 0.00 s." == explain(trace)
        recorder.subscription.dispose()

    def test_says_what_the_link_got_that_has_it(self):
        silent = ErrorLink(lambda _: reactivex.never())

        trace = traced_run(silent, MockLink([MockedResponse(result=FAILED, delay=0.5)]), seconds=10)

        told = explain(trace)
        assert "ErrorLink has it since 0.50 s, which got errors UNAUTHENTICATED from MockLink: " in told
        assert "has sent nothing" in told

    def test_says_nothing_wrong_of_a_subscription_that_goes_on(self):
        trace, link = Trace(), MockSubscriptionLink()
        recorder = subscribed(execute(traced(link, trace), REQUEST), TestScheduler())
        link.simulate_result(DATA)
        link.simulate_result(DATA)

        assert "Operation 1 (Viewer) has sent 2 results in 0.000 s and goes on." == explain(trace)
        recorder.subscription.dispose()


class TestEmpty:
    """The classic: filter and flat_map are never called."""

    @pytest.mark.parametrize("token", [None, "", False])
    def test_a_refresh_that_gave_a_falsy_token_is_suspected(self, token):
        async def get_token():
            return token

        def retry(response):
            return from_future(get_token).filter(bool).flat_map(lambda _: response.forward(response.operation))

        async def main():
            await execute(traced(from_([ErrorLink(retry), server]), trace), REQUEST).to_list()

        trace, server = Trace(), MockLink([MockedResponse(result=FAILED)])
        asyncio.run(main())

        told = explain(trace)
        assert told.startswith(
            "Operation 1 (Viewer) ended without a result: ErrorLink got errors UNAUTHENTICATED from MockLink, and the "
            "stream that its handler returned ended without a value"
        )
        assert "falsy token" in told

    def test_a_transport_that_sent_nothing_is_named(self):
        trace = traced_run(ErrorLink(lambda _: None), sending())

        assert "Operation 1 (Viewer) ended without a result: Worker completed, and had sent none." == explain(trace)

    def test_a_retry_that_was_answered_with_nothing_is_no_empty_stream_of_the_handler(self):
        def retry(response):
            return response.forward(response.operation).filter(lambda _: False)

        trace = traced_run(ErrorLink(retry), MockLink([MockedResponse(result=FAILED), MockedResponse(result=DATA)]))

        told = explain(trace)
        assert "Operation 1 (Viewer) was sent again by ErrorLink and ended without a result" in told
        assert (
            "ErrorLink got data from MockLink, and the stream that its handler returned ended without a value" in told
        )


class TestEndings:
    def test_retries_are_told_with_their_errors(self):
        down = MockedResponse(error=OSError("down"))

        trace = traced_run(*retrying(down, down, MockedResponse(result=DATA)))

        assert "Operation 1 (Viewer) was sent 2 more times by RetryLink, after OSError, and answered." == explain(trace)

    def test_only_the_link_that_has_sent_it_again_is_named(self):
        retry, server = retrying(MockedResponse(error=OSError()), MockedResponse(result=DATA))

        trace = traced_run(retry, ErrorLink(lambda _: None), server)

        assert "Operation 1 (Viewer) was sent again by RetryLink, after OSError, and answered." == explain(trace)

    def test_an_error_is_told_by_its_class(self):
        trace = traced_run(*retrying(MockedResponse(error=OSError("secret")), max_attempts=1))

        assert "Operation 1 (Viewer) failed with OSError." == explain(trace)

    def test_a_result_with_errors_is_told_by_their_codes(self):
        trace = traced_run(MockLink([MockedResponse(result=FAILED)]))

        assert "Operation 1 (Viewer) was answered with errors UNAUTHENTICATED." == explain(trace)

    def test_leaving_is_told_with_who_had_the_operation(self):
        trace, scheduler = Trace(), TestScheduler()
        links = from_([ErrorLink(lambda _: None), MockLink([MockedResponse(result=DATA, delay=5)])])
        recorder = subscribed(execute(traced(links, trace), REQUEST), scheduler)
        scheduler.advance_to(2)
        recorder.subscription.dispose()

        left = "ended when its subscriber left, after 2.00 s, before it was answered; MockLink had it."
        assert f"Operation 1 (Viewer) {left}" == explain(trace)

    async def test_errors_with_which_a_client_ends_a_query_are_told(self):
        trace = Trace()
        link = traced(MockLink([MockedResponse(result=FAILED, delay=0)]), trace)

        with pytest.raises(CombinedGraphQLErrors):
            await Client(link).query("query Viewer { viewer { name } }")

        told = "was answered with errors UNAUTHENTICATED, with which its subscriber left."
        assert f"Operation 1 (Viewer) {told}" == explain(trace)

    def test_errors_that_are_no_list_are_errors(self):
        trace = traced_run(sending({"errors": {"message": "no"}}))

        assert "Operation 1 (Viewer) was answered with errors." == explain(trace)

    @virtual
    async def test_a_refresh_whose_events_had_to_go_does_not_go_on_for_ever(self):
        trace, _ = await refused_storm(5, trace=Trace(max_events=27))

        told = explain(trace).splitlines()
        assert "Refresh 1 (its beginning is not known) was over after 0.40 s of the trace." == told[1]

    def test_a_callback_that_raised_is_told(self):
        trace = Trace()

        def fail(_):
            raise ValueError("secret")

        execute(traced(sending(DATA), trace), REQUEST).subscribe(fail, lambda _: None)

        assert "Operation 1 (Viewer) ended because a callback of its subscriber raised ValueError." == explain(trace)

    def test_events_that_had_to_go_are_counted(self):
        trace = Trace(max_events=3)
        traced_run(sending(DATA), trace=trace)
        traced_run(sending(DATA), trace=trace)

        assert explain(trace).startswith("The first 3 events had to go; raise `max_events` to keep more.")

    def test_names_with_braces_are_told_as_they_are(self):
        def rename(operation, forward):
            operation.operation_name = "{held} {0}"
            return forward(operation)

        from rxlink.core.link import ApolloLink

        trace = Trace()
        link = from_([ApolloLink(rename), traced(MockLink([MockedResponse(error=OSError())]), trace)])
        subscribed(execute(link, REQUEST))

        assert "Operation 1 ({held} {0}) failed with OSError." == explain(trace)
