"""Counts instead of times: function calls, what is held, and what is left for the cycle collector.

All of it is the same in each run. What a timer of the event loop might add now and then is left out by taking the
least of some counts.
"""

import gc
import sys
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self, TypeAlias, TypeVar

from reactivex.abc import DisposableBase

from benchmarks._allowances import Bounds
from rxlink import errors

__all__ = [
    "OPERATIONS",
    "OWN_FOLDER",
    "CallCounter",
    "Counted",
    "Held",
    "calls_of",
    "garbage_of",
    "held_by",
    "own_calls_of",
    "own_held",
]

OPERATIONS = 1_000
"""How many go into a mean, and how many must leave nothing for the cycle collector."""
OWN_FOLDER = f"{Path(errors.__file__).parent}/"
"""Where rxlink is: aiohttp's calls and graphql-core's are their own business."""
REPEATS = 3

T = TypeVar("T")

Held: TypeAlias = tuple[int, int]
"""Blocks and bytes."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What came out.

    Attributes:
        costs: Of one operation.
        garbage: The objects that very many of them leave for the cycle collector.
    """

    costs: Bounds
    garbage: int


class CallCounter:
    """Counts the function calls within a `with` block, of Python and of C, the counter's own excluded.

    The cycle collector rests meanwhile: whoever has asked to be called by it would be counted now and then.

    Args:
        folder: Count only what functions in this folder are and do.
    """

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._was_collecting = False
        self.calls = 0

    def __enter__(self) -> Self:
        self._was_collecting = gc.isenabled()
        gc.disable()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        if self._was_collecting:
            gc.enable()

    def _count(self, frame: FrameType, event: str, argument: Any) -> None:
        file = frame.f_code.co_filename
        if event in ("call", "c_call") and file != __file__ and file.startswith(self._folder):
            self.calls += 1


def calls_of(operation: Callable[[], object]) -> int:
    """Count the function calls that one run makes."""
    operation()  # whatever is done once is done
    with CallCounter() as counter:
        operation()
    return counter.calls


async def own_calls_of(operation: Callable[[], Awaitable[object]]) -> int:
    """Count the calls of rxlink's functions, and of C's by them, that one run makes."""
    await operation()
    counts: list[int] = []
    for _ in range(REPEATS):
        with CallCounter(OWN_FOLDER) as counter:
            await operation()
        counts.append(counter.calls)
    return min(counts)


def held_by(operation: Callable[[], object]) -> Held:
    """Count the blocks and bytes that one run leaves allocated, as the mean of many."""
    _dispose(operation())  # whatever is done once is done
    blocks = _growth(operation, sys.getallocatedblocks)
    tracemalloc.start()
    try:
        size = _growth(operation, lambda: tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return blocks, size


def _growth(operation: Callable[[], object], allocated: Callable[[], int]) -> int:
    held: list[object] = [None] * OPERATIONS
    gc.collect()
    before = allocated()
    for index in range(OPERATIONS):
        held[index] = operation()
    growth = allocated() - before
    for each in held:
        _dispose(each)
    return round(growth / OPERATIONS)


def _dispose(held: object) -> None:
    if isinstance(held, DisposableBase):
        held.dispose()


async def own_held(start: Callable[[], Awaitable[Sequence[T]]]) -> tuple[Held, Sequence[T]]:
    """Count what rxlink's own code has allocated for each of those that wait.

    Args:
        start: Begins many, and returns what stands for them when all wait.

    Returns:
        Blocks and bytes, and what was begun.
    """
    gc.collect()
    tracemalloc.start()
    try:
        waiting = await start()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    own = snapshot.filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern=f"{OWN_FOLDER}*")])
    sizes = [trace.size for trace in own.traces]
    return (round(len(sizes) / len(waiting)), round(sum(sizes) / len(waiting))), waiting


async def garbage_of(operation: Callable[[], Awaitable[object]], times: int = OPERATIONS) -> int:
    """Count the objects that many runs leave for the cycle collector."""
    await operation()
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            await operation()
        return gc.collect()
    finally:
        gc.enable()
