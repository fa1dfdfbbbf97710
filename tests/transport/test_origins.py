"""Where the transports send what AuthLink protects, and where they refuse to."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from rxlink.auth.origins import PROTECTED, Audience
from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.protected import OWN, TOKEN, answer_each, query
from tests.transport.scripted_server import ScriptedServer, scripted_server

INSECURE = Audience(allow_insecure=True)


async def failure_of(link: HttpLink | BatchHttpLink, request: GraphQLRequest) -> str:
    async with link:
        with pytest.raises(InvariantError) as caught:
            await execute(link, request)
    assert not caught.value.retryable
    return str(caught.value)


@pytest.fixture
async def other() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


class Names(AbstractResolver):
    """Finds every name on this machine."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> Any:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Names())) as session:
        yield session


@pytest.mark.parametrize("kind", [HttpLink, BatchHttpLink])
class TestAToken:
    """E99: a token goes to the right place only."""

    async def test_does_not_go_where_only_the_context_says(self, server: ScriptedServer, other: ScriptedServer, kind):
        uri = other.origin.replace("//", "//ada:pw@") + "/graphql?key=k3y"

        message = await failure_of(kind(server.uri), query(uri=uri))

        assert "<Operation query Viewer>" in message
        assert f"the header 'authorization' must not go to {other.origin}:" in message
        assert "`origins=[...]` of AuthLink" in message
        assert '"auth": "none"' in message
        assert [] == server.requests + other.requests
        assert not any(secret in message for secret in (TOKEN, "pw", "k3y"))

    async def test_goes_where_the_context_says_if_that_is_the_links_own_origin(self, server: ScriptedServer, kind):
        server.answer = answer_each
        async with kind(server.uri) as link:
            await execute(link, query(uri=server.origin.upper().replace("HTTP", "http") + "/other"))

        assert [("/other", TOKEN)] == seen_by(server)

    async def test_goes_where_the_links_function_says(self, server: ScriptedServer, other: ScriptedServer, kind):
        other.answer = answer_each

        async with kind(lambda operation: other.uri) as link:
            await execute(link, query())
        message = await failure_of(kind(lambda operation: other.uri), query(uri=server.uri))

        assert [("/graphql", TOKEN)] == seen_by(other)
        assert [] == server.requests
        assert server.origin in message

    async def test_does_not_go_to_the_same_port_of_the_host_over_another_scheme(self, server: ScriptedServer, kind):
        message = await failure_of(kind(server.uri.replace("http", "https")), query(audience=INSECURE, uri=server.uri))

        assert f"must not go to {server.origin}: that is not the origin of the link's own address" in message
        assert [] == server.requests

    async def test_goes_to_named_origins_only(self, server: ScriptedServer, other: ScriptedServer, kind):
        other.answer = answer_each
        audience = Audience(frozenset({other.origin}))

        async with kind(server.uri) as link:
            await execute(link, query(audience=audience, uri=other.uri))
        message = await failure_of(kind(server.uri), query(audience=audience))

        assert [("/graphql", TOKEN)] == seen_by(other)
        assert [] == server.requests
        assert f"{server.origin}: `origins` of AuthLink does not name it" in message

    async def test_does_not_go_over_plain_http_to_another_machine(
        self, server: ScriptedServer, session: aiohttp.ClientSession, kind
    ):
        uri = server.uri.replace("127.0.0.1", "api.internal")

        message = await failure_of(kind(uri, session=session), query())

        assert "must not go to http://api.internal:" in message
        assert "over plain http" in message
        assert "`allow_insecure=True`" in message
        assert [] == server.requests

    async def test_goes_there_where_that_is_allowed(self, server: ScriptedServer, session: aiohttp.ClientSession, kind):
        server.answer = answer_each
        link = kind(server.uri.replace("127.0.0.1", "api.internal"), session=session)

        await execute(link, query(audience=INSECURE))

        assert [("/graphql", TOKEN)] == seen_by(server)
        await link.aclose()

    async def test_of_a_name_of_this_machine_goes_over_plain_http(
        self, server: ScriptedServer, session: aiohttp.ClientSession, kind
    ):
        server.answer = answer_each

        for name in ("localhost", "app.localhost"):
            link = kind(server.uri.replace("127.0.0.1", name), session=session)
            await execute(link, query())
            await link.aclose()

        assert [("/graphql", TOKEN)] * 2 == seen_by(server)

    async def test_that_is_not_there_keeps_nothing_back(self, server: ScriptedServer, other: ScriptedServer, kind):
        other.answer = answer_each
        context = {PROTECTED: {"authorization": OWN}, "uri": other.uri}

        async with kind(server.uri, headers={"authorization": "of the link"}) as link:
            await execute(link, query(None, **context))
            await execute(link, query(None, **context, headers={"x-a": "1"}))

        assert [("/graphql", "of the link")] * 2 == seen_by(other)

    @pytest.mark.parametrize("protected", [7, "authorization", ["authorization"], {"authorization": "https://x"}])
    async def test_is_protected_by_what_authlink_writes_alone(self, server: ScriptedServer, kind, protected):
        request = query(None, headers={"authorization": TOKEN}, **{PROTECTED: protected})

        async with kind(server.uri) as link:
            with pytest.raises(InvariantTypeError, match=r"`protected_headers` of the context .*; leave it"):
                await execute(link, request)

        assert [] == server.requests

    async def test_is_looked_at_again_after_another_one_was_cleared(
        self, server: ScriptedServer, other: ScriptedServer, kind
    ):
        server.answer = other.answer = answer_each
        protection = {"authorization": OWN}
        context = {"headers": {"authorization": TOKEN}, PROTECTED: protection}
        elsewhere = {**context, "uri": other.uri}
        narrower = {**context, PROTECTED: {"authorization": Audience(frozenset({other.origin}))}}

        async with kind(server.uri) as link:
            await execute(link, query(None, **context))
            for refused in (elsewhere, narrower, narrower):
                with pytest.raises(InvariantError):
                    await execute(link, query(None, **refused))
            await execute(link, query(None, **context))

        assert [("/graphql", TOKEN)] * 2 == seen_by(server)
        assert [] == other.requests

    async def test_is_looked_at_once_for_the_links_own_address(self, server: ScriptedServer, kind):
        server.answer = answer_each
        asked: list[str] = []

        class Watching(Audience):
            def refusal(self, scheme: str, host: str, port: int | None, *, is_own: bool) -> str | None:
                asked.append(f"{scheme}://{host}:{port}")
                return super().refusal(scheme, host, port, is_own=is_own)

        context = {"headers": {"authorization": TOKEN}, PROTECTED: {"authorization": Watching()}}
        async with kind(server.uri) as link:
            for _ in range(3):
                await execute(link, query(None, **context))

        assert [server.origin] == asked

    async def test_in_any_header_is_protected_and_each_by_its_own_rule(
        self, server: ScriptedServer, other: ScriptedServer, kind
    ):
        protection = {"x-first": Audience(frozenset({other.origin})), "x-second": OWN}
        headers = {"X-First": "1", "X-Second": TOKEN}

        message = await failure_of(
            kind(server.uri, preserve_header_case=True),
            query(None, headers=headers, uri=other.uri, **{PROTECTED: protection}),
        )

        assert "the header 'x-second' must not go" in message
        assert [] == other.requests


class TestOfTheSameKind:
    """E99: whatever a request looks like."""

    async def test_are_queries_that_go_with_get(self, server: ScriptedServer, other: ScriptedServer):
        chain = [
            PersistedQueryLink(sha256=lambda text: "a" * 64, use_get_for_hashed_queries=True),
            HttpLink(server.uri),
        ]

        async with from_(chain) as link:
            with pytest.raises(InvariantError, match="must not go to") as caught:
                await execute(link, query(uri=other.uri))
            await execute(link, query(uri=server.uri))

        assert TOKEN not in str(caught.value)
        assert [] == other.requests
        assert ["GET"] == [request.method for request in server.requests]
        assert TOKEN == server.headers["authorization"]

    async def test_are_uploads(self, server: ScriptedServer, other: ScriptedServer, tmp_path: Path):
        (tmp_path / "a").write_bytes(b"row")

        async def rows():
            yield b"row"

        def upload(file: object) -> GraphQLRequest:
            context = {"headers": {"authorization": TOKEN}, PROTECTED: {"authorization": OWN}, "uri": other.uri}
            return GraphQLRequest("mutation Put($f: Upload!) { put(f: $f) }", {"f": file}, context=context)

        for file in (tmp_path / "a", Upload(rows(), filename="a")):
            message = await failure_of(HttpLink(server.uri), upload(file))
            assert "<Operation mutation Put> was not sent" in message
        assert [] == other.requests


def seen_by(server: ScriptedServer) -> list[tuple[str, str | None]]:
    return [(request.path, request.headers.get("authorization")) for request in server.requests]
