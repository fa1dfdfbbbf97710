"""Storages that hold up the event loop, in one call each."""

import asyncio
import time

from rxlink.auth.storage import StoredTokens, TokenLease
from tests.testing.paper_storage import Paper, PaperLease, PaperStorage

BLOCKED = 0.15


def block() -> None:
    time.sleep(BLOCKED)


class ReadsOnTheLoop(PaperStorage):
    async def read(self) -> StoredTokens | None:
        block()
        return await super().read()


class ReplacesOnTheLoop(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        await self.turn()
        block()
        return await super().replace(old, new)


class AcquiresOnTheLoop(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        block()
        return lease


class _OtherLease(PaperStorage):
    Lease: type[PaperLease] = PaperLease

    def make_lease(self) -> PaperLease:
        return self.Lease(self.paper, self.lease)


class RenewsOnTheLoop(_OtherLease):
    class Lease(PaperLease):
        async def renew(self) -> bool:
            block()
            return await super().renew()


class ReleasesOnTheLoop(_OtherLease):
    class Lease(PaperLease):
        async def release(self) -> None:
            await super().release()
            block()


class BlocksAtFirst(PaperStorage):
    """As what is imported where it is used, or a machine that is busy, does."""

    def __init__(self, paper: Paper, lease: float) -> None:
        super().__init__(paper, lease)
        self.times = 3

    async def read(self) -> StoredTokens | None:
        self.times -= 1
        if self.times >= 0:
            block()
        return await super().read()


class TakesItsTime(PaperStorage):
    """And lets others go on meanwhile."""

    async def read(self) -> StoredTokens | None:
        await asyncio.to_thread(block)
        return await super().read()

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        await asyncio.sleep(BLOCKED)
        return await super().replace(old, new)
