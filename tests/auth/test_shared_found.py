"""What the state machine of `test_shared_promises.py` has found, each as the smallest story."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rxlink.errors import SessionEnded, TokenStorageError
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.shared_bench import Fleet, Host
from tests.auth.shared_checks import p10_nothing_is_left
from tests.auth.shared_records import LIFE, Options
from tests.auth.shared_world import World, wrong_of


class TestALeaseThatWasLostWhileTheStorageWasRead:
    def test_is_not_used(self) -> None:
        """P1, E73: who stands still between lease and read has old tokens in hand when it goes on."""

        def happenings(world: World) -> None:
            one, other = world.slots
            world.issuer.policy = "at once"
            for host in world.slots:
                host.start()
            world.advance_to(LIFE + 1)
            one.start()
            world.advance(0.015)  # it has the lease; what it reads is on the way
            one.freeze()
            world.advance(3.2)
            other.start()
            world.advance(0.105)  # it has new tokens, and saves them
            one.thaw()
            world.advance(10)

        assert [] == wrong_of(happenings, options=Options(latency=0.02))


class TestASignOutBeforeAnothersSignInWasNoticed:
    @virtual
    async def test_is_one_for_all(self, time: VirtualTime) -> None:
        """P8: the storage says nobody, and so must everyone who looks."""
        fleet = Fleet(time)
        one, other = fleet.hosts
        await fleet.tokens()
        await one.session.set_tokens(fleet.issuer.sign_in("bob"))
        await other.session.clear()

        tokens = await fleet.tokens()

        assert (None, [None, None]) == (await fleet.storage.load(), tokens)
        await fleet.aclose()


class TestASessionThatBeginsWithASignIn:
    def test_hears_what_others_change(self) -> None:
        """P8: where changes are told, it has to listen, also if it never had to load anything."""

        def happenings(world: World) -> None:
            one, other = world.slots
            one.sign_in()
            world.advance(5)
            other.sign_in()
            world.advance(5)
            op = one.start()
            assert [other.session.wallet.tokens] == [one.session.wallet.tokens], op.sends

        assert [] == wrong_of(happenings, options=Options(is_watched=True))


class TestAReleaseThatHangs:
    def test_does_not_keep_back_what_is_known(self) -> None:
        """P9, P10: the refresh token is dead, and whoever waits is told so at once."""

        def happenings(world: World) -> None:
            [host] = world.slots
            host.start()
            world.advance_to(LIFE + 1)
            host.storage.faults.add(StorageFault.hang(), on="release")
            op = host.start()
            world.decide(world.issuer.undecided[0], "invalid grant")
            world.advance(1)
            assert ["SessionEnded"] == [type(error).__name__ for error in op.ends]

        assert [] == wrong_of(happenings, hosts=1)

    def test_does_not_outlive_the_session(self) -> None:
        """P10."""

        def happenings(world: World) -> None:
            [host] = world.slots
            world.issuer.policy = "at once"
            host.start()
            world.advance_to(LIFE + 1)
            host.storage.faults.add(StorageFault.hang(), on="release")
            host.start()
            world.advance(1)
            world.close_all()
            p10_nothing_is_left(world)

        assert [] == wrong_of(happenings, hosts=1)


class TestAWatch:
    def test_ends_with_the_session_whatever_is_still_to_be_saved(self) -> None:
        """P10."""

        def happenings(world: World) -> None:
            [host] = world.slots
            host.start()
            world.advance(1)
            host.storage.faults.add(StorageFault.fail(), on="replace")
            host.sign_out()
            host.close()
            world.advance(10)
            p10_nothing_is_left(world)

        assert [] == wrong_of(happenings, hosts=1, options=Options(is_watched=True))


class TestASaveThatFailsDuringTheClosing:
    def test_is_not_made_afterwards(self) -> None:
        """P10: a session that is closed does nothing any more."""

        def happenings(world: World) -> None:
            [host] = world.slots
            host.start()
            world.advance(1)
            host.storage.faults.add(StorageFault.hang(), on="replace")
            host.sign_out()
            world.advance(1)
            host.close()
            world.advance(29.5)
            assert host.is_closed
            p10_nothing_is_left(world)

        assert [] == wrong_of(happenings, hosts=1)


@dataclass
class Unkept:
    """Somebody has signed in and out in one process, whose storage hangs; another shares it."""

    fleet: Fleet
    one: Host
    other: Host
    calls: list[asyncio.Task[None]]

    async def tokens(self) -> list[str | None]:
        return [await self.one.token(), await self.other.token()]


@asynccontextmanager
async def signed_in_and_out(time: VirtualTime) -> AsyncIterator[Unkept]:
    fleet = Fleet(time, 0)
    ours = FaultyTokenStorage(fleet.memory)
    one, other = Host(ours, fleet.issuer, time), Host(fleet.memory, fleet.issuer, time)
    await asyncio.gather(one.token(), other.token())
    ours.faults.add(StorageFault.hang(), on="read", times=1)
    signing_in = one.session.set_tokens(fleet.issuer.sign_in("bob"))
    calls = [asyncio.create_task(call) for call in (signing_in, one.session.clear())]
    await asyncio.sleep(0.1)
    yield Unkept(fleet, one, other, calls)
    for host in (one, other):
        await host.session.aclose()


class TestASignOutAfterASignInThatCouldNotBeKept:
    @virtual
    async def test_ends_the_login_that_is_kept(self, time: VirtualTime) -> None:
        """P8: it is meant for what was there before the sign-in, also where that was refreshed meanwhile."""
        async with signed_in_and_out(time) as it:
            await it.other.session.refresh(force=True)
            outcomes = await asyncio.gather(*it.calls, return_exceptions=True)
            await asyncio.sleep(3)

            assert [TokenStorageError] * 2 == [type(outcome) for outcome in outcomes]
            assert ([None, None], None) == (await it.tokens(), await it.fleet.memory.load())

    @virtual
    async def test_leaves_a_login_alone_that_has_come_since(self, time: VirtualTime) -> None:
        """P8: who was told that it was not kept goes on with what is."""
        async with signed_in_and_out(time) as it:
            await it.other.session.set_tokens(it.fleet.issuer.sign_in("carol"))
            await asyncio.gather(*it.calls, return_exceptions=True)
            await asyncio.sleep(3)

            assert ["A-carol"] * 2 == await it.tokens()


class TestALeaseThatASignOutWaitsWith:
    @virtual
    async def test_is_not_given_back_when_there_is_nothing_to_be_saved_of_the_refresh_any_more(
        self, time: VirtualTime
    ) -> None:
        """P1: the refresh token is used up, and until the sign-out is kept the others would use it again."""
        fleet = Fleet(time, 0)
        ours = FaultyTokenStorage(fleet.memory)
        one, other = Host(ours, fleet.issuer, time), Host(fleet.memory, fleet.issuer, time)
        await asyncio.gather(one.token(), other.token())
        ours.faults.add(StorageFault.hang(), on="replace", times=1)
        refreshing = asyncio.create_task(one.session.refresh(force=True))
        await asyncio.sleep(0.5)  # the issuer has answered
        ours.faults.add(StorageFault.slow(2.0), on="any", times=1)
        leaving = asyncio.create_task(one.session.clear())
        outcomes = await asyncio.gather(refreshing, other.session.refresh(force=True), leaving, return_exceptions=True)

        assert [] == fleet.issuer.reused
        assert [SessionEnded, SessionEnded, None] == [type(outcome) if outcome else None for outcome in outcomes]
        assert (None, None, None) == (await one.token(), await other.token(), await fleet.memory.load())
        for host in (one, other):
            await host.session.aclose()


class TestTheEndOfASession:
    def test_is_saved_before_another_may_refresh(self) -> None:
        """P1, P9: the refresh token is dead; whoever has the lease next must find that out from the storage."""

        def happenings(world: World) -> None:
            one, other = world.slots
            one.start()
            world.advance_to(LIFE + 1)
            one.start()
            world.advance(0.1)
            other.start()
            one.storage.faults.add(StorageFault.hang(), on="replace")
            world.decide(world.issuer.undecided[0], "invalid grant")
            world.advance(10)
            world.settle()
            assert [one] == [request.host for request in world.issuer.requests]

        assert [] == wrong_of(happenings)
