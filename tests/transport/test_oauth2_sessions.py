"""Which connections a request for tokens goes over, and when they are closed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import aiohttp
import pytest

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet
from rxlink.errors import ClientClosed, SessionEnded
from rxlink.transport.oauth2 import OAuth2Refresh, oauth2_refresh
from tests.transport.scripted_server import ScriptedServer, answer_json, answer_never

OLD = TokenSet("a0", refresh_token="r0")
EXPIRED = RefreshReason.EXPIRED


@pytest.fixture
async def issuer(server: ScriptedServer) -> ScriptedServer:
    server.answer = answer_json({"access_token": "a1", "token_type": "Bearer"})
    return server


@pytest.fixture
async def refresh(issuer: ScriptedServer) -> AsyncIterator[OAuth2Refresh]:
    async with oauth2_refresh(f"{issuer.origin}/token", client_id="app") as refresh:
        yield refresh


class ThreadedIssuer(BaseHTTPRequestHandler):
    """Answers in threads of its own, whatever loops there are."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = b'{"access_token": "a1"}'
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def threaded_issuer(leaves_no_thread: None) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ThreadedIssuer) as server:
        serving = Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        serving.join()


class TestAGivenSession:
    async def test_lends_its_connections_and_nothing_else(self, issuer: ScriptedServer):
        """E30, S37: what it adds to other requests would be taken for this client's."""

        async def meddle(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            raise AssertionError("a middleware of the session was asked")

        async with aiohttp.ClientSession(
            headers={"authorization": "Bearer a0", "x-other": "1"},
            cookies={"sid": "1"},
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            raise_for_status=True,
            middlewares=(meddle,),
        ) as session:
            refresh = oauth2_refresh(issuer.uri, client_id="app", session=session)
            await refresh(OLD, EXPIRED)
            issuer.answer = answer_json({"error": "invalid_grant"}, 400, set_cookie="sid=2")
            with pytest.raises(SessionEnded):
                await refresh(OLD, EXPIRED)
            await refresh.aclose()

            assert not session.closed
            assert not session.connector.closed
            assert ["1"] == [cookie.value for cookie in session.cookie_jar]
        sent = {name.lower() for name in issuer.headers}
        assert not {"authorization", "cookie", "x-other"} & sent
        peers = {request.transport.get_extra_info("peername") for request in issuer.requests if request.transport}
        assert len(peers) <= 1, "one connection for both"

    async def test_lends_its_proxy(self, issuer: ScriptedServer):
        async with aiohttp.ClientSession(proxy=issuer.origin) as session:
            refresh = oauth2_refresh("http://localhost:1/token", client_id="app", session=session)

            assert "a1" == (await refresh(OLD, EXPIRED)).access_token

        assert "/token" == issuer.requests[-1].path
        assert "localhost:1" == issuer.headers["Host"]

    async def test_that_was_closed_is_named(self, issuer: ScriptedServer):
        session = aiohttp.ClientSession()
        refresh = oauth2_refresh(issuer.uri, client_id="app", session=session)
        await session.close()

        with pytest.raises(ClientClosed, match="given to oauth2_refresh"):
            await refresh(OLD, EXPIRED)


class TestItsOwnSessions:
    def test_serve_one_loop_after_another(self, threaded_issuer: str):
        """E54: two calls of `asyncio.run`, and nothing is left open."""
        refresh = oauth2_refresh(threaded_issuer, client_id="app")

        got = [asyncio.run(refresh(OLD, EXPIRED)) for _ in range(2)]

        assert ["a1", "a1"] == [tokens.access_token for tokens in got]

    def test_serve_several_loops_at_once(self, threaded_issuer: str):
        """E55: four threads, each with a loop of its own."""
        refresh = oauth2_refresh(threaded_issuer, client_id="app")

        async def twice() -> list[TokenSet]:
            return [await refresh(OLD, EXPIRED) for _ in range(2)]

        with ThreadPoolExecutor(4) as threads:
            got = list(threads.map(lambda _: asyncio.run(twice()), range(4)))

        assert ["a1"] * 8 == [tokens.access_token for both in got for tokens in both]

    async def test_close_with_it(self, refresh: OAuth2Refresh):
        await refresh(OLD, EXPIRED)
        session = refresh._sender._own.opened(None)

        await refresh.aclose()

        assert session.closed
        with pytest.raises(ClientClosed, match="oauth2_refresh"):
            await refresh(OLD, EXPIRED)

    async def test_end_what_runs_when_they_close(self, refresh: OAuth2Refresh, issuer: ScriptedServer):
        """E57: who waits gets ClientClosed."""
        issuer.answer = answer_never
        waiting = asyncio.create_task(refresh(OLD, EXPIRED))
        await issuer.arrived.wait()

        await refresh.aclose()

        with pytest.raises(ClientClosed, match="oauth2_refresh"):
            await waiting

    async def test_are_left_when_the_caller_leaves(self, refresh: OAuth2Refresh, issuer: ScriptedServer):
        issuer.answer = answer_never
        waiting = asyncio.create_task(refresh(OLD, EXPIRED))
        await issuer.arrived.wait()

        waiting.cancel()
        await asyncio.wait([waiting])

        assert waiting.cancelled()
        await asyncio.wait_for(issuer.aborted.wait(), 5)
