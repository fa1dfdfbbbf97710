"""The auth server's three ways to refresh, rotation, reuse and the OAuth2 token endpoint."""

import asyncio
from http.cookies import SimpleCookie
from typing import Any

import aiohttp
import pytest
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError, WebApplicationClient
from yarl import URL

from rxlink.testing.auth_server import TokenPair
from tests.testing.auth_server_client import REFRESH, SIGN_IN, Client, running

GRANT = {"grant_type": "refresh_token"}


async def by_graphql(client: Client, pair: TokenPair) -> str | None:
    _, body = await client.graphql(REFRESH, {"token": pair.refresh_token})
    return body["data"]["refreshToken"]["accessToken"] if body["data"] else None


async def by_token_endpoint(client: Client, pair: TokenPair) -> str | None:
    _, body = await client.refresh(pair.refresh_token)
    return body.get("access_token")


async def by_cookie(client: Client, pair: TokenPair) -> str | None:
    header = {"Cookie": f"refresh_token={pair.refresh_token}"}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.post(client.server.cookie_url, headers=header) as answer:
            return (await answer.json()).get("access_token")


EVERY_WAY = pytest.mark.parametrize("refresh", [by_graphql, by_token_endpoint, by_cookie])


class TestEveryWay:
    @EVERY_WAY
    async def test_hands_out_a_new_pair_that_works(self, refresh: Any) -> None:
        async with running() as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)

            token = await refresh(client, pair)
            _, body = await client.graphql("{ viewer { id } }", token=token)

        assert "ada" == body["data"]["viewer"]["id"]
        assert (1, 1) == (server.ledger.expiries, server.ledger.refreshes)

    @EVERY_WAY
    async def test_revokes_the_family_when_a_token_is_used_again(self, refresh: Any) -> None:
        async with running() as (server, client, clock):
            pair, other = server.sign_in("ada"), server.sign_in("ada")
            clock.pass_(1.9)
            token = await refresh(client, pair)

            again = await refresh(client, pair)
            _, body = await client.graphql("{ viewer { id } }", token=token)
            _, unharmed = await client.viewer(other)

        assert (None, None) == (again, body["data"])
        assert "ada" == unharmed["data"]["viewer"]["id"]
        members = [g for g in server.ledger.generations if g.family == pair.generation.family]
        assert ["reuse", "reuse"] == [member.revoked_why for member in members]
        assert "reused" == server.ledger.refresh_tries[-1].why

    @EVERY_WAY
    async def test_hands_out_the_same_pair_again_within_the_grace(self, refresh: Any) -> None:
        async with running(reuse_grace=5.0) as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(2.0)
            first = await refresh(client, pair)
            clock.pass_(1.0)

            again = await refresh(client, pair)

        assert first == again
        assert server.ledger.refresh_tries[-1].replayed

    async def test_says_how_long_a_repeated_pair_still_lives(self) -> None:
        async with running(reuse_grace=5.0) as (server, client, clock):
            pair = server.sign_in("ada")
            _, first = await client.refresh(pair.refresh_token)
            clock.pass_(0.5)

            _, again = await client.refresh(pair.refresh_token)

        assert (2, 1.5) == (first["expires_in"], again["expires_in"])
        assert isinstance(first["expires_in"], int)

    async def test_counts_the_grace_as_reuse_when_it_is_over(self) -> None:
        async with running(reuse_grace=1.0) as (server, client, clock):
            pair = server.sign_in("ada")
            await client.refresh(pair.refresh_token)
            clock.pass_(1.0)

            status, _ = await client.refresh(pair.refresh_token)

        assert 400 == status

    async def test_counts_the_grace_as_reuse_when_the_next_token_is_used(self) -> None:
        async with running(reuse_grace=5.0) as (server, client, _):
            pair = server.sign_in("ada")
            _, second = await client.refresh(pair.refresh_token)
            _, third = await client.refresh(second["refresh_token"])

            status, _ = await client.refresh(pair.refresh_token)
            last, _ = await client.refresh(third["refresh_token"])

        assert (400, 400) == (status, last)

    async def test_knows_no_grace_for_a_session_that_has_ended(self) -> None:
        async with running(reuse_grace=5.0) as (server, client, _):
            pair = server.sign_in("ada")
            _, body = await client.refresh(pair.refresh_token)
            await client.graphql("mutation { signOut }", token=body["access_token"])

            status, _ = await client.refresh(pair.refresh_token)

        assert 400 == status

    async def test_refuses_a_refresh_token_past_its_own_life(self) -> None:
        async with running(refresh_life=10.0) as (server, client, clock):
            pair = server.sign_in("ada")
            clock.pass_(9.9)
            granted, body = await client.refresh(pair.refresh_token)
            clock.pass_(10.0)

            refused, _ = await client.refresh(body["refresh_token"])

        assert (200, 400) == (granted, refused)
        assert "expired" == server.ledger.refresh_tries[-1].why

    async def test_refuses_a_revoked_refresh_token_and_keeps_its_access_token(self) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")

            revoked = server.revoke_refresh("ada")
            status, _ = await client.refresh(pair.refresh_token)
            _, body = await client.viewer(pair)

        assert (1, 400) == (revoked, status)
        assert "revoked" == server.ledger.refresh_tries[-1].why
        assert "ada" == body["data"]["viewer"]["id"]

    async def test_grants_one_of_many_that_come_at_once(self) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")

            answers = await asyncio.gather(*(client.refresh(pair.refresh_token) for _ in range(5)))

        assert [200, 400, 400, 400, 400] == sorted(status for status, _ in answers)


class TestByGraphQL:
    async def test_takes_the_token_as_a_literal(self) -> None:
        async with running() as (server, client, _):
            pair = server.sign_in("ada")
            text = f'"{pair.refresh_token}"'

            await client.graphql(f"mutation {{ refreshToken(refreshToken: {text}) {{ expiresIn }} }}")

        only = server.ledger.refresh_tries[0]
        assert ("granted", "graphql", pair.generation) == (only.outcome, only.via, only.generation)
        assert [] == server.ledger.all_sends

    @pytest.mark.parametrize(("token", "why"), [(None, "missing"), ("nonsense", "unknown")])
    async def test_refuses_as_unauthenticated(self, token: str | None, why: str) -> None:
        async with running() as (_, client, _clock):
            _, body = await client.graphql(REFRESH, {"token": token})

        expected = {"code": "UNAUTHENTICATED", "reason": why}
        assert expected == body["errors"][0]["extensions"]
        assert body["data"] is None


class TestByCookie:
    async def test_rotates_a_cookie_that_only_the_refresh_path_gets(self) -> None:
        async with running() as (server, client, clock):
            await client.graphql(SIGN_IN, {"user": "ada", "password": "x"})
            first = client.session.cookie_jar.filter_cookies(URL(server.cookie_url))
            elsewhere = client.session.cookie_jar.filter_cookies(URL(server.url))
            clock.pass_(2.0)

            async with client.session.post(server.cookie_url) as answer:
                body = await answer.json()
            second = client.session.cookie_jar.filter_cookies(URL(server.cookie_url))
            async with client.session.post(server.cookie_url) as again:
                pass

        assert {"access_token", "token_type", "expires_in"} == set(body)
        assert (200, 200) == (answer.status, again.status)
        assert first["refresh_token"].value != second["refresh_token"].value
        assert "refresh_token" not in elsewhere

    async def test_hides_the_cookie_from_scripts_and_other_sites(self) -> None:
        async with running() as (server, client, _):
            json = {"query": SIGN_IN, "variables": {"user": "ada", "password": "x"}}
            async with client.session.post(server.url, json=json) as answer:
                cookie = SimpleCookie(answer.headers["Set-Cookie"])["refresh_token"]

        attributes = (cookie["httponly"], cookie["samesite"], cookie["path"])
        assert (True, "Strict", "/refresh") == attributes

    async def test_refuses_with_401_and_forgets_the_cookie(self) -> None:
        async with running() as (server, client, _):
            async with client.session.post(server.cookie_url) as answer:
                body = await answer.json()

        assert (401, "invalid_grant") == (answer.status, body["error"])
        assert "0" == SimpleCookie(answer.headers["Set-Cookie"])["refresh_token"]["max-age"]

    async def test_sign_out_forgets_the_cookie(self) -> None:
        async with running() as (server, client, _):
            variables = {"user": "ada", "password": "x"}
            _, body = await client.graphql(SIGN_IN, variables)

            await client.graphql("mutation { signOut }", token=body["data"]["signIn"]["accessToken"])

            assert 0 == len(client.session.cookie_jar)
            assert server.ledger.generations[0].revoked_why == "sign-out"


class TestTokenEndpoint:
    async def test_speaks_to_a_client_of_oauthlib(self) -> None:
        async with running() as (server, client, _):
            oauth = WebApplicationClient("app")
            body = oauth.prepare_refresh_body(refresh_token=server.sign_in("ada").refresh_token)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}

            async with client.session.post(server.token_url, data=body, headers=headers) as answer:
                token = oauth.parse_request_body_response(await answer.text())

        assert ("no-store", "no-cache") == (
            answer.headers["Cache-Control"],
            answer.headers["Pragma"],
        )
        assert ("Bearer", 2) == (token["token_type"], token["expires_in"])
        assert {"access_token", "refresh_token"} <= set(token)

    @pytest.mark.parametrize("style", ["basic", "body"])
    async def test_lets_the_registered_client_in(self, style: str) -> None:
        credentials = ("app:1", "s p%c")
        async with running(client_id="app:1", client_secret="s p%c") as (server, client, _):
            form = GRANT | {"refresh_token": str(server.sign_in("ada").refresh_token)}
            if style == "basic":
                status, _ = await client.token(form, basic=("app%3A1", "s+p%25c"))
            else:
                ids = {"client_id": credentials[0], "client_secret": credentials[1]}
                status, _ = await client.token(form | ids)

        assert 200 == status

    async def test_lets_a_public_client_in_by_its_id_alone(self) -> None:
        async with running(client_id="app") as (server, client, _):
            form = GRANT | {"refresh_token": str(server.sign_in("ada").refresh_token)}

            without, _ = await client.token(form)
            with_id, _ = await client.token(form | {"client_id": "app"})

        assert (401, 200) == (without, with_id)

    @pytest.mark.parametrize(
        ("form", "basic"),
        [
            ({}, None),
            ({"client_id": "app"}, None),
            ({"client_id": "app", "client_secret": "wrong"}, None),
            ({}, ("app", "wrong")),
            ({}, ("other", "right")),
        ],
    )
    async def test_turns_an_unknown_client_away_and_keeps_the_token(
        self, form: dict[str, str], basic: tuple[str, str] | None
    ) -> None:
        async with running(client_id="app", client_secret="right") as (server, client, _):
            wanted = GRANT | {"refresh_token": str(server.sign_in("ada").refresh_token)}

            status, body = await client.token(wanted | form, basic=basic)
            good, _ = await client.token(wanted, basic=("app", "right"))

        assert (401, "invalid_client", 200) == (status, body["error"], good)
        assert "invalid_client" == server.ledger.refresh_tries[0].why
        assert [] == server.ledger.violations(window=2.0)

    @pytest.mark.parametrize(
        ("body", "headers", "status", "error"),
        [
            ("", {}, 400, "invalid_request"),
            ("grant_type=refresh_token", {}, 400, "invalid_request"),
            ("grant_type=password", {}, 400, "unsupported_grant_type"),
            ("grant_type=client_credentials", {}, 401, "invalid_client"),
            ("grant_type=a&grant_type=b", {}, 400, "invalid_request"),
            ("client_secret=s", {"Authorization": "Basic YTpi"}, 400, "invalid_request"),
            ("", {"Authorization": "Basic ***"}, 401, "invalid_client"),
            ("", {"Authorization": "Bearer YTpi"}, 401, "invalid_client"),
            ("{}", {"Content-Type": "application/json"}, 400, "invalid_request"),
            ("grant_type=refresh_token&refresh_token=x", {}, 400, "invalid_grant"),
        ],
    )
    async def test_names_what_is_wrong_as_rfc_6749_does(
        self, body: str, headers: dict[str, str], status: int, error: str
    ) -> None:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        async with running() as (server, client, _):
            async with client.session.post(server.token_url, data=body, headers=form | headers) as answer:
                message = await answer.json()

        assert (status, error) == (answer.status, message["error"])
        assert "no-store" == answer.headers["Cache-Control"]
        assert (status == 401) == ("WWW-Authenticate" in answer.headers)
        assert "refused" == server.ledger.refresh_tries[0].outcome

    async def test_an_error_is_one_that_oauthlib_knows(self) -> None:
        async with running(client_id="app", client_secret="right") as (server, client, _):
            oauth = BackendApplicationClient("app")
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            async with client.session.post(
                server.token_url, data=oauth.prepare_request_body(), headers=headers
            ) as answer:
                text = await answer.text()

        with pytest.raises(InvalidClientError):
            oauth.parse_request_body_response(text)

    async def test_grants_client_credentials_without_a_refresh_token(self) -> None:
        form = {"grant_type": "client_credentials"}
        async with running(client_id="app", client_secret="right") as (server, client, clock):
            _, first = await client.token(form, basic=("app", "right"))
            _, viewer = await client.graphql("{ viewer { id } }", token=first["access_token"])
            clock.pass_(2.0)
            _, second = await client.token(form, basic=("app", "right"))

        assert "refresh_token" not in first
        assert "app" == viewer["data"]["viewer"]["id"]
        assert first["access_token"] != second["access_token"]
        assert (1, 1, []) == (
            server.ledger.expiries,
            server.ledger.refreshes,
            server.ledger.violations(),
        )
