"""What the cured recipes that refresh ahead of the end are said to do; one claim a test.

`test_examples.py` runs the files as programs and compares what they print. Here their clients are put through one
situation each, and the server, or a link at the end of the chain, says what was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

import jwt
import pytest
from reactivex import just

from rxlink.auth.events import RefreshTryFailed
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.testing import AuthServer, Fault
from tests.docs.example_clients import VIEWER, answered, example, use

DAY = 86_400.0
CURED = ("Cured", "WithSession")


class Ahead:
    """The server and the clock of `proactive_refresh`, and a client whose token ends soon."""

    def __init__(self, recipe: str, seconds_left: float = 30) -> None:
        self.module = example("proactive_refresh")
        self.clock = self.module.Clock()
        self.server = AuthServer(
            token_life=self.module.LIFE, refresh_life=DAY, clock=lambda: self.clock.seconds, now=self.clock.now
        )
        self._recipe = getattr(self.module, recipe)
        self._seconds_left = seconds_left
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> tuple[AuthServer, Any]:
        await self._stack.enter_async_context(self.server)
        client = await use(self._stack, self._recipe(self.server, self.clock))
        self.clock.seconds += self.module.LIFE - self._seconds_left
        return self.server, client

    async def __aexit__(self, *details: object) -> bool:
        return await self._stack.__aexit__(*details)


@pytest.mark.parametrize("recipe", CURED)
class TestProactiveRefresh:
    async def test_a_token_in_its_last_minute_is_replaced_once_and_before_anything_is_sent(self, recipe: str) -> None:
        """S41, S42, S40: five operations share the refresh, and each is sent once, with the new token."""
        async with Ahead(recipe) as (server, client):
            await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(5)))

            assert 1 == server.ledger.refreshes
            assert [1] * 5 == [send.generation and send.generation.index for send in server.ledger.all_sends]

    async def test_an_error_is_never_sent_as_a_token(self, recipe: str) -> None:
        """S43: after a refresh that fails for good nothing is sent with anything that is no token."""
        async with Ahead(recipe, seconds_left=-1) as (server, client):
            server.revoke_refresh(client.user)

            ends = await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(3)), return_exceptions=True)

            assert all(isinstance(end, Exception) for end in ends)
            assert [] == server.ledger.all_sends

    async def test_an_outage_signs_nobody_out(self, recipe: str) -> None:
        """S44: a refresh that is answered 503 leaves the tokens, and the next one succeeds with them."""
        async with Ahead(recipe) as (server, client):
            server.faults.add(Fault.status(503))

            results = [await execute(client.link, VIEWER) for _ in range(2)]

            assert [answered(client)] * 2 == results
            assert ["faulted", "granted"] == [refresh_try.outcome for refresh_try in server.ledger.refresh_tries]

    async def test_the_header_has_the_scheme_and_the_others_stay(self, recipe: str) -> None:
        """S45, S46: `JWT` and the token, beside the headers that the operation has."""
        async with Ahead(recipe, seconds_left=1800) as (_, client):
            sent: list[Any] = []
            first = client.session
            spy = ApolloLink(lambda operation, _: sent.append(operation.get_context()["headers"]) or just({"data": {}}))
            link = from_([client.auth_link(), spy])

            await execute(link, GraphQLRequest(VIEWER.query, context={"headers": {"x-label": "kept"}}))
            if client.session is not first:
                await client.session.aclose()

            assert [{"x-label": "kept", "authorization": f"JWT {client.tokens.access_token}"}] == sent

    async def test_who_leaves_does_not_stop_the_refresh_of_others(self, recipe: str) -> None:
        """S42: one of those who share the refresh leaves, and the others get their answers."""
        async with Ahead(recipe) as (server, client):
            server.faults.add(Fault.delay(0.05))
            leaver = execute(client.link, VIEWER).subscribe()
            stayer = execute(client.link, VIEWER).to_future()
            for _ in range(5):  # turns of the loop in which the refresh begins
                await asyncio.sleep(0)

            leaver.dispose()

            assert answered(client) == await stayer
            assert 1 == len(server.ledger.all_sends)


class Legroom(NamedTuple):
    """A server and a client of `legroom_refresh`.

    Attributes:
        bearers: The names of operations that were sent, each with whether its bearer was the refresh token.
        refreshed: Whether a refresh has come to its end.
    """

    server: AuthServer
    client: Any
    bearers: set[tuple[str | None, bool]]
    refreshed: asyncio.Event


async def legroom(stack: AsyncExitStack, recipe: str, seconds_left: float, *, is_opaque: bool = False) -> Legroom:
    """Let a client sign in, and the time go by."""
    module = example("legroom_refresh")
    base = module.AsPublished
    clock: Callable[[], Any] = partial(getattr, base, "now")
    server = AuthServer(token_life=module.LIFE, refresh_life=DAY, clock=lambda: clock().timestamp(), now=clock)
    await stack.enter_async_context(server)
    bearers: set[tuple[str | None, bool]] = set()
    refreshed = asyncio.Event()

    class Spied(getattr(module, recipe)):
        async def refresh(self) -> Any:
            try:
                return await super().refresh()
            finally:
                refreshed.set()

        def translate(self, operation: Any, forward: Any) -> Any:
            bearer = operation.get_context()["headers"]["authorization"]
            bearers.add((operation.operation_name, bearer == f"Bearer {self.tokens.refresh_token}"))
            return super().translate(operation, forward)

    client = await use(stack, Spied(server, is_opaque=is_opaque))
    base.now += module.timedelta(seconds=module.LIFE - seconds_left)
    return Legroom(server, client, bearers, refreshed)


@pytest.mark.parametrize("recipe", CURED)
class TestLegroomRefresh:
    async def test_an_operation_goes_on_while_its_token_is_replaced(self, recipe: str) -> None:
        """S47: 30 s before the end it is sent at once with the old token, and one refresh runs beside it."""
        async with AsyncExitStack() as stack:
            server, client, _, refreshed = await legroom(stack, recipe, 30)
            server.faults.add(Fault.delay(0.1))

            await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(5)))
            refreshed_by_then = server.ledger.refreshes
            await refreshed.wait()

            assert [0] * 5 == [send.generation.index for send in server.ledger.all_sends]
            assert (0, 1) == (refreshed_by_then, server.ledger.refreshes)

    async def test_an_operation_waits_once_its_token_has_ended(self, recipe: str) -> None:
        """S47, S50: past the end five wait for the one refresh, and nobody presents a used refresh token."""
        async with AsyncExitStack() as stack:
            server, client, *_ = await legroom(stack, recipe, -1)

            await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(5)))

            assert [1] * 5 == [send.generation.index for send in server.ledger.all_sends]
            assert [None] == [refresh_try.why for refresh_try in server.ledger.refresh_tries]

    async def test_a_refresh_that_fails_beside_an_operation_disturbs_nobody(self, recipe: str) -> None:
        """S48: the operation is answered, asyncio has nothing to complain of (the fixtures look), a session tells."""
        async with AsyncExitStack() as stack:
            server, client, _, refreshed = await legroom(stack, recipe, 30)
            server.faults.add(Fault.status(503))
            told: list[str] = []
            if client.session is not None:
                failures = client.session.events.filter(lambda event: isinstance(event, RefreshTryFailed))
                failures.subscribe(lambda event: told.append(event.error_type))

            result = await execute(client.link, VIEWER)
            await refreshed.wait()

            assert answered(client) == result
            assert ([] if client.session is None else ["ServerError"]) == told

    async def test_a_token_that_cannot_be_read_is_used(self, recipe: str) -> None:
        """S49: a garbled JWT of unknown life is good until it is refused."""
        async with AsyncExitStack() as stack:
            server, client, *_ = await legroom(stack, recipe, 1800, is_opaque=True)

            await execute(client.link, VIEWER)

            assert [] == server.ledger.refresh_tries

    async def test_only_the_refresh_carries_the_refresh_token(self, recipe: str) -> None:
        """S51: it is the bearer of the refresh, and of nothing else."""
        async with AsyncExitStack() as stack:
            _, client, bearers, _ = await legroom(stack, recipe, -1)

            result = await execute(client.link, VIEWER)

            assert answered(client) == result
            assert {("Refresh", True), ("Viewer", False)} == bearers


@pytest.mark.parametrize("token", [jwt.encode({"sub": "ada"}, "k" * 32), "opaque", "not.a.jwt"])
async def test_a_session_uses_a_token_of_unknown_end_until_it_is_refused(token: str) -> None:
    """S49: a JWT without `exp`, an opaque token and a garbled one are never replaced ahead."""
    reasons: list[object] = []

    async with AuthSession(refresh=lambda tokens, reason: reasons.append(reason), tokens=TokenSet(token)) as session:
        assert token == await session.get_token()

    assert [] == reasons
