"""Operations with files, as a real server takes them apart."""

import asyncio
import io
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError, SerializationError, UploadError
from rxlink.transport._files import CHUNK, FilePart, find_files
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.upload_server import UPLOADED, Received, UploadServer, upload_server

MUTATION = "mutation Put($file: Upload, $in: In) { upload(file: $file, in: $in) }"


@pytest.fixture
async def server() -> AsyncIterator[UploadServer]:
    async with upload_server() as server:
        yield server


async def sent(server: UploadServer, request: GraphQLRequest, **options: object) -> Received:
    async with HttpLink(server.uri, **options) as link:
        assert UPLOADED == await execute(link, request)
    return server.received[-1]


def put(file: object, **more: object) -> GraphQLRequest:
    return GraphQLRequest(MUTATION, {"file": file, **more})


async def chunks(*parts: object):
    for part in parts:
        await asyncio.sleep(0)
        yield part


class TestForm:
    async def test_has_the_operation_the_map_and_the_file(self, server: UploadServer):
        variables = {"file": Upload(b"a,b", filename="t.csv"), "in": {"n": 1}}

        received = await sent(server, GraphQLRequest(MUTATION, variables, extensions={"k": 1}))

        operations = received.operations
        assert ["operationName", "variables", "extensions", "query"] == list(operations)
        assert {"file": None, "in": {"n": 1}} == operations["variables"]
        assert [
            ("operations", None, None),
            ("map", None, None),
            ("0", "t.csv", "text/csv"),
        ] == [part[:3] for part in received.parts]
        assert ({"0": ["variables.file"]}, [b"a,b"]) == (received.map, received.files)
        assert isinstance(variables["file"], Upload), "the caller's variables stay as they are"

    async def test_has_its_own_type_and_the_other_headers(self, server: UploadServer):
        headers = {"Content-Type": "application/json", "x-one": "1"}

        received = await sent(server, put(b"x"), headers=headers, preserve_header_case=True)

        assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert 1 == len(received.headers.getall("content-type"))
        assert ("1", "application/graphql-response+json,application/json;q=0.9") == (
            received.headers["x-one"],
            received.headers["accept"],
        )

    async def test_finds_files_in_lists_and_inputs(self, server: UploadServer):
        request = put([b"a", {"deep": (b"b", None, "text")}], **{"in": {"files": [b"c"], "n": 1}})

        received = await sent(server, request)

        assert {"0": ["variables.file.0"], "1": ["variables.file.1.deep.0"], "2": ["variables.in.files.0"]} == (
            received.map
        )
        assert [b"a", b"b", b"c"] == received.files
        assert {"file": [None, {"deep": [None, None, "text"]}], "in": {"files": [None], "n": 1}} == (
            received.operations["variables"]
        )

    async def test_sends_one_file_in_two_places_once(self, server: UploadServer):
        file = Upload(io.BytesIO(b"twice"))

        received = await sent(server, put([file, file], **{"in": {"f": file}}))

        assert {"0": ["variables.file.0", "variables.file.1", "variables.in.f"]} == received.map
        assert [b"twice"] == received.files

    async def test_sends_what_can_be_read_twice_under_two_names(self, server: UploadServer):
        content = b"same"

        received = await sent(server, put([Upload(content, filename="a"), Upload(content, filename="b")]))

        assert [("a", content), ("b", content)] == [(part[1], part[3]) for part in received.parts[2:]]

    async def test_leaves_out_files_that_the_document_does_not_use(self, server: UploadServer):
        received = await sent(server, put(b"x", unused=Path("/nowhere")))

        assert {"0": ["variables.file"]} == received.map

    @pytest.mark.parametrize(
        ("filename", "expected"),
        [
            ('a"b\r\nc.txt', "a%22b%0D%0Ac.txt"),
            ("Bücher \U0001f4da.pdf", "Bücher \U0001f4da.pdf"),
            ("a;b\\c", "a;b\\c"),
        ],
    )
    async def test_carries_any_file_name(self, server: UploadServer, filename: str, expected: str):
        async with HttpLink(server.uri) as link:
            await execute(link, put(Upload(b"x", filename=filename)))

        assert expected == server.received[-1].parts[2][1] or "\\" in filename
        assert [b"x"] == server.received[-1].files

    async def test_uses_the_links_printer_and_encoder(self, server: UploadServer):
        def encode(value: object) -> bytes:
            return json.dumps(value, default=str).encode()

        received = await sent(
            server, put(Upload(b"x"), **{"in": Path("as text")}), encode=encode, print=lambda *_: "{ mine }"
        )

        assert ({"file": None, "in": "as text"}, "{ mine }") == (
            received.operations["variables"],
            received.operations["query"],
        )

    async def test_is_posted_although_queries_use_get(self, server: UploadServer):
        request = GraphQLRequest("query Q($file: Upload) { f(file: $file) }", {"file": b"x"})

        received = await sent(server, request, use_get_for_queries=True)

        assert [b"x"] == received.files

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_leaves_values_without_files_as_they_are(self, value: object):
        variables = {"a": value}

        assert (variables, {}) == find_files(variables, {}, only_marked=False)


class TestSources:
    @pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK * 3 + 7])
    async def test_of_known_size_are_announced_and_arrive_whole(self, server: UploadServer, tmp_path: Path, size: int):
        content = os.urandom(size)
        path = tmp_path / "a.bin"
        path.write_bytes(content)

        with path.open("rb") as file:
            file_list = [path, file, content, bytearray(content), memoryview(content), io.BytesIO(content)]
            received = await sent(server, put(file_list))
            assert not file.closed

        assert [content] * 6 == received.files
        assert "a.bin" == received.parts[2][1]
        assert ("Content-Length" in received.headers, None) == (True, received.headers.get("Transfer-Encoding"))

    async def test_that_are_streams_are_sent_as_they_come(self, server: UploadServer):
        files = [chunks(b"a", bytearray(b"b"), memoryview(b"c")), Upload(lambda: chunks(b"d")), Upload(chunks(b"e"))]

        received = await sent(server, put(files))

        assert [b"abc", b"d", b"e"] == received.files
        assert "chunked" == received.headers["Transfer-Encoding"]

    async def test_that_are_open_are_read_from_where_they_stand(self, server: UploadServer):
        file = io.BytesIO(b"skipped, sent")
        file.seek(9)

        received = await sent(server, put(file))

        assert [b"sent"] == received.files

    async def test_that_cannot_seek_are_read_once(self, server: UploadServer):
        reader, writer = os.pipe()
        os.write(writer, b"piped")
        os.close(writer)

        with os.fdopen(reader, "rb") as file:
            received = await sent(server, put(file))

        assert [b"piped"] == received.files

    async def test_that_grow_are_sent_as_long_as_they_were_announced(self, tmp_path: Path):
        path = tmp_path / "log"
        path.write_bytes(b"announced")
        part, written = FilePart(path), []
        size = part.size()
        path.write_bytes(b"announced, and more")

        async def write(chunk: bytes) -> None:
            written.append(chunk)

        await part.send(write, size)

        assert [b"announced"] == written

    async def test_are_shown_nowhere(self, server: UploadServer, caplog: pytest.LogCaptureFixture):
        caplog.set_level(logging.DEBUG, "rxlink")

        await sent(server, put(b"s3cret"))
        await sent(server, put(chunks(b"s3cret")))

        frames = [record.getMessage() for record in caplog.records if ">>>" in record.getMessage()]
        size = int(server.received[0].headers["content-length"])
        assert f": POST, {size} bytes;" in frames[0]
        assert ": POST, streamed bytes;" in frames[1]
        assert "s3cret" not in caplog.text


class TestFailing:
    async def test_file_that_is_not_there_sends_nothing(self, server: UploadServer, tmp_path: Path):
        async with HttpLink(server.uri) as link:
            with pytest.raises(UploadError, match=r"operation Put: the file variables\.file\.1 could not be") as caught:
                await execute(link, put([b"x", tmp_path / "absent"]))

        assert ("variables.file.1", False) == (caught.value.path, caught.value.retryable)
        assert isinstance(caught.value.__cause__, FileNotFoundError)
        assert [] == server.received

    @pytest.mark.parametrize("failure", [OSError("disk"), ConnectionResetError("upstream"), LookupError("row")])
    async def test_stream_is_told_with_its_cause(self, server: UploadServer, failure: Exception):
        async def breaking():
            yield b"a"
            raise failure

        async with HttpLink(server.uri) as link:
            with pytest.raises(UploadError, match="could not be read") as caught:
                await execute(link, put(breaking()))

        assert failure is caught.value.__cause__

    async def test_stream_of_text_is_told(self, server: UploadServer):
        async with HttpLink(server.uri) as link:
            with pytest.raises(UploadError, match="TypeError") as caught:
                await execute(link, put(chunks("text")))

        assert "instead of bytes" in str(caught.value.__cause__)

    async def test_file_that_has_become_shorter_is_told(self, server: UploadServer, tmp_path: Path):
        path = tmp_path / "a"
        path.write_bytes(b"long")

        async def shorten():
            path.write_bytes(b"s")
            yield b"first"

        async with HttpLink(server.uri) as link:
            with pytest.raises(UploadError, match=r"variables\.file\.1 .*EOFError"):
                await execute(link, put([shorten(), path]))

    async def test_file_opened_as_text_is_misuse(self, server: UploadServer):
        async with HttpLink(server.uri) as link:
            with pytest.raises(InvariantTypeError, match="opened as text"):
                await execute(link, put(io.StringIO("x")))

    async def test_by_get_is_misuse(self, server: UploadServer):
        async with HttpLink(server.uri, fetch_options={"method": "GET"}) as link:
            with pytest.raises(InvariantError, match="holds files, which GET cannot carry"):
                await execute(link, put(b"x"))

    async def test_value_beside_a_file_is_named(self, server: UploadServer):
        async with HttpLink(server.uri) as link:
            with pytest.raises(SerializationError) as caught:
                await execute(link, put(b"x", **{"in": [object()]}))

        assert "variables.in[0]" == caught.value.path

    async def test_circle_beside_a_file_is_named(self, server: UploadServer):
        circle: list = [b"x"]
        circle.append(circle)

        async with HttpLink(server.uri) as link:
            with pytest.raises(SerializationError):
                await execute(link, put(circle))
