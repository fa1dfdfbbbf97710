"""One session in several threads that switch as often as Python can, at random, again and again.

A round is made from its seed: what each thread does, and when. How the threads interleave is the machine's choice, so a
round that was red once may be green the next time; `test_threads_in_between.py` makes what was found here certain.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from rxlink.auth.events import AuthState, RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.errors import SessionEnded
from tests.auth.crew import Ear, on_threads
from tests.auth.scripted import UNAUTHENTICATED, ScriptedServer, ScriptedStorage, good, request
from tests.conftest import SHORT_SOAK
from tests.recording import END

SWITCHES = 1e-6  # seconds
ROUNDS = 50
SOAK_ROUNDS = 500 if SHORT_SOAK else 5_000


@pytest.fixture(autouse=True)
def threads_switch_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCHES)
    yield
    sys.setswitchinterval(before)


class World:
    """A session, its issuer, its storage and a server; tokens are called `user.number`, so that they tell whose."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.plans = [
            [chance.choices(ACTIONS, WEIGHTS)[0] for _ in range(chance.randint(2, 6))]
            for _ in range(chance.randint(2, 4))
        ]
        self.pauses = [chance.choice([0, 0, 0.0005]) for _ in range(100)]
        first = TokenSet("u0.0", refresh_token="r-u0.0")
        self.storage = ScriptedStorage(first, delay=chance.choice([0, 0.0003]))
        self.server = ScriptedServer("u0.0", delay=0)
        self.session = AuthSession(refresh=self.refresh, storage=self.storage)
        self.link: ApolloLink = from_([AuthLink(self.session), self.server])
        self.presented: list[str | None] = []
        self.users = 0
        self.under_way = 0

    async def refresh(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        if tokens is None:
            raise SessionEnded("nobody is here")
        await asyncio.sleep(self.pauses[len(self.presented)])
        self.presented.append(tokens.refresh_token)
        user, number = tokens.access_token.split(".")
        name = f"{user}.{int(number) + 1}"
        self.server.valid.add(f"Bearer {name}")
        return TokenSet(name, refresh_token=f"r-{name}")

    # -- what threads do ----------------------------------------------------------------------------------------------

    async def operate(self, name: str) -> None:
        ears = [(f"{name}x{number}", Ear()) for number in range(3)]
        for own, ear in ears:
            execute(self.link, request(own)).subscribe(ear)
        await asyncio.gather(*(ear.ended for _, ear in ears))
        for own, ear in ears:
            check_outcome(own, ear.seen)
            assert {threading.get_ident()} == {thread for thread, _ in ear.heard}

    async def revoke(self, name: str) -> None:
        self.server.valid.clear()

    async def ask(self, name: str) -> None:
        await allowing_ends(self.session.get_token())

    async def force(self, name: str) -> None:
        await allowing_ends(self.session.refresh(force=True))

    async def sign_in(self, name: str) -> None:
        self.users += 1  # two threads may choose the same number: that is why the name is in it
        user = f"u{name}{self.users}"
        self.server.valid.add(f"Bearer {user}.0")
        await self.session.set_tokens(TokenSet(f"{user}.0", refresh_token=f"r-{user}.0"))

    async def sign_out(self, name: str) -> None:
        await self.session.clear()

    # -- a round ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        states: list[AuthState] = []
        self.session.states.subscribe(states.append)

        async def act(thread: int) -> None:
            for step, action in enumerate(self.plans[thread]):
                await getattr(self, action)(f"T{thread}S{step}")

        outcomes = on_threads(*(lambda thread=thread: act(thread) for thread in range(len(self.plans))))
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        asyncio.run(self.session.aclose())
        self.check(states)

    def check(self, states: list[AuthState]) -> None:
        assert [] == [token for token, count in Counter(self.presented).items() if count > 1], "presented twice"
        if self.session.keeper.is_loaded:
            assert self.storage.tokens == self.session.wallet.tokens
        whose: dict[str, set[str | None]] = {}
        for send in self.server.sends:
            user = None if send.token is None else send.token.removeprefix("Bearer ").split(".")[0]
            whose.setdefault(send.name, set()).add(user)
        assert {} == {name: users for name, users in whose.items() if len(users) > 1}, "tokens crossed"
        assert 2 >= max(self.server.per_operation.values(), default=0)
        assert [] == [state for state, following in itertools.pairwise(states) if state == following]


ACTIONS = ["operate", "revoke", "ask", "force", "sign_in", "sign_out"]
WEIGHTS = [8, 4, 2, 2, 1, 1]


def check_outcome(name: str, seen: list[Any]) -> None:
    """A result of its own, a refusal, or a word of why not: and exactly one."""
    is_result = seen in (good(name), [UNAUTHENTICATED, END])
    assert is_result or [True] == [isinstance(error, SessionEnded) for error in seen], (name, seen)


async def allowing_ends(call: Awaitable[Any]) -> None:
    with suppress(SessionEnded):
        await call


@pytest.mark.timeout(60)
def test_threads_that_do_what_they_want_end_well() -> None:
    """E55, P1, P2, P3, P8, P11: each operation ends once, as itself; no refresh token is presented twice."""
    for seed in range(ROUNDS):
        World(seed).run()


@pytest.mark.soak
def test_threads_that_do_what_they_want_for_long_end_well() -> None:
    """E55, P1, P2, P3, P8, P11: the same with more seeds."""
    for seed in range(ROUNDS, ROUNDS + SOAK_ROUNDS):
        World(seed).run()
