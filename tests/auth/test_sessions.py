"""Several identities in one process: a session for each, and nothing between them."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.auth.events import RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.errors import ClientClosed, InvariantTypeError, SessionEnded, TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import UNAUTHENTICATED, ScriptedServer, good, never, request
from tests.recording import END, Recorder, subscribed

USERS = ("ada", "bob", "eve")


class House:
    """A service of many users: tokens are called `user.number`, so that they tell whose they are."""

    def __init__(self, time: VirtualTime, *, delay: float = 1.0, server_delay: float = 0.0, **options: Any) -> None:
        self.server = ScriptedServer(delay=server_delay)
        self.refreshes: list[str] = []
        self.made: list[str] = []
        self.instead: dict[str, Any] = {}
        self._options = {"clock": time.clock, **options}
        self._delay = delay
        self.sessions = AuthSessions(self.make, key=lambda operation: operation.get_context().get("user"))
        self.link: ApolloLink = from_([AuthLink(self.sessions), self.server])

    def make(self, user: str) -> AuthSession:
        self.made.append(user)

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
            assert tokens is not None, "a user has tokens"
            self.refreshes.append(user)
            if (instead := self.instead.get(user)) is not None:
                await instead()
            await asyncio.sleep(self._delay)
            name = f"{user}.{int(tokens.access_token.split('.')[1]) + 1}"
            self.server.valid.add(f"Bearer {name}")
            return TokenSet(name)

        return AuthSession(refresh=refresh, tokens=TokenSet(f"{user}.0"), **self._options)

    def start(self, user: str | None, name: str = "Q", **context: Any) -> Recorder:
        named = context if user is None else {"user": user, **context}
        return subscribed(execute(self.link, request(name, context=named)))

    def users_of(self, name: str) -> set[str | None]:
        tokens = [send.token for send in self.server.sends if send.name == name]
        return {None if token is None else token.removeprefix("Bearer ").split(".")[0] for token in tokens}


async def fail() -> None:
    raise TokenRefreshError("out of order", retryable=False)


class TestKeys:
    @virtual
    async def test_of_each_there_is_one_refresh(self, time: VirtualTime) -> None:
        """E95, E94: five operations of each user, refused at once."""
        house = House(time)
        results = {(user, n): house.start(user, f"{user}{n}") for n in range(5) for user in USERS}
        await asyncio.sleep(2)

        assert {key: good(f"{key[0]}{key[1]}") for key in results} == {key: r.seen for key, r in results.items()}
        assert (list(USERS), list(USERS)) == (sorted(house.refreshes), house.made)
        assert {user: {user} for user in USERS} == {user: house.users_of(f"{user}3") for user in USERS}

    @pytest.mark.parametrize("instead", [fail, never], ids=["fails", "hangs"])
    @virtual
    async def test_one_whose_refresh_fails_or_hangs_delays_nobody_else(self, instead: Any, time: VirtualTime) -> None:
        """E95: no throttle, queue or lock is shared."""
        house = House(time, refresh_timeout=30)
        house.instead["ada"] = instead
        broken, other = house.start("ada", "Broken"), house.start("bob", "Other")
        await asyncio.sleep(1.5)
        done_in_time = list(other.seen)
        again = house.start("bob", "Again")
        await asyncio.sleep(40)

        assert (good("Other"), good("Again")) == (done_in_time, again.seen)
        assert isinstance(broken.seen[0], TokenRefreshError)

    @virtual
    async def test_nobody_has_none_and_nothing_is_made_for_them(self, time: VirtualTime) -> None:
        """E85, E94: no header, and a refusal is the operation's own."""
        house = House(time)
        result = house.start(None)
        await asyncio.sleep(1)

        assert ([UNAUTHENTICATED, END], [None], []) == (result.seen, house.server.tokens, house.made)
        assert (0, False) == (len(house.sessions), "ada" in house.sessions)

    @virtual
    async def test_an_operation_that_opts_out_is_not_even_asked_for_its_key(self, time: VirtualTime) -> None:
        """S39, E06: it has nothing to do with any user."""
        house = House(time)
        result = house.start("ada", auth="none")
        await asyncio.sleep(1)

        assert ([UNAUTHENTICATED, END], [None], []) == (result.seen, house.server.tokens, house.made)

    @pytest.mark.parametrize(
        ("make", "key", "expected"),
        [
            (lambda key: 1 / 0, lambda operation: "ada", ZeroDivisionError),
            (lambda key: None, lambda operation: "ada", InvariantTypeError),
            (lambda key: AuthSession, lambda operation: "ada", InvariantTypeError),
            (lambda key: None, lambda operation: 1 / 0, ZeroDivisionError),
            (lambda key: None, lambda operation: ["ada"], InvariantTypeError),
        ],
        ids=["make raises", "makes nothing", "makes a class", "key raises", "key unhashable"],
    )
    @virtual
    async def test_what_goes_wrong_with_them_is_the_operations_error(
        self, make: Any, key: Any, expected: type[Exception], time: VirtualTime
    ) -> None:
        """E95, P2: it is not sent, and the next one may do better."""
        server = ScriptedServer("t")
        sessions = AuthSessions(make, key=key)
        result = subscribed(execute(from_([AuthLink(sessions), server]), request()))

        assert ([expected], [], 0) == ([type(error) for error in result.seen], server.sends, len(sessions))

    @pytest.mark.parametrize("bad", [None, "make"])
    def test_functions_that_are_none_are_refused_at_once(self, bad: Any) -> None:
        with pytest.raises(InvariantTypeError, match="`make` of AuthSessions"):
            AuthSessions(bad, key=lambda operation: "ada")
        with pytest.raises(InvariantTypeError, match="`key` of AuthSessions"):
            AuthSessions(lambda key: None, key=bad)  # type: ignore[arg-type,return-value]

    def test_coroutine_functions_are_refused_at_once(self) -> None:
        async def later(_: Any) -> Any:
            raise AssertionError("nobody awaits it")

        with pytest.raises(InvariantTypeError, match="give a plain function"):
            AuthSessions(later, key=lambda operation: "ada")  # type: ignore[arg-type]
        with pytest.raises(InvariantTypeError, match="give a plain function"):
            AuthSessions(lambda key: None, key=later)  # type: ignore[arg-type,return-value]


class TestSharing:
    @virtual
    async def test_two_links_in_two_chains_share_the_refresh_of_a_user(self, time: VirtualTime) -> None:
        """E15, E95: whatever is short-lived, the sessions are not."""
        house = House(time)
        second = from_([AuthLink(house.sessions), house.server])
        one = house.start("ada", "One")
        two = subscribed(execute(second, request("Two", context={"user": "ada"})))
        await asyncio.sleep(2)

        assert (good("One"), good("Two"), ["ada"]) == (one.seen, two.seen, house.refreshes)

    @virtual
    async def test_a_refresh_may_send_operations_through_the_same_chain(self, time: VirtualTime) -> None:
        """S39, S38, E95: they pass, also where they would have the key of the user whose refresh it is."""
        house = House(time)
        inner: list[Any] = []

        async def ask() -> None:
            inner.append(await execute(house.link, request("Inner", context={"user": "ada"})))

        house.instead["ada"] = ask
        house.server.valid = {None}
        result = house.start("ada", "Outer")
        await asyncio.sleep(2)

        assert ([{"data": {"echo": "Inner"}}], good("Outer")) == (inner, result.seen)
        assert {None} == house.users_of("Inner")

    @virtual
    async def test_what_a_refresh_sends_need_not_say_whose_it_is(self, time: VirtualTime) -> None:
        """S39, E95: it passes without a key; with that of somebody else it carries theirs."""
        house = House(time)
        sessions = AuthSessions(house.sessions.get, key=lambda operation: operation.get_context()["user"])
        chain = from_([AuthLink(sessions), house.server])
        inner: list[Any] = []

        async def ask() -> None:
            inner.append(await execute(chain, request("Nobody")))
            inner.append(await execute(chain, request("Bob", context={"user": "bob"})))

        house.instead["ada"] = ask
        result = subscribed(execute(chain, request("Outer", context={"user": "ada"})))
        await asyncio.sleep(5)

        assert good("Outer") == result.seen
        assert ({None}, {"bob"}) == (house.users_of("Nobody"), house.users_of("Bob"))


class TestClosing:
    @virtual
    async def test_one_during_its_refresh_turns_its_own_away_and_nobody_else(self, time: VirtualTime) -> None:
        """E57, E95: and the next operation of this user begins anew."""
        house = House(time)
        ada, bob = house.start("ada", "A"), house.start("bob", "B")
        await asyncio.sleep(0.5)
        await house.sessions.close("ada")
        again = house.start("ada", "Again")
        await asyncio.sleep(2)

        assert [ClientClosed] == [type(error) for error in ada.seen]
        assert (good("B"), good("Again"), ["ada", "bob", "ada"]) == (bob.seen, again.seen, house.made)

    @virtual
    async def test_one_that_is_not_there_does_nothing(self, time: VirtualTime) -> None:
        house = House(time)
        await house.sessions.close("ada")

        assert [] == house.made

    @virtual
    async def test_all_turns_away_whoever_waits_and_whoever_comes_later(self, time: VirtualTime) -> None:
        """E57, P2: and makes no session any more."""
        house = House(time)
        waiting = [house.start(user) for user in USERS]
        await asyncio.sleep(0.5)
        sessions = [house.sessions.get(user) for user in USERS]
        async with house.sessions:
            pass
        late = house.start("ada"), house.start("zoe")
        nobody = house.start(None)
        await asyncio.sleep(1)

        outcomes = [recorder.seen for recorder in (*waiting, *late)]
        assert [ClientClosed] * 5 == [type(error) for seen in outcomes for error in seen]
        assert ([True] * 3, list(USERS)) == ([session.is_closed for session in sessions], house.made)
        assert [UNAUTHENTICATED, END] == nobody.seen

    @virtual
    async def test_signing_one_out_leaves_the_others_alone(self, time: VirtualTime) -> None:
        """P8, E94: the end of a session is that of one user."""
        house = House(time)
        ada, bob = house.start("ada", "A"), house.start("bob", "B")
        await asyncio.sleep(0.5)
        await house.sessions.get("ada").clear()
        await asyncio.sleep(1)

        assert ([SessionEnded], good("B")) == ([type(error) for error in ada.seen], bob.seen)


def test_they_show_how_many_they_are_and_no_key() -> None:
    """P7: a key may be the name of a user."""
    sessions = AuthSessions(lambda key: AuthSession(refresh=lambda *_: None, tokens=TokenSet(key)), key=lambda _: None)
    sessions.get("ada")

    assert ("<AuthSessions of 1>", ["ada"], True) == (repr(sessions), list(sessions), "ada" in sessions)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40))
@virtual
async def test_tokens_and_results_never_cross(seed: int, steps: int, time: VirtualTime) -> None:
    """E94, E95, E96: whatever users do, tokens do, and in whichever order answers come."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    house = House(time, delay=chance.random(), server_delay=chance.random())
    running: list[tuple[str | None, str, Recorder]] = []
    for number in range(steps):
        user = chance.choice([*USERS, None])
        match chance.choice(["start", "start", "start", "revoke", "refresh", "sign out", "close"]):
            case "start":
                running.append((user, f"N{number}", house.start(user, f"N{number}")))
            case "revoke":
                house.server.valid = {token for token in house.server.valid if f"{user}." not in str(token)}
            case "refresh" if user in house.sessions and house.sessions.get(user).wallet.tokens:
                subscribed(from_future(partial(house.sessions.get(user).refresh, force=True)))
            case "sign out" if user in house.sessions and chance.random() < 0.3:
                await house.sessions.get(user).clear()
            case "close" if user is not None and chance.random() < 0.3:
                await house.sessions.close(user)
            case _:
                pass
        await asyncio.sleep(chance.choice([0, 0.3]))
    await asyncio.sleep(200)
    await house.sessions.aclose()

    for user, name, recorder in running:
        is_result = recorder.seen in (good(name), [UNAUTHENTICATED, END])
        assert is_result or [True] == [isinstance(e, (SessionEnded, ClientClosed)) for e in recorder.seen]
        assert house.users_of(name) <= {user, None}
        assert 2 >= house.server.per_operation[name]
