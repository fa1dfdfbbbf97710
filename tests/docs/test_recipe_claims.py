"""What the cured recipes whose refresh is an operation, or goes by cookie, are said to do; one claim a test.

`test_examples.py` runs the files as programs and compares what they print. Here their clients are put through one
situation each, and the server, or a link at the end of the chain, says what was sent.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.testing import AuthServer
from tests.docs.example_clients import VIEWER, answered, example, use


@pytest.mark.parametrize("recipe", ["SecondChain", "Marked", "WithSession"])
class TestRefreshWithAClient:
    """S33: the refresh is a GraphQL mutation on the endpoint of the client."""

    async def test_a_refresh_that_is_refused_does_not_wait_for_itself(self, recipe: str) -> None:
        """S38: a refresh through the guarded chain that is refused ends those who wait for it."""
        module = example("refresh_with_client")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            server.revoke_access(client.user)
            server.revoke_refresh(client.user)

            ends = await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(3)), return_exceptions=True)

            assert all(isinstance(end, Exception) for end in ends)
            assert 1 == len(server.ledger.refresh_tries)

    async def test_a_refresh_carries_no_access_token(self, recipe: str) -> None:
        """S37, S39, E30: a server that refuses a refresh with an access token has nothing to refuse."""
        module = example("refresh_with_client")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            client.is_server_strict = True
            server.revoke_access(client.user)

            result = await execute(client.link, VIEWER)

            assert answered(client) == result

    async def test_each_expiry_asks_the_server(self, recipe: str) -> None:
        """S25: no cache answers a refresh with the token of the one before."""
        module = example("refresh_with_client")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            results = []

            for _ in range(3):
                server.revoke_access(client.user)
                results.append(await execute(client.link, VIEWER))

            assert [answered(client)] * 3 == results
            assert 3 == server.ledger.refreshes


@pytest.mark.parametrize("recipe", ["Cured", "WithSession"])
class TestCookieRefresh:
    """S33: the refresh is a request with a cookie to an endpoint of its own."""

    async def test_each_refresh_presents_the_cookie_of_the_one_before_and_only_to_its_path(self, recipe: str) -> None:
        """S36: three expiries, three cookies, and no operation ever carries one."""
        module = example("cookie_refresh")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            await client.sign_in()

            for _ in range(3):
                server.revoke_access(client.user)
                assert answered(client) == await execute(client.link, VIEWER)

            assert [0, 1, 2] == [refresh_try.generation.index for refresh_try in server.ledger.refresh_tries]
            assert {"/graphql": 0, "/refresh": 3} == client.with_cookie

    async def test_a_refresh_that_fails_is_told_to_everyone_who_waits(self, recipe: str) -> None:
        """S36, S10, S31: the cookie is dead: five errors, nothing is sent again, and the jar is empty."""
        module = example("cookie_refresh")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            await client.sign_in()
            server.revoke_access(client.user)
            server.revoke_refresh(client.user)

            ends = await asyncio.gather(*(execute(client.link, VIEWER) for _ in range(5)), return_exceptions=True)

            assert ["SessionEnded"] * 5 == [type(end).__name__ for end in ends]
            assert 5 == len(server.ledger.all_sends) - 1  # and the sign-in
            assert [] == list(client.browser.cookie_jar)

    async def test_signing_out_forgets_the_cookie_and_revokes_it(self, recipe: str) -> None:
        """S53: afterwards the jar is empty, and a copy of the cookie is worth nothing."""
        module = example("cookie_refresh")
        async with AuthServer(token_life=60) as server, AsyncExitStack() as stack:
            client = await use(stack, getattr(module, recipe)(server))
            await client.sign_in()
            copies = {cookie.key: cookie.value for cookie in client.browser.cookie_jar}

            await execute(client.link, GraphQLRequest("mutation SignOut { signOut }"))
            async with aiohttp.ClientSession(cookies=copies) as thief, thief.post(server.cookie_url) as response:
                status = response.status

            assert [] == list(client.browser.cookie_jar)
            assert (401, "revoked") == (status, server.ledger.refresh_tries[-1].why)
