"""Apollo Client for the tests, and at the end how many scenarios had equal traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.oracle.apollo import FOLDER, Apollo, running_apollo
from tests.oracle.node import node_in

COUNTED = "equal traces: "


@pytest.fixture(scope="session")
def apollo() -> Iterator[Apollo]:
    """Apollo Client in a Node process; skips without Node, or fails in CI."""
    with running_apollo(node_in(FOLDER)) as apollo:
        yield apollo


@pytest.fixture
def count_equal(record_property: Any) -> Any:
    """Return a function that notes how many scenarios of a kind had equal traces."""
    return lambda kind, number: record_property(f"{COUNTED}{kind}", number)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many; the numbers stand in the reports, so that they arrive from pytest-xdist's workers too."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, number in getattr(report, "user_properties", []):
            if name.startswith(COUNTED):
                counts[name.removeprefix(COUNTED)] += number
    if counts:
        shown = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items()))
        terminalreporter.write_line(f"oracle, scenarios with equal traces: {shown}")
