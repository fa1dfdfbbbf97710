"""AuthLink among users' functions that raise, and headers that are no plain dict."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from multidict import CIMultiDict, MultiDict

from rxlink.auth import clock as clock_module
from rxlink.auth.clock import system_clock
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.links.error import on_error
from tests.auth.scripted import UNAUTHENTICATED
from tests.recording import Worker

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def headers_sent(session: AuthSession, headers: Any) -> dict[str, str]:
    sent: list[Any] = []

    def answer(operation, observer, root) -> None:
        sent.append(dict(operation.get_context()["headers"]))
        observer.on_next({"data": {}})
        observer.on_completed()

    link = from_([AuthLink(session), Worker(answer)])
    outcome: list[Any] = []
    execute(link, GraphQLRequest("{ a }", context={"headers": headers})).subscribe(outcome.append, outcome.append)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return sent[0]


class TestHeaders:
    @pytest.mark.parametrize("kind", [MultiDict, CIMultiDict])
    def test_that_repeat_a_name_are_replaced_or_the_last_counts(self, kind: Any) -> None:
        session = AuthSession(refresh=lambda *_: None, tokens=TokenSet("tok"))
        given = kind([("Authorization", "x"), ("Authorization", "y"), ("x-a", "1"), ("x-a", "2")])

        assert {"authorization": "Bearer tok", "x-a": "2"} == headers_sent(session, given)

    @pytest.mark.parametrize("wrong", [5, "x: y", ["x"], {5: "y"}])
    def test_that_are_no_mapping_of_text_are_named(self, wrong: Any) -> None:
        session = AuthSession(refresh=lambda *_: None, tokens=TokenSet("tok"))

        with pytest.raises(InvariantTypeError, match="`headers` in the context of <Operation query"):
            headers_sent(session, wrong)


def test_another_session_cannot_be_assigned_later() -> None:
    """Its chain may be connected already, and operations under way."""
    first, second = (AuthSession(refresh=lambda *_: None, tokens=TokenSet(token)) for token in "ab")
    link = AuthLink(first)

    with pytest.raises(AttributeError, match="session"):
        link.session = second  # type: ignore[misc]

    assert first is link.session


class Clock:
    """Tells the same time until it is broken."""

    def __init__(self) -> None:
        self.is_broken = False

    def __call__(self) -> datetime:
        if self.is_broken:
            raise ZeroDivisionError("the clock is broken")
        return NOW


class TestAClockThatRaises:
    async def test_is_the_operations_error_also_behind_an_asynchronous_link(self) -> None:
        clock = Clock()
        session = AuthSession(refresh=lambda *_: None, tokens=TokenSet("a", expires_in=60), clock=clock)

        async def set_nothing(context, operation) -> None:
            await asyncio.sleep(0)

        link = from_([SetContextLink(set_nothing), AuthLink(session), Worker(lambda *_: None)])
        clock.is_broken = True

        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(execute(link, GraphQLRequest("{ a }")), 5)

    @pytest.mark.parametrize("sends", [1, 2])
    async def test_where_a_fresh_token_is_refused_leaves_an_end(self, sends: int) -> None:
        clock = Clock()
        session = AuthSession(
            refresh=lambda tokens, reason: TokenSet("b", expires_in=600),
            tokens=TokenSet("a", expires_in=600),
            clock=clock,
        )
        count = 0

        def answer(operation, observer, root) -> None:
            nonlocal count
            count += 1
            clock.is_broken = count == sends
            observer.on_next(UNAUTHENTICATED)
            observer.on_completed()

        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        ends: list[Any] = []
        link = from_([on_error(lambda response: None), AuthLink(session), Worker(answer)])
        execute(link, GraphQLRequest("{ a }")).subscribe(ends.append, ends.append, lambda: ends.append("end"))
        await asyncio.sleep(0.01)

        assert 1 <= len(ends)
        assert "end" == ends[-1] or isinstance(ends[-1], Exception)
        clock.is_broken = False
        await session.aclose()

    async def test_while_the_session_learns_from_the_second_answer_is_told_to_the_loop(self) -> None:
        clock = Clock()
        session = AuthSession(refresh=lambda *_: TokenSet("b"), tokens=TokenSet("a"), clock=clock)
        answers = iter([False, True])

        def refuse(operation, observer, root) -> None:
            clock.is_broken = next(answers)
            observer.on_next(UNAUTHENTICATED)
            observer.on_completed()

        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        answer = await asyncio.wait_for(execute(from_([AuthLink(session), Worker(refuse)]), GraphQLRequest("{ a }")), 5)
        clock.is_broken = False

        assert (UNAUTHENTICATED, [ZeroDivisionError]) == (answer, list(map(type, complaints)))
        await session.aclose()


def test_the_systems_clock_follows_a_datetime_frozen_for_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "datetime", SimpleNamespace(now=lambda zone: NOW))

    assert NOW == system_clock()
