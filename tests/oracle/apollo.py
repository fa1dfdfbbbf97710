"""Apollo Client in a Node process: a scenario in, its trace out; or chunks in, and what a handler makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.oracle.scenario import Scenario, Trace

__all__ = ["FOLDER", "Apollo", "Merged", "running_apollo"]

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Merged:
    """What a handler of incremental results made of some chunks.

    Attributes:
        results: The merged result after each chunk, up to the one it failed on.
        error: The message with which it failed, None where it did not.
    """

    results: list[Any]
    error: str | None = None


class Apollo:
    """The worker; it answers one scenario after the other."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def play(self, scenario: Scenario) -> Trace:
        """Return the trace of a scenario."""
        self.begin(scenario)
        return self.trace()

    def merge(self, handler: str, chunks: Sequence[Any]) -> Merged:
        """Return what a handler (`"defer20220824"` or `"graphql17Alpha9"`) makes of the chunks of one delivery."""
        self._ask({"merge": {"handler": handler, "chunks": list(chunks)}})
        return Merged(**self._answer())

    def begin(self, scenario: Scenario) -> None:
        """Let the worker play a scenario, and go on meanwhile."""
        self._ask(scenario)

    def trace(self) -> Trace:
        """Return the trace of the scenario that was begun."""
        return self._answer()["trace"]

    def _ask(self, line: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line).encode() + b"\n")
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise RuntimeError(f"the worker has ended: {self._process.stderr.read().decode()}")
        answer: dict[str, Any] = json.loads(line)
        if "broken" in answer:
            raise RuntimeError(f"the worker could not play the scenario: {answer['broken']}")
        return answer


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
