"""The contract of shared storages: while one waits for it, others on the event loop go on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import pairwise
from time import monotonic
from typing import Final, TypeVar

from rxlink.testing._storage_bench import StorageBench, begin, demand, next_of, on_a_loop
from rxlink.testing._storage_contract_lease import taken

__all__ = ["LoopContract"]

T = TypeVar("T")

STANDSTILL: Final = 0.1
"""Seconds for which nobody else on the event loop got a turn, at the best of some calls: a machine may be busy."""
ROUNDS: Final = 8
TICK: Final = 0.005
"""Seconds between two turns of somebody else."""


class LoopContract(StorageBench):
    """What blocks belongs into a thread."""

    @on_a_loop
    async def test_no_call_holds_up_the_event_loop(self) -> None:
        """Else all that a program does stands still for as long as a disk or a server takes."""
        storage = self.make_storage()
        record = await begin(storage)
        shortest: dict[str, float] = {}

        async def beside(what: str, call: Awaitable[T]) -> T:
            answer, standstill = await _with_longest_standstill(call)
            shortest[what] = min(standstill, shortest.get(what, standstill))
            return answer

        for _ in range(ROUNDS):
            after = next_of(record)
            await beside("read", storage.read())
            await beside("replace", storage.replace(record, after))
            record = after
            lease = await beside("try_acquire", taken(storage, self))
            await beside("renew", lease.renew())
            await beside("release", lease.release())
            if max(shortest.values()) < STANDSTILL:
                break

        for what, seconds in shortest.items():
            is_free = seconds < STANDSTILL
            demand(is_free, f"`{what}` lets others on the event loop go on; they stood still for {seconds:.2f} s")


async def _with_longest_standstill(call: Awaitable[T]) -> tuple[T, float]:
    turns = [monotonic()]

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK)
            turns.append(monotonic())

    ticking = asyncio.create_task(tick())
    try:
        await asyncio.sleep(0)  # it begins
        answer = await call
        await asyncio.sleep(2 * TICK)  # for the turn that comes after a call that blocks
    finally:
        ticking.cancel()
    return answer, max(end - begin for begin, end in pairwise(turns))
