"""Sessions that share a storage: one refresh among them, whoever is faster, whatever happens to the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxlink.auth.events import AuthState, AuthStatus, Ended
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.errors import ClientClosed, SessionEnded, TokenRefreshError, TokenStorageError
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.shared_bench import Fleet, Host, StrictIssuer

AT_THE_END = 95.0
ADVISORY = 80.0


class TestOneRefresh:
    @virtual
    async def test_of_fifty_that_see_the_token_end_one_refreshes(self, time: VirtualTime) -> None:
        """P1, E72."""
        fleet = Fleet(time, 50)
        await fleet.tokens()
        await asyncio.sleep(AT_THE_END)

        tokens = await fleet.tokens()

        assert (["A1"] * 50, ["R0"], []) == (tokens, fleet.issuer.granted, fleet.issuer.reused)
        assert [AuthStatus.AUTHENTICATED] * 50 == [host.states[-1].status for host in fleet.hosts]
        assert 49 == sum("TokensAdopted" in host.heard for host in fleet.hosts)
        await fleet.aclose()

    @virtual
    async def test_at_every_end_again(self, time: VirtualTime) -> None:
        """P1, E72, S16."""
        fleet = Fleet(time, 5)

        for number in range(1, 11):
            await asyncio.sleep(AT_THE_END)
            assert [f"A{number}"] * 5 == await fleet.tokens()

        assert ([f"R{number}" for number in range(10)], []) == (fleet.issuer.granted, fleet.issuer.reused)
        await fleet.aclose()

    @virtual
    async def test_a_token_that_was_replaced_elsewhere_is_not_refreshed_again_when_it_is_rejected(
        self, time: VirtualTime
    ) -> None:
        """P5, E72: one process has refreshed by force, and the other still sends the token before."""
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        await one.session.refresh(force=True)

        token = await other.token()

        assert ("A1", ["R0"]) == (token, fleet.issuer.granted)
        await fleet.aclose()

    @virtual
    async def test_a_background_refresh_holds_up_nobody_and_is_made_once(self, time: VirtualTime) -> None:
        """P1, P5, E64."""
        fleet = Fleet(time, 5)
        await fleet.tokens()
        await asyncio.sleep(ADVISORY)

        during = await fleet.tokens()
        await asyncio.sleep(1)

        assert (["A0"] * 5, ["A1"] * 5, ["R0"]) == (during, await fleet.tokens(), fleet.issuer.granted)
        await fleet.aclose()

    @virtual
    async def test_who_starts_later_has_the_newest(self, time: VirtualTime) -> None:
        """E68."""
        fleet = Fleet(time, 1)
        await asyncio.sleep(AT_THE_END)
        await fleet.tokens()

        late = Host(fleet.storage, fleet.issuer, time)

        assert ("A1", ["R0"]) == (await late.token(), fleet.issuer.granted)
        await late.session.aclose()
        await fleet.aclose()

    @virtual
    async def test_a_forced_refresh_joins_the_one_of_another(self, time: VirtualTime) -> None:
        """P1: as it joins one of its own session."""
        fleet = Fleet(time, 3)
        await fleet.tokens()

        await asyncio.gather(*(host.session.refresh(force=True) for host in fleet.hosts))

        assert ["R0"] == fleet.issuer.granted
        await fleet.aclose()

    @virtual
    async def test_a_forced_refresh_refreshes_what_another_has_saved_before(self, time: VirtualTime) -> None:
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        await one.session.refresh(force=True)

        await other.session.refresh(force=True)

        assert (["R0", "R1"], ["A2"] * 2) == (fleet.issuer.granted, await fleet.tokens())
        await fleet.aclose()

    @virtual
    async def test_the_first_tokens_are_obtained_once(self, time: VirtualTime) -> None:
        """E76."""
        got: list[Any] = []

        async def obtain(tokens: Any, reason: Any) -> TokenSet:
            got.append(tokens)
            await asyncio.sleep(1)
            return TokenSet(f"C{len(got)}", expires_in=100)

        storage = MemoryTokenStorage()
        hosts = [Host(storage, obtain, time, obtain_first=True) for _ in range(5)]

        tokens = await asyncio.gather(*(host.token() for host in hosts))

        assert (["C1"] * 5, [None]) == (tokens, got)
        for host in hosts:
            await host.session.aclose()


class TestOthersLogins:
    @virtual
    async def test_a_sign_out_elsewhere_is_noticed_at_the_next_use(self, time: VirtualTime) -> None:
        """S53, P8."""
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        await one.session.clear()

        token = await other.token()

        assert (None, AuthState(AuthStatus.UNAUTHENTICATED, "signed out")) == (token, other.states[-1])
        assert [Ended(1, "signed out")] == [event for event in other.events if isinstance(event, Ended)]
        assert not fleet.issuer.calls
        await fleet.aclose()

    @virtual
    async def test_another_login_elsewhere_is_noticed_at_the_next_use(self, time: VirtualTime) -> None:
        """P8."""
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        await one.session.set_tokens(fleet.issuer.sign_in("bob"))

        assert ("A-bob", "A-bob") == (await other.token(), await one.token())
        assert "another login" == other.session.keeper.wallet.parting
        await fleet.aclose()

    @virtual
    async def test_a_login_after_a_sign_out_reaches_all(self, time: VirtualTime) -> None:
        fleet = Fleet(time, 3)
        await fleet.tokens()
        await fleet.hosts[0].session.clear()
        nobody = await fleet.tokens()

        await fleet.hosts[1].session.set_tokens(fleet.issuer.sign_in("bob"))

        assert ([None] * 3, ["A-bob"] * 3) == (nobody, await fleet.tokens())
        await fleet.aclose()

    @virtual
    async def test_a_sign_out_by_who_has_not_heard_of_another_login_is_one_for_all(self, time: VirtualTime) -> None:
        """P8."""
        fleet = Fleet(time, 3)
        await fleet.tokens()
        await fleet.hosts[0].session.set_tokens(fleet.issuer.sign_in("bob"))

        await fleet.hosts[1].session.clear()

        assert [None] * 3 == await fleet.tokens()
        await fleet.aclose()

    @pytest.mark.parametrize("what", ["clear", "set_tokens"])
    @virtual
    async def test_during_a_refresh_elsewhere_they_win(self, time: VirtualTime, what: str) -> None:
        """P8: those who wait for the refresh hear of it, and its tokens are kept nowhere."""
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        fleet.issuer.delay = 5.0
        waiting = asyncio.create_task(one.session.refresh(force=True))
        await asyncio.sleep(1)

        new = fleet.issuer.sign_in("bob")
        await (other.session.clear() if what == "clear" else other.session.set_tokens(new))

        expected = None if what == "clear" else "A-bob"
        with pytest.raises(SessionEnded, match="signed out" if what == "clear" else "somebody else"):
            await waiting
        assert [expected] * 2 == await fleet.tokens()
        kept = await fleet.storage.load()
        assert expected == (None if kept is None else kept.access_token)
        await fleet.aclose()

    @virtual
    async def test_a_dead_refresh_token_ends_the_session_of_each_once(self, time: VirtualTime) -> None:
        """P9: and is sent once by all of them together."""
        fleet = Fleet(time, 4)
        await fleet.tokens()
        fleet.issuer.is_revoked = True
        await asyncio.sleep(AT_THE_END)

        outcomes = await fleet.tokens()

        errors = [str(outcome) for outcome in outcomes if outcome is not None]
        assert ["the session has ended (refresh token rejected); sign in again"] * 4 == errors
        assert [["refresh token rejected"]] * 4 == [
            [event.reason for event in host.events if isinstance(event, Ended)] for host in fleet.hosts
        ]
        assert 1 == len(fleet.issuer.calls)
        await fleet.aclose()


class TestLosingTheRace:
    @virtual
    async def test_invalid_grant_with_a_newer_pair_in_the_store_adopts_it(self, time: VirtualTime) -> None:
        """E73, P1: a process stood still for longer than its lease, and its refresh comes too late."""
        fleet = Fleet(time, 1)
        [host] = fleet.hosts
        await fleet.tokens()
        await asyncio.sleep(AT_THE_END)
        fleet.issuer.delay = 5.0
        asking = asyncio.create_task(host.outcome())
        await asyncio.sleep(1)  # its request is on the way
        fleet.issuer.delay = 0.1

        newer = await fleet.issuer(TokenSet("A0", refresh_token="R0"), "expired")  # type: ignore[arg-type]
        record = await fleet.memory.read()
        assert record is not None
        await fleet.memory.replace(record, type(record)(newer.received(time.clock()), record.login, record.serial + 1))
        fleet.issuer.is_revoked = False

        assert ("A1", True) == (await asking, "TokensAdopted" in host.heard)
        assert "Ended" not in host.heard
        await fleet.aclose()

    @virtual
    async def test_tokens_of_a_refresh_do_not_go_over_those_of_another(self, time: VirtualTime) -> None:
        """P1: the writes are fenced, and whoever comes second adopts what the first has saved."""
        storage = MemoryTokenStorage(TokenSet("A0", refresh_token="R0"))
        hosts = []
        for name in ("one", "two"):

            async def refresh(tokens: Any, reason: Any, name: str = name) -> TokenSet:
                await asyncio.sleep(1 if name == "one" else 2)
                return TokenSet(f"of-{name}", refresh_token=f"R-{name}")

            hosts.append(Host(storage, refresh, time))
        await asyncio.gather(*(host.token() for host in hosts))
        stalled = asyncio.create_task(hosts[1].session.refresh(force=True))
        await asyncio.sleep(0.1)
        storage._lease = None  # the second one's, which it believes to have

        await asyncio.gather(hosts[0].session.refresh(force=True), stalled)

        assert ["of-one"] * 2 == [await host.token() for host in hosts]
        for host in hosts:
            await host.session.aclose()


class TestTheLease:
    @virtual
    async def test_who_waits_for_others_waits_for_the_lease_and_their_time_limit_and_then_fails_for_the_moment(
        self, time: VirtualTime
    ) -> None:
        """P2, P9, P10: the holder of a file's lock may stand still for ever."""
        fleet = Fleet(time, 1, refresh_timeout=10)
        await fleet.tokens()
        lease = await fleet.storage.try_acquire()
        await asyncio.sleep(AT_THE_END)
        before = time.monotonic()

        [outcome] = await fleet.tokens()

        assert isinstance(outcome, TokenRefreshError)
        assert (True, 13) == (outcome.retryable, round(time.monotonic() - before))
        assert lease is not None
        await lease.release()
        assert ["A1"] == await fleet.tokens()
        await fleet.aclose()

    @virtual
    async def test_the_time_of_others_is_not_taken_from_ones_own(self, time: VirtualTime) -> None:
        """P10: ten seconds of waiting, and a refresh of nine with a time limit of ten."""
        fleet = Fleet(time, 1, refresh_timeout=10)
        await fleet.tokens()
        fleet.issuer.delay = 4.5
        lease = await fleet.storage.try_acquire()
        assert lease is not None
        await asyncio.sleep(AT_THE_END)
        asking = asyncio.create_task(fleet.tokens())
        await asyncio.sleep(10)
        await lease.release()

        assert ["A1"] == await asking
        await fleet.aclose()

    @pytest.mark.parametrize("end", ["good", "failed", "dead", "signed out", "closed"])
    @virtual
    async def test_it_is_given_back_however_the_refresh_ends(self, time: VirtualTime, end: str) -> None:
        """P10."""
        fleet = Fleet(time, 1, refresh_timeout=5)
        [host] = fleet.hosts
        await fleet.tokens()
        fleet.issuer.script = [ValueError("planted")] if end == "failed" else []
        fleet.issuer.is_revoked = end == "dead"
        fleet.issuer.delay = 1
        refreshing = asyncio.create_task(host.session.refresh(force=True))
        await asyncio.sleep(0.5)
        if end in {"signed out", "closed"}:
            await (host.session.clear() if end == "signed out" else host.session.aclose())
        await asyncio.gather(refreshing, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        lease = await fleet.storage.try_acquire()

        assert lease is not None
        await fleet.aclose()

    @virtual
    async def test_closing_does_not_wait_for_others(self, time: VirtualTime) -> None:
        fleet = Fleet(time, 1)
        [host] = fleet.hosts
        await fleet.tokens()
        lease = await fleet.storage.try_acquire()
        refreshing = asyncio.create_task(host.session.refresh(force=True))
        await asyncio.sleep(1)
        before = time.monotonic()

        await host.session.aclose()

        with pytest.raises(ClientClosed):
            await refreshing
        assert (before, True) == (time.monotonic(), lease is not None)


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
        """P1: another one has refreshed meanwhile."""
        fleet = Fleet(time, 0)
        storage = FaultyTokenStorage(fleet.memory)
        one, other = Host(storage, fleet.issuer, time), Host(fleet.memory, fleet.issuer, time)
        await asyncio.gather(one.token(), other.token())
        await asyncio.sleep(AT_THE_END)
        storage.faults.add(StorageFault.fail(), on="read", times=1)
        asking = asyncio.create_task(one.token())
        await asyncio.sleep(0)
        await other.token()

        assert ("A1", ["R0"], []) == (await asking, fleet.issuer.granted, fleet.issuer.reused)
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
