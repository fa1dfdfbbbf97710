"""Scenarios drawn at random, through Apollo Client and through rxlink."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.oracle.apollo import Apollo
from tests.oracle.comparison import compare
from tests.oracle.generated import scenarios
from tests.oracle.player import play

IN_CI = os.environ.get("CI") == "true"
SEARCH = os.environ.get("RXLINK_ORACLE_EXAMPLES")
"""How many examples to draw that nobody has seen; without it the same ones are drawn each time."""
PROMISED = 2_000
EXAMPLES = int(SEARCH) if SEARCH else PROMISED + 100 if IN_CI else 200


@pytest.mark.timeout(600)
def test_rxlink_does_what_apollo_does_in_generated_scenarios(apollo: Apollo, count_equal: Any) -> None:
    equal: set[str] = set()

    @settings(max_examples=EXAMPLES, derandomize=not SEARCH, database=None, suppress_health_check=list(HealthCheck))
    @given(scenarios())
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

    count_equal("generated", len(equal))
    assert SEARCH or not IN_CI or len(equal) >= PROMISED
