"""The right to refresh among those who share a storage: who gets it, for how long, and what if it was lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxlink.auth.storage import MemoryTokenStorage, TokenLease
from rxlink.auth.tokens import TokenSet
from rxlink.errors import ClientClosed, TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.shared_bench import Fleet, Host, StrictIssuer

AT_THE_END = 95.0
ADVISORY = 80.0


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


class Timed(MemoryTokenStorage):
    """Its lease ends after three seconds unless it is renewed; `renewals` has when it was."""

    def __init__(self, time: VirtualTime, tokens: TokenSet) -> None:
        super().__init__(tokens)
        self.time = time
        self.renewals: list[float] = []
        self.is_lost = False

    async def try_acquire(self) -> TokenLease | None:
        lease = await super().try_acquire()
        return None if lease is None else TimedLease(self, lease)


class TimedLease(TokenLease):
    duration = 3.0

    def __init__(self, storage: Timed, lease: TokenLease) -> None:
        self.storage, self.lease = storage, lease

    async def renew(self) -> bool:
        self.storage.renewals.append(round(self.storage.time.monotonic(), 1))
        return not self.storage.is_lost

    async def release(self) -> None:
        await self.lease.release()


class TestALeaseThatEnds:
    @virtual
    async def test_it_is_renewed_at_a_third_for_as_long_as_the_refresh_runs(self, time: VirtualTime) -> None:
        """E72, P1."""
        storage = Timed(time, TokenSet("A0", refresh_token="R0"))
        host = Host(storage, StrictIssuer(delay=2.25), time)
        await host.token()

        await host.session.refresh(force=True)
        await asyncio.sleep(10)

        assert ([1.0, 2.0, 3.0, 4.0], False) == (storage.renewals, "LeaseLost" in host.heard)
        await host.session.aclose()

    @virtual
    async def test_one_that_is_lost_is_told_of_once_and_renewed_no_more(self, time: VirtualTime) -> None:
        """E72, P10: the refresh goes on, and its tokens are kept, since nobody else has saved any."""
        storage = Timed(time, TokenSet("A0", refresh_token="R0"))
        storage.is_lost = True
        host = Host(storage, StrictIssuer(delay=2.25), time)
        await host.token()

        await host.session.refresh(force=True)

        kept = await storage.load()
        assert kept is not None
        assert ([1.0], 1, "A1") == (storage.renewals, host.heard.count("LeaseLost"), kept.access_token)
        await host.session.aclose()
