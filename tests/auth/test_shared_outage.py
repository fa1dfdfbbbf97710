"""Sessions whose shared storage fails, hangs, forgets, or takes writes that it does not keep."""

from __future__ import annotations

import asyncio

import pytest

from rxlink.auth.events import LoadFailed
from rxlink.auth.tokens import TokenSet
from rxlink.errors import SessionEnded, TokenRefreshError, TokenStorageError
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.shared_bench import Fleet, Host, StrictIssuer

AT_THE_END = 95.0
ADVISORY = 80.0


class TestAStorageThatFails:
    @virtual
    async def test_tokens_that_are_not_saved_are_saved_before_others_may_refresh(self, time: VirtualTime) -> None:
        """P1, P4, E71: the others would present the refresh token that is used up."""
        fleet = Fleet(time, 2, storage=None)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = (Host(storage, fleet.issuer, time) for _ in range(2))
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.fail(OSError("full")), on="replace", times=3)
        await asyncio.sleep(AT_THE_END)

        first = await one.token()
        asked = asyncio.create_task(other.token())
        await asyncio.sleep(2)
        assert not asked.done()

        assert ("A1", "A1", ["R0"], []) == (first, await asked, fleet.issuer.granted, fleet.issuer.reused)
        assert ["SaveFailed"] * 3 == [name for name in one.heard if name == "SaveFailed"]
        for host in (one, other):
            await host.session.aclose()
        await fleet.aclose()

    @virtual
    async def test_a_save_that_hangs_keeps_the_others_from_refreshing(self, time: VirtualTime) -> None:
        """P1, P4, P10: those who wait go on at the time limit; the tokens are saved a second later."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = (Host(storage, fleet.issuer, time, refresh_timeout=5) for _ in range(2))
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.hang(), on="replace", times=1)
        await asyncio.sleep(AT_THE_END)

        tokens = await asyncio.gather(one.token(), other.token())

        assert (["A1", "A1"], ["R0"], []) == (tokens, fleet.issuer.granted, fleet.issuer.reused)
        for host in (one, other):
            await host.session.aclose()

    @virtual
    async def test_who_could_not_look_under_the_lease_looks_again(self, time: VirtualTime) -> None:
        """P1: another one has refreshed meanwhile, and what is in use is used up."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = Host(storage, fleet.issuer, time), Host(fleet.memory, fleet.issuer, time)
        await asyncio.gather(one.token(), other.token())
        await asyncio.sleep(AT_THE_END)
        await other.token()
        storage.faults.add(StorageFault.fail(), on="read", times=2)  # before the refresh, and under the lease

        token = await one.token()

        assert ("A1", ["R0"], [], ()) == (token, fleet.issuer.granted, fleet.issuer.reused, storage.faults.remaining)
        for host in (one, other):
            await host.session.aclose()

    @virtual
    async def test_a_write_that_is_lost_is_noticed_and_made_again(self, time: VirtualTime) -> None:
        """P1, P4."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = (Host(storage, fleet.issuer, time) for _ in range(2))
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.lose(), on="replace", times=1)
        await asyncio.sleep(AT_THE_END)

        tokens = await asyncio.gather(one.token(), other.token())

        assert (["A1", "A1"], ["R0"], []) == (tokens, fleet.issuer.granted, fleet.issuer.reused)
        for host in (one, other):
            await host.session.aclose()

    @virtual
    async def test_while_it_is_away_the_tokens_that_there_are_are_used(self, time: VirtualTime) -> None:
        """P9."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        host = Host(storage, fleet.issuer, time)
        await host.token()
        storage.faults.add(StorageFault.fail(ConnectionError("away")), on="any", times=None)
        await fleet.memory.save(fleet.issuer.sign_in("bob"))

        during = await host.token()
        storage.faults.clear()
        await asyncio.sleep(2)

        assert ("A0", "A-bob") == (during, await host.token())
        assert "LoadFailed" in host.heard
        await host.session.aclose()

    @virtual
    async def test_nobody_refreshes_without_it_and_the_session_lives(self, time: VirtualTime) -> None:
        """P1, P9, P10."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        host = Host(storage, fleet.issuer, time)
        await host.token()
        storage.faults.add(StorageFault.fail(ConnectionError("away")), on="any", times=None)
        await asyncio.sleep(AT_THE_END)
        before = time.monotonic()

        outcome = await host.outcome()
        took = time.monotonic() - before
        storage.faults.clear()
        await asyncio.sleep(10)

        assert isinstance(outcome, TokenRefreshError)
        assert (True, True) == (outcome.retryable, took <= 30 + 30 + 3 + 1)
        assert isinstance(outcome.__cause__, TokenStorageError)
        assert ("A1", ["R0"]) == (await host.token(), fleet.issuer.granted)
        await host.session.aclose()

    @virtual
    async def test_garbage_is_told_with_its_place_also_where_nobody_waits(self, time: VirtualTime) -> None:
        """P9: those who have a token go on, and no error reaches them."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        host = Host(storage, fleet.issuer, time)
        await host.token()
        storage.faults.add(StorageFault.tear(), on="read", times=None)
        await fleet.memory.save(fleet.issuer.sign_in("bob"))

        token = await host.token()

        [told] = [event for event in host.events if isinstance(event, LoadFailed)]
        assert ("A0", "InvalidStoredTokens", True) == (token, told.error_type, bool(told.where))
        await host.session.aclose()

    @virtual
    async def test_a_storage_that_has_lost_everything_gets_it_back(self, time: VirtualTime) -> None:
        """P9: what is not there is no sign-out; those who sign out leave a note."""
        fleet = Fleet(time)
        await fleet.tokens()
        fleet.memory._record = None
        during = await fleet.tokens()
        await asyncio.sleep(AT_THE_END)

        after = await fleet.tokens()

        kept = await fleet.memory.load()
        assert (["A0"] * 2, ["A1"] * 2, ["R0"]) == (during, after, fleet.issuer.granted)
        assert kept is not None
        assert "A1" == kept.access_token
        await fleet.aclose()

    @virtual
    async def test_a_login_after_a_storage_has_lost_everything_is_the_newer_one(self, time: VirtualTime) -> None:
        """P8: it counts from the time of day, and not from 1, which those who know what was lost would take for old."""
        fleet = Fleet(time)
        for _ in range(3):
            await fleet.tokens()
            await asyncio.sleep(AT_THE_END)
        fleet.memory._record = None
        started_anew = Host(fleet.memory, fleet.issuer, time)
        await started_anew.session.set_tokens(fleet.issuer.sign_in("x"))

        tokens = await fleet.tokens()

        assert (["A-x"] * 2, "A-x") == (tokens, await started_anew.token())
        await started_anew.session.aclose()
        await fleet.aclose()

    @virtual
    async def test_a_backup_that_comes_back_is_not_taken_for_news(self, time: VirtualTime) -> None:
        fleet = Fleet(time)
        await fleet.tokens()
        backup = fleet.memory._record
        for _ in range(3):
            await asyncio.sleep(AT_THE_END)
            await fleet.tokens()
        fleet.memory._record = backup

        await asyncio.sleep(AT_THE_END)

        assert (["A4"] * 2, []) == (await fleet.tokens(), fleet.issuer.reused)
        await fleet.aclose()

    @virtual
    async def test_a_sign_out_that_could_not_be_kept_is_one_all_the_same_and_is_kept_later(
        self, time: VirtualTime
    ) -> None:
        """P8."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = (Host(storage, fleet.issuer, time) for _ in range(2))
        await asyncio.gather(one.token(), other.token())
        storage.faults.add(StorageFault.fail(OSError("full")), on="replace", times=1)

        with pytest.raises(TokenStorageError):
            await one.session.clear()
        during = await one.token()
        await asyncio.sleep(2)

        assert (None, None, None) == (during, await one.token(), await other.token())
        for host in (one, other):
            await host.session.aclose()

    @virtual
    async def test_a_sign_out_that_is_kept_late_wins_over_a_refresh_of_the_same_login(self, time: VirtualTime) -> None:
        """P8: neither could be kept at first, and the refresh is kept before it."""
        fleet = Fleet(time, 0)
        ours, theirs = FaultyTokenStorage(fleet.memory), FaultyTokenStorage(fleet.memory)
        one, other = Host(ours, fleet.issuer, time), Host(theirs, fleet.issuer, time)
        await asyncio.gather(one.token(), other.token())
        ours.faults.add(StorageFault.fail(OSError("full")), on="replace", times=1)
        refreshing = asyncio.create_task(other.session.refresh(force=True))
        await asyncio.sleep(0.15)  # the issuer has answered
        with pytest.raises(TokenStorageError):
            await one.session.clear()
        await refreshing
        await asyncio.sleep(3)

        assert (None, None, None) == (await one.token(), await other.token(), await fleet.memory.load())
        for host in (one, other):
            await host.session.aclose()

    @virtual
    async def test_a_release_that_hangs_holds_up_nobody(self, time: VirtualTime) -> None:
        """P10: neither those who wait, nor closing for long."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        host = Host(storage, fleet.issuer, time)
        await host.token()
        storage.faults.add(StorageFault.hang(), on="release", times=None)
        fleet.issuer.is_revoked = True
        before = time.monotonic()

        with pytest.raises(SessionEnded):
            await host.session.refresh(force=True)
        told = time.monotonic() - before
        await host.session.aclose()

        assert (True, True) == (told < 1, time.monotonic() - before < 4)


async def test_it_takes_no_reused_issuer_for_granted() -> None:
    """The bench itself: a refresh token that comes again is told of."""
    issuer = StrictIssuer(delay=0)
    await issuer(TokenSet("A0", refresh_token="R0"), "forced")  # type: ignore[arg-type]

    with pytest.raises(SessionEnded):
        await issuer(TokenSet("A0", refresh_token="R0"), "forced")  # type: ignore[arg-type]

    assert ["R0"] == issuer.reused
