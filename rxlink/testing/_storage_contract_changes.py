"""The contract of shared storages: how one learns of the others' changes."""

from __future__ import annotations

import asyncio
from threading import get_ident
from time import monotonic, perf_counter

from rxlink.auth.storage import SharedTokenStorage, StoredTokens
from rxlink.testing._storage_bench import StorageBench, begin, demand, demand_equal, new_tokens, next_of, on_a_loop

__all__ = ["ChangesContract"]

QUICK = 0.005
"""Seconds that a stamp may take, at its best of some: it is asked before each operation."""
ROUNDS = 12
STEPS = (1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)
"""Changes between two looks at the stamp."""
PATIENCE = 0.3
"""Seconds to wait for a notice before there is another change, or for one that must not come."""


class ChangesContract(StorageBench):
    """At next use by the stamp, and at once by a notice, where a storage can."""

    @on_a_loop
    async def test_the_stamp_stays_while_nothing_changes(self) -> None:
        """It is asked before each operation: it is quick, and can be compared and kept."""
        here, there = self.make_storage(), self.make_storage()
        times = [_timed_stamp(here) for _ in range(ROUNDS)]
        await begin(here)
        stamp = here.stamp()

        for storage in (here, there):
            await storage.read()
            demand_equal(stamp, here.stamp(), "`stamp` stays the same while nothing is changed")

        demand(min(times) < QUICK, f"`stamp` waits for nothing; it took {min(times) * 1000:.1f} ms")
        demand(_is_hashable(stamp), f"`stamp` is hashable; it is {type(stamp).__name__}")

    @on_a_loop
    async def test_the_stamp_tells_of_others_changes(self) -> None:
        """However quickly they come one after another; a storage that cannot tell leaves it, or watches."""
        here, there = self.make_storage(), self.make_storage()
        stamp = here.stamp()
        record = await begin(here)
        tells = [stamp != here.stamp()]

        for steps in STEPS:
            await here.read()
            stamp = here.stamp()
            for _ in range(steps):
                before, record = record, next_of(record)
                demand(await there.replace(before, record), "`replace` says True where `old` is what is kept")
            tells.append(stamp != here.stamp())

        self._demand_that_it_tells(here, tells[1:], of_own=tells[0])

    @on_a_loop
    async def test_the_stamp_tells_of_a_first_sign_in_and_a_sign_out(self) -> None:
        """Else who has seen nothing, or somebody, goes on with that."""
        here, there = self.make_storage(), self.make_storage()
        before = here.stamp()

        await there.save(new_tokens())
        between = here.stamp()
        await there.clear()

        tells = [before != between, between != here.stamp()]
        self._demand_that_it_tells(here, tells)

    @on_a_loop
    async def test_notice_is_called_where_it_was_asked_for(self) -> None:
        """On the event loop that watches: what it does there is not made for threads."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(there)
        calls: list[int] = []
        stop = here.watch(lambda: calls.append(get_ident()))

        try:
            limit = monotonic() + self.time_limit
            while not calls and self._has_notices(here):
                record = await asyncio.to_thread(_changed, there, record)
                await _calls_come(calls, PATIENCE)
                demand(calls or monotonic() < limit, "`notice` is called once somebody else has changed what is kept")
        finally:
            stop()

        is_here = all(thread == get_ident() for thread in calls)
        demand(is_here, "`notice` is called on the event loop that watches")

    @on_a_loop
    async def test_notice_is_not_called_after_stop(self) -> None:
        """And the other watchers go on; who stops twice does no harm."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(there)
        stopped: list[int] = []
        going: list[int] = []
        patience = PATIENCE if self._has_notices(here) else 0.0
        stop, stop_other = here.watch(lambda: stopped.append(1)), here.watch(lambda: going.append(1))
        await there.replace(record, next_of(record))
        await _calls_come(stopped, patience)
        stop()
        stop()
        del stopped[:], going[:]

        await there.save(new_tokens())
        await _calls_come(going, patience)
        await _calls_come(stopped, patience)
        counts = len(stopped), len(going)
        stop_other()

        demand_equal(0, counts[0], "`notice` is not called after its watch was stopped")
        demand(counts[1] or not self._has_notices(here), "who stops watching does not stop the others")

    def _demand_that_it_tells(self, storage: SharedTokenStorage, tells: list[bool], *, of_own: bool = False) -> None:
        """A stamp that is defined is believed: where it stays the same, and nothing is told at once, nobody looks."""
        may_be_silent = self._has_notices(storage) or type(storage).stamp is SharedTokenStorage.stamp
        demand(
            all(tells) or (may_be_silent and not of_own and not any(tells)),
            "`stamp` differs after each change that somebody else has made, a sign-in or a sign-out too; or it is not "
            "defined, and sessions look every few seconds; or it never differs, and `watch` tells",
        )

    def _has_notices(self, storage: SharedTokenStorage) -> bool:
        if self.notices is not None:
            return self.notices
        return type(storage).watch is not SharedTokenStorage.watch


def _timed_stamp(storage: SharedTokenStorage) -> float:
    began = perf_counter()
    storage.stamp()
    return perf_counter() - began


def _changed(storage: SharedTokenStorage, record: StoredTokens) -> StoredTokens:
    """Keep one more record, on a thread and an event loop of its own."""
    after = next_of(record)
    demand(asyncio.run(storage.replace(record, after)), "`replace` says True where `old` is what is kept")
    return after


def _is_hashable(thing: object) -> bool:
    try:
        hash(thing)
    except TypeError:
        return False
    return True


async def _calls_come(calls: list[int], patience: float) -> None:
    limit = monotonic() + patience
    while not calls and monotonic() < limit:  # noqa: ASYNC110 - the calls may come from a wrong thread, too
        await asyncio.sleep(0.005)
