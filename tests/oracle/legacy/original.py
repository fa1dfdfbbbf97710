"""The original links in a Node process: scenarios in, traces out; and the traces that were recorded of them.

python -m tests.oracle.legacy.original     # record them anew
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.oracle.legacy import links_scenarios, token_refresh_scenarios

FOLDER = Path(__file__).parent
SCENARIOS = {"links": links_scenarios.stories, "token_refresh": token_refresh_scenarios.stories}
TIME_LIMIT = 60  # seconds for all scenarios of a link

Trace = list[list[Any]]


def played(node: str, scenarios: Sequence[dict[str, Any]]) -> list[Trace]:
    """Play scenarios through the originals."""
    lines = "".join(f"{json.dumps(scenario)}\n" for scenario in scenarios)
    finished = subprocess.run(
        [node, "worker.mjs"], cwd=FOLDER, input=lines, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    assert (0, "") == (finished.returncode, finished.stderr)
    return [json.loads(line) for line in finished.stdout.splitlines()]


def recorded(link: str) -> dict[str, Trace]:
    """Return the recorded traces by the names of their scenarios."""
    traces: dict[str, Trace] = json.loads(_file_of(link).read_text())
    return traces


def record(node: str) -> None:
    """Write down what the originals do."""
    for link, stories in SCENARIOS.items():
        named = {story.name: story.scenario for story in stories()}
        traces = zip(named, played(node, list(named.values())), strict=True)
        lines = (f"  {json.dumps(name)}: {json.dumps(trace)}" for name, trace in traces)
        _file_of(link).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _file_of(link: str) -> Path:
    return FOLDER / "golden" / f"{link}.json"


if __name__ == "__main__":
    from tests.oracle.node import installed

    record(installed(FOLDER))
