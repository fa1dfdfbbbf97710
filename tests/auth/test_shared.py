"""Sessions that share a storage: one refresh among them, and the logins and logouts of others."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import Any

import pytest

from rxlink.auth.authorization import Authorization
from rxlink.auth.events import AuthState, AuthStatus, Ended
from rxlink.auth.link import AuthLink
from rxlink.auth.storage import MemoryTokenStorage, StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.errors import SessionEnded
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import ScriptedServer, good, request
from tests.auth.shared_bench import Fleet, Host, StrictIssuer, Telling
from tests.recording import subscribed

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
        ends = [
            name for host in fleet.hosts for name in host.heard if name in {"RefreshSucceeded", "RefreshSuperseded"}
        ]
        assert {"RefreshSucceeded": 1, "RefreshSuperseded": 49} == Counter(ends)
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


class TestOperations:
    """P8: what others change is noticed by what begins, and by what had begun."""

    @staticmethod
    async def relogin(fleet: Fleet) -> ScriptedServer:
        """Sign Bob in at the first host, where the second has sent as Ada."""
        await fleet.tokens()
        await fleet.hosts[0].session.set_tokens(fleet.issuer.sign_in("bob"))
        return ScriptedServer("A0", "A-bob")

    @virtual
    async def test_that_begin_after_another_login_elsewhere_are_of_that_one(self, time: VirtualTime) -> None:
        fleet = Fleet(time)
        server = await self.relogin(fleet)
        link = from_([AuthLink(fleet.hosts[1].session), server])

        results = await asyncio.gather(*(execute(link, request(name)) for name in ("One", "Two")))

        assert [{"data": {"echo": name}} for name in ("One", "Two")] == results
        assert ["Bearer A-bob"] * 2 == server.tokens
        await fleet.aclose()

    @virtual
    async def test_of_one_login_share_what_the_link_knows_of_it(self, time: VirtualTime) -> None:
        """Very many may wait for the look that finds it."""
        fleet = Fleet(time)
        server = await self.relogin(fleet)
        session, server.delay = fleet.hosts[1].session, 2.0
        link, keeper = from_([AuthLink(session), server]), session.keeper

        recorders = [subscribed(execute(link, request())) for _ in range(100)]
        await asyncio.sleep(1)
        recorders += [subscribed(execute(link, request())) for _ in range(100)]
        known = [one for one in gc.get_objects() if isinstance(one, Authorization) and one.keeper is keeper]
        await asyncio.sleep(3)

        assert [good()] * 200 == [recorder.seen for recorder in recorders]
        assert len(known) <= 2
        await fleet.aclose()

    @virtual
    async def test_that_had_begun_before_it_end(self, time: VirtualTime) -> None:
        """Sent once as Ada, and once more by a link above or whoever subscribes again."""
        fleet = Fleet(time)
        server = ScriptedServer("A0", "A-bob")
        operation = execute(from_([AuthLink(fleet.hosts[1].session), server]), request())
        await operation
        await self.relogin(fleet)

        with pytest.raises(SessionEnded, match="somebody else has signed in since"):
            await operation

        assert ["Bearer A0"] == server.tokens
        await fleet.aclose()

    @virtual
    async def test_that_look_twice_are_of_the_login_that_is_found_last(
        self, time: VirtualTime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another one has come while the storage was read."""
        fleet = Fleet(time)
        server = await self.relogin(fleet)
        at_once = fleet.memory.read

        async def read() -> StoredTokens | None:
            found = await at_once()
            monkeypatch.undo()
            await fleet.hosts[0].session.set_tokens(fleet.issuer.sign_in("eve"))
            return found

        server.accept_only("A-eve")
        monkeypatch.setattr(fleet.memory, "read", read)
        result = await execute(from_([AuthLink(fleet.hosts[1].session), server]), request())

        assert {"data": {"echo": "Q"}} == result
        assert ["Bearer A-eve"] == server.tokens
        await fleet.aclose()


class TestAtOnce:
    @pytest.mark.parametrize("first", ["set_tokens", "clear", "get_token"])
    @virtual
    async def test_whatever_a_session_begins_with_it_hears_of_others(self, time: VirtualTime, first: str) -> None:
        """S53, P8: and without being used."""
        storage = Telling()
        one, other = (Host(storage, StrictIssuer(), time) for _ in range(2))
        await getattr(one.session, first)(*[TokenSet("A0")] * (first == "set_tokens"))

        await other.session.set_tokens(TokenSet("B0"))
        await asyncio.sleep(0.1)
        tokens = one.session.keeper.tokens
        await other.session.clear()
        await asyncio.sleep(0.1)

        assert tokens is not None
        assert ("B0", AuthState(AuthStatus.UNAUTHENTICATED, "signed out")) == (tokens.access_token, one.states[-1])
        for host in (one, other):
            await host.session.aclose()
        assert not storage.watchers
