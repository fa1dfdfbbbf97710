"""DedupLink: those who share a request get its whole answer, and nobody gets an old one."""

import pytest
import reactivex
from reactivex import Subject
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import CombinedGraphQLErrors, NetworkTimeout, RxlinkError, ServerError
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink
from rxlink.testing import MockedResponse, MockLink
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    seen_of,
    sending,
    source_of,
    subscribed,
)

DOWN = OSError("down")


class OddError(RxlinkError):
    """One of a user's, that cannot be made a second time."""

    made = False

    def __new__(cls, *args):
        if cls.made:
            raise TypeError
        cls.made = True
        return super().__new__(cls)


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


class TestAnswers:
    @pytest.mark.parametrize(
        ("events", "expected"),
        [
            (lambda s: (s.on_next(DATA), s.on_completed()), [DATA, END]),
            (lambda s: (s.on_next(DATA), s.on_next(FAILED), s.on_completed()), [DATA, FAILED, END]),
            (lambda s: s.on_completed(), [END]),
            (lambda s: s.on_error(DOWN), [DOWN]),
            (lambda s: (s.on_next(DATA), s.on_error(DOWN)), [DATA, DOWN]),
        ],
    )
    def test_reach_each_who_waits_to_the_end(self, source, results, events, expected):
        recorders = [subscribed(results) for _ in range(3)]

        events(source.requests[0])

        assert ([expected] * 3, 1) == ([recorder.seen for recorder in recorders], len(source.requests))

    @pytest.mark.parametrize(
        "error",
        [
            ServerError("no", status_code=500, headers={"a": "b"}, body_text="x"),
            NetworkTimeout("POST", seconds=1),
            CombinedGraphQLErrors(FAILED),
            OddError(),
        ],
    )
    def test_that_are_errors_of_ours_reach_each_as_an_object_of_its_own(self, source, results, error):
        error.__cause__ = DOWN
        recorders = [subscribed(results) for _ in range(3)]

        source.requests[0].on_error(error)

        got = [recorder.seen[0] for recorder in recorders]
        assert (1 if isinstance(error, OddError) else 3, True) == (len(set(map(id, got))), got[-1] is error)
        assert [(type(error), str(error), vars(error), DOWN)] * 3 == [
            (type(one), str(one), vars(one), one.__cause__) for one in got
        ]

    def test_that_have_ended_are_not_given_to_who_comes_later(self, source, results):
        subscribed(results)
        source.requests[0].on_next(DATA)
        source.requests[0].on_completed()

        late = subscribed(results)

        assert (2, []) == (len(source.requests), late.seen)

    def test_that_have_begun_are_not_given_to_who_comes_later(self, source, results):
        early = subscribed(results)
        source.requests[0].on_next(DATA)

        late = subscribed(results)
        source.requests[0].on_next(FAILED)
        source.requests[0].on_completed()
        source.requests[1].on_error(DOWN)

        assert ([DATA, FAILED, END], [DOWN]) == (early.seen, late.seen)

    @pytest.mark.parametrize("terminal", [sending(DATA), source_of(reactivex.of(DATA))])
    def test_that_are_there_at_once_reach_who_asks(self, terminal):
        results = execute(from_([DedupLink(), terminal]), REQUEST)

        assert [[DATA, END]] * 2 == [seen_of(results), seen_of(results)]

    def test_reach_an_error_link_of_each(self):
        server = MockLink([MockedResponse(result=FAILED, delay=1), MockedResponse(result=DATA, delay=1)])
        link = from_([ErrorLink(lambda r: r.forward(r.operation)), DedupLink(), server])
        scheduler = TestScheduler()

        recorders = [subscribed(execute(link, REQUEST), scheduler) for _ in range(3)]
        scheduler.start()

        assert ([[DATA, END]] * 3, 2) == ([recorder.seen for recorder in recorders], len(server.operations))

    def test_follow_the_scheduler_of_the_first(self):
        scheduler = TestScheduler()
        results = execute(from_([DedupLink(), MockLink([MockedResponse(result=DATA, delay=5)])]), REQUEST)

        recorders = [subscribed(results, scheduler), subscribed(results)]
        scheduler.advance_by(5)

        assert [[DATA, END]] * 2 == [recorder.seen for recorder in recorders]


class TestReentrancy:
    @pytest.mark.parametrize("event", ["on_next", "on_error", "on_completed"])
    def test_who_asks_again_inside_a_callback_gets_a_new_request(self, source, results, event):
        again = []

        def ask(*_):
            again.append(subscribed(results))

        results.subscribe(**{"on_error": lambda _: None, event: ask})
        if event == "on_error":
            source.requests[0].on_error(DOWN)
        else:
            source.requests[0].on_next(DATA)
            source.requests[0].on_completed()
        source.requests[1].on_next(FAILED)

        assert (2, [[FAILED]]) == (len(source.requests), [recorder.seen for recorder in again])

    def test_who_leaves_inside_a_callback_of_another_gets_nothing_more(self, source, results):
        victims = []
        results.subscribe(lambda _: victims[0].subscription.dispose())
        victims.append(subscribed(results))
        stays = subscribed(results)

        source.requests[0].on_next(DATA)
        source.requests[0].on_completed()

        assert ([], [DATA, END]) == (victims[0].seen, stays.seen)

    @pytest.mark.parametrize("event", ["on_error", "on_completed"])
    def test_who_leaves_inside_the_end_of_another_gets_no_end(self, source, results, event):
        victims = []

        def leave(*_):
            victims[0].subscription.dispose()

        results.subscribe(on_error=leave, on_completed=leave)
        victims.append(subscribed(results))

        getattr(source.requests[0], event)(*[DOWN] if event == "on_error" else [])

        assert [] == victims[0].seen


def test_a_request_is_kept_no_longer_than_it_is_under_way():
    link = DedupLink()
    chain = from_([link, sending(DATA)])

    seen_of(execute(chain, GraphQLRequest("{ a }")))

    assert [{}] == list(link._in_flight.values())
