"""Apollo Client in a Node process: a scenario in, its trace out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.oracle.scenario import Scenario, Trace

__all__ = ["FOLDER", "Apollo", "running_apollo"]

FOLDER = Path(__file__).parent


class Apollo:
    """The worker; it answers one scenario after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def play(self, scenario: Scenario) -> Trace:
        """Return the trace of a scenario."""
        self.begin(scenario)
        return self.trace()

    def begin(self, scenario: Scenario) -> None:
        """Let the worker play a scenario, and go on meanwhile."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(scenario).encode() + b"\n")
        self._process.stdin.flush()

    def trace(self) -> Trace:
        """Return the trace of the scenario that was begun."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise RuntimeError(f"the worker has ended: {self._process.stderr.read().decode()}")
        answer: dict[str, Any] = json.loads(line)
        if "broken" in answer:
            raise RuntimeError(f"the worker could not play the scenario: {answer['broken']}")
        return answer["trace"]


@contextmanager
def running_apollo(node: str) -> Iterator[Apollo]:
    """Start a worker, and end it with the block."""
    pipe = subprocess.PIPE
    with subprocess.Popen([node, "worker.mjs"], cwd=FOLDER, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield Apollo(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # at the end of its input it ends
            process.wait()
