"""How much longer does a service take to start because it imports rxlink?

Each import is timed in a new process, beside the three packages that every user of rxlink has anyway.
rxlink imports its public names when they are first asked for, so `import rxlink` is one row, and what
a service then takes from it are others.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import rxlink
from benchmarks.harness import Effort, Table, Times, Verdict, ratio_of, ratio_rows, shuffled

__all__ = ["measure"]

ALONE = "aiohttp, reactivex and graphql alone"
WITH_RXLINK = "and rxlink"
EVERYTHING = "and every public name"
MUST, AIM = 1.15, 1.05
MOST_ROUNDS = 15

OTHERS = "import aiohttp, reactivex, graphql"
OVER_HTTP = "GraphQLRequest, HttpLink, RetryLink, SetContextLink, execute, from_"
STATEMENTS: Mapping[str, str] = {
    ALONE: OTHERS,
    WITH_RXLINK: f"{OTHERS}, rxlink",
    "and a chain over HTTP": f"{OTHERS}; from rxlink import {OVER_HTTP}",
    "and one that refreshes its token": f"{OTHERS}; from rxlink import {OVER_HTTP}, AuthLink, AuthSession, TokenSet",
    EVERYTHING: f"{OTHERS}; from rxlink import *",
}
TIMED = "import time\nbefore = time.process_time()\n{}\nprint(time.process_time() - before)"


async def measure(effort: Effort) -> list[Table]:
    """Compare the imports."""
    with tempfile.TemporaryDirectory() as folder:
        times = await _times(min(effort.rounds, MOST_ROUNDS), _environment(folder))
    rows = ratio_rows(times, ALONE)
    verdict = Verdict(
        subject="import rxlink beside aiohttp, reactivex and graphql, times these alone",
        measured=ratio_of(rows, WITH_RXLINK),
        bound=MUST,
        aim=AIM,
        is_headline=True,
    )
    return [Table(f"Imports; ratio: cost, {ALONE} = 1", rows, [verdict])]


def _environment(folder: str) -> dict[str, str]:
    """Let the new processes keep what they have compiled, as an installation does: but in a folder that goes away."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


async def _times(rounds: int, environment: Mapping[str, str]) -> Times:
    times: Times = {name: [] for name in STATEMENTS}
    await _time(EVERYTHING, environment)  # compiles it all
    for number in range(rounds):
        for name in shuffled(list(STATEMENTS), number):
            times[name].append(await _time(name, environment))
    return times


async def _time(name: str, environment: Mapping[str, str]) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        TIMED.format(STATEMENTS[name]),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        cwd=Path(rxlink.__file__).parents[1],  # so that it is this rxlink
    )
    output, _ = await process.communicate()
    return float(output)
