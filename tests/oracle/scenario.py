"""Scenarios and traces: plain JSON. `README.md` beside this file describes both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Event", "Scenario", "Trace", "hand_written", "links_of"]

Scenario: TypeAlias = Mapping[str, Any]
Event: TypeAlias = dict[str, Any]
Trace: TypeAlias = list[Event]

SCENARIOS = Path(__file__).parent / "scenarios"


def hand_written() -> dict[str, dict[str, Scenario]]:
    """Return the scenarios in `scenarios/`, by file and by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(SCENARIOS.glob("*.json"))}


def links_of(scenario: Scenario) -> list[Mapping[str, Any]]:
    """Return every link of a scenario's chain, those inside others too."""
    found: list[Mapping[str, Any]] = []
    ahead = list(scenario["chain"])
    while ahead:
        link = ahead.pop(0)
        found.append(link)
        for part in ("links", "left", "right"):
            ahead += link.get(part) or []
    return found
