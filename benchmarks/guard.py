"""Has an operation become more expensive? Counted, not timed, so that CI can say no.

Function calls are counted with `sys.setprofile` (Python's and C's), allocations as the blocks and
bytes that an operation holds while it waits for its answer; both are the same in each run. They
differ between minor versions of Python, so they are judged on 3.11 alone, where CI runs this, and
only printed elsewhere. That nothing is left for the cycle collector is judged everywhere.
"""

import gc
import itertools
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self

from benchmarks.four_links import REQUEST, Answering, four_links, nothing
from benchmarks.harness import Effort, Row, Table, Verdict
from benchmarks.http import four_links_in_process
from rxlink import errors
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription

__all__ = ["measure"]

OPERATIONS = 1_000
JUDGED_VERSION = (3, 11)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one operation may cost.

    Attributes:
        calls: Function calls, from `execute` to completion.
        blocks: Allocated blocks while it waits for its answer, its `Operation` among them.
        bytes: The size of these blocks.
    """

    calls: int
    blocks: int
    bytes: int


# Measured with CPython 3.11.7: 51 calls, 14 blocks, 1,193 bytes; over HTTP 95 calls of rxlink's own.
# The room above is less than one more call in each of the four links, or one more object in two of
# them. Lower a bound whenever a chain has become cheaper; raise it only with the reason beside it.
FOUR_LINKS = Bounds(calls=52, blocks=15, bytes=1_250)
OWN_CALLS_OVER_HTTP = 96


class Silent(ApolloLink):
    """A terminating link that never answers."""

    is_terminating = True

    def connect(self, forward: Forward) -> Connect:
        """See `ApolloLink.connect`."""
        return _never_answer


class _Unanswered:
    """What is in the slot of an operation that waits: as a task would, it knows whom to tell."""

    __slots__ = ("_observer",)

    def __init__(self, observer: ResultObserver) -> None:
        self._observer = observer

    def cancel(self) -> None:
        pass


def _never_answer(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    root.hold(_Unanswered(observer))


async def measure(effort: Effort) -> list[Table]:
    """Count, and compare with the bounds; the effort changes nothing."""
    async with four_links_in_process() as call:
        over_http = await _own_calls(call), await garbage_of(call)
    link = four_links(Answering())
    garbage = {
        "four links": await garbage_of(lambda: execute(link, REQUEST)),
        "four links over HttpLink": over_http[1],
    }
    return [_costs_of_chain(), _costs_over_http(over_http[0]), _garbage(garbage)]


def _costs_of_chain() -> Table:
    answered, waiting = four_links(Answering()), four_links(Silent())
    calls = calls_of(lambda: execute(answered, REQUEST).subscribe(nothing, nothing, nothing))
    held = held_by(lambda: execute(waiting, REQUEST).subscribe(nothing, nothing, nothing))
    costs = {"calls": calls, **held}
    verdicts = [
        _counted(f"four links: {what} per operation", count, getattr(FOUR_LINKS, what)) for what, count in costs.items()
    ]
    row: Row = {"chain": "four links", **costs}
    return Table("What one operation without I/O costs", [row], _judged(verdicts))


def _costs_over_http(calls: int) -> Table:
    row: Row = {"chain": "four links over HttpLink", "own calls": calls}
    subject = "four links over HttpLink: calls of rxlink's own code per operation"
    verdict = _counted(subject, calls, OWN_CALLS_OVER_HTTP)
    return Table("What one operation over HTTP costs", [row], _judged([verdict]))


def _garbage(objects: Mapping[str, int]) -> Table:
    rows: list[Row] = [{"chain": chain, "objects": count} for chain, count in objects.items()]
    verdicts = [_counted(f"{chain}: cyclic garbage", count, 0) for chain, count in objects.items()]
    return Table(f"What {OPERATIONS:,} operations leave for the cycle collector", rows, verdicts)


def _judged(verdicts: list[Verdict]) -> list[Verdict]:
    return verdicts if sys.version_info[:2] == JUDGED_VERSION else []


def _counted(subject: str, measured: float, bound: int) -> Verdict:
    return Verdict(subject=subject, measured=measured, bound=bound, is_exact=True)


def calls_of(operation: Callable[[], object]) -> int:
    """Count the function calls, of Python and of C, that one run makes."""
    operation()  # whatever is done once is done
    with CallCounter() as counter:
        operation()
    return counter.calls


async def _own_calls(operation: Callable[[], Awaitable[object]]) -> int:
    """Count the calls of rxlink's functions, and of C's by them: aiohttp's are its own business."""
    await operation()
    with CallCounter(str(Path(errors.__file__).parent)) as counter:
        await operation()
    return counter.calls


class CallCounter:
    """Counts the function calls within a `with` block, the benchmark's own excluded.

    Args:
        folder: Count only what functions in this folder are and do.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self.calls = 0

    def __enter__(self) -> Self:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event in ("call", "c_call") and file != __file__ and file.startswith(self._folder):
            self.calls += 1


def held_by(operation: Callable[[], object]) -> dict[str, int]:
    """Count the blocks and bytes that one run leaves allocated, as the mean of many."""
    operation()  # whatever is done once is done
    blocks = _growth(operation, sys.getallocatedblocks)
    tracemalloc.start()
    try:
        size = _growth(operation, lambda: tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return {"blocks": blocks, "bytes": size}


def _growth(operation: Callable[[], object], allocated: Callable[[], int]) -> int:
    held: list[object] = [None] * OPERATIONS
    gc.collect()
    before = allocated()
    for index in range(OPERATIONS):
        held[index] = operation()
    return round((allocated() - before) / OPERATIONS)


async def garbage_of(operation: Callable[[], Awaitable[object]]) -> int:
    """Count the objects that many runs leave for the cycle collector."""
    await operation()
    gc.collect()
    gc.disable()
    try:
        for _ in itertools.repeat(None, OPERATIONS):
            await operation()
        return gc.collect()
    finally:
        gc.enable()
