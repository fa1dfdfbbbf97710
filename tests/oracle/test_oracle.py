"""The hand-written scenarios: rxlink against what Apollo Client did, and that against Apollo Client itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.oracle.accepted import ACCEPTED
from tests.oracle.apollo import Apollo
from tests.oracle.comparison import canonical, compare
from tests.oracle.golden import golden_traces
from tests.oracle.player import play
from tests.oracle.registry import builders
from tests.oracle.scenario import Scenario, Trace, hand_written, links_of

FILES = hand_written()
SCENARIOS = [
    pytest.param(file, title, scenario, id=f"{file}: {title}")
    for file, scenarios in FILES.items()
    for title, scenario in scenarios.items()
]


@pytest.mark.parametrize(("file", "title", "scenario"), SCENARIOS)
def test_rxlink_does_what_apollo_does(file: str, title: str, scenario: Scenario, count_equal: Any) -> None:
    theirs = golden_traces(file).get(title)
    assert theirs is not None, "not recorded yet: python -m tests.oracle.record"

    comparison = compare(scenario, theirs, play(scenario))

    assert not comparison.differences, "\n".join(comparison.differences)
    count_equal("hand-written", 1)


@pytest.mark.parametrize(("file", "title", "scenario"), SCENARIOS)
def test_apollo_still_does_what_was_recorded(file: str, title: str, scenario: Scenario, apollo: Apollo) -> None:
    recorded = golden_traces(file)[title]

    trace = apollo.play(scenario)

    assert canonical(recorded) == canonical(trace)


def test_a_scenario_gives_the_same_trace_each_time(apollo: Apollo) -> None:
    scenario = FILES["error"]["the refresh recipe: wait, then forward"]

    assert apollo.play(scenario) == apollo.play(scenario)
    assert play(scenario) == play(scenario)


def test_every_kept_trace_is_of_a_scenario() -> None:
    for file, scenarios in FILES.items():
        assert list(scenarios) == list(golden_traces(file)), f"python -m tests.oracle.record {file}"


def test_every_file_has_at_least_eight_scenarios() -> None:
    few = {file: len(scenarios) for file, scenarios in FILES.items() if len(scenarios) < 8}

    assert {} == few


def test_every_link_that_can_be_played_stands_in_eight_scenarios() -> None:
    counts = Counter(
        word
        for scenarios in FILES.values()
        for scenario in scenarios.values()
        for word in {link["link"] for link in links_of(scenario)}
    )
    variants = {"from", "concat", "concat-method", "empty", "split", "base-http", "base-batch-http"}

    assert {} == {word: counts[word] for word in builders() if word not in variants and counts[word] < 8}


def test_at_most_a_fifth_is_plain() -> None:
    plain = {
        f"{file}: {title}"
        for file, scenarios in FILES.items()
        for title in scenarios
        if _is_plain(golden_traces(file).get(title, []))
    }

    assert len(plain) <= len(SCENARIOS) / 5, plain


def test_every_accepted_difference_is_met() -> None:
    met: set[str] = set()
    for file, scenarios in FILES.items():
        traces = golden_traces(file)
        for title, scenario in scenarios.items():
            met |= compare(scenario, traces.get(title, []), play(scenario)).accepted

    assert [] == [accepted.name for accepted in ACCEPTED if accepted.name not in met]


def test_accepted_differences_have_names_of_their_own_and_reasons() -> None:
    assert len(ACCEPTED) == len({accepted.name for accepted in ACCEPTED})
    assert [] == [accepted.name for accepted in ACCEPTED if len(accepted.reason) < 20]


def _is_plain(trace: Trace) -> bool:
    """Tell whether nobody leaves, comes again, or gets an error."""
    return not any(
        event["event"] in ("error", "throw", "unsubscribe", "unhandled", "refused", "handler")
        or event["attempt"] > 1
        or (event["event"] == "next" and isinstance(event["value"], dict) and "errors" in event["value"])
        for event in trace
    )
