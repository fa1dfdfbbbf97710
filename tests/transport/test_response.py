"""Which answers are results: the table of Apollo Client 4.3.8, checked against it under Node."""

import asyncio
import gzip
import json
import re
import zlib

import aiohttp
import pytest
from aiohttp import web

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    ResponseTooLarge,
    ServerError,
    ServerParseError,
)
from rxlink.transport._response import checked_size
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.sse import SseLink
from tests.transport.scripted_server import ScriptedServer, answer_in_chunks, answer_never, answer_text

QUERY = GraphQLRequest("query Q { a }")

JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
HTML = "text/html"

DATA = '{"data": {"a": 1}}'
ERRORS = '{"errors": [{"message": "no"}]}'
OTHER = '{"message": "no"}'

RESULT = None


@pytest.mark.parametrize(
    ("status", "content_type", "body", "error"),
    [
        (200, JSON, DATA, RESULT),
        (200, JSON, ERRORS, RESULT),
        (200, JSON, '{"data": null}', RESULT),
        (200, f"{JSON}; charset=utf-8", DATA, RESULT),
        (201, JSON, DATA, RESULT),
        (299, JSON, DATA, RESULT),
        (200, HTML, DATA, RESULT),
        (200, "application/octet-stream", DATA, RESULT),
        (300, JSON, DATA, ServerError),
        (400, JSON, ERRORS, ServerError),
        (401, JSON, ERRORS, ServerError),
        (401, HTML, "<html>", ServerError),
        (500, JSON, "", ServerError),
        (503, JSON, "no JSON", ServerError),
        (200, GRAPHQL, DATA, RESULT),
        (400, GRAPHQL, ERRORS, RESULT),
        (401, GRAPHQL, ERRORS, RESULT),
        (401, f"{GRAPHQL}; charset=utf-8", ERRORS, RESULT),
        (500, GRAPHQL, DATA, RESULT),
        (500, GRAPHQL, OTHER, ServerError),
        (500, GRAPHQL, "<html>", ServerParseError),
        (500, GRAPHQL.upper(), DATA, ServerError),
        (200, JSON, OTHER, ServerError),
        (200, JSON, "{}", ServerError),
        (200, JSON, "5", ServerError),
        (200, JSON, '"text"', ServerError),
        (200, JSON, "true", ServerError),
        (200, JSON, "", ServerParseError),
        (200, JSON, "no JSON", ServerParseError),
        (200, JSON, DATA + "x", ServerParseError),
        (200, JSON, '{"data": NaN}', ServerParseError),
        (200, JSON, '{"data": -Infinity}', ServerParseError),
        (200, JSON, "\ufeff" + DATA, RESULT),
        (200, JSON, f" {DATA}\n", RESULT),
        # Here Apollo has a list as the result, and a TypeError.
        (200, JSON, f"[{DATA}]", ServerError),
        (200, JSON, "null", ServerError),
        # Text that breaks the decoder in other ways than being no JSON.
        (200, JSON, "[" * 100_000, ServerParseError),
        (200, JSON, f'{{"data": {"9" * 5000}}}', ServerParseError),
        (200, JSON, b'{"data": "\xff"}', ServerParseError),
    ],
)
async def test_answer(server: ScriptedServer, status: int, content_type: str, body: str, error: type[Exception] | None):
    server.answer = answer_text(body, status, content_type)

    async with HttpLink(server.uri) as link:
        if error is RESULT:
            assert json.loads(body.removeprefix("\ufeff")) == await execute(link, QUERY)
        else:
            with pytest.raises(error) as caught:
                await execute(link, QUERY)
            assert (error, status) == (type(caught.value), caught.value.status_code)


async def test_server_error_says_and_holds_what_came(server: ScriptedServer):
    server.answer = answer_text(OTHER, 401, x_trace="7")

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, QUERY)

    error = caught.value
    assert "Response not successful: Received status code 401 (operation Q)" == str(error)
    assert (OTHER, {"message": "no"}, "Q") == (error.body_text, error.result, error.operation_name)
    assert "7" == error.headers["x-trace"]


async def test_server_error_holds_no_result_where_the_body_is_no_object(server: ScriptedServer):
    server.answer = answer_text('["no"]', 502)

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, QUERY)

    assert (None, '["no"]', True) == (
        caught.value.result,
        caught.value.body_text,
        caught.value.retryable,
    )


async def test_malformed_answer_names_the_query(server: ScriptedServer):
    server.answer = answer_text(OTHER)

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, QUERY)
        with pytest.raises(ServerError, match=r"for query '\(anonymous\)'"):
            await execute(link, GraphQLRequest("{ a }"))

    assert "Server response was malformed for query 'Q'." == str(caught.value)
    assert {"message": "no"} == caught.value.result


async def test_parse_error_says_where_and_holds_the_parsers_exception(server: ScriptedServer):
    server.answer = answer_text('{"data": s3cret}')

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerParseError, match=r"operation Q \(status 200\).*column 10") as seen:
            await execute(link, QUERY)

    assert isinstance(seen.value.__cause__, json.JSONDecodeError)
    assert '{"data": s3cret}' == seen.value.body_text
    assert "s3cret" not in str(seen.value)


async def test_parse_error_has_no_cause_that_shows_the_body(server: ScriptedServer):
    server.answer = answer_text(b'{"data": "s3cret\xff"}')

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerParseError) as caught:
            await execute(link, QUERY)

    assert (None, None) == (caught.value.__cause__, caught.value.__context__)
    assert '{"data": "s3cret\ufffd"}' == caught.value.body_text


async def test_multipart_answer_to_a_batch_is_refused_and_its_connection_dropped(server: ScriptedServer):
    server.answer = answer_in_chunks(
        b"--graphql\r\n", then=asyncio.Event(), content_type='Multipart/Mixed; boundary="graphql"'
    )

    async with BatchHttpLink(server.uri, batch_max=1) as link:
        with pytest.raises(ServerError, match=r"in parts \(multipart/mixed\): send it to HttpLink") as refused:
            await execute(link, QUERY)
        await server.aborted.wait()

    assert (200, "") == (refused.value.status_code, refused.value.body_text)


@pytest.mark.parametrize("status", [401, 503])
@pytest.mark.parametrize(
    ("kind", "media_type"),
    [(BatchHttpLink, "multipart/mixed; boundary=-"), (HttpLink, "text/event-stream"), (SseLink, "text/event-stream")],
)
async def test_the_status_of_an_answer_that_another_link_could_read_counts_first(
    server: ScriptedServer, kind: type[BatchHttpLink | HttpLink | SseLink], media_type: str, status: int
):
    server.answer = answer_text("not for you", status=status, content_type=media_type)

    async with kind(server.uri) as link:
        with pytest.raises(ServerError, match=f"Received status code {status}") as refused:
            await execute(link, QUERY)

    assert (status, "not for you") == (refused.value.status_code, refused.value.body_text)


@pytest.mark.parametrize(
    ("kind", "media_type", "cure"),
    [
        (HttpLink, "text/event-stream; charset=utf-8", "server-sent events (text/event-stream): send it to SseLink"),
        (SseLink, "Multipart/Mixed;boundary=-", "in parts (multipart/mixed): send it to HttpLink"),
    ],
)
async def test_pieces_that_another_link_reads_are_refused_at_their_head(
    server: ScriptedServer, kind: type[HttpLink | SseLink], media_type: str, cure: str
):
    server.answer = answer_in_chunks(b":", then=asyncio.Event(), content_type=media_type)

    async with kind(server.uri) as link:
        with pytest.raises(ServerError, match=re.escape(cure)):
            await execute(link, QUERY)
        await server.aborted.wait()


class TestCharset:
    @pytest.mark.parametrize("charset", ["utf-8", "UTF8", "iso-8859-1", '"utf-16"'])
    async def test_that_is_declared_counts(self, server: ScriptedServer, charset: str):
        body = '{"data": "Zoë"}'.encode(charset.strip('"'))
        server.answer = answer_text(body, content_type=f"{JSON}; charset={charset}")

        async with HttpLink(server.uri) as link:
            assert {"data": "Zoë"} == await execute(link, QUERY)

    @pytest.mark.parametrize("charset", ["klingon", "rot13", "ascii", "idna"])
    async def test_that_is_unknown_or_wrong_is_read_as_utf_8(self, server: ScriptedServer, charset: str):
        server.answer = answer_text('{"data": "Zoë"}', content_type=f"{JSON}; charset={charset}")

        async with HttpLink(server.uri) as link:
            assert {"data": "Zoë"} == await execute(link, QUERY)

    async def test_reaches_an_own_decoder_as_utf_8_without_mark(self, server: ScriptedServer):
        got = []

        def decode(body: bytes) -> object:
            got.append(body)
            return json.loads(body)

        async with HttpLink(server.uri, decode=decode) as link:
            server.answer = answer_text("\ufeff" + DATA)
            await execute(link, QUERY)
            server.answer = answer_text('{"data":"ë"}'.encode("latin-1"), content_type="a/b;charset=latin-1")
            await execute(link, QUERY)

        assert [DATA.encode(), '{"data":"ë"}'.encode()] == got


async def test_decoder_that_raises_anything_makes_a_parse_error(server: ScriptedServer):
    failure = LookupError("the decoder's own")

    def decode(_: bytes) -> object:
        raise failure

    async with HttpLink(server.uri, decode=decode) as link:
        with pytest.raises(ServerParseError, match="LookupError") as caught:
            await execute(link, QUERY)

    assert failure is caught.value.__cause__


class TestLargestSize:
    LIMIT = 1000

    def padded(self, size: int) -> bytes:
        return b'{"data":"%b"}' % (b"x" * (size - 11))

    @pytest.mark.parametrize("is_chunked", [True, False])
    async def test_is_still_read(self, server: ScriptedServer, is_chunked: bool):
        body = self.padded(self.LIMIT)
        server.answer = answer_in_chunks(body[:400], body[400:]) if is_chunked else answer_text(body)

        async with HttpLink(server.uri, max_response_size=self.LIMIT) as link:
            result = await execute(link, QUERY)

        assert "x" * (self.LIMIT - 11) == result["data"]

    async def test_is_not_exceeded_by_an_announced_body_of_which_nothing_is_read(self, server: ScriptedServer):
        async def announce(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"content-length": str(self.LIMIT + 1)})
            await response.prepare(request)
            return await answer_never(request)

        server.answer = announce

        async with HttpLink(server.uri, max_response_size=self.LIMIT) as link:
            with pytest.raises(ResponseTooLarge, match=r"operation Q.*1000 bytes") as caught:
                await execute(link, QUERY)
            await server.aborted.wait()

        assert self.LIMIT == caught.value.limit

    async def test_is_not_exceeded_by_chunks_and_their_connection_is_dropped(self, server: ScriptedServer):
        body = self.padded(self.LIMIT + 1)
        server.answer = answer_in_chunks(body[:500], body[500:], then=asyncio.Event())

        async with HttpLink(server.uri, max_response_size=self.LIMIT) as link:
            with pytest.raises(ResponseTooLarge):
                await execute(link, QUERY)
            await server.aborted.wait()

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_counts_after_decompression(self, server: ScriptedServer, encoding: str):
        body = self.padded(10_000_000)
        packed = gzip.compress(body) if encoding == "gzip" else zlib.compress(body)
        server.answer = answer_text(packed, content_encoding=encoding)

        async with HttpLink(server.uri, max_response_size=1_000_000) as link:
            with pytest.raises(ResponseTooLarge):
                await execute(link, QUERY)
        async with HttpLink(server.uri, max_response_size=10_000_000) as link:
            assert 10_000_000 - 11 == len((await execute(link, QUERY))["data"])

    async def test_of_none_takes_everything(self, server: ScriptedServer):
        server.answer = answer_text(self.padded(100_000))

        async with HttpLink(server.uri, max_response_size=None) as link:
            assert 100_000 - 11 == len((await execute(link, QUERY))["data"])

    def test_is_a_number_of_bytes(self):
        with pytest.raises(InvariantError, match="max_response_size"):
            HttpLink("http://localhost/", max_response_size=0)
        with pytest.raises(InvariantTypeError, match="max_response_size"):
            HttpLink("http://localhost/", max_response_size="1 MiB")


async def test_session_that_raises_for_status_does_not_get_its_way(server: ScriptedServer):
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": []}, status=400, content_type=GRAPHQL)

    server.answer = answer

    async with aiohttp.ClientSession(raise_for_status=True) as session:
        assert {"errors": []} == await execute(HttpLink(server.uri, session=session), QUERY)


@pytest.mark.parametrize("charset", ["utf-8", "utf8", "UTF8"])
async def test_a_byte_order_mark_is_no_part_of_the_json_however_utf_8_is_written(server: ScriptedServer, charset: str):
    server.answer = answer_text(b"\xef\xbb\xbf" + DATA.encode(), content_type=f"text/x; charset={charset}")

    async with HttpLink(server.uri) as link:
        assert json.loads(DATA) == await execute(link, QUERY)


async def test_a_given_session_that_unpacks_nothing_is_told_to(server: ScriptedServer):
    server.answer = answer_text(gzip.compress(DATA.encode()), content_encoding="gzip")

    async with aiohttp.ClientSession(auto_decompress=False) as session, HttpLink(server.uri, session=session) as link:
        assert json.loads(DATA) == await execute(link, QUERY)


def test_a_response_of_one_byte_is_a_limit_too():
    assert [1, None] == [checked_size(1), checked_size(None)]
