"""The traces of Apollo Client that are kept, so that the scenarios say something where Node is absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.oracle.scenario import Trace

__all__ = ["golden_traces", "write_golden"]

GOLDEN = Path(__file__).parent / "golden"


def golden_traces(name: str) -> dict[str, Trace]:
    """Return the kept traces of a file of scenarios, by scenario; none where they were never recorded."""
    path = GOLDEN / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_golden(name: str, traces: Mapping[str, Trace]) -> None:
    """Keep the traces of a file of scenarios: an event a line, so that a difference shows."""
    blocks: list[str] = []
    for scenario, trace in traces.items():
        lines = ",\n".join(f"  {json.dumps(event, ensure_ascii=False)}" for event in trace)
        blocks.append(
            f"{json.dumps(scenario, ensure_ascii=False)}: [\n{lines}\n]" if trace else f"{json.dumps(scenario)}: []"
        )
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{name}.json").write_text("{\n" + ",\n".join(blocks) + "\n}\n")
