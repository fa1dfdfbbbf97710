"""What is accepted of answers in pieces is accepted exactly: one event more, less, earlier, later or other is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.oracle.comparison import compare
from tests.oracle.golden import golden_traces
from tests.oracle.player import play
from tests.oracle.scenario import Event, Scenario, Trace, hand_written

SCENARIOS = [
    pytest.param(scenario, golden_traces(file)[title], id=f"{file}: {title}")
    for file in ("incremental", "multipart")
    for title, scenario in hand_written()[file].items()
]


@pytest.mark.parametrize(("scenario", "theirs"), SCENARIOS)
def test_nothing_else_is_accepted(scenario: Scenario, theirs: Trace) -> None:
    ours = play(scenario)

    for key in {key_of(event) for event in ours}:
        apollo, rxlink = ([event for event in trace if key_of(event) == key] for trace in (theirs, ours))
        accepted = compare(scenario, apollo, rxlink).accepted

        for other in others(rxlink):
            comparison = compare(scenario, apollo, other)

            # With fewer differences it is what Apollo does.
            assert comparison.differences or comparison.accepted < accepted, other


def key_of(event: Event) -> tuple[str, int]:
    return event["operation"], event["attempt"]


def others(trace: Trace) -> Iterator[Trace]:
    for place, event in enumerate(trace):
        before, after = trace[:place], trace[place + 1 :]
        yield [*before, *after]
        yield [*before, event, event, *after]
        yield from ([*before, {**event, **fields}, *after] for fields in changes_of(event))


def changes_of(event: Event) -> Iterator[dict[str, Any]]:
    yield {"at": event["at"] + 1}
    yield {"at": event["at"] - 1}
    if "value" in event:
        yield {"value": {"data": {"other": 1}}}
    if "error" in event:
        yield {"error": {**event["error"], "class": "Other"}}
