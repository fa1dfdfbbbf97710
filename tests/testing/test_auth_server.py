"""The auth server: lifecycle, options, the GraphQL schema and how it refuses."""

import asyncio
import gc
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
import pytest

from rxlink.testing.auth_server import AuthServer, Fault
from tests.testing.auth_server_client import (
    ECHO,
    INCREMENT,
    PUBLIC,
    SIGN_IN,
    SIGN_OUT,
    VIEWER,
    running,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def refusal(result: Any) -> tuple[Any, str, str]:
    extensions = result["errors"][0]["extensions"]
    return result["data"], extensions["code"], extensions["reason"]


class TestLifecycle:
    async def test_has_its_addresses_on_loopback_while_it_runs(self) -> None:
        async with AuthServer() as server:
            addresses = [server.url, server.token_url, server.cookie_url]

        assert all(address.startswith("http://127.0.0.1:") for address in addresses)
        paths = [address.split("/")[-1] for address in addresses]
        assert ["graphql", "token", "refresh"] == paths

    async def test_has_no_address_before_it_runs(self) -> None:
        server = AuthServer()

        with pytest.raises(RuntimeError, match="not running"):
            _ = server.url

    async def test_starts_again_after_closing_but_not_twice(self) -> None:
        server = AuthServer()
        await server.start()
        await server.aclose()
        await server.aclose()

        await server.start()
        with pytest.raises(RuntimeError, match="already"):
            await server.start()

        await server.aclose()

    async def test_releases_hanging_and_delayed_requests_when_it_closes(self) -> None:
        server = AuthServer()
        await server.start()
        reached = asyncio.Semaphore(0)
        for fault in (Fault.hang(), Fault.delay(600)):
            server.faults.add(fault, on="graphql", when=lambda _: reached.release() or True)

        async with aiohttp.ClientSession() as session:
            posts = [asyncio.ensure_future(session.post(server.url, json={"query": PUBLIC})) for _ in range(2)]
            for _ in posts:
                await reached.acquire()
            await server.aclose()
            outcomes = await asyncio.gather(*posts, return_exceptions=True)

        assert [aiohttp.ServerDisconnectedError] * 2 == [type(outcome) for outcome in outcomes]
        kinds = {(send.outcome, send.why) for send in server.ledger.all_sends}
        assert {("faulted", "hang"), ("faulted", "delay")} == kinds

    async def test_leaves_no_task_and_no_socket(self) -> None:
        before = asyncio.all_tasks()

        async with running() as (server, client, _):
            await client.viewer(server.sign_in("ada"))
            address = server.url

        assert before == asyncio.all_tasks()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.post(address, json={})
        gc.collect()


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"token_life": 0}, r"token_life .* 0"),
            ({"token_life": -1}, r"token_life .* -1"),
            ({"token_life": float("inf")}, r"token_life .* inf"),
            ({"token_life": True}, r"token_life .* True"),
            ({"token_life": "2"}, r"token_life .* '2'"),
            ({"refresh_life": timedelta(0)}, r"refresh_life .* datetime.timedelta\(0\)"),
            ({"reuse_grace": -0.1}, r"reuse_grace .* -0.1"),
            ({"unauthenticated": "maybe"}, r"unauthenticated .* 'maybe'"),
            ({"client_id": ""}, r"client_id .* ''"),
            ({"client_secret": "s"}, r"client_secret needs a client_id"),
            ({"now": lambda: NOON.replace(tzinfo=None)}, r"now must return an aware"),
        ],
    )
    def test_refuses_a_bad_value_by_name(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            AuthServer(**options)

    def test_takes_durations_as_timedeltas(self) -> None:
        pair = AuthServer(token_life=timedelta(milliseconds=1500)).sign_in("ada")

        assert 1.5 == pair.expires_in

    def test_refuses_a_user_without_a_name(self) -> None:
        with pytest.raises(ValueError, match="user must not be empty"):
            AuthServer().sign_in("")


class TestTokens:
    def test_are_jwts_with_the_times_of_the_injected_clock(self) -> None:
        server = AuthServer(token_life=90.5, now=lambda: NOON)

        pair = server.sign_in("ada")

        claims = jwt.decode(pair.access_token, options={"verify_signature": False})
        assert "HS256" == jwt.get_unverified_header(pair.access_token)["alg"]
        whole = int(NOON.timestamp())
        assert ("ada", whole, whole + 90) == (claims["sub"], claims["iat"], claims["exp"])
        assert claims["jti"]

    def test_are_the_same_for_the_same_seed(self) -> None:
        first, again, other = (AuthServer(seed=seed, now=lambda: NOON) for seed in (1, 1, 2))

        texts = [
            (pair.access_token, pair.refresh_token)
            for pair in (first.sign_in("ada"), again.sign_in("ada"), other.sign_in("ada"))
        ]

        assert texts[0] == texts[1]
        assert texts[0] != texts[2]

    async def test_show_in_no_repr(self) -> None:
        async with running(client_id="app", client_secret="hush-hush") as (server, client, _):
            pair = server.sign_in("ada")
            await client.viewer(pair)
            form = {"client_id": "app", "client_secret": "hush-hush"}
            grant = {"grant_type": "refresh_token", "refresh_token": str(pair.refresh_token)}
            _, granted = await client.token(form | grant)

            shown = repr((pair, server.ledger, server.faults, server, server._registration))

        assert pair.refresh_token is not None
        assert str(granted["access_token"])
        secrets = [pair.access_token, pair.refresh_token, granted["access_token"], "hush-hush"]
        assert [] == [secret for secret in secrets if secret in shown]

    async def test_are_judged_by_sub_second_ends_and_not_by_the_jwt(self) -> None:
        async with running(token_life=0.3) as (server, client, clock):
            pair = server.sign_in("ada")

            clock.pass_(0.299)
            _, before = await client.viewer(pair)
            clock.pass_(0.001)
            _, at_end = await client.viewer(pair)

        assert {"viewer": {"id": "ada", "name": "ada"}} == before["data"]
        assert (None, "UNAUTHENTICATED", "expired") == refusal(at_end)

    async def test_are_revoked_early(self) -> None:
        async with running() as (server, client, _):
            pair, other = server.sign_in("ada"), server.sign_in("bob")

            revoked = server.revoke_access("ada")
            again = server.revoke_access("ada")
            _, ada = await client.viewer(pair)
            _, bob = await client.viewer(other)
            status, _ = await client.refresh(pair.refresh_token)

        assert (1, 0) == (revoked, again)
        assert (None, "UNAUTHENTICATED", "revoked") == refusal(ada)
        assert "bob" == bob["data"]["viewer"]["id"]
        assert 200 == status


class TestGraphQL:
    async def test_echoes_each_operation_its_own_argument(self) -> None:
        async with running() as (server, client, _):
            token = server.sign_in("ada").access_token

            answers = await asyncio.gather(*(client.graphql(ECHO, {"value": str(n)}, token=token) for n in range(20)))

        assert [str(n) for n in range(20)] == [body["data"]["echo"] for _, body in answers]

    async def test_answers_public_fields_whatever_the_token(self) -> None:
        async with running() as (_, client, _clock):
            answers = [await client.graphql(PUBLIC, token=token) for token in (None, "nonsense")]

        assert ["open to everybody"] * 2 == [body["data"]["public"] for _, body in answers]

    async def test_counts_increments_by_key(self) -> None:
        async with running() as (server, client, _):
            token = server.sign_in("ada").access_token

            counts = [
                (await client.graphql(INCREMENT, {"key": key}, token=token))[1]["data"] for key in ("a", "b", "a")
            ]
            await client.graphql(INCREMENT, {"key": "a"})

        assert [1, 1, 2] == [count["increment"] for count in counts]
        assert {"a": 2, "b": 1} == server.counters

    @pytest.mark.parametrize("scheme", ["Bearer", "JWT", "bearer"])
    async def test_takes_the_token_under_each_scheme(self, scheme: str) -> None:
        async with running() as (server, client, _):
            header = f"{scheme} {server.sign_in('ada').access_token}"

            _, body = await client.graphql(VIEWER, headers={"Authorization": header})

        assert "ada" == body["data"]["viewer"]["name"]

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (None, "missing"),
            ("Bearer Bearer x", "unknown"),
            ("x", "unknown"),
            ("Basic x", "unknown"),
        ],
    )
    async def test_refuses_a_token_that_it_does_not_know(self, header: str | None, reason: str) -> None:
        async with running() as (_, client, _clock):
            headers = {} if header is None else {"Authorization": header}

            status, body = await client.graphql(VIEWER, headers=headers)

        assert 200 == status
        assert (None, "UNAUTHENTICATED", reason) == refusal(body)

    @pytest.mark.parametrize(
        ("style", "status", "media_type"),
        [
            ("result", 200, "application/json"),
            ("status", 401, "application/json"),
            ("graphql-response", 401, "application/graphql-response+json"),
        ],
    )
    async def test_refuses_in_the_style_that_it_was_told(self, style: Any, status: int, media_type: str) -> None:
        async with running(unauthenticated=style) as (server, client, _):
            async with client.session.post(server.url, json={"query": VIEWER}) as answer:
                body = await answer.json(content_type=None)

        assert (status, media_type) == (answer.status, answer.content_type)
        assert (status == 401) == ("WWW-Authenticate" in answer.headers)
        assert (None, "UNAUTHENTICATED", "missing") == refusal(body)

    async def test_signs_in_and_out(self) -> None:
        async with running() as (_, client, _clock):
            _, signed_in = await client.graphql(SIGN_IN, {"user": "ada", "password": "x"})
            pair = signed_in["data"]["signIn"]
            _, out = await client.graphql(SIGN_OUT, token=pair["accessToken"])
            _, after = await client.graphql(VIEWER, token=pair["accessToken"])
            status, refused = await client.refresh(pair["refreshToken"])

        assert 2.0 == pair["expiresIn"]
        assert {"signOut": True} == out["data"]
        assert (None, "UNAUTHENTICATED", "revoked") == refusal(after)
        assert (400, "invalid_grant") == (status, refused["error"])

    async def test_does_not_sign_in_without_a_password(self) -> None:
        async with running() as (server, client, _):
            _, body = await client.graphql(SIGN_IN, {"user": "ada", "password": ""})

        assert (None, "UNAUTHENTICATED", "bad-credentials") == refusal(body)
        assert [] == server.ledger.generations

    async def test_a_sign_in_over_a_session_replaces_it(self) -> None:
        async with running() as (server, client, _):
            old = server.sign_in("ada")

            await client.graphql(SIGN_IN, {"user": "bob", "password": "x"}, token=old.access_token)
            _, body = await client.viewer(old)

        assert (None, "UNAUTHENTICATED", "revoked") == refusal(body)
        assert "sign-in" == old.generation.replaced_why
        assert (0, []) == (server.ledger.expiries, server.ledger.violations())

    @pytest.mark.parametrize("query", ["{", "{ nothing }", "query A { public } query B { public }"])
    async def test_answers_a_bad_document_with_errors(self, query: str) -> None:
        async with running() as (_, client, _clock):
            status, body = await client.graphql(query)

        assert 200 == status
        assert 1 == len(body["errors"])
        assert body.get("data") is None

    @pytest.mark.parametrize(
        "body",
        [
            b"no json",
            b"[]",
            b"{}",
            b'{"query": "{ public }", "variables": [1]}',
            b'{"query": "{ public }", "operationName": 1}',
        ],
    )
    async def test_answers_a_malformed_request_with_400(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        async with running() as (server, client, _):
            async with client.session.post(server.url, data=body, headers=headers) as answer:
                errors = (await answer.json())["errors"]

        assert 400 == answer.status
        assert errors[0]["message"]
        assert [] == server.ledger.all_sends

    async def test_keeps_answering_when_more_documents_came_than_it_caches(self) -> None:
        async with running() as (_, client, _clock):
            answers = [await client.graphql(f"query Q{number} {{ public }}") for number in range(260)]

        assert 260 == sum("data" in body for _, body in answers)
