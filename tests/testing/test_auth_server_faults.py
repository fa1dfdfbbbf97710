"""The faults that an auth server injects: each kind, where it strikes and how often."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import aiohttp
import jwt
import pytest

from rxlink.testing.auth_server import Arrival, AuthServer, Fault
from tests.testing.auth_server_client import INCREMENT, PUBLIC, REFRESH, VIEWER, Client, running

SHORT = 0.02  # seconds


def outcomes(server: AuthServer) -> list[tuple[str, str | None]]:
    return [(attempt.outcome, attempt.why) for attempt in server.ledger.refresh_tries]


async def cookie_status(client: Client, refresh_token: str | None) -> int:
    header = {"Cookie": f"refresh_token={refresh_token}"}
    async with client.session.post(client.server.cookie_url, headers=header) as answer:
        return answer.status


class TestDelay:
    async def test_answers_late(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.delay(SHORT))
            before = time.monotonic()

            status, _ = await client.refresh(server.sign_in("ada").refresh_token)

        assert SHORT <= time.monotonic() - before
        assert (200, "delay") == (status, server.ledger.refresh_tries[0].fault)

    async def test_comes_before_another_fault(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.status(503).after(timedelta(seconds=SHORT)), on="graphql")
            before = time.monotonic()

            async with client.session.post(server.url, json={"query": PUBLIC}) as answer:
                pass

        assert SHORT <= time.monotonic() - before
        assert 503 == answer.status

    @pytest.mark.parametrize("fault", [Fault.delay(600), Fault.hang()])
    async def test_a_request_is_not_processed_when_its_client_leaves(self, fault: Fault) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            asked = asyncio.Event()
            server.faults.add(fault, when=lambda _: asked.set() or True)
            leaving = asyncio.ensure_future(client.refresh(pair.refresh_token))
            await asked.wait()

            leaving.cancel()
            await asyncio.wait([leaving])
            status, _ = await client.refresh(pair.refresh_token)

        assert 200 == status
        assert [("faulted", "client-left"), ("granted", None)] == sorted(outcomes(server))

    async def test_judges_a_refresh_by_its_arrival(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            asked = asyncio.Event()
            server.faults.add(Fault.delay(SHORT), when=lambda _: asked.set() or True)
            early = asyncio.ensure_future(client.refresh(pair.refresh_token))
            await asked.wait()

            clock.pass_(2.0)
            await early

        assert "advisory-window" == pair.generation.replaced_why
        assert (100.0, 102.0) == (server.ledger.refresh_tries[0].at, pair.generation.replaced_at)
        assert 1 == len(server.ledger.violations())


class TestAnswersInPlaceOfTheServer:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (Fault.status(503), (503, None)),
            (Fault.too_many_requests(3), (429, "3")),
            (Fault.too_many_requests("soon"), (429, "soon")),
        ],
    )
    async def test_a_status_and_when_to_come_back(self, fault: Fault, expected: Any) -> None:
        async with running() as (server, client, _):
            server.faults.add(fault, on="both", times=3)
            targets = [server.url, server.token_url, server.cookie_url]

            answers = []
            for target in targets:
                body = {"json": {"query": PUBLIC}} if target == server.url else {"data": {"a": "b"}}
                async with client.session.post(target, **body) as answer:
                    answers.append((answer.status, answer.headers.get("Retry-After")))

        assert [expected] * 3 == answers

    @pytest.mark.parametrize("media_type", ["text/html", "application/json"])
    async def test_a_page_that_is_no_json(self, media_type: str) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.not_json(media_type), on="graphql")

            async with client.session.post(server.url, json={"query": PUBLIC}) as answer:
                text = await answer.text()

        assert (200, media_type) == (answer.status, answer.content_type)
        assert text.startswith("<!doctype html>")

    async def test_invalid_grant_on_every_way_to_refresh_without_using_the_token_up(self) -> None:
        async with running() as (server, client, _):
            token = server.sign_in("ada").refresh_token
            server.faults.add(Fault.invalid_grant(), times=3)

            by_token = await client.refresh(token)
            by_cookie = await cookie_status(client, token)
            _, by_graphql = await client.graphql(REFRESH, {"token": token})
            good, _ = await client.refresh(token)

        assert (400, "invalid_grant") == (by_token[0], by_token[1]["error"])
        assert 400 == by_cookie
        assert "invalid_grant" == by_graphql["errors"][0]["extensions"]["reason"]
        assert 200 == good
        assert [("faulted", "invalid_grant")] * 3 == outcomes(server)[:3]

    @pytest.mark.parametrize("as_literal", [False, True])
    async def test_know_whose_refresh_they_struck(self, as_literal: bool) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            server.faults.add(Fault.invalid_grant())
            argument = f'refreshToken: "{pair.refresh_token}"'
            literal = f"mutation {{ refreshToken({argument}) {{ expiresIn }} }}"
            query = literal if as_literal else REFRESH

            await client.graphql(query, {"token": pair.refresh_token})

        assert pair.generation is server.ledger.refresh_tries[0].generation

    @pytest.mark.parametrize(
        ("style", "status", "media_type"),
        [
            ("result", 200, "application/json"),
            ("status", 401, "application/json"),
            ("graphql-response", 401, "application/graphql-response+json"),
        ],
    )
    async def test_unauthenticated_whatever_the_token(self, style: Any, status: int, media_type: str) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            server.faults.add(Fault.unauthenticated(style), on="graphql")
            headers = {"Authorization": f"Bearer {pair.access_token}"}

            body = {"query": VIEWER}
            async with client.session.post(server.url, json=body, headers=headers) as answer:
                result = await answer.json(content_type=None)
            _, after = await client.viewer(pair)

        assert (status, media_type) == (answer.status, answer.content_type)
        assert "UNAUTHENTICATED" == result["errors"][0]["extensions"]["code"]
        assert "ada" == after["data"]["viewer"]["id"]
        assert 100.0 == pair.generation.refused_at

    @pytest.mark.parametrize(("style", "status"), [("result", 200), ("status", 401)])
    async def test_unauthenticated_as_an_oauth2_error(self, style: Any, status: int) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.unauthenticated(style))

            answer = await client.refresh(server.sign_in("ada").refresh_token)

        assert (status, "invalid_token") == (answer[0], answer[1]["error"])


class TestDroppedConnection:
    async def test_before_anything_is_processed(self) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            server.faults.add(Fault.drop(), on="both", times=2)

            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.graphql(INCREMENT, {"key": "a"}, token=pair.access_token)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.refresh(pair.refresh_token)
            status, _ = await client.refresh(pair.refresh_token)

        assert ({}, 200) == (server.counters, status)
        assert [("faulted", "drop"), ("granted", None)] == outcomes(server)

    async def test_after_the_rotation(self) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            server.faults.add(Fault.drop_after())

            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.refresh(pair.refresh_token)
            status, _ = await client.refresh(pair.refresh_token)

        assert 400 == status
        assert server.ledger.refresh_tries[0].is_lost
        assert [("granted", None), ("refused", "reused")] == outcomes(server)

    async def test_after_an_operation_ran(self) -> None:
        async with running() as (server, client, _):
            token = server.sign_in("ada").access_token
            server.faults.add(Fault.drop_after(), on="graphql")

            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.graphql(INCREMENT, {"key": "a"}, token=token)

        assert {"a": 1} == server.counters
        send = server.ledger.all_sends[0]
        assert ("accepted", "drop_after") == (send.outcome, send.fault)


class TestExpiredToken:
    @pytest.mark.parametrize(("fault", "claim"), [((), 0), ((5.5,), 5.5)])
    async def test_has_ended_when_it_is_handed_out(self, fault: Any, claim: float) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            server.faults.add(Fault.expired_token(*fault))

            _, granted = await client.refresh(pair.refresh_token)
            _, body = await client.graphql(VIEWER, token=granted["access_token"])
            status, good = await client.refresh(granted["refresh_token"])

        claims = jwt.decode(granted["access_token"], options={"verify_signature": False})
        assert claim == granted["expires_in"]
        assert claims["exp"] <= time.time()
        assert "expired" == body["errors"][0]["extensions"]["reason"]
        assert (200, 2) == (status, good["expires_in"])
        assert [] == server.ledger.violations()

    async def test_strikes_client_credentials_too(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.expired_token())

            _, granted = await client.token({"grant_type": "client_credentials", "client_id": "app"})

        assert 0 == granted["expires_in"]


class TestScript:
    async def test_strikes_as_often_as_it_was_told(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.unauthenticated(), on="graphql", times=2)
            left = [len(server.faults.remaining)]

            answers = []
            for _ in range(3):
                answers.append("errors" in (await client.graphql(PUBLIC))[1])
                left.append(len(server.faults.remaining))

        assert [True, True, False] == answers
        assert [1, 1, 0, 0] == left

    async def test_strikes_for_ever_until_it_is_cleared(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.unauthenticated(), on="graphql", times=None)

            struck = ["errors" in (await client.graphql(PUBLIC))[1] for _ in range(3)]
            server.faults.clear()
            _, after = await client.graphql(PUBLIC)

        assert [True] * 3 == struck
        assert "errors" not in after

    async def test_plays_faults_in_the_order_of_their_adding(self) -> None:
        async with running() as (server, client, _):
            token = server.sign_in("ada").refresh_token
            server.faults.add(Fault.invalid_grant())
            server.faults.add(Fault.unauthenticated("status"))

            statuses = [(await client.refresh(token))[0] for _ in range(3)]

        assert [400, 401, 200] == statuses

    async def test_tells_refreshes_from_other_operations(self) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            server.faults.add(Fault.unauthenticated(), on="graphql", times=None)

            _, viewer = await client.viewer(pair)
            _, refreshed = await client.graphql(REFRESH, {"token": pair.refresh_token})

        assert "errors" in viewer
        assert "errors" not in refreshed

    async def test_spares_operations_from_what_only_a_refresh_can_meet(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.invalid_grant(), on="both")

            _, body = await client.graphql(PUBLIC)

        assert "errors" not in body
        assert (Fault.invalid_grant(),) == server.faults.remaining

    async def test_strikes_one_operation_by_name(self) -> None:
        async with running() as (server, client, _):
            server.faults.add(Fault.unauthenticated(), on="graphql", operation_name="Open")

            _, other = await client.graphql("query Other { public }")
            _, named = await client.graphql(PUBLIC)

        assert (False, True) == ("errors" in other, "errors" in named)

    async def test_strikes_what_a_predicate_chooses(self) -> None:
        seen: list[Arrival] = []

        def second_key(arrival: Arrival) -> bool:
            seen.append(arrival)
            return arrival.variables.get("key") == "b"

        async with running() as (server, client, _):
            token = server.sign_in("ada").access_token
            server.faults.add(Fault.drop_after(), on="graphql", when=second_key)

            await client.graphql(INCREMENT, {"key": "a"}, token=token)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await client.graphql(INCREMENT, {"key": "b"}, token=token)

        assert [("graphql", "Increment", False)] * 2 == [
            (arrival.endpoint, arrival.operation_name, arrival.is_refresh) for arrival in seen
        ]
        assert ["ada", "ada"] == [arrival.generation and arrival.generation.user for arrival in seen]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"times": 0}, "times .* 0"),
            ({"on": "moon"}, "on .* 'moon'"),
            ({"on": "graphql", "fault": Fault.expired_token()}, "on .* 'graphql'"),
        ],
    )
    def test_refuses_what_cannot_strike(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            AuthServer().faults.add(**({"fault": Fault.drop()} | options))

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Fault.status(200), "status_code .* 200"),
            (lambda: Fault.delay(-1), "seconds .* -1"),
            (lambda: Fault.too_many_requests(-1), "retry_after .* -1"),
            (lambda: Fault.expired_token(float("nan")), "claimed_life .* nan"),
            (lambda: Fault.unauthenticated("no"), "style .* 'no'"),  # type: ignore[arg-type]
            (lambda: Fault.drop().after(-1), "seconds .* -1"),
        ],
    )
    def test_refuses_a_bad_fault(self, make: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make()
