"""Apollo Client in Node: a process that runs so many operations when it is told to, and measures them itself.

It does nothing between its turns, so it takes its turns with the variants in this process, round by round.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from benchmarks.four_links import ANSWER, QUERY, REQUEST
from benchmarks.harness import Effort, Run
from tests.oracle.node import CannotInstall, installed

__all__ = ["APOLLO", "Apollo", "apollo_in_node"]

APOLLO = "Apollo Client in Node"
FOLDER = Path(__file__).parent / "apollo"
WARM_UP, WARM_UP_OVER_HTTP = 50_000, 1_000  # operations until its compiler has seen enough


class Apollo:
    """The process.

    Args:
        process: It.
        has_io: Whether its time is the wall's. Else it is the CPU's, as of the variants in this process; but Node
            collects garbage and compiles in threads beside, and no more than the wall's is counted for that.
    """

    def __init__(self, process: asyncio.subprocess.Process, *, has_io: bool) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input = process.stdin
        self._output = process.stdout
        self._has_io = has_io

    async def ask(self, **question: Any) -> Any:
        """Send one line, and wait for the answer."""
        self._input.write(json.dumps(question).encode() + b"\n")
        line = await self._output.readline()
        assert line, f"{APOLLO} has ended; its last words are above"
        return json.loads(line)

    def run(self, parallel: int = 1) -> Run:
        """Make a variant's run that keeps this many operations under way at the same time."""

        async def run(count: int) -> float:
            took = await self.ask(count=count, parallel=parallel)
            assert took["results"] == count, took
            return took["wall"] if self._has_io else min(took["wall"], took["cpu"])

        return run


@contextlib.asynccontextmanager
async def apollo_in_node(effort: Effort, uri: str | None = None) -> AsyncGenerator[Apollo | None]:
    """Run the process, and give it; None, and a line that says why, where it cannot be installed.

    Args:
        effort: Whether to.
        uri: Where its HttpLink sends to; None for a link that answers at once.
    """
    node = await _node() if effort.node else None
    if node is None:
        yield None
        return
    process = await asyncio.create_subprocess_exec(
        *(node, "--conditions=production", "worker.mjs"),
        cwd=FOLDER,
        env={**os.environ, "NODE_ENV": "production"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    end, warm_up = ({"answer": ANSWER}, WARM_UP) if uri is None else ({"uri": uri}, WARM_UP_OVER_HTTP)
    try:
        apollo = Apollo(process, has_io=uri is not None)
        assert await apollo.ask(query=QUERY, variables=REQUEST.variables, **end) == ANSWER
        await apollo.ask(count=warm_up, parallel=1)
        yield apollo
    finally:
        process.stdin.close()
        await process.wait()


async def _node() -> str | None:
    try:
        return await asyncio.to_thread(installed, FOLDER)
    except CannotInstall as reason:
        print(f"{APOLLO}: not installed ({reason})")
        return None
