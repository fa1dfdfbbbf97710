"""What does an operation cost that waits for a refresh, with very many others?

All of them were sent with a token that is no longer accepted; one refresh runs, then each is sent
once more, or gets the refresh's error. A second part asks what it costs to leave that queue.
"""

import asyncio
import contextlib
import gc
import random
import statistics
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from reactivex.abc import DisposableBase

from benchmarks.four_links import ANSWER, REQUEST, four_links, nothing
from benchmarks.harness import Effort, Row, Table, Times, Verdict, cpu_clock, ratio_of, ratio_rows, shuffled
from rxlink.auth.link import AuthLink
from rxlink.auth.pending import SLICE
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import SessionEnded

__all__ = ["measure"]

SMALL, HUGE = 1_000, 100_000  # how many wait, in what is compared by the budget
MOST_ROUNDS = 7
MOST_WAVES = 20  # of a small size, in one round
KIBIBYTE = 1_024
MILLISECONDS = 1e3  # in a second

OLD_TOKEN, NEW_TOKEN = "old-access-token", "new-access-token"
REJECTED: FetchResult = {"errors": [{"message": "token expired", "extensions": {"code": "UNAUTHENTICATED"}}]}


class RejectingOldTokens(ApolloLink):
    """A terminating link that answers at once, and accepts the new token only."""

    is_terminating = True

    def connect(self, forward: Forward) -> Connect:
        """See `ApolloLink.connect`."""
        return _answer


def _answer(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    is_accepted = operation.get_context()["headers"]["authorization"].endswith(NEW_TOKEN)
    observer.on_next(ANSWER if is_accepted else REJECTED)
    observer.on_completed()


class Wave:
    """Operations that wait for one refresh, until it is let go."""

    def __init__(self, size: int, *, fails: bool = False) -> None:
        self._size = size
        self._fails = fails
        self._left = size
        self._gate = asyncio.get_running_loop().create_future()
        self._session = AuthSession(refresh=self._refresh)
        link = four_links(RejectingOldTokens(), AuthLink(self._session))
        # Made beforehand: an Operation is not what waiting costs.
        self._observables = [execute(link, REQUEST) for _ in range(size)]
        self.subscriptions: list[DisposableBase] = []

    async def subscribe_all(self) -> None:
        """Send each operation with the old token; then all wait."""
        await self._session.set_tokens(TokenSet(OLD_TOKEN, "refresh-token-1"))
        end = self._end  # one for all: what the subscriber holds is not what waiting costs
        self.subscriptions = [each.subscribe(nothing, end, end) for each in self._observables]
        assert self._left == self._size, "an operation did not wait"

    async def release(self) -> float:
        """Let the refresh go and wait for every operation; returns the longest turn of the loop."""
        self._gate.set_result(None)
        longest = 0.0
        before = cpu_clock()  # what else runs on the machine holds a turn up as well, and is not the queue's doing
        while self._left:
            await asyncio.sleep(0)
            now = cpu_clock()
            longest = max(longest, now - before)
            before = now
        return longest

    async def close(self) -> None:
        """Leave nothing behind, whether or not the refresh was let go."""
        if not self._gate.done():
            self._gate.set_result(None)
        await self._session.aclose()

    async def _refresh(self, *_: Any) -> TokenSet:
        await self._gate
        if self._fails:
            raise SessionEnded
        return TokenSet(NEW_TOKEN, "refresh-token-2")

    def _end(self, *_: Any) -> None:
        self._left -= 1


async def measure(effort: Effort) -> list[Table]:
    """Measure waves that succeed, waves that fail, and leaving."""
    rounds = min(effort.rounds, MOST_ROUNDS)
    return [
        await _released("succeeds", effort.waiting, rounds),
        await _released("fails", effort.waiting, rounds),
        await _leaving(effort.waiting, rounds),
    ]


async def _released(outcome: str, sizes: Sequence[int], rounds: int) -> Table:
    sizes = sorted({SLICE, *sizes})  # a slice alone is what a stall is compared with
    stalls: dict[int, list[float]] = {size: [] for size in sizes}

    async def turn(size: int) -> float:
        async with _wave(size, fails=outcome == "fails") as wave:
            started = time.perf_counter()
            await wave.subscribe_all()
            stalls[size].append(await wave.release())
            return time.perf_counter() - started

    times = await _take_turns([Case(f"{size:,} waiting", size, turn) for size in sizes], rounds)
    baseline = _baseline(sizes)
    rows = ratio_rows(times, f"{baseline:,} waiting")
    for row, size in zip(rows, sizes, strict=True):
        row["stall ms"] = statistics.median(stalls[size]) * MILLISECONDS
        row["bytes each"] = await _bytes_each(size)
    title = f"One refresh {outcome}; ratio: cost of an operation, {baseline:,} waiting = 1"
    return Table(title, rows, _verdicts(rows, outcome))


async def _leaving(sizes: Sequence[int], rounds: int) -> Table:
    rows: list[Row] = []
    for order, arrange in ORDERS.items():
        cases = [Case(f"{size:,} leave, {order}", size, partial(_leave, arrange)) for size in sizes]
        times = await _take_turns(cases, rounds)
        rows += ratio_rows(times, f"{_baseline(sizes):,} leave, {order}")
    title = f"Leaving the queue; ratio: cost of one, {_baseline(sizes):,} leave = 1"
    return Table(title, rows, _verdicts_of_leaving(rows) if {SMALL, HUGE} <= set(sizes) else [])


async def _leave(arrange: Callable[[list[DisposableBase]], None], size: int) -> float:
    async with _wave(size) as wave:
        await wave.subscribe_all()
        arrange(wave.subscriptions)
        started = time.perf_counter()
        for subscription in wave.subscriptions:
            subscription.dispose()
        return time.perf_counter() - started


ORDERS: dict[str, Callable[[list[DisposableBase]], None]] = {
    "first come first": nothing,
    "last come first": list.reverse,
    "any order": random.Random(1).shuffle,  # noqa: S311 - an order, not a secret
}


@dataclass(frozen=True, slots=True)
class Case:
    """Waves of one size.

    Attributes:
        name: What its row is called.
        size: How many operations wait.
        turn: Runs one wave; returns the seconds that count.
    """

    name: str
    size: int
    turn: Callable[[int], Awaitable[float]]


async def _take_turns(cases: Sequence[Case], rounds: int) -> Times:
    """Run each case in each round, in random order; a small wave several times, to be as long."""
    times: Times = {case.name: [] for case in cases}
    for case in cases:
        await case.turn(case.size)
    gc.collect()
    gc.freeze()
    for number in range(rounds):
        for case in shuffled(cases, number):
            waves = min(MOST_WAVES, max(1, max(each.size for each in cases) // case.size))
            seconds = sum([await case.turn(case.size) for _ in range(waves)])
            times[case.name].append(seconds / waves / case.size)
    return times


async def _bytes_each(size: int) -> int:
    """Measure what one waiting operation holds, its `Operation` excluded."""
    async with _wave(size) as wave:
        tracemalloc.start()
        try:
            await wave.subscribe_all()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return round(held / size)


@contextlib.asynccontextmanager
async def _wave(size: int, *, fails: bool = False) -> AsyncGenerator[Wave]:
    wave = Wave(size, fails=fails)
    gc.collect()  # what the wave before has left is not this one's
    try:
        yield wave
    finally:
        await wave.close()


def _baseline(sizes: Sequence[int]) -> int:
    return SMALL if SMALL in sizes else sizes[0]


def _verdicts(rows: Sequence[Row], outcome: str) -> list[Verdict]:
    by_name = {row["variant"]: row for row in rows}
    huge, small, one = (by_name.get(f"{size:,} waiting") for size in (HUGE, SMALL, SLICE))
    if huge is None or small is None or one is None:
        return []
    where = f"storm, refresh {outcome}, {HUGE:,} waiting"
    stall = float(huge["stall ms"]) / float(one["stall ms"])
    kibibytes = float(huge["bytes each"]) / KIBIBYTE
    return [
        _headline(f"{where}: cost of an operation, among {SMALL:,} = 1", float(huge["ratio"]), 2.5, 1.5),
        _headline(f"{where}: KiB of each, Operation excluded", kibibytes, 1.2, 0.8),
        _headline(f"{where}: longest stall, one slice alone = 1", stall, 3.0, 2.0),
    ]


def _verdicts_of_leaving(rows: Sequence[Row]) -> list[Verdict]:
    return [
        _headline(f"leaving the queue, {order}, {HUGE:,}: cost of one, among {SMALL:,} = 1", cost, 4.0, 2.0)
        for order in ORDERS
        for cost in [ratio_of(rows, f"{HUGE:,} leave, {order}")]
    ]


def _headline(subject: str, measured: float, bound: float, aim: float) -> Verdict:
    return Verdict(subject=subject, measured=measured, bound=bound, aim=aim, is_headline=True)
