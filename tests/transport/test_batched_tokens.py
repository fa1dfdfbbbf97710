"""E94: many users over one BatchHttpLink, and no operation carries another one's token."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError
from rxlink.transport.batch_http import BatchHttpLink
from tests.transport.protected import TOKEN, answer_each, query
from tests.transport.scripted_server import ScriptedServer, scripted_server

USERS = st.lists(st.sampled_from(["ada", "bob", "eve", None]), min_size=1, max_size=12)
OPTIONS = [{}, {"batch_key": lambda operation: "all"}, {"batch_hybrid_requests": True}]


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


class TestABatch:
    """E94: many users at once, and no operation carries another one's token."""

    @pytest.mark.parametrize("header", ["authorization", "X-Api-Key"])
    @pytest.mark.parametrize("options", OPTIONS)
    @given(users=USERS)
    def test_is_of_one_user_whatever_the_key(self, header: str, options: dict[str, Any], users: list[str | None]):
        async def run() -> list[web.Request]:
            async with scripted_server() as server, BatchHttpLink(server.uri, batch_max=0, **options) as link:
                server.answer = answer_each

                async def one(user: str | None) -> Any:
                    return await execute(link, query(user, header=header))

                answers = await asyncio.gather(*map(one, users))
                assert [{"data": {"t": user}} for user in users] == answers
                sent = [[one["variables"]["t"] for one in json.loads(body)] for body in server.bodies]
                carried = [request.headers.get(header) for request in server.requests]
                assert carried == [tokens[0] for tokens in sent]
                assert [{token} for token in carried] == [set(tokens) for tokens in sent]
                return server.requests

        assert len(set(users)) == len(asyncio.run(run()))

    @pytest.mark.parametrize("options", OPTIONS)
    async def test_does_not_lump_a_protected_header_with_one_that_is_not(
        self, server: ScriptedServer, options: dict[str, Any]
    ):
        """They have the same value: what differs is where a redirect may take it."""
        server.answer = answer_each

        async def one(request: GraphQLRequest) -> Any:
            return await execute(link, request)

        async with BatchHttpLink(server.uri, **options) as link:
            await asyncio.gather(one(query(header="x-key")), one(query(None, headers={"x-key": TOKEN})))

        assert 2 == len(server.requests)

    async def test_loses_only_the_operation_that_may_not_go(self, server: ScriptedServer, other: ScriptedServer):
        server.answer = answer_each

        async def one(request: GraphQLRequest) -> Any:
            return await execute(link, request)

        async with BatchHttpLink(server.uri, batch_key=lambda operation: "all") as link:
            requests = query(), query(uri=other.uri), query()
            outcomes = await asyncio.gather(*map(one, requests), return_exceptions=True)

        assert [dict, InvariantError, dict] == [type(outcome) for outcome in outcomes]
        assert (1, 0) == (len(server.requests), len(other.requests))
