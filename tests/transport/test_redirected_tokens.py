"""E99: where a redirect leads to another origin, the token stays behind; with real servers on two ports."""

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rxlink.auth.events import RefreshReason
from rxlink.auth.origins import PROTECTED, Audience
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ServerError, TokenRefreshError
from rxlink.transport import _sessions
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.scripted_server import VIEWER, Answer, ScriptedServer, answer_json, scripted_server

TOKEN = "s3cret"
STATUSES = [301, 302, 303, 307, 308]
HEADERS = ["authorization", "cookie", "X-Api-Key", "proxy-authorization"]
KEPT_BY_AIOHTTP = HEADERS[:2]


def query(header: str, audience: Audience | None = None, **variables: Any) -> GraphQLRequest:
    protection = {header.lower(): audience or Audience()}
    context = {"headers": {header: TOKEN, "x-trace": "1"}, PROTECTED: protection}
    return GraphQLRequest("mutation Put($f: Upload) { put(f: $f) }", variables, context=context)


def redirect_to(*locations: str, status: int = 307) -> Answer:
    """Lead to one location after the other, then answer."""
    rest = list(locations)

    async def answer(_: web.Request) -> web.StreamResponse:
        if rest:
            return web.Response(status=status, headers={"location": rest.pop(0)})
        return web.json_response(VIEWER)

    return answer


def carried(server: ScriptedServer, header: str) -> list[str | None]:
    return [request.headers.get(header) for request in server.requests]


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.mark.parametrize("header", HEADERS)
class TestARedirect:
    @pytest.mark.parametrize("status", STATUSES)
    async def test_to_another_origin_leaves_the_token_behind(
        self, server: ScriptedServer, other: ScriptedServer, header: str, status: int
    ):
        server.answer = redirect_to(other.uri, status=status)

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header))

        assert ([TOKEN], [None]) == (carried(server, header), carried(other, header))
        assert ["1"] == carried(other, "x-trace")

    @pytest.mark.parametrize("status", STATUSES)
    async def test_within_the_origin_takes_it_along(self, server: ScriptedServer, header: str, status: int):
        server.answer = redirect_to("/other", server.uri, status=status)

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header))

        assert [TOKEN] * 3 == carried(server, header)

    async def test_back_from_another_origin_does_not_bring_it_back(
        self, server: ScriptedServer, other: ScriptedServer, header: str
    ):
        server.answer = redirect_to(other.uri)
        other.answer = redirect_to(f"{server.origin}/delete-everything")

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header))

        assert ["/graphql", "/delete-everything"] == [request.path for request in server.requests]
        assert ([TOKEN, None], [None]) == (carried(server, header), carried(other, header))

    async def test_to_an_origin_that_is_named_leaves_it_behind_too(
        self, server: ScriptedServer, other: ScriptedServer, header: str
    ):
        server.answer = redirect_to(other.uri)
        audience = Audience(frozenset({server.origin, other.origin}))

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header, audience))

        assert ([TOKEN], [None]) == (carried(server, header), carried(other, header))

    async def test_does_the_same_with_the_next_operation(
        self, server: ScriptedServer, other: ScriptedServer, header: str
    ):
        server.answer = redirect_to(other.uri, other.uri)
        request = query(header)

        async with HttpLink(server.uri) as link:
            await execute(link, request)
            await execute(link, request)

        assert ([TOKEN] * 2, [None] * 2) == (carried(server, header), carried(other, header))

    async def test_of_a_batch_leaves_it_behind(self, server: ScriptedServer, other: ScriptedServer, header: str):
        server.answer, other.answer = redirect_to(other.uri), answer_json([VIEWER])

        async with BatchHttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header))

        assert ([TOKEN], [None]) == (carried(server, header), carried(other, header))

    async def test_of_an_upload_leaves_it_behind(
        self, server: ScriptedServer, other: ScriptedServer, header: str, tmp_path: Path
    ):
        (tmp_path / "a").write_bytes(b"the file")
        server.answer = redirect_to(other.uri)

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, query(header, f=Upload(tmp_path / "a")))

        assert ([TOKEN], [None]) == (carried(server, header), carried(other, header))
        assert b"the file" in other.bodies[0]

    async def test_from_https_to_plain_http_on_the_same_host_leaves_it_behind(
        self, other: ScriptedServer, header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        seen: list[str | None] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            seen.append(request.headers.get(header))
            raise web.HTTPPermanentRedirect(other.uri)

        runner, trusting = await https_server(tmp_path, answer)
        # The certificate is known to these sessions; else they are what the link opens.
        make = aiohttp.ClientSession
        monkeypatch.setattr(
            _sessions.aiohttp,
            "ClientSession",
            lambda **options: make(connector=aiohttp.TCPConnector(ssl=trusting), **options),
        )
        async with HttpLink(f"https://127.0.0.1:{runner.addresses[0][1]}/graphql") as link:
            assert VIEWER == await execute(link, query(header))

        monkeypatch.undo()
        await runner.cleanup()
        assert ([TOKEN], [None]) == (seen, carried(other, header))


class TestWithAGivenSession:
    @pytest.mark.parametrize("header", KEPT_BY_AIOHTTP)
    async def test_the_usual_headers_stay_behind(self, server: ScriptedServer, other: ScriptedServer, header: str):
        server.answer = redirect_to(other.uri)

        async with aiohttp.ClientSession() as session:
            assert VIEWER == await execute(HttpLink(server.uri, session=session), query(header))

        assert ([TOKEN], [None]) == (carried(server, header), carried(other, header))

    @pytest.mark.parametrize("kind", [HttpLink, BatchHttpLink])
    @pytest.mark.parametrize("status", STATUSES)
    async def test_a_redirect_with_any_other_is_an_error_that_says_so(
        self, server: ScriptedServer, other: ScriptedServer, kind, status: int
    ):
        server.answer = redirect_to(f"{other.uri}?key=k3y", status=status)

        async with aiohttp.ClientSession() as session:
            with pytest.raises(ServerError, match=f"redirect .status {status}., which was not followed") as caught:
                await execute(kind(server.uri, session=session), query("X-Api-Key"))

        assert (status, "Put", False) == (caught.value.status_code, caught.value.operation_name, caught.value.retryable)
        assert f"{other.uri}?key=k3y" == caught.value.headers["location"]
        assert "'x-api-key'" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in (TOKEN, "k3y"))
        assert [] == other.requests

    @pytest.mark.parametrize(("status", "location"), [(401, "/login"), (304, "/other"), (307, None)])
    async def test_what_is_no_redirect_is_the_error_that_it_always_is(
        self, server: ScriptedServer, status: int, location: str | None
    ):
        headers = {} if location is None else {"location": location}
        server.answer = answer_json({}, status, **headers)

        async with aiohttp.ClientSession() as session:
            with pytest.raises(ServerError, match=f"Received status code {status}"):
                await execute(HttpLink(server.uri, session=session), query("x-api-key"))

    async def test_its_own_middlewares_go_on_working(self, server: ScriptedServer):
        async def sign(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            request.headers["x-signed"] = "yes"
            return await send(request)

        async with aiohttp.ClientSession(middlewares=(sign,)) as session:
            assert VIEWER == await execute(HttpLink(server.uri, session=session), query("x-api-key"))

        assert (["yes"], [TOKEN]) == (carried(server, "x-signed"), carried(server, "x-api-key"))


async def test_the_headers_of_the_link_itself_are_the_users_own_business(server: ScriptedServer, other: ScriptedServer):
    """What aiohttp takes along, it takes along."""
    server.answer = redirect_to(other.uri)

    async with HttpLink(server.uri, headers={"authorization": TOKEN, "x-key": TOKEN}) as link:
        await execute(link, GraphQLRequest("{ a }"))
        await execute(link, GraphQLRequest("{ a }", context={"uri": other.uri}))

    assert ([None, TOKEN], [TOKEN, TOKEN]) == (carried(other, "authorization"), carried(other, "x-key"))


async def https_server(folder: Path, answer: Answer) -> tuple[web.AppRunner, ssl.SSLContext]:
    """Serve with a certificate made for the purpose; return what trusts it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*made, "-keyout", key, "-out", certificate, *subject], check=True, capture_output=True)  # noqa: ASYNC221 - the test can wait
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
    return runner, ssl.create_default_context(cafile=certificate)


class TestOfARefresh:
    @pytest.mark.parametrize("kind", [HttpLink, BatchHttpLink])
    @pytest.mark.parametrize("status", [302, 307, 308])
    @pytest.mark.parametrize("has_session", [False, True])
    async def test_no_redirect_is_followed(
        self, server: ScriptedServer, other: ScriptedServer, kind, status: int, has_session: bool
    ):
        """E99, P7: its body holds the refresh token, which nobody takes off."""
        server.answer = redirect_to(other.uri, status=status)
        given = aiohttp.ClientSession() if has_session else None
        link = kind(server.uri, session=given)

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> Any:
            assert tokens is not None
            return await execute(link, GraphQLRequest("mutation Renew($t: ID) { renew(t: $t) }", {"t": TOKEN}))

        async with AuthSession(refresh=refresh, tokens=TokenSet("a0", TOKEN)) as session:
            with pytest.raises(TokenRefreshError) as caught:
                await session.refresh(force=True)

        assert isinstance(caught.value.__cause__, ServerError)
        assert "which was not followed: the body of what a token refresh sends" in str(caught.value.__cause__)
        assert [] == other.requests
        await link.aclose()
        if given is not None:
            await given.close()

    async def test_what_comes_after_it_follows_them_again(self, server: ScriptedServer, other: ScriptedServer):
        """E99: also in the same link."""
        server.answer = redirect_to(other.uri)

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, GraphQLRequest("{ viewer }"))

        assert 1 == len(other.requests)
