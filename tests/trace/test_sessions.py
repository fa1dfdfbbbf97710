"""Which operation waited for which refresh, and was sent again after it."""

import asyncio

import pytest

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantTypeError, SessionEnded
from rxlink.links.error import ErrorLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from rxlink.trace.link import traced
from rxlink.trace.recorder import Trace
from rxlink.trace.stories import stories_of
from tests.recording import DATA, FAILED
from tests.trace.traces import COUNT, VIEWER, refused_storm, steps, times


def of_kind(trace, *kinds):
    return [(event.kind.value, event.operation, event.refresh) for event in trace.events if event.kind in kinds]


class TestRefusedOperations:
    @virtual
    async def test_wait_for_the_refresh_that_the_first_has_set_off_and_are_sent_again(self):
        trace, results = await refused_storm(2)

        assert [DATA, DATA] == results
        assert [
            ("refresh started", 1, 1),
            ("waiting", 1, 1),
            ("waiting", 2, 1),
            ("refresh succeeded", None, 1),
            ("refreshed", 1, 1),
            ("retried", 1, 1),
            ("refreshed", 2, 1),
            ("retried", 2, 1),
        ] == of_kind(trace, "refresh started", "waiting", "refresh succeeded", "refreshed", "retried")

    @virtual
    async def test_wait_as_long_as_the_refresh_takes(self):
        trace, _ = await refused_storm(2, refresh_seconds=0.3)

        assert [0.1, 0.1] == times(trace, "waiting")
        assert [0.4, 0.4] == times(trace, "refreshed")
        assert [[(0.1, 0.4, 1)]] * 2 == [
            [(round(wait.began, 3), round(wait.ended, 3), wait.refresh) for wait in story.waits]
            for story in stories_of(trace).operations
        ]

    @virtual
    async def test_of_one_name_and_of_others_are_told_apart(self):
        trace, _ = await refused_storm(4, requests=[VIEWER, COUNT, VIEWER, GraphQLRequest("{ anonymous }")])

        assert [1, 2, 3, 4] == [event.operation for event in trace.events if event.kind == "waiting"]
        assert [1, 2, 3, 4] == [event.operation for event in trace.events if event.kind == "retried"]

    @virtual
    async def test_get_the_error_of_a_refresh_that_failed(self):
        def refuse(tokens, reason):
            raise SessionEnded

        trace, results = await refused_storm(2, refresh=refuse)

        assert [SessionEnded, SessionEnded] == [type(error) for error in results]
        assert [("refresh started", 1, 1), ("refresh failed", None, 1)] == of_kind(
            trace, "refresh started", "refresh failed"
        )
        assert "SessionEnded" == stories_of(trace).refreshes[1].error
        assert 2 == steps(trace).count("1 error AuthLink SessionEnded") + steps(trace).count(
            "2 error AuthLink SessionEnded"
        )

    @virtual
    async def test_of_a_token_that_was_replaced_meanwhile_are_sent_again_without_waiting(self):
        async def refresh(tokens, reason):
            return TokenSet("new-token")

        trace = Trace()
        session = AuthSession(refresh=refresh, tokens=TokenSet("old-token"))
        trace.watch(session)
        answers = [
            MockedResponse(result=FAILED, delay=0.1, operation_name="Viewer"),
            MockedResponse(result=FAILED, delay=0.2, operation_name="Count"),
            MockedResponse(result=DATA, delay=0.1, max_usage=None),
        ]
        link = traced(from_([AuthLink(session), MockLink(answers)]), trace)
        await asyncio.gather(execute(link, VIEWER).to_future(), execute(link, COUNT).to_future())
        await session.aclose()

        assert [("waiting", 1, 1)] == of_kind(trace, "waiting")
        assert [("retried", 1, 1), ("retried", 2, 1)] == of_kind(trace, "retried")


class TestOthers:
    @virtual
    async def test_who_waits_for_stored_tokens_waits_for_no_refresh(self):
        trace = Trace()
        storage = MemoryTokenStorage()
        session = AuthSession(refresh=lambda tokens, reason: None, storage=storage)
        trace.watch(session)
        link = traced(from_([AuthLink(session), MockLink([MockedResponse(result=DATA)])]), trace)

        await execute(link, VIEWER)
        await session.aclose()

        assert [("waiting", 1, None), ("refreshed", 1, None)] == of_kind(trace, "waiting", "refreshed")

    @virtual
    async def test_what_happens_to_an_operation_that_is_not_traced_is_put_down_to_no_other(self):
        trace = Trace()
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old"))
        trace.watch(session)
        answers = [MockedResponse(result=FAILED, max_usage=1), MockedResponse(result=DATA, max_usage=None)]
        untraced = from_([AuthLink(session), MockLink(answers)])
        server = MockLink([MockedResponse(error=OSError(), delay=1), MockedResponse(result=DATA)])
        again = ErrorLink(lambda response: response.forward(response.operation))

        # Its wait begins while something is passed on for the other, and its retry comes before that one's.
        inside = ErrorLink(lambda response: execute(untraced, COUNT).subscribe() and None)
        await execute(traced(from_([again, inside, server]), trace), VIEWER)
        await session.aclose()

        assert {"refresh started", "refresh succeeded"} <= {event.kind.value for event in trace.events}
        assert [] == of_kind(trace, "waiting", "retried")
        assert [None] == [event.operation for event in trace.events if event.kind == "refresh started"]

    @virtual
    async def test_sessions_are_told_apart_by_their_names(self):
        trace = Trace()
        sessions = [
            AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old")) for _ in range(2)
        ]
        for session, name in zip(sessions, ("first", "second"), strict=True):
            trace.watch(session, name=name)

        for session in reversed(sessions):
            await session.refresh(force=True)
            await session.aclose()

        assert [(1, "second"), (2, "first")] == [
            (event.refresh, event.session) for event in trace.events if event.kind == "refresh started"
        ]

    @virtual
    async def test_what_else_happens_to_a_session_is_recorded_by_its_class(self):
        trace = Trace()
        session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet("old"))
        trace.watch(session)

        await session.clear()
        await session.aclose()

        assert ["Ended"] == [event.text for event in trace.events if event.kind == "session"]

    @virtual
    async def test_watching_ends_when_it_is_told_to(self):
        trace = Trace()
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old"))
        trace.watch(session).dispose()

        await session.refresh(force=True)
        await session.aclose()

        assert () == trace.events

    def test_the_name_of_a_session_is_text(self):
        session = AuthSession(refresh=lambda *_: TokenSet("new"), tokens=TokenSet("old"))

        with pytest.raises(InvariantTypeError, match="`name` of `watch` is an int; give text, or None"):
            Trace().watch(session, name=5)

    def test_only_a_session_can_be_watched(self):
        with pytest.raises(InvariantTypeError, match="`watch` got a str; give it an AuthSession"):
            Trace().watch("session")
