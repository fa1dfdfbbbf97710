"""The contract of shared storages: changes at the same moment, from several objects, event loops and threads."""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Barrier, Event

from rxlink.auth.storage import SharedTokenStorage, StoredTokens
from rxlink.testing._storage_bench import StorageBench, begin, demand, demand_equal, in_threads, next_of, on_a_loop

__all__ = ["RacingContract"]

ROUNDS = 5
THREADS = 3
TASKS = 2
"""In each thread."""
CHANGES = 4
"""By each task."""

Win = tuple[int, StoredTokens]


class RacingContract(StorageBench):
    """Of those who replace the same, one wins; who reads meanwhile sees whole records."""

    @on_a_loop
    async def test_of_those_who_replace_at_once_one_wins(self) -> None:
        """On one event loop, each with an object of their own."""
        storages = [self.make_storage() for _ in range(4)]
        record = await begin(storages[0])

        for _ in range(ROUNDS):
            offers = [next_of(record) for _ in storages]
            pairs = zip(storages, offers, strict=True)
            answers = await asyncio.gather(*(storage.replace(record, offer) for storage, offer in pairs))
            record = _winner(offers, answers)
            demand_equal(record, await storages[0].read(), "what is kept is what the winner of a race has kept")

    def test_of_threads_that_replace_at_once_one_wins(self) -> None:
        """Each with an object and an event loop of their own."""
        storages = [self.make_storage() for _ in range(THREADS)]
        record = asyncio.run(begin(self.make_storage()))

        for _ in range(ROUNDS):
            offers = [next_of(record) for _ in storages]
            barrier = Barrier(THREADS, timeout=self.time_limit)
            pairs = zip(storages, offers, strict=True)
            works = [partial(_replace_together, storage, record, offer, barrier) for storage, offer in pairs]
            record = _winner(offers, in_threads(self, works))
            kept = asyncio.run(storages[0].read())
            demand_equal(record, kept, "what is kept is what the winner of a race has kept")

    def test_no_change_is_lost(self) -> None:
        """Each change builds on the one before, whoever made that."""
        asyncio.run(begin(self.make_storage()))
        storages = [self.make_storage() for _ in range(THREADS)]

        wins = [win for some in in_threads(self, [partial(_contend, storage) for storage in storages]) for win in some]

        expected = list(range(2, 2 + THREADS * TASKS * CHANGES))
        demand_equal(expected, sorted(serial for serial, _ in wins), "each `serial` is won by exactly one")
        last = dict(wins)[expected[-1]]
        demand_equal(last, asyncio.run(self.make_storage().read()), "the last change is the one that is kept")

    def test_who_reads_meanwhile_sees_whole_records(self) -> None:
        """E74: never half of one, never nothing, never an older one than before."""
        writer, reader = self.make_storage(), self.make_storage()
        record = asyncio.run(begin(writer))
        is_over = Event()

        written, seen = in_threads(self, [partial(_write, writer, record, is_over), partial(_look, reader, is_over)])

        demand(all(one in written for one in seen), "who reads during a change sees a record as somebody has kept it")


def _winner(offers: list[StoredTokens], answers: list[bool]) -> StoredTokens:
    won = [offer for offer, answer in zip(offers, answers, strict=True) if answer]
    demand_equal(1, len(won), "of those who replace the same record at once exactly one is told True")
    return won[0]


async def _replace_together(
    storage: SharedTokenStorage, record: StoredTokens, offer: StoredTokens, barrier: Barrier
) -> bool:
    barrier.wait()
    return await storage.replace(record, offer)


async def _contend(storage: SharedTokenStorage) -> list[Win]:
    async def change() -> list[Win]:
        won: list[Win] = []
        while len(won) < CHANGES:
            record = await storage.read()
            if record is None:
                raise AssertionError("the contract of shared storages wants that what is kept does not vanish")
            after = next_of(record)
            if await storage.replace(record, after):
                won.append((after.serial, after))
        return won

    return [win for some in await asyncio.gather(*(change() for _ in range(TASKS))) for win in some]


async def _write(storage: SharedTokenStorage, record: StoredTokens, is_over: Event) -> list[StoredTokens]:
    written = [record]
    try:
        for _ in range(ROUNDS * CHANGES):
            after = next_of(record)
            demand(await storage.replace(record, after), "`replace` says True where `old` is what is kept")
            record = after
            written.append(record)
    finally:
        is_over.set()
    return written


async def _look(storage: SharedTokenStorage, is_over: Event) -> list[StoredTokens]:
    seen: list[StoredTokens] = []
    while not is_over.is_set():
        record = await storage.read()
        if record is None:
            raise AssertionError("the contract of shared storages wants that who reads during a change reads a record")
        last = seen[-1].serial if seen else 1
        demand(last <= record.serial, f"who has read a change never reads an older one: {record.serial} after {last}")
        seen.append(record)
        await asyncio.sleep(0)
    return seen
