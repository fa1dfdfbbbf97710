"""Files that a user of gql puts into variables reach the server, also when they are sent again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gql
import pytest
from gql import FileVar
from gql.transport.exceptions import TransportError

from rxlink import AuthLink, AuthSession, HttpLink, InvariantTypeError, SerializationError, TokenSet, UploadError, from_
from rxlink.integrations.gql import LinkTransport
from tests.transport.upload_server import REFUSED, UPLOADED, UploadServer, answer_with, upload_server

PUT = "mutation Put($file: Upload!) { upload(file: $file) }"
CONTENT = bytes(range(256)) * 300  # more than is read at once


async def rows() -> AsyncIterator[bytes]:
    for start in range(0, len(CONTENT), 10_000):
        yield CONTENT[start : start + 10_000]


def stream_reader() -> asyncio.StreamReader:
    """A file whose `read` is awaited; aiohttp's reader of an answer is another."""
    reader = asyncio.StreamReader()
    reader.feed_data(CONTENT)
    reader.feed_eof()
    return reader


@pytest.fixture
async def server(guarded_loop: None) -> AsyncIterator[UploadServer]:
    async with upload_server() as server:
        yield server


async def put(server: UploadServer, file: Any, **arguments: Any) -> Any:
    async with gql.Client(transport=LinkTransport(lambda: HttpLink(server.uri))) as session:
        request = gql.GraphQLRequest(PUT, variable_values={"file": file})
        return await session.execute(request, upload_files=True, **arguments)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(CONTENT)
    return path


class TestSources:
    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            (lambda path: FileVar(str(path)), ("table.csv", "text/csv")),
            (lambda path: FileVar(str(path), streaming=True), ("table.csv", "text/csv")),
            (lambda path: FileVar(str(path), filename="a.png"), ("a.png", "image/png")),
            (lambda path: FileVar(str(path), content_type="text/x-table"), ("table.csv", "text/x-table")),
            (lambda path: FileVar(io.BytesIO(CONTENT)), ("blob", "application/octet-stream")),
            (lambda path: FileVar(rows()), ("blob", "application/octet-stream")),
            (lambda path: FileVar(stream_reader(), filename="b.csv"), ("b.csv", "text/csv")),
        ],
        ids=["path", "streamed path", "filename", "content type", "file", "generator", "stream reader"],
    )
    async def test_a_file_var_is_sent_with_its_name_and_type(
        self, server: UploadServer, path: Path, make: Callable[[Path], FileVar], expected: tuple[str, str]
    ) -> None:
        result = await put(server, make(path))

        assert {"upload": True} == result
        (received,) = server.received
        assert [("0", *expected, CONTENT)] == received.parts[2:]
        assert {"file": None} == received.operations["variables"]

    @pytest.mark.parametrize("make", [io.BytesIO, lambda _: rows(), lambda _: stream_reader()])
    async def test_a_bare_file_is_sent_with_the_warning_that_gql_gives(
        self, server: UploadServer, make: Callable[[bytes], Any]
    ) -> None:
        with pytest.warns(DeprecationWarning, match="Not using FileVar for file upload is deprecated"):
            await put(server, make(CONTENT))

        assert [CONTENT] == server.received[0].files

    async def test_files_are_found_at_any_depth_and_each_is_sent_once(self, server: UploadServer) -> None:
        one, other = FileVar(io.BytesIO(b"one")), FileVar(rows())
        variables = {"file": {"list": [one, {"deep": other}, (one,)], "text": "a", "number": 1}}

        await put(server, variables["file"])

        (received,) = server.received
        assert [b"one", CONTENT] == received.files
        assert [
            ["variables.file.list.0", "variables.file.list.2.0"],
            ["variables.file.list.1.deep"],
        ] == list(received.map.values())
        assert {"file": {"list": [one, {"deep": other}, (one,)], "text": "a", "number": 1}} == variables

    async def test_an_operation_without_variables_has_no_files(self, server: UploadServer) -> None:
        server.reads = False
        async with gql.Client(transport=LinkTransport(lambda: HttpLink(server.uri))) as session:
            assert {"upload": True} == await session.execute(gql.gql("{ upload }"), upload_files=True)


class TestSentAgain:
    async def test_a_file_is_read_again_after_a_refresh(self, server: UploadServer, path: Path) -> None:
        async def refresh(tokens: TokenSet | None, reason: object) -> TokenSet:
            return TokenSet("new")

        server.answer = answer_with(REFUSED, UPLOADED)
        tokens = AuthSession(refresh=refresh, tokens=TokenSet("old"))
        chain = from_([AuthLink(tokens), HttpLink(server.uri)])
        request = gql.GraphQLRequest(PUT, variable_values={"file": FileVar(str(path))})

        async with chain, gql.Client(transport=LinkTransport(chain)) as session:
            result = await session.execute(request, upload_files=True)

        assert {"upload": True} == result
        assert [[CONTENT], [CONTENT]] == [received.files for received in server.received]
        assert ["Bearer old", "Bearer new"] == [received.headers["authorization"] for received in server.received]


class TestMistakes:
    async def test_a_file_that_is_not_there_is_an_error_with_its_place(
        self, server: UploadServer, tmp_path: Path
    ) -> None:
        with pytest.raises(TransportError, match=r"the file variables\.file could not be read") as caught:
            await put(server, FileVar(str(tmp_path / "nothing")))

        assert isinstance(caught.value.__cause__, UploadError)
        assert [] == server.received

    async def test_a_file_that_is_opened_as_text_is_refused(self, server: UploadServer, path: Path) -> None:
        with path.open(encoding="latin-1") as file, pytest.raises(InvariantTypeError, match="open it with 'rb'"):
            await put(server, FileVar(file))

    async def test_what_is_nested_too_deeply_is_an_error_of_the_link(self, server: UploadServer) -> None:
        deep: Any = None
        for _ in range(200_000):  # newer Pythons write some thousands
            deep = [deep]

        with pytest.raises(TransportError) as caught:
            await put(server, deep)

        assert isinstance(caught.value.__cause__, SerializationError)

    async def test_without_upload_files_a_file_var_is_no_json(self, server: UploadServer) -> None:
        async with gql.Client(transport=LinkTransport(lambda: HttpLink(server.uri))) as session:
            with pytest.raises(TransportError, match=r"variables\.file is a FileVar, which JSON cannot carry"):
                await session.execute(gql.GraphQLRequest(PUT, variable_values={"file": FileVar(io.BytesIO())}))
