"""The auth server's ledger: what it writes down, and which broken promises it reports."""

import re
from typing import Any

import aiohttp
import pytest

from rxlink.testing.auth_server import AuthServer, Fault, operation_key
from tests.testing.auth_server_client import ECHO, PUBLIC, VIEWER, running

CLIENT_CREDENTIALS = {"grant_type": "client_credentials", "client_id": "app"}


def reasons(server: AuthServer) -> list[str | None]:
    return [generation.replaced_why for generation in server.ledger.generations]


class TestSends:
    async def test_are_kept_by_operation_id(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            mine = {"x-operation-id": "op-1"}
            await client.viewer(pair, headers=mine)
            clock.pass_(2.0)
            await client.viewer(pair, headers=mine)
            await client.viewer(pair, headers={"x-operation-id": "op-2"})

            sends = server.ledger.sends("op-1")

        told = [(send.at, send.user, send.generation, send.outcome, send.why) for send in sends]
        assert [
            (100.0, "ada", pair.generation, "accepted", None),
            (102.0, "ada", pair.generation, "refused", "expired"),
        ] == told
        assert 2 == server.ledger.max_sends_per_operation

    async def test_are_kept_by_name_and_variables_without_an_id(self) -> None:
        async with running() as (server, client, _):
            for value in ("1", "2", "2"):
                await client.graphql(ECHO, {"value": value})

        counts = [len(server.ledger.sends(operation_key("Echo", {"value": v}))) for v in "12"]
        assert [1, 2] == counts
        assert 2 == server.ledger.max_sends_per_operation

    async def test_tell_operations_without_a_name_apart_by_their_text(self) -> None:
        async with running() as (server, client, _):
            await client.graphql("{ public }")
            await client.graphql("{ viewer { id } }")

        key = operation_key(None, query="{ public }")
        assert (1, 1) == (len(server.ledger.sends(key)), server.ledger.max_sends_per_operation)

    async def test_tell_who_sent_nothing_that_is_known(self) -> None:
        async with running() as (server, client, _):
            await client.graphql(VIEWER)
            await client.graphql(PUBLIC, token="nonsense")

        assert [("refused", "missing", None), ("accepted", None, None)] == [
            (send.outcome, send.why, send.user) for send in server.ledger.all_sends
        ]

    async def test_tell_of_faults(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.drop(), on="graphql")
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.graphql(PUBLIC)

        send = server.ledger.all_sends[0]
        assert ("faulted", "drop", "drop") == (send.outcome, send.why, send.fault)

    def test_are_none_at_first(self) -> None:
        ledger = AuthServer().ledger

        assert (0, 0, 0) == (ledger.max_sends_per_operation, ledger.expiries, ledger.refreshes)


class TestGenerations:
    async def test_tell_why_they_were_replaced(self) -> None:
        async with running() as (server, client, clock):
            token = server.sign_in("ada").refresh_token

            clock.pass_(2.0)
            _, body = await client.refresh(token)
            clock.pass_(1.9)
            _, body = await client.refresh(body["refresh_token"])
            server.revoke_access("ada")
            _, body = await client.refresh(body["refresh_token"])
            server.faults.add(Fault.unauthenticated(), on="graphql")
            await client.graphql(PUBLIC, token=body["access_token"])
            await client.refresh(body["refresh_token"])

        assert ["expired", "advisory-window", "revoked", "refused", None] == reasons(server)
        assert (4, 4, []) == (
            server.ledger.expiries,
            server.ledger.refreshes,
            server.ledger.violations(window=0.1),
        )

    async def test_tell_their_times_and_place(self) -> None:
        async with running(refresh_life=60.0) as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.5)
            await client.refresh(pair.refresh_token)

        first, second = server.ledger.generations
        assert (100.0, 102.0, 160.0, 2.0) == (
            first.issued,
            first.ends,
            first.refresh_ends,
            first.life,
        )
        assert (102.5, "sign-in", "refresh") == (
            first.replaced_at,
            first.issued_why,
            second.issued_why,
        )
        assert ("ada 0.0", "ada 0.1") == (first.name, second.name)
        assert re.fullmatch("[0-9a-f]{8}", first.access_fingerprint)


class TestViolations:
    async def test_are_none_while_each_expiry_has_one_refresh(self) -> None:
        async with running() as (server, client, clock):
            token = server.sign_in("ada").refresh_token
            for _ in range(3):
                clock.pass_(1.6)
                server.faults.add(Fault.status(503))
                async with client.session.post(server.token_url, data={}):
                    pass
                _, body = await client.refresh(token)
                token = body["refresh_token"]

        assert [] == server.ledger.violations()
        assert (3, 3) == (server.ledger.expiries, server.ledger.refreshes)

    @pytest.mark.parametrize(
        ("window", "expected"),
        [(0.0, 1), (0.25, 0), (0.249, 1), (lambda life: life / 8, 0), (lambda life: life / 9, 1)],
    )
    async def test_report_a_refresh_before_its_window(self, window: Any, expected: int) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(1.75)
            await client.refresh(pair.refresh_token)

        found = server.ledger.violations(window=window)

        assert expected == len(found)
        assert all("ada 0.0: refreshed before its window opened" in text for text in found)

    async def test_report_a_refresh_that_came_before_the_revocation(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            _, body = await client.refresh(pair.refresh_token)
            clock.pass_(0.1)
            await client.graphql("mutation { signOut }", token=body["access_token"])

        assert 100.1 == pair.generation.access_revoked_at
        assert 1 == len(server.ledger.violations())

    async def test_report_a_second_grant_within_the_grace(self) -> None:
        async with running(reuse_grace=9.0) as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            await client.refresh(pair.refresh_token)
            await client.refresh(pair.refresh_token)

        found = server.ledger.violations()

        assert ["ada 0.0: 2 refreshes granted instead of one (at 102.000, 102.000 s)"] == found
        assert (1, 2) == (server.ledger.expiries, server.ledger.refreshes)

    async def test_report_an_old_refresh_token(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            await client.refresh(pair.refresh_token)
            await client.refresh(pair.refresh_token)

        found = server.ledger.violations()

        place = "(at 102.000 s, refused: reused)"
        assert [f"ada 0.0: used refresh token presented again {place}"] == found

    async def test_report_an_old_refresh_token_that_a_fault_met(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            await client.refresh(pair.refresh_token)
            server.faults.add(Fault.invalid_grant())
            await client.refresh(pair.refresh_token)

        assert ["faulted"] == re.findall("faulted", " ".join(server.ledger.violations()))

    async def test_come_in_order_of_time(self) -> None:
        async with running() as (server, client, clock):
            bob, ada = server.sign_in("bob"), server.sign_in("ada")
            await client.refresh(ada.refresh_token)
            clock.pass_(0.1)
            await client.refresh(bob.refresh_token)

        names = [text.split()[0] for text in server.ledger.violations()]

        assert ["ada", "bob"] == names

    async def test_allow_to_recover_a_lost_answer(self) -> None:
        async with running(reuse_grace=9.0) as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            server.faults.add(Fault.drop_after())
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.refresh(pair.refresh_token)
            await client.refresh(pair.refresh_token)

        assert (1, 1, []) == (
            server.ledger.expiries,
            server.ledger.refreshes,
            server.ledger.violations(),
        )

    async def test_allow_one_refusal_after_a_lost_answer(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            server.faults.add(Fault.drop_after())
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.refresh(pair.refresh_token)
            counts = []
            for _ in range(2):
                await client.refresh(pair.refresh_token)
                counts.append(len(server.ledger.violations()))

        assert [0, 1] == counts

    async def test_allow_client_credentials_again_after_a_lost_answer(self) -> None:
        async with running() as (server, client, clock):
            await client.token(CLIENT_CREDENTIALS)
            clock.pass_(2.0)
            server.faults.add(Fault.drop_after())
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.token(CLIENT_CREDENTIALS)
            await client.token(CLIENT_CREDENTIALS)

        assert [] == server.ledger.violations()

    async def test_report_client_credentials_that_come_too_early(self) -> None:
        async with running() as (server, client, _):
            for _ in range(2):
                await client.token(CLIENT_CREDENTIALS)

        assert 1 == len(server.ledger.violations())
