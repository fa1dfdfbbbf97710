"""How every question is measured: short rounds in random order inside one process, and ratios.

The speed of a machine changes from minute to minute, so a time says little and a ratio of two
times from the same round says a lot. A row's ratio is the median over all rounds.
"""

import asyncio
import gc
import itertools
import os
import platform
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias, TypeVar

__all__ = [
    "NORMAL",
    "QUICK",
    "Clock",
    "Effort",
    "Row",
    "Table",
    "Times",
    "Variant",
    "Verdict",
    "as_text",
    "cpu_clock",
    "drive",
    "environment",
    "format_table",
    "ratio_between",
    "ratio_of",
    "ratio_rows",
    "repeat",
    "rounds_of",
    "shuffled",
    "wall_clock",
]

MICROSECONDS = 1e6  # in a second
MOST_OPERATIONS = 20_000  # in one round, however fast they are
FINE = 1e-5  # seconds that a clock must tell apart

Clock: TypeAlias = Callable[[], float]
wall_clock: Clock = time.perf_counter
cpu_clock: Clock = time.process_time if time.get_clock_info("process_time").resolution < FINE else wall_clock
"""Where nobody else has a part in the work: it does not see what else runs on the machine."""

T = TypeVar("T")

Run: TypeAlias = Callable[[int], Awaitable[float | None]]
"""Do this many operations; the seconds they took if it has measured them itself, as another process does."""

Times: TypeAlias = dict[str, list[float]]
"""Seconds an operation, by variant, one value a round."""

Row: TypeAlias = dict[str, str | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure.

    Attributes:
        rounds: How often each variant takes its turn.
        round_seconds: How long one turn of one variant should take.
        parallel: How many requests are under way at the same time, in the HTTP question.
        waiting: How many operations wait for one refresh, in the storm question.
        clients: How many sessions there are, in the fleet question.
        node: Whether to ask Apollo Client in Node too, and to install it if need be.
        plot: Where the fleet question draws what it has found; None for nowhere.
    """

    rounds: int = 41
    round_seconds: float = 0.03
    parallel: tuple[int, ...] = (1, 64, 512)
    waiting: tuple[int, ...] = (100, 1_000, 10_000, 100_000)
    clients: int = 10_000
    node: bool = True
    plot: Path | None = None


NORMAL = Effort()
QUICK = Effort(rounds=9, round_seconds=0.02, waiting=(1_000, 10_000), clients=1_000)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do the work."""

    name: str
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a budget was kept.

    Attributes:
        subject: What was measured.
        measured: What came out.
        bound: What must be; None: it is only reported.
        aim: What is wanted; None: the same.
        is_floor: Whether the budget is a least value; it is a greatest value otherwise.
        is_exact: Whether the value is a count, the same in each run. Only then a missed budget
            makes the command fail.
        is_headline: Whether it stands in the table at the end.
    """

    subject: str
    measured: float
    bound: float | None
    aim: float | None = None
    is_floor: bool = False
    is_exact: bool = False
    is_headline: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether the measured value is within the budget."""
        return self._is_within(self.bound)

    @property
    def reaches_aim(self) -> bool:
        """Whether it is what is wanted."""
        return self._is_within(self.bound if self.aim is None else self.aim)

    def __str__(self) -> str:
        if self.bound is None:
            aim = "" if self.aim is None else f", aim {self.side} {as_text(self.aim)}"
            return f"reported: {self.subject}: {as_text(self.measured)}{aim}"
        aim = "" if self.aim is None else f", aim {as_text(self.aim)}"
        word = "kept" if self.is_kept else "MISSED"
        return f"{word}: {self.subject}: {as_text(self.measured)}, must be {self.side} {as_text(self.bound)}{aim}"

    @property
    def side(self) -> str:
        """On which side of the bound and of the aim it has to be, in words."""
        return "at least" if self.is_floor else "at most"

    def _is_within(self, bound: float | None) -> bool:
        return bound is None or (self.measured >= bound if self.is_floor else self.measured <= bound)


@dataclass(frozen=True, slots=True)
class Table:
    """The answer to a question, or to a part of it; all rows have the same columns."""

    title: str
    rows: Sequence[Row]
    verdicts: Sequence[Verdict] = field(default=())


def repeat(operation: Callable[[], object]) -> Run:
    """Make a variant's run of an operation that ends before it returns."""

    async def run(count: int) -> None:
        for _ in itertools.repeat(None, count):
            operation()

    return run


def drive(operation: Callable[[], Awaitable[object]], parallel: int) -> Run:
    """Make a variant's run that keeps this many operations under way at the same time."""

    async def run(count: int) -> None:
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                await operation()

        await asyncio.gather(*(worker() for _ in range(parallel)))

    return run


async def rounds_of(
    variants: Sequence[Variant],
    effort: Effort,
    *,
    at_least: int = 1,
    at_most: int = MOST_OPERATIONS,
    clock: Clock = wall_clock,
) -> Times:
    """Let the variants take turns, in an order that is random and the same in each run.

    Args:
        variants: What to measure, the baseline among it.
        effort: How long.
        at_least: The fewest operations in a round.
        at_most: The most operations in a round.
        clock: `cpu_clock` where only this process works.
    """
    counts = {variant.name: await _count_for(variant, effort.round_seconds, at_least, at_most) for variant in variants}
    times: Times = {variant.name: [] for variant in variants}
    gc.collect()
    gc.freeze()  # the imported world is not walked again by each collection
    for number in range(effort.rounds):
        for variant in shuffled(variants, number):
            times[variant.name].append(await _time(variant, counts[variant.name], clock))
    return times


def shuffled(things: Sequence[T], seed: int) -> list[T]:
    """Return them in a random order that depends on the seed alone."""
    order = list(things)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    return order


def ratio_rows(times: Mapping[str, Sequence[float]], baseline: str, *, of_speed: bool = False) -> list[Row]:
    """Compare each variant with the baseline, round by round.

    Args:
        times: What `rounds_of` measured.
        baseline: The variant to compare with.
        of_speed: Compare speeds (more is better) instead of costs (less is better).
    """
    rows: list[Row] = []
    for name, seconds in times.items():
        pairs = zip(seconds, times[baseline], strict=True)
        ratios = [base / own if of_speed else own / base for own, base in pairs]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        rows.append(
            {
                "variant": name,
                "us/op": statistics.median(seconds) * MICROSECONDS,
                "ratio": median,
                "quartile 1": low,
                "quartile 3": high,
            }
        )
    return rows


def ratio_of(rows: Sequence[Row], name: str) -> float:
    """Return the ratio in the row of this name."""
    return next(float(row["ratio"]) for row in rows if row["variant"] == name)


def ratio_between(times: Times, name: str, baseline: str, *, of_speed: bool = False) -> float:
    """Return the ratio of one variant against another, as in `ratio_rows`."""
    return ratio_of(ratio_rows(times, baseline, of_speed=of_speed), name)


def environment() -> dict[str, str]:
    """Return what the figures depend on, beside the machine's mood."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "reactivex": version("reactivex"),
        "aiohttp": version("aiohttp"),
        "cores": str(os.cpu_count()),
    }


def format_table(table: Table) -> str:
    """Return a table as text: the first column to the left, numbers to the right."""
    head, *body = [
        list(table.rows[0]),
        *([as_text(cell) for cell in row.values()] for row in table.rows),
    ]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = [_line(cells, widths) for cells in (head, ["-" * width for width in widths], *body)]
    return "\n".join([f"\n{table.title}\n", *lines, *(f"  {verdict}" for verdict in table.verdicts)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return "  ".join(["", first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def as_text(value: str | float) -> str:
    """Return a cell as text."""
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


async def _time(variant: Variant, count: int, clock: Clock = wall_clock) -> float:
    started = clock()
    measured = await variant.run(count)
    return (clock() - started if measured is None else measured) / count


async def _count_for(variant: Variant, seconds: float, at_least: int, at_most: int) -> int:
    """Warm a variant up, and find how many operations fill a round."""
    await variant.run(at_least)
    each = await _time(variant, at_least)
    if each * at_least < seconds / 10:
        each = await _time(variant, max(at_least, min(at_most, int(seconds / 10 / each))))
    return max(at_least, min(at_most, int(seconds / each)))
