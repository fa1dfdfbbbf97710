"""The contract of shared storages: the right to refresh, which one has at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from threading import Barrier
from time import monotonic

from rxlink.auth.storage import SharedTokenStorage, TokenLease
from rxlink.testing._storage_bench import (
    StorageBench,
    begin,
    demand,
    demand_equal,
    in_threads,
    new_tokens,
    next_of,
    on_a_loop,
)

__all__ = ["LeaseContract", "taken"]

THREADS = 3
TURNS = 5
QUICK = 0.25
"""Seconds within which a question is answered without a wait, at its best of some."""
SLACK = 2.0
"""Seconds by which a lease may last longer on a busy machine."""
ATTEMPTS = 5
"""At what a machine that stands still for as long as a lease makes void."""

Span = tuple[float, float]


class LeaseContract(StorageBench):
    """Taking the lease, holding it, giving it back, and dying with it."""

    @on_a_loop
    async def test_one_has_the_lease_at_a_time(self) -> None:
        """Whichever object it was asked of; who has given it back makes room for the next."""
        storages = [self.make_storage() for _ in range(4)]

        for _ in range(TURNS):
            async with _limited_to(self.lease) as fresh:
                found = await asyncio.gather(*(storage.try_acquire() for storage in storages))
                leases = [lease for lease in found if lease is not None]
                demand(leases, "somebody gets the lease where it is free, also if several ask for it at once")
                leases += [lease for storage in storages if (lease := await storage.try_acquire()) is not None]
                if fresh():
                    demand_equal(1, len(leases), "one has the lease at a time")
                    demand(await leases[0].renew(), "`renew` tells True while the lease is held")
                await asyncio.gather(*(lease.release() for lease in leases))

    def test_threads_have_the_lease_one_at_a_time(self) -> None:
        """Each with an object and an event loop of their own."""
        storages = [self.make_storage() for _ in range(THREADS)]
        barrier = Barrier(THREADS, timeout=self.time_limit)

        works = [partial(_hold_some_times, storage, barrier) for storage in storages]
        spans = sorted(span for some in in_threads(self, works) for span in some)

        for (_, end), (start, _) in pairwise(spans):
            demand(end <= start, "one has the lease at a time, also among threads; two have held it at once")

    @on_a_loop
    async def test_try_acquire_never_waits(self) -> None:
        """A session waits by itself, and looks for newer tokens meanwhile."""
        holder, other = self.make_storage(), self.make_storage()
        waits: list[float] = []

        for _ in range(TURNS):
            lease = await taken(holder, self)
            began = monotonic()
            found = await other.try_acquire()
            waits.append(monotonic() - began)
            await lease.release()
            if found is not None:
                await found.release()

        demand(min(waits) < QUICK, f"`try_acquire` answers at once; it took {min(waits):.2f} s")

    @on_a_loop
    async def test_changes_do_not_wait_for_the_lease(self) -> None:
        """A sign-in or a sign-out wins while somebody else refreshes."""
        holder, other = self.make_storage(), self.make_storage()
        record = await begin(holder)
        lease = await taken(holder, self)

        try:
            found = await self.in_time(other.read(), "read, while somebody else has the lease,")
            demand_equal(record, found, "who has no lease can read")
            change = other.replace(record, next_of(record))
            demand(
                await self.in_time(change, "replace, while somebody else has the lease,"), "nor is it asked to write"
            )
            await self.in_time(other.save(new_tokens()), "save, while somebody else has the lease,")
            await self.in_time(other.clear(), "clear, while somebody else has the lease,")
        finally:
            await lease.release()

    @on_a_loop
    async def test_release_twice_leaves_the_next_one_alone(self) -> None:
        """The second one is quiet, and says nothing about the lease that somebody else has by now."""
        here, there, third = (self.make_storage() for _ in range(3))

        async with _limited_to(self.lease) as fresh:
            first = await taken(here, self)
            await first.release()
            second = await there.try_acquire()
            demand(second is not None, "a lease is free again once it was given back")
            await first.release()
            found = await third.try_acquire()
            if fresh():
                demand(found is None, "a second `release` leaves the lease of the next one alone")
            for lease in (second, found):
                if lease is not None:
                    await lease.release()

    @on_a_loop
    async def test_a_lease_lasts_while_it_is_renewed(self) -> None:
        """At a third of its duration, as sessions do; one without a duration lasts anyway."""
        here, there = self.make_storage(), self.make_storage()

        for _ in range(ATTEMPTS):
            lease = await taken(here, self)
            try:
                if await _holds(lease, there, self.lease):
                    return
            finally:
                await lease.release()
        raise AssertionError(
            "the contract of shared storages wants that `renew` answers well before the lease ends; each time it did "
            "not, unless this machine stood still"
        )

    @on_a_loop
    async def test_a_lease_that_is_not_renewed_ends(self) -> None:
        """What the death of a holder costs the others; for leases with a duration."""
        here, there, third = (self.make_storage() for _ in range(3))
        began = monotonic()
        lost = await taken(here, self)
        duration = lost.duration
        if duration is None:
            await lost.release()
            return

        demand(duration > 0, f"`duration` is seconds, or None; it is {duration!r}")
        late = await self._next_lease(there, began, duration)
        renewed = monotonic()
        demand(await late.renew(), "`renew` tells True while the lease is held")
        demand(not await lost.renew(), "`renew` tells False once the lease has ended and somebody else has it")
        await lost.release()
        found = await third.try_acquire()
        if monotonic() - renewed < duration:
            demand(found is None, "who comes late to `renew` and `release` leaves the lease of the next one alone")
        for lease in (late, found):
            if lease is not None:
                await lease.release()

    async def _next_lease(self, storage: SharedTokenStorage, began: float, duration: float) -> TokenLease:
        while (lease := await storage.try_acquire()) is None:
            waited = monotonic() - began
            is_over = waited > 2 * duration + SLACK
            demand(not is_over, f"a lease of {duration:g} s that is not renewed ends; it is taken after {waited:.1f} s")
            await asyncio.sleep(duration / 20)
        waited = monotonic() - began
        demand(waited > 0.9 * duration, f"a lease of {duration:g} s lasts as long; it was free after {waited:.2f} s")
        return lease


async def taken(storage: SharedTokenStorage, bench: StorageBench) -> TokenLease:
    """Return the lease of a place where nobody keeps it."""
    limit = monotonic() + bench.time_limit
    while (lease := await storage.try_acquire()) is None:
        demand(monotonic() < limit, "the lease can be had where nobody holds it, or its holder's time is over")
        await asyncio.sleep(0.01)
    return lease


@asynccontextmanager
async def _limited_to(seconds: float) -> AsyncGenerator[Callable[[], bool]]:
    """Tell whether leases that were taken in here cannot have ended yet."""
    began = monotonic()
    yield lambda: monotonic() - began < seconds


async def _holds(lease: TokenLease, other: SharedTokenStorage, storages_lease: float) -> bool:
    """Return False where this machine was too slow to renew in time."""
    duration = lease.duration
    pause = (storages_lease if duration is None else duration) / 3
    renewed = monotonic()
    for _ in range(5):
        await asyncio.sleep(pause)
        began = monotonic()
        is_ours, found = await lease.renew(), await other.try_acquire()
        if found is not None:
            await found.release()
        if duration is not None and monotonic() - renewed > 0.8 * duration:
            return False
        demand(is_ours, "`renew` tells True while the lease is held, and makes it last its full duration again")
        demand(found is None, "nobody else gets the lease while it is renewed in time")
        renewed = began
    return True


async def _hold_some_times(storage: SharedTokenStorage, barrier: Barrier) -> Sequence[Span]:
    """Return when the lease was held for sure."""
    spans: list[Span] = []
    barrier.wait()
    while len(spans) < TURNS:
        asked = monotonic()
        lease = await storage.try_acquire()
        if lease is None:
            await asyncio.sleep(0.001)
            continue
        got = monotonic()
        await asyncio.sleep(0.002)
        end = monotonic() if lease.duration is None else min(monotonic(), asked + lease.duration)
        await lease.release()
        spans.append((got, end))
    return spans
