"""What a tester found who attacked shared storages: logins that cross, loops that end, functions that raise."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from rxlink.auth.clock import system_clock
from rxlink.auth.storage import MemoryTokenStorage, SharedTokenStorage, StoredTokens, TokenLease
from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded, TokenStorageError
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.shared_bench import Fleet, Host, StrictIssuer, Telling

AT_THE_END = 95.0


async def closed(*hosts: Host) -> None:
    for host in hosts:
        await host.session.aclose()


def two_of(fleet: Fleet, time: VirtualTime) -> tuple[FaultyTokenStorage, Host, Host]:
    """The first has a storage that goes wrong when told."""
    storage = FaultyTokenStorage(fleet.memory)
    return storage, Host(storage, fleet.issuer, time), Host(fleet.memory, fleet.issuer, time)


class TestLoginsThatCross:
    @virtual
    async def test_a_sign_in_whose_answer_was_lost_does_not_go_over_a_later_one(self, time: VirtualTime) -> None:
        """P8."""
        fleet = Fleet(time, 0)
        storage, one, other = two_of(fleet, time)
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.fail_after(), on="replace", times=1)
        with pytest.raises(TokenStorageError):
            await one.session.set_tokens(fleet.issuer.sign_in("x"))
        seen = await other.token()
        await other.session.set_tokens(fleet.issuer.sign_in("y"))
        await asyncio.sleep(3)

        assert ("A-x", "A-y", "A-y") == (seen, await one.token(), await other.token())
        await closed(one, other)

    @pytest.mark.parametrize("what", ["set_tokens", "clear"])
    @virtual
    async def test_the_lease_is_kept_until_a_login_in_the_midst_of_a_refresh_is_saved(
        self, time: VirtualTime, what: str
    ) -> None:
        """P1, P8: what is kept until then is used up, and the others would present it."""
        fleet = Fleet(time, 0)
        storage, one, other = two_of(fleet, time)
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.slow(0.2), on="replace", times=None)
        await asyncio.sleep(AT_THE_END)
        asking = [asyncio.create_task(host.outcome()) for host in (one, other)]
        await asyncio.sleep(0.15)  # the issuer has processed it

        await (one.session.clear() if what == "clear" else one.session.set_tokens(fleet.issuer.sign_in("new")))
        outcomes = await asyncio.gather(*asking)

        assert ([], ["R0"]) == (fleet.issuer.reused, fleet.issuer.granted)
        assert not [outcome for outcome in outcomes if "refresh token rejected" in str(outcome)]
        await closed(one, other)

    @virtual
    async def test_changes_that_were_never_saved_do_not_hide_a_login_elsewhere(self, time: VirtualTime) -> None:
        """P8."""
        fleet = Fleet(time, 0)
        storage, one, other = two_of(fleet, time)
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.fail(OSError("full")), on="replace", times=2)
        with pytest.raises(TokenStorageError):
            await one.session.set_tokens(fleet.issuer.sign_in("x"))
        with pytest.raises(TokenStorageError):
            await one.session.clear()
        await other.session.set_tokens(fleet.issuer.sign_in("y"))
        await asyncio.sleep(5)

        assert ["A-y"] * 2 == [await one.token(), await other.token()]
        await closed(one, other)

    @virtual
    async def test_a_login_that_is_over_and_comes_back_after_everything_was_lost_does_not_stay(
        self, time: VirtualTime
    ) -> None:
        """P1, P8: one has not heard of the later login when the storage loses all."""
        fleet = Fleet(time, 3)
        await fleet.tokens()
        await fleet.hosts[0].session.set_tokens(fleet.issuer.sign_in("y"))
        await fleet.hosts[1].token()
        fleet.memory._record = None
        await fleet.hosts[2].session.refresh(force=True)
        await asyncio.sleep(AT_THE_END)

        await fleet.tokens()
        await asyncio.sleep(5)
        tokens = await fleet.tokens()

        assert (1, []) == (len(set(tokens)), fleet.issuer.reused)
        await fleet.aclose()

    @virtual
    async def test_the_end_of_a_session_that_is_kept_late_goes_over_no_newer_tokens(self, time: VirtualTime) -> None:
        """E73, P9: another process has signed the same user in again."""
        fleet = Fleet(time, 0)
        storage, one, _ = two_of(fleet, time)
        await one.token()
        fleet.issuer.is_revoked = True
        storage.faults.add(StorageFault.fail(OSError("full")), on="replace", times=1)
        with pytest.raises(SessionEnded):
            await one.session.refresh(force=True)
        record = await fleet.memory.read()
        assert record is not None
        newer = StoredTokens(TokenSet("A9", refresh_token="R9"), record.login, record.serial + 1)
        await fleet.memory.replace(record, newer)
        await asyncio.sleep(5)

        assert (newer, "A9") == (await fleet.memory.read(), await one.token())
        await closed(one)


class TestLoopsThatEnd:
    def test_what_was_saved_by_the_next_loop_is_no_longer_to_be_saved(self) -> None:
        """E54, P1: else the lease is kept for ever."""
        storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
        slow = FaultyTokenStorage(storage)
        slow.faults.add(StorageFault.hang(), on="replace", times=1)
        issuer = StrictIssuer(delay=0)
        with VirtualTime() as time:
            one = Host(slow, issuer, time)
        with VirtualTime() as first:
            first.loop.create_task(one.session.refresh(force=True))
            first.advance(1)
        with VirtualTime() as second:

            async def go_on() -> str | None:
                await one.session.refresh(force=True)
                other = Host(storage, issuer, time)
                await other.session.refresh(force=True)
                return await other.token()

            assert "A3" == second.run(go_on())
            second.run(closed(one))

        assert [] == issuer.reused

    def test_a_loop_that_ends_in_the_midst_of_a_save_saves_and_gives_the_lease_back(self) -> None:
        """E54, E68: a process that runs a loop for each job, and closes no session."""
        storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
        slow = FaultyTokenStorage(storage)
        slow.faults.add(StorageFault.slow(10), on="replace", times=1)

        async def job() -> None:
            host = Host(slow, StrictIssuer(delay=0), time)
            task = asyncio.create_task(host.session.refresh(force=True))
            await asyncio.sleep(0.05)
            assert not task.done()

        time = VirtualTime()
        asyncio.run(job())
        kept = asyncio.run(storage.load())
        lease = asyncio.run(storage.try_acquire())
        time.close()

        assert kept is not None
        assert ("A1", True) == (kept.access_token, lease is not None)

    def test_a_loop_that_ends_while_others_are_heard_of_leaves_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """E54: a script that signs in, and hears of its own change."""
        storage = Telling()

        async def job() -> None:
            slow = FaultyTokenStorage(storage)
            host = Host(slow, StrictIssuer(delay=0), Real())
            await host.token()
            slow.faults.add(StorageFault.slow(1), on="read", times=None)
            await storage.save(TokenSet("B0"))
            await asyncio.sleep(0.01)
            await storage.save(TokenSet("C0"))

        asyncio.run(job())
        storage.watchers.clear()
        gc.collect()

        assert "destroyed" not in caplog.text

    def test_looking_at_a_session_of_a_loop_that_has_ended_loses_no_lease(self) -> None:
        """E54: as `repr` did."""
        storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
        issuer = StrictIssuer(delay=5)
        with VirtualTime() as time:
            one = Host(storage, issuer, time)
        with VirtualTime() as first:
            first.loop.create_task(one.session.refresh(force=True))
            first.advance(1)
        repr(one.session)
        with VirtualTime() as second:

            async def go_on() -> str | None:
                await one.session.refresh(force=True)
                await one.session.aclose()
                other = Host(storage, issuer, time)
                await other.session.refresh(force=True)
                return await other.token()

            assert "A2" == second.run(go_on())


class Untold(SharedTokenStorage):
    """Has only what a storage must have, and tells nothing of changes."""

    def __init__(self, inner: MemoryTokenStorage) -> None:
        super().__init__()
        self.inner = inner

    async def read(self) -> StoredTokens | None:
        return await self.inner.read()

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        return await self.inner.replace(old, new)

    async def try_acquire(self) -> TokenLease | None:
        return await self.inner.try_acquire()


class Raising(Untold):
    """Its functions that tell of changes raise."""

    def stamp(self) -> Any:
        raise OSError("stamp")

    def watch(self, notice: Any, /) -> Any:
        raise OSError("watch")


class Real:
    """The time that passes by itself."""

    clock = staticmethod(system_clock)


class TestStoragesOfUsers:
    @virtual
    async def test_one_that_tells_nothing_is_looked_at_now_and_then(self, time: VirtualTime) -> None:
        """S53, P8."""
        memory = MemoryTokenStorage(TokenSet("A0"))
        one, other = (Host(Untold(memory), StrictIssuer(), time) for _ in range(2))
        await asyncio.gather(one.token(), other.token())
        await one.session.clear()
        await asyncio.sleep(3.1)

        assert await other.token() is None
        await closed(one, other)

    async def test_one_whose_functions_raise_keeps_nobody_waiting(self) -> None:
        """P10."""
        complaints: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        storage = Raising(MemoryTokenStorage(TokenSet("A0", refresh_token="R0")))
        host = Host(storage, StrictIssuer(delay=0), Real())

        tokens = [await host.token(), await host.token()]
        await host.session.refresh(force=True)

        assert (["A0", "A0"], "A1") == (tokens, await host.token())
        assert {"stamp", "watch"} == {str(complaint["exception"]) for complaint in complaints}
        await closed(host)

    @virtual
    async def test_what_a_script_saves_has_an_end(self, time: VirtualTime) -> None:
        """E65: `expires_in` counts from the moment of the save."""
        storage = MemoryTokenStorage()

        await storage.save(TokenSet("opaque", expires_in=60))

        kept = await storage.load()
        assert kept is not None
        assert kept.expires_at is not None
