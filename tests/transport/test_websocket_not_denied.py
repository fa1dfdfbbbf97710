"""What GraphQLWsLink does not take for a denial of the token, and delivers as it is."""

import asyncio
from typing import Any

from rxlink import AuthSession, CombinedGraphQLErrors
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.transport.websocket_bench import UNAUTHENTICATED, bench, deny, served, session_with, settle


@virtual
async def test_partial_data_is_delivered_as_it_is(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")
        partial = {"data": {"tick": 1, "secret": None}, "errors": [UNAUTHENTICATED]}

        await connection.send({"id": ids["A"], "type": "next", "payload": partial})
        await settle()

        assert ([partial], 0) == (seen, issuer.issued)


@virtual
async def test_other_errors_are_not_the_tokens_fault(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")

        await connection.send({"id": ids["A"], "type": "error", "payload": [{"message": "syntax"}]})
        await settle()

        assert [CombinedGraphQLErrors] == [type(error) for error in seen]
        assert 0 == issuer.issued


@virtual
async def test_an_is_auth_error_that_raises_has_seen_nothing(time: VirtualTime) -> None:
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    def raises(answer: object) -> bool:
        raise ZeroDivisionError

    async with session_with(Issuer(), time) as session, bench(auth=session, is_auth_error=raises) as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")

        await deny(connection, ids["A"])

        assert [CombinedGraphQLErrors] == [type(error) for error in seen]
        assert 1 == len(complaints)


@virtual
async def test_without_a_session_nothing_is_a_denial(time: VirtualTime) -> None:
    async with bench() as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")

        await deny(connection, ids["A"], "result")
        await deny(connection, ids["A"], "error")

        assert [{"errors": [UNAUTHENTICATED]}] == seen[:1]
        assert [CombinedGraphQLErrors] == [type(error) for error in seen[1:]]


@virtual
async def test_a_denial_where_nobody_is_signed_in_ends_the_operation(time: VirtualTime) -> None:
    async with AuthSession(refresh=Issuer(), clock=time.clock) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")

        await deny(connection, ids["A"])

        assert [CombinedGraphQLErrors] == [type(error) for error in seen]
