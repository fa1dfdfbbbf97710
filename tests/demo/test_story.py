"""The story of the demo on a real server: what happens to operations and tokens, also where it goes wrong."""

import re
from contextlib import asynccontextmanager
from functools import partial

import pytest

from rxlink.auth import session
from rxlink.auth.pacing import BackoffOptions
from rxlink.demo import story as telling
from rxlink.demo.calls import Call
from rxlink.demo.display import PlainLines
from rxlink.demo.plan import Chapter, Plan, Twist
from rxlink.demo.story import Story
from rxlink.demo.summary import Summary, problems_of
from rxlink.demo.timeline import Timeline
from rxlink.testing.auth_server import AuthServer, Fault

LIFE = 0.3  # seconds of a token


class Lines(PlainLines):
    """Keeps what is shown."""

    def __init__(self):
        self.shown = []

    def show(self, line):
        self.shown.append(str(line))

    def __contains__(self, pattern):
        return any(re.search(pattern, line) for line in self.shown)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """Tries of a refresh follow one another at once."""
    monkeypatch.setattr(session, "BackoffOptions", partial(BackoffOptions, initial=0.01))


@asynccontextmanager
async def told(plan, *, faults=(), chapters=None, monkeypatch=None):
    """Runs a story; gives its lines, summary, problems and server."""
    if chapters is not None:
        monkeypatch.setattr(telling, "chapters_of", lambda _: chapters)
    lines = Lines()
    timeline = Timeline([lines])
    async with AuthServer(token_life=plan.token_life) as server:
        for fault, options in faults:
            server.faults.add(fault, **options)
        story = Story(server, plan, timeline)
        await story.run()
    summary = Summary.of(plan.operations, story.tally, server.ledger, timeline.seconds)
    yield lines, summary, problems_of(summary, story.tally, server.ledger), server


def chapter_of(twist, *sizes):
    numbers = iter(range(1, sum(sizes) + 1))
    *calm, last = ([Call(next(numbers), is_mutation=False) for _ in range(size)] for size in sizes)
    return Chapter(twist, calm, last)


async def test_each_operation_gets_its_result_and_each_token_is_refreshed_once():
    async with told(Plan(operations=40, expiries=4, token_life=0.5)) as (lines, summary, problems, server):
        assert [] == problems
        assert (40, 40, 0, 0) == (summary.operations, summary.results, summary.errors, summary.unfinished)
        assert (4, 4, 2) == (summary.expiries, summary.refreshes, summary.max_sends_per_operation)
        assert [] == list(server.faults.remaining)
        assert ["status", "status"] == [each.why for each in server.ledger.refresh_tries if each.outcome == "faulted"]
        assert "revoked" in [generation.replaced_why for generation in server.ledger.generations]
        assert r"refresh +fails \(ServerError\), next try in .*; 5 operations waiting" in lines
        assert r"wave 3 +5 waited, sent with token 2: " in lines
        assert r"wave 9 +5 refused with token 3, then accepted with token 4: " in lines
        assert max(map(len, lines.shown)) <= 100


async def test_as_many_operations_as_expiries_suffice():
    async with told(Plan(operations=1, expiries=1, token_life=LIFE)) as (_, summary, problems, _):
        assert [] == problems
        assert (1, 1, 1) == (summary.results, summary.expiries, summary.refreshes)


async def test_a_wave_that_comes_too_early_for_the_refresh_is_made_up_for(monkeypatch):
    # given
    monkeypatch.setitem(telling.LAST_AT, Twist.ENDS_SOON, 0.1)
    chapters = [chapter_of(Twist.ENDS_SOON, 2)]

    # when
    story = told(Plan(operations=2, expiries=1, token_life=LIFE), chapters=chapters, monkeypatch=monkeypatch)

    # then
    async with story as (_, summary, problems, _):
        assert [] == problems
        assert (1, 1) == (summary.expiries, summary.refreshes)


async def test_a_token_that_ends_before_its_time_is_the_end_of_its_chapter(monkeypatch):
    # given: calm waves that come late, as after a stall
    monkeypatch.setattr(telling, "CALM_AT", (1.0, 1.0))
    chapters = [chapter_of(Twist.REVOKED, 2, 2, 2)]

    # when
    story = told(Plan(operations=6, expiries=1, token_life=LIFE), chapters=chapters, monkeypatch=monkeypatch)

    # then
    async with story as (lines, summary, problems, _):
        assert [] == problems
        assert (6, 1, 1) == (summary.results, summary.expiries, summary.refreshes)
        assert "revokes token" not in lines


async def test_a_session_that_ends_fails_the_operations_and_the_demo():
    # given
    faults = [(Fault.invalid_grant(), {"times": None})]

    # when
    async with told(Plan(operations=30, token_life=LIFE), faults=faults) as (lines, summary, problems, _):
        # then
        assert (5, 5, 20) == (summary.results, summary.errors, summary.unfinished)
        assert any("SessionEnded" in problem for problem in problems)
        assert "20 operations did not end" in problems
        assert r"wave 3 +\d failed \(SessionEnded" in lines
        assert r"session +has ended" in lines


async def test_the_demo_stops_after_the_wave_in_which_an_operation_fails():
    # given
    faults = [(Fault.status(500), {"on": "graphql", "when": lambda arrival: arrival.operation_name != "SignIn"})]

    # when
    async with told(Plan(operations=12, token_life=LIFE), faults=faults) as (lines, summary, problems, _):
        # then
        assert (0, 1, 11) == (summary.results, summary.errors, summary.unfinished)
        assert r"1 failed \(ServerError" in lines
        assert "wave 2" not in lines
        assert 2 == len(problems)


async def test_a_token_that_cannot_be_replaced_fails_the_demo(monkeypatch):
    # given: a wave too early to meet the refresh, which is then asked for
    monkeypatch.setitem(telling.LAST_AT, Twist.ENDS_SOON, 0.1)
    chapters = [chapter_of(Twist.ENDS_SOON, 2)]
    plan = Plan(operations=4, expiries=1, token_life=LIFE)
    faults = [(Fault.status(400), {"times": None})]

    # when
    story = told(plan, faults=faults, chapters=chapters, monkeypatch=monkeypatch)

    # then
    async with story as (lines, summary, problems, _):
        assert (2, 2, 0) == (summary.results, summary.unfinished, summary.expiries)
        assert "gives up: token 1 was not replaced" in lines
        assert ["2 operations did not end"] == problems


async def test_a_session_that_ends_behind_the_operations_fails_the_demo(monkeypatch):
    # given
    chapters = [chapter_of(Twist.ENDS_SOON, 2)]
    plan = Plan(operations=4, expiries=1, token_life=1.0)
    faults = [(Fault.invalid_grant(), {"times": None})]

    # when
    story = told(plan, faults=faults, chapters=chapters, monkeypatch=monkeypatch)

    # then: after a stall of the machine the operations fail as well
    async with story as (lines, summary, problems, _):
        assert 0 == summary.expiries
        assert "2 operations did not end" in problems
        assert "gives up: nobody is signed in any more|failed" in lines


async def test_a_wave_that_hangs_is_given_up_and_counted(monkeypatch):
    # given
    monkeypatch.setattr(telling, "PATIENCE", 0.3)
    hang = (Fault.hang(), {"on": "graphql", "operation_name": "Look", "times": 2})
    chapters = [chapter_of(Twist.ENDED, 3, 1)]

    # when
    plan = Plan(operations=4, expiries=1, token_life=LIFE)
    story = told(plan, faults=[hang], chapters=chapters, monkeypatch=monkeypatch)

    # then
    async with story as (lines, summary, problems, _):
        assert (1, 0, 3) == (summary.results, summary.errors, summary.unfinished)
        assert "gives up: wave 1 has not ended after" in lines
        assert "wave 2" not in lines
        assert "3 operations did not end" in problems
