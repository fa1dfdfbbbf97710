"""Files that are sent a second time: read again where they can be, and never silently cut short."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import NetworkError, SessionEnded, UploadError
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.upload_server import REFUSED, UPLOADED, UploadServer, answer_with, upload_server

MUTATION = "mutation Put($file: Upload) { upload(file: $file) }"


@pytest.fixture
async def server() -> AsyncIterator[UploadServer]:
    async with upload_server() as server:
        yield server


def put(file: object) -> GraphQLRequest:
    return GraphQLRequest(MUTATION, {"file": file})


async def rows():
    yield b"row"


def session_with(tokens: list[str]) -> AuthSession:
    async def refresh(old: TokenSet | None, reason: object) -> TokenSet:
        tokens.append(f"t{len(tokens) + 1}")
        return TokenSet(tokens[-1])

    return AuthSession(refresh=refresh, tokens=TokenSet("t0"))


class Pipe(io.RawIOBase):
    """An open file that cannot seek."""

    def __init__(self, content: bytes) -> None:
        self.rest = io.BytesIO(content)

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return self.rest.read(size)


class TestAfterARefresh:
    @pytest.mark.parametrize("kind", ["path", "bytes", "open file", "function"])
    async def test_what_can_be_read_again_is_sent_whole(self, server: UploadServer, tmp_path: Path, kind: str):
        (tmp_path / "a").write_bytes(b"row")
        standing = io.BytesIO(b"before it row")
        standing.seek(10)
        file = {"path": tmp_path / "a", "bytes": b"row", "open file": standing, "function": Upload(rows)}[kind]
        tokens: list[str] = []
        server.answer = answer_with(REFUSED, UPLOADED)

        async with session_with(tokens) as session, from_([AuthLink(session), HttpLink(server.uri)]) as link:
            assert UPLOADED == await execute(link, put(file))

        assert [[b"row"], [b"row"]] == [received.files for received in server.received]
        assert [{"0": ["variables.file"]}] * 2 == [received.map for received in server.received]
        assert 1 == len(tokens)

    @pytest.mark.parametrize("kind", ["generator", "pipe"])
    @pytest.mark.parametrize("status", [200, 401])
    async def test_what_is_used_up_gets_its_own_answer_and_others_the_new_token(
        self, server: UploadServer, kind: str, status: int
    ):
        tokens: list[str] = []
        file = rows() if kind == "generator" else Pipe(b"row")

        async def refuse(_: int) -> web.StreamResponse:
            return web.json_response(REFUSED, status=status, content_type="application/graphql-response+json")

        server.answer = refuse
        async with session_with(tokens) as session, from_([AuthLink(session), HttpLink(server.uri)]) as link:
            assert REFUSED == await execute(link, put(file))
            server.answer = answer_with(UPLOADED)
            assert UPLOADED == await execute(link, put(b"next"))

        assert [[b"row"], [b"next"]] == [received.files for received in server.received]
        assert "Bearer t1" == server.received[-1].headers["authorization"]
        assert ["t1"] == tokens, "the refresh ran, once"

    async def test_what_is_used_up_gets_its_own_answer_even_if_there_can_be_no_refresh(self, server: UploadServer):
        server.answer = answer_with(REFUSED)
        session = AuthSession(refresh=lambda *_: TokenSet("new"), tokens=TokenSet("old"))

        async def close(number: int) -> web.StreamResponse:
            await session.aclose()
            return web.json_response(REFUSED)

        server.answer = close
        async with from_([AuthLink(session), HttpLink(server.uri)]) as link:
            assert REFUSED == await execute(link, put(rows()))

    async def test_what_was_not_read_yet_is_sent(self, server: UploadServer, unused_tcp_port: int):
        uris = [f"http://127.0.0.1:{unused_tcp_port}/", server.uri]
        stream = rows()

        async with HttpLink(lambda _: uris.pop(0)) as link:
            results = execute(link, put(stream))
            with pytest.raises(NetworkError) as caught:
                await results
            assert UPLOADED == await results

        assert caught.value.retryable
        assert [b"row"] == server.received[-1].files


async def test_what_can_be_read_once_is_sent_by_one_of_two_operations_and_whole(server: UploadServer):
    file = Pipe(b"row" * 50_000)

    async with HttpLink(server.uri) as link:
        outcomes = await asyncio.gather(*(outcome_of(link, file) for _ in range(2)), return_exceptions=True)

    assert [UPLOADED] == [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
    (failure,) = [str(outcome) for outcome in outcomes if isinstance(outcome, UploadError)]
    assert failure.endswith("variables.file is being read by another operation; give Upload a function that opens it")
    assert [[b"row" * 50_000]] == [received.files for received in server.received if received.files]


async def outcome_of(link: ApolloLink, file: object) -> object:
    return await execute(link, put(file))


class TestSubscribedAgain:
    async def test_what_is_used_up_is_an_error(self, server: UploadServer):
        async with HttpLink(server.uri) as link:
            results = execute(link, put([b"x", rows()]))
            await results
            with pytest.raises(UploadError, match=r"variables\.file\.1 is used up and cannot be sent again"):
                await results

        assert 1 == len(server.received)

    async def test_a_generator_that_another_operation_has_read_is_an_error(self, server: UploadServer):
        stream = rows()

        async with HttpLink(server.uri) as link:
            await execute(link, put(stream))
            with pytest.raises(UploadError, match="used up"):
                await execute(link, put(stream))

    async def test_what_can_be_read_again_is_sent_again(self, server: UploadServer):
        async with HttpLink(server.uri) as link:
            results = execute(link, put(io.BytesIO(b"x")))
            await results
            await results

        assert [[b"x"], [b"x"]] == [received.files for received in server.received]

    async def test_the_operation_says_whether_it_is_used_up(self, server: UploadServer):
        operations = []

        def watch(operation, forward):
            operations.append((operation, operation.is_spent))
            return forward(operation)

        async with from_([ApolloLink(watch), HttpLink(server.uri)]) as link:
            await execute(link, put(b"x"))
            await execute(link, put(rows()))

        assert [(False, False), (False, True)] == [(before, after.is_spent) for after, before in operations]

    async def test_two_descriptions_of_one_stream_are_an_error(self, server: UploadServer):
        stream = rows()

        async with HttpLink(server.uri) as link:
            with pytest.raises(UploadError, match="stands there twice"):
                await execute(link, put([Upload(stream, filename="a"), Upload(stream, filename="b")]))

        assert [] == server.received


class TestRedirect:
    @pytest.mark.parametrize("kind", ["bytes", "path", "open file"])
    async def test_sends_what_can_be_read_again(self, server: UploadServer, tmp_path: Path, kind: str):
        (tmp_path / "a").write_bytes(b"row")
        file = {"bytes": b"row", "path": tmp_path / "a", "open file": io.BytesIO(b"row")}[kind]
        server.answer = redirected_once

        async with HttpLink(server.uri) as link:
            assert UPLOADED == await execute(link, put(file))

        assert ["/graphql", "/other"] == [received.path for received in server.received]
        assert [[b"row"], [b"row"]] == [received.files for received in server.received]

    async def test_of_what_is_used_up_is_an_error_that_is_not_tried_again(self, server: UploadServer):
        server.answer = redirected_once

        async with HttpLink(server.uri) as link:
            with pytest.raises(NetworkError) as caught:
                await execute(link, put(rows()))

        assert not caught.value.retryable
        assert 1 == len(server.received)


async def test_another_users_login_does_not_get_the_first_ones_file(server: UploadServer):
    gate = asyncio.Event()

    async def answer(number: int) -> web.StreamResponse:
        gate.set()
        await asyncio.sleep(0)
        await session.set_tokens(TokenSet("another"))
        return web.json_response(REFUSED)

    server.answer = answer
    session = session_with([])
    async with session, from_([AuthLink(session), HttpLink(server.uri)]) as link:
        with pytest.raises(SessionEnded):
            await execute(link, put(b"row"))

    assert 1 == len(server.received)


async def redirected_once(number: int) -> web.StreamResponse:
    if number == 1:
        return web.Response(status=307, headers={"location": "/other"})
    return web.json_response(UPLOADED)
