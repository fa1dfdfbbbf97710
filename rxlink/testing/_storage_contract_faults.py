"""The contract of shared storages: garbage, torn records, outages, and callers who leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from typing import Any
from uuid import uuid4

from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenLease
from rxlink.auth.storage.shared import new_login
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens
from rxlink.testing._storage_bench import StorageBench, begin, demand, demand_equal, next_of, on_a_loop
from rxlink.testing._storage_contract_lease import taken

__all__ = ["FaultsContract"]

Call = Callable[[], Coroutine[Any, Any, object]]

PLANTED = "planted-secret"
PART = 12
"""Characters of a token that may have been left of it, and are too many in a message."""
MOMENTS = (None, 0, 1, 3, 0.002)
"""When a caller leaves: before the call begins, after turns of the loop, after seconds."""


class FaultsContract(StorageBench):
    """Nothing is written over what is not ours, and every failure passes."""

    @on_a_loop
    async def test_garbage_is_reported_and_left_alone(self) -> None:
        """Where ``spoil`` and ``spoiled`` are defined; by a storage that has read tokens before, and by a new one."""
        self.needs("spoil", "spoiled")
        used = self.make_storage()
        kept = await begin(used)

        for content in self.garbage:
            await asyncio.to_thread(self.spoil, content)
            for storage in (used, self.make_storage()):
                for what, call in _calls(storage, kept):
                    error = await self._error_of(what, call)
                    is_told = isinstance(error, InvalidStoredTokens)
                    demand(is_told, f"`{what}` raises InvalidStoredTokens over {content!r}; found {error!r}")
                    _refuse_secret(error, PLANTED, f"the error of `{what}`")
                    found = await asyncio.to_thread(self.spoiled)
                    demand_equal(content, found, f"`{what}` leaves alone what is not rxlink's")

    @on_a_loop
    async def test_a_torn_record_is_no_record(self) -> None:
        """Where ``tear`` is defined; a storage that keeps older records may fall back to one of them."""
        self.needs("tear")
        storage = self.make_storage()
        first = await begin(storage)
        second = StoredTokens(TokenSet(uuid4().hex * 40), first.login, 2)  # so long that the middle is in it
        await storage.replace(first, second)
        await asyncio.to_thread(self.tear)

        for reader in (storage, self.make_storage()):
            error = await self._error_of("read", reader.read)
            if error is None:
                is_whole = await reader.read() in (first, second)
                demand(is_whole, "`read` of a torn record raises InvalidStoredTokens, or finds a whole one from before")
                continue
            is_told = isinstance(error, InvalidStoredTokens)
            demand(is_told, f"`read` of a torn record raises InvalidStoredTokens; found {error!r}")
            for tokens in (first.tokens, second.tokens):
                _refuse_secret(
                    error, "" if tokens is None else tokens.access_token[:PART], "the error of a torn record"
                )

    @on_a_loop
    async def test_an_outage_passes(self) -> None:
        """Where ``break_down`` and ``mend`` are defined; connections that were open before are of no use after it."""
        self.needs("break_down", "mend")
        used, other = self.make_storage(), self.make_storage()
        kept = await begin(used)
        lease = await taken(used, self)

        await asyncio.to_thread(self.break_down)
        try:
            for storage in (used, self.make_storage()):
                await self._check_outage(storage, kept)
            for call in (lease.renew, lease.release):
                await self._error_of(f"{call.__name__} during an outage", call)
        finally:
            await asyncio.to_thread(self.mend)

        for storage in (used, other):
            demand_equal(kept, await storage.read(), "after an outage what was kept before is read")
        demand(await used.replace(kept, next_of(kept)), "after an outage `replace` works again")
        await lease.release()
        await (await taken(other, self)).release()

    @on_a_loop
    async def test_who_leaves_a_call_leaves_a_storage_that_works(self) -> None:
        """Reading and replacing; a change that was left is made or not, and never half."""
        storage, other = self.make_storage(), self.make_storage()
        record = await begin(storage)

        for moment in MOMENTS:
            offer = next_of(record)
            await _leave(storage.read(), moment, self.time_limit)
            await _leave(storage.replace(record, offer), moment, self.time_limit)
            for who in (storage, other):
                found = await self.in_time(who.read(), "read, after a caller has left,")
                demand(found in (record, offer), "a change whose caller has left is made or not; found something else")
                record, offer = await self._replaced(who), record

    @on_a_loop
    async def test_who_leaves_while_it_acquires_does_not_keep_the_lease(self) -> None:
        """For longer than its duration, that is."""
        storage, other = self.make_storage(), self.make_storage()

        for moment in MOMENTS:
            await _leave(storage.try_acquire(), moment, self.time_limit)
            for who in (other, storage):
                lease = await taken(who, self)
                demand(await lease.renew(), "`renew` tells True while the lease is held")
                await lease.release()

    async def _check_outage(self, storage: SharedTokenStorage, kept: StoredTokens) -> None:
        for what, call in _calls(storage, kept):
            error = await self._error_of(f"{what} during an outage", call)
            is_outage = isinstance(error, Exception) and not isinstance(error, InvalidStoredTokens)
            demand(is_outage, f"`{what}` raises during an outage, and not InvalidStoredTokens; found {error!r}")
            for secret in (PLANTED, "" if kept.tokens is None else kept.tokens.access_token):
                _refuse_secret(error, secret, f"the error of `{what}`")
        got: list[TokenLease | None] = []

        async def acquire() -> None:
            got.append(await storage.try_acquire())

        await self._error_of("try_acquire during an outage", acquire)
        for lease in got:  # where it is kept apart from the tokens, it may be had
            if lease is not None:
                await lease.release()

    async def _error_of(self, what: str, call: Call) -> Exception | None:
        try:
            await self.in_time(call(), what)
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the contract judges it
            return error
        return None

    async def _replaced(self, storage: SharedTokenStorage) -> StoredTokens:
        """Keep one more record, and return it; a change that somebody has left may still come in between."""
        limit = monotonic() + self.time_limit
        while (record := await self.in_time(storage.read(), "read, after a caller has left,")) is not None:
            offer = next_of(record)
            if await self.in_time(storage.replace(record, offer), "replace, after a caller has left,"):
                return offer
            demand(monotonic() < limit, "`replace` works after a caller has left; it goes on saying False")
        raise AssertionError("the contract of shared storages wants that what is kept does not vanish")


def _calls(storage: SharedTokenStorage, kept: StoredTokens) -> Iterator[tuple[str, Call]]:
    tokens = TokenSet(PLANTED, PLANTED)
    yield "read", storage.read
    yield "load", storage.load
    yield "replace(None, ...)", lambda: storage.replace(None, StoredTokens(tokens, new_login(), 1))
    yield "replace", lambda: storage.replace(kept, StoredTokens(tokens, kept.login, kept.serial + 1))
    yield "save", lambda: storage.save(tokens)
    yield "clear", storage.clear


async def _leave(call: Coroutine[Any, Any, object], moment: float | None, time_limit: float) -> None:
    task = asyncio.create_task(call)
    if isinstance(moment, int):
        for _ in range(moment + 1):
            await asyncio.sleep(0)
    elif moment is not None:
        await asyncio.sleep(moment)
    task.cancel()
    await asyncio.wait([task], timeout=time_limit)
    demand(task.done(), f"a call that is cancelled ends; one goes on after {time_limit:g} s")
    answer = None if task.cancelled() else task.result()
    if isinstance(answer, TokenLease):
        await answer.release()


def _refuse_secret(error: BaseException | None, secret: str, what: str) -> None:
    """Look at all that a log line or a report of it could print, with the errors that it comes from."""
    while error is not None and secret:
        printed = f"{error} {error!r} {error.args!r} {vars(error)!r} {getattr(error, '__notes__', '')}"
        demand(secret not in printed, f"{what} holds no token and nothing of what was found")
        error = error.__cause__ or error.__context__
