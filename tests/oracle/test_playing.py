"""The player and what it stands on: the clock, the scripted server, the vocabulary, the installation."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink import ApolloLink
from rxlink.core.subscription import Connect
from tests.oracle import node, registry
from tests.oracle.clock import SettlingLoop
from tests.oracle.player import LeftBehind, play
from tests.oracle.spelling import context_of, snake_case


def events_of(scenario: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    return [(event["at"], event["event"]) for event in play(scenario) if event["event"] in names]


def test_each_timer_settles_before_the_next_one_of_the_moment() -> None:
    seen: list[str] = []

    async def work(name: str) -> None:
        for step in range(3):
            seen.append(f"{name}{step}")
            await asyncio.sleep(0)

    with closing(SettlingLoop()) as loop:
        for name in "ab":
            loop.call_at(0.005, lambda name=name: loop.create_task(work(name)))

        loop.run_until_ms(10)

        assert ["a0", "a1", "a2", "b0", "b1", "b2"] == seen
        assert loop.time() == 0.01


def test_a_cancelled_timer_does_not_hold_up_the_others() -> None:
    seen: list[float] = []
    with closing(SettlingLoop()) as loop:
        first = loop.call_at(0.001, seen.append, 1)
        loop.call_at(0.001, first.cancel)
        cancelled = loop.call_at(0.002, seen.append, 2)
        loop.call_at(0.002, seen.append, 3)
        cancelled.cancel()

        loop.run_until_ms(2)

        assert [1, 3] == seen


def test_leaving_a_request_closes_its_connection() -> None:
    scenario = {
        "chain": [{"link": "http"}],
        "server": {"*": [{"after": 10, "bodyAfter": 10}]},
        "operations": [{"id": "A", "unsubscribe": 15}],
    }

    seen = events_of(scenario, "request", "unsubscribe", "abort", "next")

    assert [(0, "request"), (15, "unsubscribe"), (15, "abort")] == seen


def test_a_body_in_parts_comes_part_by_part_and_leaving_between_them_closes_its_connection() -> None:
    parts = [[5, {"data": {"a": number}}] for number in range(3)]
    scenario = {
        "chain": [{"link": "http"}],
        "server": {"*": [{"after": 3, "parts": parts}]},
        "operations": [{"id": "A", "unsubscribe": 14}],
    }

    seen = events_of(scenario, "next", "unsubscribe", "abort")

    assert [(8, "next"), (13, "next"), (14, "unsubscribe"), (14, "abort")] == seen


def test_what_came_before_a_cut_is_read() -> None:
    scenario = {
        "chain": [{"link": "http"}],
        "server": {"*": [{"parts": [[5, {"data": {"a": 1}}]], "cut": True}]},
        "operations": [{"id": "A"}],
    }

    assert [(5, "next"), (5, "error")] == events_of(scenario, "next", "error", "complete")


def test_the_request_in_the_trace_is_the_one_on_the_wire() -> None:
    scenario = {"chain": [{"link": "http", "headers": {"x-own": "1"}}], "operations": [{"id": "A"}]}

    (request,) = [event for event in play(scenario) if event["event"] == "request"]

    assert ("POST", "http://server.test/graphql") == (request["method"], request["url"])
    assert ("server.test", "1") == (request["headers"]["Host"], request["headers"]["x-own"])
    assert ("A", "query A {\n  a\n}") == (request["body"]["operationName"], request["body"]["query"])


def test_what_is_left_behind_fails_the_player(monkeypatch: pytest.MonkeyPatch) -> None:
    lasting: list[asyncio.TimerHandle] = []

    class Leaky(ApolloLink):
        def connect(self, forward: Any) -> Connect:
            return lambda operation, observer, root: lasting.append(asyncio.get_running_loop().call_later(60, print))

    monkeypatch.setattr(registry, "_builders", {**registry.builders(), "leaky": lambda options, world: Leaky()})

    with pytest.raises(LeftBehind):
        play({"chain": [{"link": "leaky"}], "operations": [{"id": "A"}]})


def test_an_unknown_link_is_no_trace() -> None:
    with pytest.raises(registry.UnknownLink):
        play({"chain": [{"link": "unheard-of"}], "operations": []})


@given(st.sampled_from(["clientAwareness", "includeQuery", "useGETForQueries", "headers", "fetchOptions"]))
def test_names_of_options_become_snake_case(name: str) -> None:
    expected = {"useGETForQueries": "use_get_for_queries", "clientAwareness": "client_awareness"}
    expected |= {"includeQuery": "include_query", "fetchOptions": "fetch_options", "headers": "headers"}

    assert expected[name] == snake_case(name)


def test_names_of_headers_stay_as_they_are() -> None:
    context = context_of({"headers": {"X-Own": "1"}, "http": {"includeQuery": False}})

    assert {"headers": {"X-Own": "1"}, "http": {"include_query": False}} == context


def test_without_node_a_user_skips_and_ci_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="`node` is not on the PATH"):
        node.node_in(tmp_path)

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="`node` is not on the PATH"):
        node.node_in(tmp_path)
