"""Storages that do one thing wrong each: what they keep, who may change it, and who hears of it."""

import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from itertools import count

from rxlink.auth.storage import SharedTokenStorage, StoredTokens
from rxlink.auth.storage.record_text import to_text
from rxlink.auth.tokens import TokenSet
from tests.testing.paper_storage import PaperStorage


class FindsSomethingInNothing(PaperStorage):
    def look(self) -> StoredTokens | None:
        return super().look() or StoredTokens(None, "nobody", 1)


class LosesWrites(PaperStorage):
    def write(self, record: StoredTokens) -> None:
        pass


class RemembersInstead(PaperStorage):
    """Its own object's last word is all it knows."""

    known: StoredTokens | None = None

    async def read(self) -> StoredTokens | None:
        self.known = self.known or await super().read()
        return self.known


class _ChangesTokens(PaperStorage):
    def write(self, record: StoredTokens) -> None:
        if record.tokens is not None:
            record = replace(record, tokens=self.changed(record.tokens))
        super().write(record)

    def changed(self, tokens: TokenSet) -> TokenSet:
        raise NotImplementedError


class DropsMicroseconds(_ChangesTokens):
    def changed(self, tokens: TokenSet) -> TokenSet:
        ends = tokens.expires_at
        return tokens if ends is None else replace(tokens, expires_at=ends.replace(microsecond=0))


class DropsLife(_ChangesTokens):
    def changed(self, tokens: TokenSet) -> TokenSet:
        return replace(tokens, expires_in=None)


class CutsLongTokens(_ChangesTokens):
    def changed(self, tokens: TokenSet) -> TokenSet:
        return replace(tokens, access_token=tokens.access_token[:255])


class ForgetsAtSignOut(PaperStorage):
    def write(self, record: StoredTokens) -> None:
        super().write(record)
        if record.tokens is None:
            self.paper.content = None


class ForgetsReasons(PaperStorage):
    def write(self, record: StoredTokens) -> None:
        super().write(replace(record, reason=None))


class GivesReasons(PaperStorage):
    """Where there are none."""

    def write(self, record: StoredTokens) -> None:
        super().write(replace(record, reason=record.reason or ""))


class ComparesNothing(PaperStorage):
    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return True


class ComparesSerialsAlone(PaperStorage):
    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return (kept and kept.serial) == (old and old.serial)


class LetsOlderPass(PaperStorage):
    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return kept is None if old is None else kept is not None and old.serial <= kept.serial


class LetsSomethingReplaceNothing(PaperStorage):
    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return kept is None or super().may_replace(kept, old)


class ComparesTokens(PaperStorage):
    def may_replace(self, kept: StoredTokens | None, old: StoredTokens | None) -> bool:
        return kept == old


class SavesUnderTheSameLogin(PaperStorage):
    async def save(self, tokens: TokenSet, /) -> None:
        await self._change(tokens, "always")


class BelongsToOneLoop(PaperStorage):
    """As what holds a connection or a future of its first loop does; here it merely answers nothing."""

    is_used = False

    async def read(self) -> StoredTokens | None:
        was_used, self.is_used = self.is_used, True
        return None if was_used else await super().read()


class PrintsTokens(PaperStorage):
    def __repr__(self) -> str:
        return f"PaperStorage({self.paper.content!r})"


class ComparesAndThenWrites(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        if not self.may_replace(await self.read(), old):
            return False
        await self.turn()
        self.write(new)
        return True


class ComparesWithoutLock(PaperStorage):
    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        if not self.may_replace(self.look(), old):
            return False
        time.sleep(0.005)  # noqa: ASYNC251 - it is wrong by intention
        self.write(new)
        return True


class EmptiesBeforeItWrites(PaperStorage):
    def write(self, record: StoredTokens) -> None:
        self.paper.content = None
        time.sleep(0.002)
        super().write(record)


class ShowsWhatIsNotKept(PaperStorage):
    """For a moment, while it writes: a refresh token of somebody else's making."""

    def write(self, record: StoredTokens) -> None:
        if record.tokens is not None:
            half = replace(record, tokens=replace(record.tokens, refresh_token="half"))
            self.paper.content = to_text(half).encode()
            time.sleep(0.002)
        super().write(record)


class StampsEachTime(PaperStorage):
    numbers = count()

    def stamp(self) -> Hashable:
        return next(self.numbers)


class StampsSlowly(PaperStorage):
    def stamp(self) -> Hashable:
        time.sleep(0.01)
        return super().stamp()


class StampsWithAList(PaperStorage):
    def stamp(self) -> Hashable:
        return [self.paper.changes]  # type: ignore[return-value]


class StampsItsOwnChanges(PaperStorage):
    changes = 0

    def write(self, record: StoredTokens) -> None:
        super().write(record)
        self.changes += 1

    def stamp(self) -> Hashable:
        return self.changes


class StampsBySize(PaperStorage):
    """As dates of files do that the system counts in ticks."""

    def stamp(self) -> Hashable:
        return self.paper.changes // 2


class StampsSignInsAlone(PaperStorage):
    def stamp(self) -> Hashable:
        return self.paper.content is None


class StampsNothing(PaperStorage):
    """And tells nobody either, so that sessions take it at its word and never look."""

    watch = SharedTokenStorage.watch

    def stamp(self) -> Hashable:
        return "always"


class TellsNobody(PaperStorage):
    def tell(self) -> None:
        pass


class TellsOnTheWriter(PaperStorage):
    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        self.paper.watchers.append(notice)
        return lambda: None


class TellsAfterStop(PaperStorage):
    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        super().watch(notice)
        return lambda: None


class StopsEverybody(PaperStorage):
    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        super().watch(notice)
        return self.paper.watchers.clear
