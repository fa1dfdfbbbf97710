"""What GraphQLWsLink refuses to do with the tokens of a session, and how they can be told."""

import asyncio
from typing import Any

import pytest

from rxlink import (
    AuthLink,
    GraphQLRequest,
    GraphQLWsLink,
    InvariantError,
    TokenSet,
    execute,
    from_,
    split,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import bench, session_with


@virtual
async def test_the_way_the_token_is_told_can_be_chosen(time: VirtualTime) -> None:
    options: dict[str, Any] = {
        "connection_params": {"a": 1},
        "auth_params": lambda token: {"headers": {"x-jwt": token}},
    }
    async with session_with(Issuer(), time) as session, bench(auth=session, **options) as link:
        link.start("A")

        connection, _ = await link.accept("A")

        assert {"a": 1, "headers": {"x-jwt": "A0"}} == connection.received[0]["payload"]


@virtual
async def test_a_link_behind_the_auth_link_of_its_own_session_is_refused(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, session_with(Issuer(), time) as other:
        link = GraphQLWsLink("ws://localhost/", auth=session)

        with pytest.raises(InvariantError, match="AuthLink"):
            execute(from_([AuthLink(session), link]), GraphQLRequest("{ tick }"))
        from_([AuthLink(other), link])
        with pytest.raises(InvariantError, match="no message of a socket carries"):
            from_([AuthLink(other), GraphQLWsLink("ws://localhost/")])
        from_([AuthLink(other), GraphQLWsLink("ws://localhost/", connection_params={"key": "of another kind"})])
        split(lambda operation: True, link, AuthLink(session))


@virtual
async def test_operations_from_inside_the_refresh_are_refused(time: VirtualTime) -> None:
    from rxlink import AuthSession

    errors: list[Exception] = []

    async def refresh(tokens: TokenSet | None, reason: object) -> TokenSet:
        errors.extend(link.start("R", "mutation").seen)
        return TokenSet("A1")

    async with AuthSession(refresh=refresh, tokens=TokenSet("A0"), clock=time.clock) as session:
        async with bench(auth=session) as link:
            await session.refresh(force=True)

            assert [InvariantError] == [type(error) for error in errors]
            assert "over HTTP" in str(errors[0])
            assert [] == link.server.handshakes


@virtual
async def test_no_token_goes_over_plain_ws_to_another_machine(time: VirtualTime) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session, url="ws://example.invalid/") as link:
        seen = link.start("A").seen

        await asyncio.sleep(60)

        assert ["allow_insecure" in str(error) for error in seen if isinstance(error, InvariantError)] == [True]
