"""The contract of shared storages: what is kept, and who may change it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from rxlink.auth.storage import SharedTokenStorage, StoredTokens
from rxlink.auth.storage.shared import new_login
from rxlink.auth.tokens import TokenSet
from rxlink.testing._storage_bench import (
    StorageBench,
    begin,
    demand,
    demand_equal,
    new_tokens,
    next_of,
    on_a_loop,
)

__all__ = ["KeepingContract"]

PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
LONG = "x" * 4_000
"""As long as tokens get where they carry claims."""


class KeepingContract(StorageBench):
    """Reading and replacing, one after another."""

    @on_a_loop
    async def test_nothing_is_kept_at_first(self) -> None:
        """A place where nothing was kept is no error."""
        storage = self.make_storage()

        demand_equal(None, await storage.read(), "`read` of nothing is None")
        demand_equal(None, await storage.load(), "`load` of nothing is None")

    @on_a_loop
    async def test_what_was_replaced_is_read_by_every_object(self) -> None:
        """The objects stand for the processes that share the place."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(here)

        for turn in range(4):
            for reader in (here, there):
                demand_equal(record, await reader.read(), "every object over the same place reads what was kept last")
            writer, after = (there, here)[turn % 2], next_of(record)
            demand(await writer.replace(record, after), "`replace` says True where `old` is what is kept")
            record = after

        demand_equal(record, await self.make_storage().read(), "an object that is made later reads it too")

    @on_a_loop
    async def test_tokens_come_back_as_they_were(self) -> None:
        """To the microsecond: a session judges by the time that it is given."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(here)

        for tokens in _unusual_tokens():
            after = StoredTokens(tokens, record.login, record.serial + 1)
            demand(await here.replace(record, after), "`replace` says True where `old` is what is kept")
            found = await there.read()
            kept = None if found is None else found.tokens
            demand_equal(tokens, kept, "tokens come back as they were")
            demand_equal(after, found, "`login` and `serial` come back as they were")
            record = after

    @on_a_loop
    async def test_a_sign_out_is_kept(self) -> None:
        """A record without tokens is not nothing: others learn from it that somebody has signed out."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(here)
        left = StoredTokens(None, record.login, 2)

        demand(await here.replace(record, left), "a record without tokens can be kept")

        demand_equal(left, await there.read(), "a record without tokens is read as one, not as nothing")
        demand_equal(None, await there.load(), "`load` is None after a sign-out")
        demand(
            not await there.replace(None, next_of(left)), "a sign-out is not nothing: `replace(None, ...)` says False"
        )

    @on_a_loop
    async def test_the_reason_of_a_sign_out_is_kept(self) -> None:
        """The others tell their users why they have to sign in again; where there is none, there is none."""
        here, there = self.make_storage(), self.make_storage()
        record = await begin(here)

        for reason in ("the issuer says “invalid_grant”: signed out elsewhere\n", None):
            left = StoredTokens(None, record.login, record.serial + 1, reason)
            demand(await here.replace(record, left), "`replace` says True where `old` is what is kept")
            found = await there.read()
            kept = found and found.reason
            demand(found is not None and kept == reason, f"`reason` comes back as it was, {reason!r}; found {kept!r}")
            record = left

    @on_a_loop
    async def test_replace_wants_what_is_kept(self) -> None:
        """The fence of writes: who is late changes nothing."""
        storage, other = self.make_storage(), self.make_storage()
        record = next_of(await _kept_once(other, new_login()))
        demand(not await storage.replace(None, record), "`replace(None, ...)` says False where something is kept")
        kept = await storage.read()

        for old, what in _wrong_olds(kept):
            answer = await storage.replace(old, StoredTokens(new_tokens(), new_login(), 9))
            demand(not answer, f"`replace` says False where `old` is {what}")
            demand_equal(kept, await other.read(), f"`replace` changes nothing where `old` is {what}")

    @on_a_loop
    async def test_replace_of_something_wants_something(self) -> None:
        """Where nothing is kept, no other `old` than None is right."""
        storage = self.make_storage()
        record = StoredTokens(new_tokens(), new_login(), 1)

        answer = await storage.replace(record, next_of(record))

        demand(not answer, "`replace` says False where `old` is something and nothing is kept")
        demand_equal(None, await storage.read(), "`replace` changes nothing where it says False")

    @on_a_loop
    async def test_replace_compares_login_and_serial_alone(self) -> None:
        """Of a change there is one record, so its tokens need not be compared."""
        storage = self.make_storage()
        record = await begin(storage)
        after = next_of(record)

        answer = await storage.replace(StoredTokens(None, record.login, record.serial), after)

        demand(answer, "`replace` compares `login` and `serial`, not tokens")
        demand_equal(after, await storage.read(), "`replace` keeps `new` where it says True")

    @on_a_loop
    async def test_scripts_load_save_and_clear(self) -> None:
        """Without sessions; those who share the place hear of a sign-in and of a sign-out."""
        here, there = self.make_storage(), self.make_storage()
        tokens = _dated_tokens(), _dated_tokens()

        await here.save(tokens[0])
        before = await there.read()
        await there.save(tokens[1])
        saved = await here.read()
        await here.clear()
        cleared = await there.read()

        demand(before is not None and before.tokens == tokens[0], "`save` keeps tokens")
        demand(saved is not None and saved.tokens == tokens[1], "`save` keeps tokens instead of those before")
        demand(before and saved and before.login != saved.login, "`save` is a new sign-in: it has a `login` of its own")
        demand(before and saved and before.serial < saved.serial, "each change has a larger `serial`")
        demand_equal(None, await here.load(), "after `clear`, `load` is None")
        demand(cleared and cleared.tokens is None, "after `clear`, a record without tokens is kept")

    def test_an_object_serves_one_event_loop_after_another(self) -> None:
        """What belongs to a loop that has ended must not be used on the next."""
        storage = self.make_storage()
        record = asyncio.run(begin(storage))

        for _ in range(2):
            found = asyncio.run(storage.read())
            demand_equal(record, found, "an object that was used on one event loop works on the next")
            record = asyncio.run(_change(storage, record))

    @on_a_loop
    async def test_no_secret_is_printed(self) -> None:
        """P7."""
        storage = self.make_storage()
        record = await begin(storage)
        lease = await storage.try_acquire()
        tokens = record.tokens or new_tokens()

        for thing in (storage, lease, await storage.read()):
            printed = f"{thing!r} {thing}"
            is_secret = tokens.access_token in printed or str(tokens.refresh_token) in printed
            demand(not is_secret, f"`repr` of {type(thing).__name__} holds no token")

        if lease is not None:
            await lease.release()


def _dated_tokens() -> TokenSet:
    """Return tokens to which `save` has nothing to add."""
    return new_tokens().received(datetime.now(UTC))


def _unusual_tokens() -> Iterator[TokenSet]:
    moment = datetime(2031, 7, 9, 11, 59, 59, 999_999, UTC)
    yield TokenSet("bare")
    yield TokenSet("a", "r", 300, moment)
    yield TokenSet("a", None, 0.25, moment.replace(microsecond=1))
    yield TokenSet("a", "r", None, moment.astimezone(timezone(timedelta(hours=-3, minutes=-30))))
    yield TokenSet("a", "r", None, datetime(1999, 12, 31, tzinfo=UTC))
    yield TokenSet(PRINTABLE, PRINTABLE[::-1], 1e9)
    yield TokenSet(LONG, LONG)


def _wrong_olds(kept: StoredTokens | None) -> Iterator[tuple[StoredTokens | None, str]]:
    if kept is None:
        return
    yield None, "None and something is kept"
    yield StoredTokens(kept.tokens, kept.login, kept.serial - 1), "of an older `serial`"
    yield StoredTokens(kept.tokens, kept.login, kept.serial + 1), "of a newer `serial`"
    yield StoredTokens(kept.tokens, new_login(), kept.serial), "of another `login` with the same `serial`"


async def _kept_once(storage: SharedTokenStorage, login: str) -> StoredTokens:
    first = StoredTokens(new_tokens(), login, 1)
    await storage.replace(None, first)
    record = next_of(first)
    demand(await storage.replace(first, record), "`replace` says True where `old` is what is kept")
    return record


async def _change(storage: SharedTokenStorage, record: StoredTokens) -> StoredTokens:
    after = next_of(record)
    demand(await storage.replace(record, after), "an object that was used on one event loop replaces on the next")
    return after
