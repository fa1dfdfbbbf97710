"""Has an operation become more expensive? Counted, not timed, so that CI can say no.

Function calls are counted with `sys.setprofile` (Python's and C's), allocations as the blocks and
bytes that an operation holds while it waits for its answer; both are the same in each run. They are
compared with the record in `benchmarks/_allowances.py` on the version of Python that it is for, and
only printed elsewhere. That nothing is left for the cycle collector is judged everywhere. Where
coverage is measured, what is held is left out.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from benchmarks import _allowances as allowances
from benchmarks._allowances import Bounds
from benchmarks._counting import OPERATIONS, OWN_FOLDER, CallCounter, garbage_of
from benchmarks._guarded_links import ALONE, FOUR_LINKS, LINKS, count_link
from benchmarks._guarded_transports import STREAMS, TRANSPORTS, count_stream, count_transport
from benchmarks.harness import Effort, Row, Table, Verdict
from benchmarks.storm import Wave

__all__ = ["is_traced", "measure"]

ABANDONED = "is not waited for"
OUTCOMES = ("succeeds", "fails", ABANDONED)
"""What becomes of a refresh that operations wait for."""


async def measure(effort: Effort) -> list[Table]:
    """Count, and compare; the effort says how many wait for a refresh, and nothing else."""
    garbage: dict[str, int] = {
        f"four links, a refresh {outcome}": await _garbage_of_wave(outcome) for outcome in OUTCOMES
    }
    return [
        await _links(garbage),
        await _transports(garbage),
        await _streams(garbage),
        await _released(effort.waiting),
        _garbage(garbage),
    ]


async def _links(garbage: dict[str, int]) -> Table:
    """Count the chain of four links, and what each link adds to the terminating one."""
    chain, alone = await count_link(FOUR_LINKS), await count_link(ALONE)
    measured = {"four links": chain.costs}
    garbage["four links"] = chain.garbage
    for name, case in LINKS.items():
        counted = await count_link(case)
        measured[name] = counted.costs.above(alone.costs)
        garbage[name] = counted.garbage
    title = "What an operation without I/O costs; of a link, what it adds to that"
    return _costs(title, measured, allowances.LINKS)


async def _transports(garbage: dict[str, int]) -> Table:
    """Count rxlink's own part of an operation that is sent somewhere."""
    measured: dict[str, Bounds] = {}
    for name, case in TRANSPORTS.items():
        counted = await count_transport(case)
        measured[name] = counted.costs
        garbage[name] = counted.garbage
    return _costs("What rxlink's own code costs of an operation that is sent", measured, allowances.TRANSPORTS)


async def _streams(garbage: dict[str, int]) -> Table:
    """Count rxlink's own part of one more result."""
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    for name, case in STREAMS.items():
        calls, garbage[f"{name}, results of a stream"] = await count_stream(case)
        allowed = allowances.STREAMS[name]
        rows.append({"stream": name, "calls": calls, "allowed": allowed})
        verdicts.append(_counted(f"{name}: calls for a result", calls, allowed))
    return Table("What rxlink's own code costs of one more result", rows, _judged(verdicts))


async def _released(sizes: Sequence[int]) -> Table:
    """Count rxlink's own part of sending again an operation that has waited for a refresh."""
    calls = [await _calls_of_release(size) for size in sizes]
    rows: list[Row] = [{"waiting": f"{size:,}", "calls": count} for size, count in zip(sizes, calls, strict=True)]
    verdicts = [
        _counted(f"calls to let one of {size:,} go, against one of {sizes[0]:,}", count, calls[0])
        for size, count in zip(sizes[1:], calls[1:], strict=True)
    ]
    return Table("What rxlink's own code costs of an operation that a refresh lets go", rows, verdicts)


async def _garbage_of_wave(outcome: str) -> int:
    """Count what operations leave that wait for a refresh, without what is left once however many wait.

    That is the traceback of a refresh that fails, through RxPY's operators.
    """
    waves: list[Wave] = []  # held, because each is a cycle with its own session
    many, one = [await garbage_of(partial(_run_wave, outcome, size, waves), times=1) for size in (OPERATIONS, 1)]
    return many - one


async def _run_wave(outcome: str, size: int, waves: list[Wave]) -> None:
    wave = Wave(size, fails=outcome == "fails")
    waves.append(wave)
    try:
        await wave.subscribe_all()
        if outcome == ABANDONED:
            for subscription in wave.subscriptions:
                subscription.dispose()
        else:
            await wave.release()
        wave.subscriptions.clear()
    finally:
        await wave.close()


async def _calls_of_release(size: int) -> int:
    wave = Wave(size)
    try:
        await wave.subscribe_all()
        with CallCounter(OWN_FOLDER) as counter:
            await wave.release()
    finally:
        await wave.close()
    return round(counter.calls / size)


def _garbage(objects: Mapping[str, int]) -> Table:
    """Judge what is left for the cycle collector; that is the same on every version of Python."""
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    for name, count in objects.items():
        allowed = allowances.GARBAGE.get(name, 0) * OPERATIONS
        rows.append({"chain": name, "objects": count, "allowed": allowed})
        verdicts.append(_counted(f"{name}: cyclic garbage", count, allowed))
    most = Verdict(
        subject="objects that an operation leaves for the cycle collector, through any link but SchemaLink",
        measured=max(count for name, count in objects.items() if name not in allowances.GARBAGE) / OPERATIONS,
        bound=0,
        aim=0,
        is_headline=True,
    )
    return Table(f"What {OPERATIONS:,} operations leave for the cycle collector", rows, [*_summed(verdicts), most])


def _costs(title: str, measured: Mapping[str, Bounds], allowed: Mapping[str, Bounds]) -> Table:
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    for name, costs in measured.items():
        row: Row = {"link": name}
        counts, bounds = asdict(costs), asdict(allowed[name])
        for what in ["calls"] if is_traced() else counts:
            row |= {what: counts[what], f"{what} allowed": bounds[what]}
            verdicts.append(_counted(f"{name}: {what} per operation", counts[what], bounds[what]))
        rows.append(row)
    return Table(title, rows, _judged(verdicts))


def is_traced() -> bool:
    """Tell whether somebody watches each line, who then allocates memory too: coverage does."""
    return sys.gettrace() is not None


def _judged(verdicts: Sequence[Verdict]) -> list[Verdict]:
    is_judged = sys.version_info[:2] == allowances.JUDGED_VERSION
    return _summed(verdicts) if is_judged else []


def _summed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return those that were missed, and how many were kept: a line for each would hide them."""
    missed = [verdict for verdict in verdicts if not verdict.is_kept]
    kept = len(verdicts) - len(missed)
    every = Verdict(subject="counts within their allowance", measured=kept, bound=len(verdicts), is_floor=True)
    return [*missed, every]


def _counted(subject: str, measured: float, bound: int) -> Verdict:
    return Verdict(subject=subject, measured=measured, bound=bound, is_exact=True)
