"""Tokens from an OAuth2 issuer over real connections: what is sent, over which session, and where to."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from rxlink.auth.events import RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError, SessionEnded
from rxlink.testing import AuthServer
from rxlink.transport.http import HttpLink
from rxlink.transport.oauth2 import OAuth2Refresh, oauth2_refresh
from tests.transport.scripted_server import VIEWER, ScriptedServer, answer_json

OLD = TokenSet("a0", refresh_token="r0")
EXPIRED = RefreshReason.EXPIRED
FORM = "application/x-www-form-urlencoded"
SECRETS = {"client_id": "app:1", "client_secret": "s3cret/+ä"}


@pytest.fixture
async def issuer(server: ScriptedServer) -> ScriptedServer:
    server.answer = answer_json({"access_token": "a1", "token_type": "Bearer"})
    return server


@pytest.fixture
async def refresh(issuer: ScriptedServer) -> AsyncIterator[OAuth2Refresh]:
    async with oauth2_refresh(f"{issuer.origin}/token", client_id="app") as refresh:
        yield refresh


def no_tokens() -> dict[str, str]:
    return {}


def form(server: ScriptedServer) -> dict[str, list[str]]:
    return parse_qs(server.bodies[-1].decode())


def signed_in(server: AuthServer) -> TokenSet:
    pair = server.sign_in("ada")
    return TokenSet(pair.access_token, pair.refresh_token, pair.expires_in)


class TestAGrant:
    @pytest.mark.parametrize("way", [None, "basic", "body"])
    async def test_refreshes_as_a_client_with_a_secret(self, way: str | None):
        """E75: the secret in the header or in the form, whatever characters it has."""
        async with AuthServer(**SECRETS) as server:
            refresh = oauth2_refresh(server.token_url, client_authentication=way, **SECRETS)
            async with refresh:
                old = signed_in(server)
                new = await refresh(old, EXPIRED)

        assert ["granted"] == [attempt.outcome for attempt in server.ledger.refresh_tries]
        assert old.access_token != new.access_token
        assert old.refresh_token != new.refresh_token
        assert new.issued_at is not None, "the answer has a date"

    async def test_refreshes_as_a_public_client(self):
        """E75: client authentication `none`."""
        async with AuthServer(client_id="app") as server:
            async with oauth2_refresh(server.token_url, client_id="app") as refresh:
                await refresh(signed_in(server), EXPIRED)

        assert ["granted"] == [attempt.outcome for attempt in server.ledger.refresh_tries]

    async def test_is_one_post_of_a_form(self, refresh: OAuth2Refresh, issuer: ScriptedServer):
        """E30, S37: without the access token, and without an `authorization`."""
        await refresh(OLD, EXPIRED)

        assert [("POST", "/token")] == [(request.method, request.path) for request in issuer.requests]
        assert {"grant_type": ["refresh_token"], "refresh_token": ["r0"], "client_id": ["app"]} == form(issuer)
        headers = {name.lower(): value for name, value in issuer.headers.items()}
        assert (FORM, "application/json") == (headers["content-type"], headers["accept"])
        assert not {"authorization", "cookie", "transfer-encoding"} & set(headers)
        assert "a0" not in repr(headers) + repr(issuer.bodies)

    async def test_keeps_the_query_of_the_token_url(self, issuer: ScriptedServer):
        """RFC 6749 section 3.2: it stays as it is."""
        async with oauth2_refresh(f"{issuer.origin}/token?tenant=7", client_id="app") as refresh:
            await refresh(OLD, EXPIRED)

        assert "/token?tenant=7" == issuer.requests[-1].path_qs

    async def test_of_client_credentials_gets_tokens_for_all_who_wait_at_once(self):
        """E76: a service asks for the first token, and again for the next; 20 operations, one request each time."""
        async with AuthServer(token_life=60, **SECRETS) as server:
            refresh = oauth2_refresh(server.token_url, grant_type="client_credentials", **SECRETS)
            async with refresh, AuthSession(refresh=refresh, obtain_first=True) as session:
                async with from_([AuthLink(session), HttpLink(server.url)]) as link:
                    request = GraphQLRequest("{ viewer { name } }")
                    first = await asyncio.gather(*(execute(link, request) for _ in range(20)))
                    server.revoke_access(SECRETS["client_id"])
                    second = await asyncio.gather(*(execute(link, request) for _ in range(20)))

        assert 40 == len([result for result in first + second if "errors" not in result])
        assert ["granted"] * 2 == [attempt.outcome for attempt in server.ledger.refresh_tries]


class TestInASession:
    async def test_keeps_the_refresh_token_where_none_came(self, refresh: OAuth2Refresh, issuer: ScriptedServer):
        """E69: RFC 6749 section 6; the next refresh sends it again."""
        async with AuthSession(refresh=refresh, tokens=OLD) as session:
            first = await session.refresh(force=True)
            await session.refresh(force=True)

        assert ("a1", "r0") == (first.access_token, first.refresh_token)
        assert [["r0"], ["r0"]] == [parse_qs(body.decode())["refresh_token"] for body in issuer.bodies]

    async def test_rotates(self):
        """E68, E75, S33: against an OAuth2 token endpoint, each refresh sends the token of the one before."""
        async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
            async with AuthSession(refresh=refresh, tokens=signed_in(server)) as session:
                for _ in range(3):
                    await session.refresh(force=True)

        assert ["granted"] * 3 == [attempt.outcome for attempt in server.ledger.refresh_tries]

    async def test_ends_once_when_the_refresh_token_is_dead(self):
        """E20, E21, E84, S52: one request, one event, and a hundred operations later still one request."""
        async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
            tokens = signed_in(server)
            server.revoke_access("ada")
            server.revoke_refresh("ada")
            async with AuthSession(refresh=refresh, tokens=tokens) as session:
                ended: list[str] = []
                session.events.filter(lambda event: type(event).__name__ == "Ended").subscribe(
                    lambda event: ended.append(event.reason)
                )
                async with from_([AuthLink(session), HttpLink(server.url)]) as link:
                    request = GraphQLRequest("{ viewer { name } }")
                    first = await asyncio.gather(*(execute(link, request) for _ in range(10)), return_exceptions=True)
                    await asyncio.gather(*(execute(link, request) for _ in range(100)))

        assert [SessionEnded] * 10 == [type(outcome) for outcome in first]
        assert ["refresh token rejected"] == ended
        assert 1 == len(server.ledger.refresh_tries)


class TestHeaders:
    async def test_are_added(self, issuer: ScriptedServer):
        async with oauth2_refresh(issuer.uri, client_id="app", headers={"X-Tenant": "7"}) as refresh:
            await refresh(OLD, EXPIRED)

        assert "7" == issuer.headers["x-tenant"]

    async def test_may_carry_the_refresh_token_which_no_operation_does(self, server: ScriptedServer):
        """S51, S37: a bearer of its own, where it is configured; the refresh alone has it."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/token":
                return web.json_response({"access_token": "a1"})
            is_good = request.headers.get("authorization") == "Bearer a1"
            return web.json_response(VIEWER if is_good else {"error": "no"}, status=200 if is_good else 401)

        server.answer = answer
        refresh = oauth2_refresh(
            f"{server.origin}/token",
            client_id="app",
            headers=lambda tokens: {"authorization": f"Bearer {tokens.refresh_token}"},
        )
        async with refresh, AuthSession(refresh=refresh, tokens=OLD) as session:
            async with from_([AuthLink(session), HttpLink(server.uri)]) as link:
                result = await execute(link, GraphQLRequest("{ viewer { name } }"))

        sent = [(request.path, request.headers.get("authorization")) for request in server.requests]
        assert VIEWER == result
        assert [("/graphql", "Bearer a0"), ("/token", "Bearer r0"), ("/graphql", "Bearer a1")] == sent
        assert [False, True, False] == [b"r0" in body for body in server.bodies]

    async def test_of_the_message_win(self, issuer: ScriptedServer):
        headers = {"Content-Type": "text/plain", "Accept": "*/*"}
        async with oauth2_refresh(issuer.uri, client_id="app", headers=headers) as refresh:
            await refresh(OLD, EXPIRED)

        sent = {name.lower(): value for name, value in issuer.headers.items()}
        assert (FORM, "*/*") == (sent["content-type"], sent["accept"])

    @pytest.mark.parametrize("given", [{"Authorization": "Bearer x"}, lambda tokens: {"AUTHORIZATION": "Bearer x"}])
    async def test_do_not_say_twice_who_the_client_is(self, issuer: ScriptedServer, given: object):
        with pytest.raises(InvariantError, match="already says who it is"):
            async with oauth2_refresh(issuer.uri, headers=given, **SECRETS) as refresh:
                await refresh(OLD, EXPIRED)

    @pytest.mark.parametrize(
        "given", [3, "x: y", {"x": 3}, {"x": "a\nb"}, no_tokens, lambda tokens: {"x": 3}, lambda tokens: 3]
    )
    async def test_that_cannot_be_sent_are_refused(self, issuer: ScriptedServer, given: object):
        with pytest.raises(InvariantError):
            async with oauth2_refresh(issuer.uri, client_id="app", headers=given) as refresh:
                await refresh(OLD, EXPIRED)

        assert [] == issuer.requests


class TestRefuses:
    @pytest.mark.parametrize(
        "token_url", ["http://issuer.example/token", "http://127.0.0.1.example/t", "http://10.0.0.1/t", "HTTP://a/t"]
    )
    def test_plain_http_to_other_hosts(self, token_url: str):
        """E99: the refresh token would be readable on the way."""
        with pytest.raises(InvariantError, match="plain http"):
            oauth2_refresh(token_url, client_id="app")

    @pytest.mark.parametrize(
        "token_url",
        ["https://issuer.example/token", "http://localhost:8080/t", "http://127.0.0.2/t", "http://[::1]:1/t"],
    )
    def test_neither_https_nor_this_machine(self, token_url: str):
        """E99: loopback is no way on which anybody could read."""
        assert f"<OAuth2Refresh refresh_token from {token_url}>" == repr(oauth2_refresh(token_url, client_id="app"))

    def test_no_plain_http_where_it_is_allowed(self):
        oauth2_refresh("http://issuer.mesh/token", client_id="app", allow_insecure=True)

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"token_url": "issuer.example/token"}, "token_url"),
            ({"token_url": None}, "token_url"),
            ({"token_url": "https://app:s3cret@issuer.example/token"}, "client_secret"),
            ({"timeout": 0}, "timeout"),
            ({"timeout": None}, "timeout"),
            ({"timeout": float("inf")}, "timeout"),
            ({"allow_insecure": "no"}, "allow_insecure"),
            ({"session": "session"}, "session"),
            ({"client_id": ""}, "client_id"),
            ({"grant_type": "password"}, "grant_type"),
        ],
    )
    def test_options_that_make_no_sense(self, options: dict[str, object], named: str):
        given = {"token_url": "https://issuer.example/token", "client_id": "app", **options}

        with pytest.raises(InvariantError, match=named) as caught:
            oauth2_refresh(given.pop("token_url"), **given)

        assert "s3cret" not in str(caught.value)

    def test_wrong_types_as_type_errors(self):
        with pytest.raises(InvariantTypeError):
            oauth2_refresh("https://issuer.example/token", client_id=3)
