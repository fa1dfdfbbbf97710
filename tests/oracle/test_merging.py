"""Incremental deliveries drawn at random: what Apollo's handlers make of them, what ours do, and what was planned."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from rxlink.core.result import IncrementalResult
from rxlink.incremental.detecting import DetectingHandler
from rxlink.incremental.handlers import IncrementalHandler
from tests.oracle.apollo import Apollo, Merged
from tests.oracle.deliveries import Delivery, deliveries
from tests.oracle.links.http import HANDLERS
from tests.oracle.test_generated import IN_CI, SEARCH

EXAMPLES = int(SEARCH) if SEARCH else 700 if IN_CI else 200
PROMISED = 300
"""How many different deliveries of each format are equal after each payload, in CI."""

by_format = pytest.mark.parametrize("name", HANDLERS)


@by_format
@pytest.mark.timeout(600)
def test_each_payload_gives_what_apollos_handler_gives(name: str, apollo: Apollo, count_equal: Any) -> None:
    equal: set[str] = set()

    def check(delivery: Delivery) -> None:
        theirs = apollo.merge(name, delivery.chunks)

        ours = merged(HANDLERS[name], delivery.chunks)

        until = len(ours) if theirs == Merged(ours) else lost_by_apollo(delivery)
        assert theirs.results[:until] == ours[:until], shown(delivery)
        if until == len(ours):
            equal.add(shown(delivery))

    for_many(name, check)

    count_equal(f"deliveries of {name}", len(equal))
    assert SEARCH or not IN_CI or len(equal) >= PROMISED


@by_format
@pytest.mark.parametrize("detects", [False, True], ids=["asked for", "detected"])
def test_the_last_result_is_what_was_planned(name: str, detects: bool) -> None:
    def check(delivery: Delivery) -> None:
        handler = DetectingHandler() if detects else HANDLERS[name]

        last = merged(handler, delivery.chunks)[-1]

        assert delivery.result == last, shown(delivery)

    for_many(name, check)


@by_format
def test_what_was_given_stays_as_it_was(name: str) -> None:
    def check(delivery: Delivery) -> None:
        request, sent = HANDLERS[name].start_request(), deepcopy(delivery.chunks)
        given: list[IncrementalResult] = []
        copies: list[dict[str, Any]] = []

        for chunk in delivery.chunks:
            given.append(request.handle(chunk))
            copies.append(deepcopy(dict(given[-1])))

        assert copies == given
        assert sent == delivery.chunks
        assert [chunk["hasNext"] for chunk in sent] == [result.has_next for result in given]
        assert sent == [result.increment for result in given]
        assert delivery.result.get("errors", []) == [error for result in given for error in result.new_errors]

    for_many(name, check)


@by_format
def test_a_handler_of_apollo_tells_what_it_cannot_merge(name: str, apollo: Apollo) -> None:
    chunks = [{"data": {"a": 1}, "hasNext": True}, {"incremental": [{"id": "7", "path": 7, "data": {}}]}]

    answer = apollo.merge(name, chunks)

    assert [{"data": {"a": 1}}] == answer.results
    assert answer.error


def merged(handler: IncrementalHandler, chunks: list[dict[str, Any]]) -> list[Any]:
    request = handler.start_request()
    return [request.handle(chunk) for chunk in chunks]


def lost_by_apollo(delivery: Delivery) -> int:
    """Return the place of the first payload, after the first one, that brings a list of which more will come.

    Differs of rxlink/incremental/graphql17_alpha9.py: Apollo may not know how long that list is, and lose its items.
    """
    ours = merged(DetectingHandler(), delivery.chunks)
    for place, (chunk, result) in enumerate(zip(delivery.chunks, ours, strict=True)):
        paths = [pending["path"] for pending in chunk.get("pending", []) if place > 0]
        if any(isinstance(reduce(lambda inner, key: inner[key], path, result["data"]), list) for path in paths):
            return place
    return len(ours)


def for_many(name: str, check: Callable[[Delivery], None]) -> None:
    settings(
        max_examples=EXAMPLES,
        derandomize=not SEARCH,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],  # to explain takes minutes
    )(given(deliveries(name))(check))()


def shown(delivery: Delivery) -> str:
    return "\n".join(json.dumps(chunk) for chunk in delivery.chunks)
