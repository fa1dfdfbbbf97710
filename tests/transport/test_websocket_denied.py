"""GraphQLWsLink when the server denies single operations because of their token (E90)."""

import asyncio

import pytest

from rxlink import CombinedGraphQLErrors, TokenRefreshError
from rxlink.auth.pacing import CoolDownOptions
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer
from tests.recording import END
from tests.transport.websocket_bench import DENIALS, began, bench, deny, served, session_with, settle, ticks, token_of


@pytest.mark.parametrize("how", DENIALS)
@virtual
async def test_e90_a_denied_subscription_is_sent_again_with_a_new_token(how: str, time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        denied, sibling = link.start("A"), link.start("B")
        old, ids = await served(link, "A", "B")

        await deny(old, ids["A"], how)
        new, _ = await served(link, "B", "A")
        await new.deliver(ids["A"], tick=1)
        await new.deliver(ids["B"], tick=2)
        await settle()

        assert ["A0", "A1"] == [token_of(old), token_of(new)]
        assert [ticks(1), ticks(2)] == [denied.seen, sibling.seen]
        assert 1 == issuer.issued
        assert [["B"], ["A"]] == [
            [operation.operation_name for operation in event.operations]
            for event in link.events
            if hasattr(event, "operations")
        ] or link.kinds().count("Resubscribed") == 2


@pytest.mark.parametrize("how", DENIALS)
@virtual
async def test_e90_one_that_is_denied_again_ends_alone(how: str, time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        denied, sibling = link.start("A"), link.start("B")
        old, ids = await served(link, "A", "B")
        await deny(old, ids["A"], how)
        new, _ = await served(link, "B", "A")
        await old.closed()

        await deny(new, ids["A"], how)
        await new.complete(ids["A"])
        await new.deliver(ids["B"], tick=1)
        await settle()
        await asyncio.sleep(60)

        expected = [DENIALS[how]["payload"], END] if how != "error" else [CombinedGraphQLErrors]
        assert expected == [type(value) if isinstance(value, Exception) else value for value in denied.seen]
        assert ticks(1) == sibling.seen
        assert (1, 2) == (issuer.issued, len(link.server.handshakes))
        assert not new.is_closed


@virtual
async def test_e90_one_that_is_denied_twice_ends_although_another_was_denied_just_before(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        denied = link.start("A")
        first, ids = await served(link, "A")
        await deny(first, ids["A"])
        second, _ = await served(link, "A")
        link.start("B")
        ids |= await began(second, "B")

        await deny(second, ids["B"])
        await deny(second, ids["A"])

        assert [CombinedGraphQLErrors] == [type(error) for error in denied.seen]


@virtual
async def test_a_subscription_may_be_denied_again_after_a_while(time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen

        for _ in range(10):
            connection, ids = await served(link, "A")
            await asyncio.sleep(11)
            await deny(connection, ids["A"])
        await served(link, "A")

        assert ([], 10) == (seen, issuer.issued)


@pytest.mark.parametrize("how", ["lost", "moved"])
@virtual
async def test_a_denial_that_was_outlived_does_not_count_on_the_next_socket(how: str, time: VirtualTime) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        seen = link.start("A").seen
        connection, ids = await served(link, "A")
        await deny(connection, ids["A"])
        connection, _ = await served(link, "A")
        await asyncio.sleep(11)

        if how == "lost":
            connection.abort()
        else:
            await session.refresh(force=True)
        connection, _ = await served(link, "A")
        await asyncio.sleep(0.5)
        await deny(connection, ids["A"])
        connection, _ = await served(link, "A")

        assert [] == seen
        assert f"A{issuer.issued}" == token_of(connection)


@virtual
async def test_all_that_are_denied_together_share_one_refresh(time: VirtualTime) -> None:
    issuer = Issuer(delay=1.0)
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        names = [f"A{number}" for number in range(20)]
        recorders = [link.start(name) for name in names]
        old, ids = await served(link, *names)

        for name in names:
            await deny(old, ids[name])
        new, _ = await served(link, *names)
        for name in names:
            await new.deliver(ids[name], tick=1)
        await settle()

        assert [ticks(1)] * 20 == [recorder.seen for recorder in recorders]
        assert 1 == issuer.issued


@virtual
async def test_operations_that_begin_while_the_token_is_refused_wait_for_the_new_one(time: VirtualTime) -> None:
    async with session_with(Issuer(delay=5.0), time) as session, bench(auth=session) as link:
        link.start("A")
        old, ids = await served(link, "A")
        await deny(old, ids["A"])

        link.start("B")
        new, _ = await served(link, "A", "B")

        assert "A1" == token_of(new)
        assert ["connection_init", "subscribe"] == old.kinds


@virtual
async def test_mutations_are_not_sent_again_where_that_is_asked_for_but_the_token_is_refreshed(
    time: VirtualTime,
) -> None:
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session, retry_mutations=False) as link:
        mutation, sibling = link.start("M", "mutation"), link.start("B")
        old, ids = await served(link, "M", "B")

        await deny(old, ids["M"])
        new, _ = await served(link, "B")

        assert [CombinedGraphQLErrors] == [type(error) for error in mutation.seen]
        assert ("A1", 1, []) == (token_of(new), issuer.issued, sibling.seen)


@pytest.mark.parametrize(("status", "tries"), [(503, 6), (404, 1)])
@virtual
async def test_where_the_new_socket_cannot_be_opened_the_denied_one_waits_and_ends_alone(
    status: int, tries: int, time: VirtualTime
) -> None:
    async with session_with(Issuer(), time) as session, bench(auth=session) as link:
        denied, sibling = link.start("A"), link.start("B")
        old, ids = await served(link, "A", "B")
        link.server.refusal = status

        await deny(old, ids["A"])
        await asyncio.sleep(100)
        await old.deliver(ids["B"], tick=1)
        await settle()

        assert [status] == [error.status_code for error in denied.seen]
        assert ticks(1) == sibling.seen
        assert 1 + tries == len(link.server.handshakes)


@virtual
async def test_where_the_refresh_fails_for_good_the_denied_one_ends_with_that_and_its_siblings_live(
    time: VirtualTime,
) -> None:
    issuer = Issuer(script=[ValueError("a mistake of the application")])
    async with session_with(issuer, time) as session, bench(auth=session) as link:
        denied, sibling = link.start("A"), link.start("B")
        old, ids = await served(link, "A", "B")

        await deny(old, ids["A"])
        await asyncio.sleep(60)
        await old.deliver(ids["B"], tick=1)
        await settle()

        (error,) = denied.seen
        assert isinstance(error, TokenRefreshError)
        assert isinstance(error.auth_error, CombinedGraphQLErrors)
        assert isinstance(error.__cause__, ValueError)
        assert "operation A" in str(error)
        assert ticks(1) == sibling.seen


@virtual
async def test_in_a_cool_down_the_denied_one_ends_with_what_the_server_said(time: VirtualTime) -> None:
    issuer = Issuer()
    options = {"cool_down": CoolDownOptions(after=1, duration=30)}
    async with session_with(issuer, time, **options) as session, bench(auth=session) as link:
        link.start("A")
        first, ids = await served(link, "A")
        await deny(first, ids["A"])
        second, _ = await served(link, "A")
        other = link.start("B")
        ids |= await began(second, "B")

        await deny(second, ids["B"])
        await asyncio.sleep(10)

        assert [CombinedGraphQLErrors] == [type(error) for error in other.seen]
        assert (1, 2) == (issuer.issued, len(link.server.handshakes))
