"""The options of fetch: what is refused, and GET, by which what is sent moves into the address."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import reactivex
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError, SerializationError, ServerError
from rxlink.transport._uri import Target, with_parameters
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import VIEWER, ScriptedServer, answer_json

URI = "http://localhost/graphql"
QUERY = "query Q($a: String, $b: Int) { f(a: $a, b: $b) }"
MUTATION = "mutation M { a }"
GET = {"fetch_options": {"method": "GET"}}
POST = {"fetch_options": {"method": "POST"}}
NAMELESS = {"transport": False}


def error_of(link: HttpLink, request: GraphQLRequest) -> Exception:
    errors: list[Exception] = []
    execute(link, request).subscribe(on_error=errors.append)
    assert 1 == len(errors), "it arrives at once"
    return errors[0]


async def as_task(result: Awaitable[Any]) -> Any:
    return await result


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            ({"method": "get"}, InvariantError, r"`method` in `fetch_options` of .* is 'get'; give 'GET' or 'POST'"),
            ({"method": "PUT"}, InvariantError, "'PUT'"),
            ({"method": 1}, InvariantError, "is 1;"),
            ({"redirect": "manual"}, InvariantError, "`redirect` .* is 'manual'; give 'follow' or 'error'"),
            ({"mode": "cors"}, InvariantError, "has no option 'mode'; there are method, redirect, signal"),
            ({"credentials": "omit"}, InvariantError, "no option 'credentials'; use `credentials`"),
            ({"headers": {}}, InvariantError, "no option 'headers'; use `headers`"),
            ({"signal": True}, InvariantTypeError, "`signal` .* is a bool; give an Observable"),
            ([("method", "GET")], InvariantTypeError, "is a list; give a mapping"),
            (False, InvariantTypeError, "is a bool; give a mapping"),
            ("", InvariantTypeError, "is a str; give a mapping"),
        ],
    )
    def test_that_are_of_no_use_are_refused(self, options: object, kind: type[Exception], message: str):
        with pytest.raises(kind, match=message) as caught:
            HttpLink(URI, fetch_options=options)
        error = error_of(HttpLink(URI), GraphQLRequest(QUERY, context={"fetch_options": options}))

        assert "of HttpLink" in str(caught.value)
        assert kind is type(error)
        assert "of the context" in str(error)

    @pytest.mark.parametrize("options", [None, {}, {"method": None, "signal": None}])
    async def test_that_say_nothing_change_nothing(self, server: ScriptedServer, options: object):
        async with HttpLink(server.uri, fetch_options=options) as link:
            await execute(link, GraphQLRequest(QUERY, context={"fetch_options": options}))

        assert "POST" == server.requests[-1].method

    # Expectations from running Apollo Client 4.3.8 under Node.
    @pytest.mark.parametrize(
        ("options", "query", "context", "expected"),
        [
            ({"use_get_for_queries": True}, QUERY, {}, "GET"),
            ({"use_get_for_queries": True}, MUTATION, {}, "POST"),
            ({"use_get_for_queries": True}, QUERY, POST, "GET"),
            ({}, QUERY, GET, "GET"),
            ({}, MUTATION, GET, "GET"),
            (GET, QUERY, {}, "GET"),
            (GET, QUERY, POST, "POST"),
            (GET, MUTATION, {"fetch_options": {"signal": reactivex.never()}}, "GET"),
        ],
    )
    async def test_say_by_which_method_to_send(
        self, server: ScriptedServer, options: dict, query: str, context: dict, expected: str
    ):
        async with HttpLink(server.uri, **options) as link:
            assert VIEWER == await execute(link, GraphQLRequest(query, context=context))

        assert [expected] == [request.method for request in server.requests]


class TestRedirect:
    @staticmethod
    async def to_another_path(request: web.Request) -> web.StreamResponse:
        if request.path == "/graphql":
            raise web.HTTPTemporaryRedirect("/there")
        return web.json_response(VIEWER)

    @pytest.mark.parametrize("options", [{}, {"redirect": None}, {"redirect": "follow"}])
    async def test_is_followed(self, server: ScriptedServer, options: dict):
        server.answer = self.to_another_path

        async with HttpLink(server.uri, fetch_options=options) as link:
            assert VIEWER == await execute(link, GraphQLRequest(QUERY))

        assert ["/graphql", "/there"] == [request.path for request in server.requests]

    @pytest.mark.parametrize("is_the_links", [True, False])
    async def test_is_an_error_where_asked(self, server: ScriptedServer, is_the_links: bool):
        server.answer = self.to_another_path
        options = {"redirect": "error"}

        async with HttpLink(server.uri, fetch_options=options if is_the_links else None) as link:
            with pytest.raises(ServerError, match="not followed: `redirect` in `fetch_options` is 'error'") as caught:
                await execute(link, GraphQLRequest(QUERY, context={} if is_the_links else {"fetch_options": options}))

        assert (307, "Q") == (caught.value.status_code, caught.value.operation_name)
        assert 1 == len(server.requests)

    @pytest.mark.parametrize("content_type", ["application/graphql-response+json", "multipart/mixed", "text/html"])
    async def test_with_a_result_in_it_is_one_too(self, server: ScriptedServer, content_type: str):
        server.answer = answer_json(VIEWER, 307, location="/there", content_type=content_type)

        async with HttpLink(server.uri, fetch_options={"redirect": "error"}) as link:
            with pytest.raises(ServerError, match="which was not followed") as caught:
                await execute(link, GraphQLRequest(QUERY))

        assert (json.dumps(VIEWER), None) == (caught.value.body_text, caught.value.result)

    async def test_of_the_context_goes_over_the_links(self, server: ScriptedServer):
        server.answer = self.to_another_path

        async with HttpLink(server.uri, fetch_options={"redirect": "error"}) as link:
            assert VIEWER == await execute(
                link, GraphQLRequest(QUERY, context={"fetch_options": {"redirect": "follow"}})
            )

    async def test_parts_a_batch(self, server: ScriptedServer):
        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == "/graphql":
                raise web.HTTPTemporaryRedirect("/there")
            return web.json_response([VIEWER])

        server.answer = answer
        strict = GraphQLRequest(QUERY, context={"fetch_options": {"redirect": "error"}})

        async with BatchHttpLink(server.uri) as link:
            followed, refused = await asyncio.gather(
                *(as_task(execute(link, request)) for request in (GraphQLRequest(QUERY), strict)),
                return_exceptions=True,
            )

        assert VIEWER == followed
        assert ServerError is type(refused)
        assert ["/graphql", "/graphql", "/there"] == sorted(request.path for request in server.requests)


class TestGet:
    # The address that Apollo Client 4.3.8 makes under Node, letter by letter.
    async def test_has_the_parts_of_the_body_in_its_address(self, server: ScriptedServer):
        variables = {"a": "ä'() !*~\U0001f600\ud800 +&#", "b": 1}

        async with HttpLink(server.uri, use_get_for_queries=True, enhanced_client_awareness=NAMELESS) as link:
            await execute(link, GraphQLRequest(QUERY, variables, extensions={"k": 1}))

        assert (
            "/graphql?query=query%20Q(%24a%3A%20String%2C%20%24b%3A%20Int)%20%7B%0A%20%20f(a%3A%20%24a%2C%20b%3A%20%24b)"
            "%0A%7D&operationName=Q"
            "&variables=%7B%22a%22%3A%22%C3%A4'()%20!*~%F0%9F%98%80%5Cud800%20%2B%26%23%22%2C%22b%22%3A1%7D"
            "&extensions=%7B%22k%22%3A1%7D"
        ) == server.requests[-1].raw_path
        assert b"" == server.bodies[-1]

    async def test_has_apollos_headers(self, server: ScriptedServer):
        async with HttpLink(server.uri, use_get_for_queries=True) as link:
            await execute(link, GraphQLRequest(QUERY, context={"headers": {"x-one": "1"}}))

        expected = {
            "accept": "application/graphql-response+json,application/json;q=0.9",
            "content-type": "application/json",
            "x-one": "1",
        }
        assert expected == {name: server.headers.get(name) for name in expected}
        assert "Content-Length" not in server.headers

    async def test_subscribed_again_has_each_parameter_once(self, server: ScriptedServer):
        async with HttpLink(f"{server.uri}?x=1", use_get_for_queries=True) as link:
            results = execute(link, GraphQLRequest(QUERY))
            await results
            await results

        first, second = (request.raw_path for request in server.requests)
        assert first == second
        assert ["x", "query", "operationName", "variables", "extensions"] == [
            name for name, _ in parse_qsl(URL(first).raw_query_string)
        ]

    async def test_leaves_out_what_is_not_to_be_sent(self, server: ScriptedServer):
        http = {"include_query": False, "include_extensions": False}

        async with HttpLink(server.uri) as link:
            await execute(link, GraphQLRequest("{ a }", {"unused": 1}, context={**GET, "http": http}))

        assert "/graphql?variables=%7B%7D" == server.requests[-1].raw_path

    async def test_uses_the_links_printer_and_encoder(self, server: ScriptedServer):
        link = HttpLink(
            server.uri,
            fetch_options={"method": "GET"},
            print=lambda *_: "{ b }",
            encode=lambda value: json.dumps(value, default=str).encode(),
            enhanced_client_awareness=NAMELESS,
        )

        async with link:
            await execute(link, GraphQLRequest(QUERY, {"a": URL("http://x/")}))

        assert {"query": "{ b }", "operationName": "Q", "variables": '{"a": "http://x/"}'} == dict(
            server.requests[-1].query
        )

    @pytest.mark.parametrize(
        ("request_", "path"),
        [
            (GraphQLRequest(QUERY, {"a": [object()]}), "variables.a[0]"),
            (GraphQLRequest(QUERY, {"a": float("nan")}), "variables.a"),
            (GraphQLRequest(QUERY, extensions={"k": {1}}), "extensions.k"),
        ],
    )
    async def test_names_what_json_cannot_carry_and_sends_nothing(
        self, server: ScriptedServer, request_: GraphQLRequest, path: str
    ):
        async with HttpLink(server.uri, fetch_options={"method": "GET"}) as link:
            with pytest.raises(SerializationError) as caught:
                await execute(link, request_)

        assert path == caught.value.path
        assert [] == server.requests

    async def test_shows_nothing_of_its_parameters(self, unused_tcp_port: int, caplog: pytest.LogCaptureFixture):
        caplog.set_level("DEBUG", "rxlink")
        uri = f"http://ada:s3cret@127.0.0.1:{unused_tcp_port}/graphql"
        async with HttpLink(uri, use_get_for_queries=True) as link:
            with pytest.raises(Exception, match=f"operation Q to http://127.0.0.1:{unused_tcp_port}/graphql") as caught:
                await execute(link, GraphQLRequest(QUERY, {"a": "s3cret"}))

        assert "s3cret" not in f"{caught.value!r} {caught.value} {caplog.text}"


class TestParameters:
    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("http://h/g", "http://h/g?a=b"),
            ("http://h/g?", "http://h/g?a=b"),
            ("http://h/g?x=1", "http://h/g?x=1&a=b"),
            ("http://h/g?x=1#part", "http://h/g?x=1&a=b#part"),
            ("http://h/g#part?", "http://h/g?a=b#part?"),
            ("http://h", "http://h/?a=b"),
            ("http://h/g?x=%2B+%41", "http://h/g?x=%2B+A&a=b"),
        ],
    )
    def test_stand_before_the_fragment_and_behind_others(self, uri: str, expected: str):
        target = with_parameters(Target(URL(uri), "Basic x"), [("a", "b")])

        assert expected == str(target.url)
        assert "Basic x" == target.authorization

    @given(st.text(st.characters(exclude_categories=())))  # halves of surrogate pairs among them
    def test_carry_any_text(self, text: str):
        url = with_parameters(Target(URL("http://h/g"), None), [("a", text)]).url

        sent = str(url).partition("?a=")[2]
        assert sent.isascii()
        assert text.encode(errors="backslashreplace").decode() == unquote(sent)
        assert unquote(sent) == url.query["a"], "a server reads the same"
