"""The part of the demo that a service would write."""

import pytest

from rxlink import GraphQLRequest, execute
from rxlink.demo.service import Service
from rxlink.errors import ClientClosed, SessionEnded
from rxlink.testing.auth_server import AuthServer

VIEWER = GraphQLRequest("{ viewer { name } }")


async def test_it_signs_in_and_sends_operations_with_the_token_of_the_day():
    async with AuthServer(token_life=60) as server:
        # given
        service = Service(server.url)
        await service.sign_in("ada", "secret")

        # when
        await execute(service.chain, VIEWER)
        server.revoke_access("ada")
        result = await execute(service.chain, VIEWER)
        await service.aclose()

    # then
    assert {"data": {"viewer": {"name": "ada"}}} == result
    assert (1, 1) == (server.ledger.expiries, server.ledger.refreshes)


async def test_a_refresh_token_that_is_refused_ends_the_session():
    async with AuthServer(token_life=60) as server:
        # given
        service = Service(server.url)
        await service.sign_in("ada", "secret")
        server.revoke_access("ada")
        server.revoke_refresh("ada")

        # when
        with pytest.raises(SessionEnded):
            await execute(service.chain, VIEWER)
        await service.aclose()

    # then
    assert ["refused"] == [each.outcome for each in server.ledger.refresh_tries]


async def test_it_closes_its_session_and_its_chain():
    async with AuthServer() as server:
        service = Service(server.url)
        await service.sign_in("ada", "secret")

        await service.aclose()

        with pytest.raises(ClientClosed):
            await service.session.get_token()
        with pytest.raises(ClientClosed):
            await service.sign_in("ada", "secret")
