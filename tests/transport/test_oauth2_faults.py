"""What a request for tokens meets on its way: outages, redirects, endless answers."""

import asyncio
import threading
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxlink.auth.events import RefreshReason
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.errors import (
    AuthError,
    NetworkError,
    NetworkTimeout,
    SessionEnded,
    TokenRefreshError,
)
from rxlink.testing import AuthServer, Fault
from rxlink.transport.oauth2 import oauth2_refresh
from tests.transport.scripted_server import ScriptedServer, answer_never

OLD = TokenSet("a0", refresh_token="r0")
EXPIRED = RefreshReason.EXPIRED


async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": "/elsewhere"})


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(40):
        await response.write(b" " * 2**16)
    return response


class TestNoAnswer:
    @pytest.mark.parametrize("timeout", [0.05, 0.2])
    async def test_within_its_own_time_limit(self, server: ScriptedServer, timeout: float):
        """E23, E77: the request has left, so it may have arrived, and the refresh token may be used up."""
        server.answer = answer_never
        async with oauth2_refresh(server.uri, client_id="app", timeout=timeout) as refresh:
            with pytest.raises(NetworkTimeout, match=f"no answer within {timeout:g} s") as caught:
                await refresh(OLD, EXPIRED)

        assert (True, True) == (caught.value.retryable, caught.value.may_have_arrived)

    async def test_because_the_body_stops(self, server: ScriptedServer):
        """E23: the limit is for the whole answer."""

        async def stop(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b'{"access_')
            return await answer_never(request)

        server.answer = stop
        async with oauth2_refresh(server.uri, client_id="app", timeout=0.05) as refresh:
            with pytest.raises(NetworkTimeout):
                await refresh(OLD, EXPIRED)

    async def test_because_nobody_could_be_reached_in_time(self):
        """E77: nothing was sent, so nothing is used up."""

        class Nowhere(aiohttp.abc.AbstractResolver):
            async def resolve(self, *_: object, **__: object) -> list[Any]:
                await asyncio.Event().wait()
                return []

            async def close(self) -> None:
                pass

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Nowhere())) as session:
            refresh = oauth2_refresh("https://issuer.example/token", client_id="app", timeout=0.05, session=session)
            with pytest.raises(NetworkTimeout) as caught:
                await refresh(OLD, EXPIRED)

        assert not caught.value.may_have_arrived

    async def test_because_nobody_is_there(self):
        """E19, E77: the connection was refused; trying again later may help."""
        async with oauth2_refresh("http://127.0.0.1:1/token", client_id="app") as refresh:
            with pytest.raises(NetworkError) as caught:
                await refresh(OLD, EXPIRED)

        assert (True, False) == (caught.value.retryable, caught.value.may_have_arrived)

    @pytest.mark.parametrize("fault", [Fault.drop(), Fault.drop_after()])
    async def test_because_the_connection_broke(self, fault: Fault):
        """E77: a lost answer looks like a lost request."""
        async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
            pair = server.sign_in("ada")
            server.faults.add(fault)
            with pytest.raises(NetworkError) as caught:
                await refresh(TokenSet(pair.access_token, pair.refresh_token), EXPIRED)

        assert (True, True) == (caught.value.retryable, caught.value.may_have_arrived)


class TestAnAnswer:
    async def test_that_redirects_is_not_followed(self, server: ScriptedServer):
        """E99: secrets go to the token endpoint only."""
        server.answer = redirect
        async with oauth2_refresh(server.uri, client_id="app") as refresh:
            with pytest.raises(TokenRefreshError, match="status 307"):
                await refresh(OLD, EXPIRED)

        assert ["/graphql"] == [request.path for request in server.requests]

    async def test_without_end_is_not_read_to_the_end(self, server: ScriptedServer):
        server.answer = endless
        async with oauth2_refresh(server.uri, client_id="app") as refresh:
            with pytest.raises(TokenRefreshError, match="more than 1 MiB") as caught:
                await refresh(OLD, EXPIRED)

        assert caught.value.retryable

    @pytest.mark.parametrize(
        ("fault", "kind", "is_retryable"),
        [
            (Fault.status(503), TokenRefreshError, True),
            (Fault.status(404), TokenRefreshError, True),
            (Fault.not_json(), TokenRefreshError, True),
            (Fault.not_json("application/json"), TokenRefreshError, True),
            (Fault.too_many_requests(7), TokenRefreshError, True),
            (Fault.invalid_grant(), SessionEnded, False),
            (Fault.unauthenticated(), TokenRefreshError, False),
            (Fault.unauthenticated("status"), TokenRefreshError, False),
        ],
        ids=lambda value: getattr(value, "kind", ""),
    )
    async def test_that_brings_no_tokens(self, fault: Fault, kind: type[AuthError], is_retryable: bool):
        """E19, E20, E75: each kind of answer, from a real server."""
        async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
            pair = server.sign_in("ada")
            server.faults.add(fault)
            with pytest.raises(AuthError) as caught:
                await refresh(TokenSet(pair.access_token, pair.refresh_token), EXPIRED)

        assert (kind, is_retryable) == (type(caught.value), caught.value.retryable)
        assert (7.0 if fault.kind == "too_many_requests" else None) == getattr(caught.value, "retry_after", None)

    async def test_that_refuses_the_client_keeps_the_session(self):
        """E20: `invalid_client` is the program's fault, and nobody is signed out."""
        async with AuthServer(client_id="app", client_secret="right") as server:
            pair = server.sign_in("ada")
            refresh = oauth2_refresh(server.token_url, client_id="app", client_secret="wrong")
            tokens = TokenSet(pair.access_token, pair.refresh_token)
            async with refresh, AuthSession(refresh=refresh, tokens=tokens) as session:
                with pytest.raises(TokenRefreshError, match="invalid_client; check `client_id`"):
                    await session.refresh(force=True)

                assert pair.access_token == await session.get_token()


class TestInASession:
    async def test_an_outage_is_waited_out_on_the_loop_s_own_thread(self, monkeypatch: pytest.MonkeyPatch):
        """E53, E22: timeouts, pauses and new tries, and whoever is told of them, stay on this thread."""
        monkeypatch.setattr("rxlink.auth.pacing.random.uniform", lambda low, high: 0.01)
        threads: set[threading.Thread] = set()
        names: list[str] = []

        def note(event: object) -> None:
            threads.add(threading.current_thread())
            names.append(type(event).__name__)

        async with AuthServer() as server:
            pair = server.sign_in("ada")
            server.faults.add(Fault.hang())
            server.faults.add(Fault.status(503))
            refresh = oauth2_refresh(server.token_url, client_id="app", timeout=0.05)
            tokens = TokenSet(pair.access_token, pair.refresh_token)
            async with refresh, AuthSession(refresh=refresh, tokens=tokens) as session:
                session.events.subscribe(note)
                await session.refresh(force=True)

        assert ["RefreshStarted", "RefreshTryFailed", "RefreshTryFailed", "RefreshSucceeded", "TokensSaved"] == names
        assert {threading.main_thread()} == threads

    async def test_a_pause_that_is_too_long_is_told(self):
        """E22: `Retry-After` reaches those who wait, and nobody hammers the issuer meanwhile."""
        async with AuthServer() as server, oauth2_refresh(server.token_url, client_id="app") as refresh:
            pair = server.sign_in("ada")
            server.faults.add(Fault.too_many_requests(50))
            tokens = TokenSet(pair.access_token, pair.refresh_token)
            async with AuthSession(refresh=refresh, tokens=tokens) as session:
                with pytest.raises(TokenRefreshError) as caught:
                    await session.refresh(force=True)

        assert (True, 50.0) == (caught.value.retryable, caught.value.retry_after)
        assert 1 == len(server.ledger.refresh_tries)
