"""Scenarios drawn at random, through Apollo Client and through rxlink."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.apollo import Apollo
from tests.oracle.comparison import compare
from tests.oracle.generated import scenarios
from tests.oracle.generated_sockets import socket_scenarios
from tests.oracle.player import play

IN_CI = os.environ.get("CI") == "true"
SEARCH = os.environ.get("RXLINK_ORACLE_EXAMPLES")
"""How many examples to draw that nobody has seen; without it the same ones are drawn each time."""
PROMISED = 2_000
PROMISED_OF_SOCKETS = 300


@pytest.mark.timeout(600)
def test_rxlink_does_what_apollo_does_in_generated_scenarios(apollo: Apollo, count_equal: Any) -> None:
    equal = equal_ones(scenarios(), apollo, PROMISED + 200 if IN_CI else 200)

    count_equal("generated", equal)
    assert SEARCH or not IN_CI or equal >= PROMISED


@pytest.mark.timeout(600)
def test_graphql_ws_link_does_what_graphql_ws_does_in_generated_scenarios(apollo: Apollo, count_equal: Any) -> None:
    equal = equal_ones(socket_scenarios(), apollo, PROMISED_OF_SOCKETS + 50 if IN_CI else 60)

    count_equal("generated of WebSockets", equal)
    assert SEARCH or not IN_CI or equal >= PROMISED_OF_SOCKETS


def equal_ones(strategy: st.SearchStrategy[dict[str, Any]], apollo: Apollo, examples: int) -> int:
    """Compare as many scenarios; return how many different ones had equal traces."""
    equal: set[str] = set()

    @settings(
        max_examples=int(SEARCH) if SEARCH else examples,
        derandomize=not SEARCH,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(scenario: dict[str, Any]) -> None:
        apollo.begin(scenario)
        try:
            ours = play(scenario)
        finally:
            theirs = apollo.trace()
        comparison = compare(scenario, theirs, ours)

        assert not comparison.differences, "\n".join([json.dumps(scenario), *comparison.differences])
        equal.add(json.dumps(scenario, sort_keys=True))

    check()
    return len(equal)
