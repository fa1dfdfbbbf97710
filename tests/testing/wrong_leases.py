"""Storages that do one thing wrong each: their leases, and what becomes of failures and of callers who leave."""

import asyncio
import math
from time import monotonic

from rxlink.auth.storage import StoredTokens, TokenLease
from rxlink.auth.storage.record_text import to_text
from rxlink.errors import InvalidStoredTokens
from tests.testing.paper_storage import Paper, PaperLease, PaperStorage


class GivesTwoLeases(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        self.paper.holder = None
        return await super().try_acquire()


class TwoAskAndGet(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        if self.paper.holder is not None and monotonic() < self.paper.until:
            return None
        await asyncio.sleep(0.002)
        self.paper.holder = None
        return await super().try_acquire()


class _OtherLease(PaperStorage):
    Lease: type[PaperLease] = PaperLease

    def make_lease(self) -> PaperLease:
        return self.Lease(self.paper, self.lease)


class KeepsTheLease(_OtherLease):
    class Lease(PaperLease):
        async def release(self) -> None:
            pass


class RenewsNothing(_OtherLease):
    class Lease(PaperLease):
        def paper_duration(self) -> float:
            return self.paper.until - monotonic()


class RenewsSlowly(_OtherLease):
    class Lease(PaperLease):
        async def renew(self) -> bool:
            await asyncio.sleep(0.6 * self.paper_duration())
            return await super().renew()


class SaysItIsStillOurs(_OtherLease):
    class Lease(PaperLease):
        async def renew(self) -> bool:
            await super().renew()
            return True


class SaysItIsLost(_OtherLease):
    class Lease(PaperLease):
        async def renew(self) -> bool:
            return False


class ReleasesThatOfOthers(_OtherLease):
    class Lease(PaperLease):
        async def release(self) -> None:
            self.paper.holder = None


class PrintsTokensOfTheLease(_OtherLease):
    class Lease(PaperLease):
        def __repr__(self) -> str:
            return f"PaperLease({self.paper.content!r})"


class NeverEnds(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        if lease is not None:
            self.paper.until = math.inf
        return lease


class EndsEarly(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        if lease is not None:
            self.paper.until = monotonic() + self.lease / 3
        return lease


class SaysThatItLasts(EndsEarly):
    """For as long as its process; but it does not."""

    def make_lease(self) -> PaperLease:
        lease = super().make_lease()
        lease.duration = None
        return lease


class WaitsForTheLease(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        if lease is None:
            await asyncio.sleep(0.28)
        return lease


class WritesUnderTheLeaseAlone(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        while self.paper.holder is not None:  # noqa: ASYNC110 - it polls, as a wrong storage may
            await asyncio.sleep(0.01)
        return await super().replace(old, new)


class TakesGarbageForNothing(PaperStorage):
    async def read(self) -> StoredTokens | None:
        try:
            return await super().read()
        except InvalidStoredTokens:
            return None


class OverwritesGarbage(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        try:
            return await super().replace(old, new)
        except InvalidStoredTokens:
            self.write(new)
            raise


class ClearsGarbage(PaperStorage):
    async def clear(self) -> None:
        try:
            await super().clear()
        except InvalidStoredTokens:
            self.paper.content = None


class QuotesGarbage(PaperStorage):
    def look(self) -> StoredTokens | None:
        try:
            return super().look()
        except InvalidStoredTokens as error:
            raise InvalidStoredTokens("the paper", f"it is {self.paper.content!r}") from error


class HangsInAnOutage(PaperStorage):
    async def turn(self) -> None:
        await super().turn()
        while self.paper.is_down:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)


class WaitsForTheEndOfAnOutage(PaperStorage):
    async def try_acquire(self) -> TokenLease | None:
        while self.paper.is_down:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
        return await super().try_acquire()


class FindsNothingInAnOutage(PaperStorage):
    def look(self) -> StoredTokens | None:
        return None if self.paper.is_down else super().look()


class TakesOutageForGarbage(PaperStorage):
    def look(self) -> StoredTokens | None:
        if self.paper.is_down:
            raise InvalidStoredTokens("the paper", "it is out of sight")
        return super().look()


class QuotesTokensInAnOutage(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        if self.paper.is_down:
            raise ConnectionError(f"could not keep {to_text(new)}")
        return await super().replace(old, new)


class ForgetsInAnOutage(PaperStorage):
    def look(self) -> StoredTokens | None:
        if self.paper.is_down:
            self.paper.content = None
        return super().look()


class StaysBusy(PaperStorage):
    """Once a caller has left while it was at work."""

    is_busy = False

    async def turn(self) -> None:
        while self.is_busy:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
        self.is_busy = True
        await super().turn()
        self.is_busy = False


class WritesHalfOfIt(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        if not self.may_replace(await self.read(), old):
            return False
        self.write(StoredTokens(None, new.login, new.serial))
        await self.turn()
        self.write(new)
        return True


class CannotBeLeft(PaperStorage):
    async def read(self) -> StoredTokens | None:
        while True:
            try:
                return await super().read()
            except asyncio.CancelledError:
                await asyncio.sleep(1)


class ForgetsWhoLeft(NeverEnds):
    """The lease of a caller who left while it was on its way is nobody's, and for ever."""

    def __init__(self, paper: Paper, lease: float) -> None:
        super().__init__(paper, lease)

    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        await self.turn()
        return lease
