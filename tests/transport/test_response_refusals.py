"""What a server refuses, over HTTP: both shapes of a 401, and the scopes that a token lacks."""

from typing import Any

import pytest
from aiohttp import web

from rxlink.auth.answer import Answer
from rxlink.auth.classify import is_auth_error
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import NetworkError, ServerError
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import ScriptedServer, answer_text

QUERY = GraphQLRequest("query Q { a }")
JSON = "application/json"
GRAPHQL = "application/graphql-response+json"
INVALID = 'Bearer error="invalid_token"'
LACKING = 'Basic realm="a, b", Bearer error="insufficient_scope", scope="read:all admin"'


async def answer_to(link: HttpLink) -> Answer:
    """Send an operation, and look at what came as a link above would."""
    operations: list[Operation] = []

    def remember(operation: Operation, forward: Any) -> Any:
        operations.append(operation)
        return forward(operation)

    try:
        came: Any = await execute(from_([ApolloLink(remember), link]), QUERY)
    except Exception as error:  # noqa: BLE001 - what came
        came = error
    return Answer.of(came, operations[0])


@pytest.mark.parametrize("content_type", [JSON, GRAPHQL, "text/html"])
@pytest.mark.parametrize("body", ['{"data": null}', '{"errors": [{"message": "no"}]}', "<html>"])
async def test_a_401_is_recognised_whatever_its_type_and_its_body(
    server: ScriptedServer, content_type: str, body: str
) -> None:
    """E01, E02: an exception for one type, a result for the other, and a page of a proxy."""
    server.answer = answer_text(body, 401, content_type)

    async with HttpLink(server.uri) as link:
        seen = await answer_to(link)

    assert (401, True) == (seen.status, is_auth_error(seen))


@pytest.mark.parametrize("content_type", [JSON, GRAPHQL])
@pytest.mark.parametrize(
    ("status", "challenge", "expected"),
    [(400, INVALID, True), (403, INVALID, True), (403, LACKING, False), (401, LACKING, False), (403, "", False)],
)
async def test_what_the_header_says_counts_in_both_shapes(
    server: ScriptedServer, content_type: str, status: int, challenge: str, expected: bool
) -> None:
    """E04, E05: `invalid_token` against `insufficient_scope`."""
    server.answer = answer_text('{"errors": [{"message": "no"}]}', status, content_type, www_authenticate=challenge)

    async with HttpLink(server.uri) as link:
        seen = await answer_to(link)

    assert expected is is_auth_error(seen)
    assert (("read:all", "admin") if challenge == LACKING else ()) == seen.required_scopes


@pytest.mark.parametrize(
    ("status", "challenge", "expected"),
    [
        (401, LACKING, ("read:all", "admin")),
        (403, LACKING, ("read:all", "admin")),
        (500, LACKING, ()),
        (403, INVALID, ()),
        (403, "@", ()),
    ],
)
@pytest.mark.parametrize("link_type", [HttpLink, BatchHttpLink])
async def test_a_server_error_says_which_scopes_the_token_lacks(
    server: ScriptedServer, link_type: Any, status: int, challenge: str, expected: tuple[str, ...]
) -> None:
    """E05: the required scopes are on the error, for whoever signs in again."""
    server.answer = answer_text("no", status, www_authenticate=challenge)

    async with link_type(server.uri) as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, QUERY)

    assert expected == caught.value.required_scopes
    assert "admin" not in str(caught.value)


async def test_scopes_of_several_headers_are_all_on_the_error(server: ScriptedServer) -> None:
    """E05."""

    async def answer(_: web.Request) -> web.Response:
        response = web.Response(status=403)
        response.headers.add("WWW-Authenticate", 'Bearer error="insufficient_scope", scope="a"')
        response.headers.add("WWW-Authenticate", 'DPoP error="insufficient_scope", scope="b"')
        return response

    server.answer = answer

    async with HttpLink(server.uri) as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, QUERY)

    assert ("a", "b") == caught.value.required_scopes


async def test_a_broken_connection_is_not_judged_by_the_response_before_it(server: ScriptedServer) -> None:
    """S09: the operation is sent again after a 401, and its connection is reset."""
    operations: list[Operation] = []

    def send_twice(operation: Operation, forward: Any) -> Any:
        operations.append(operation)
        return forward(operation).catch(lambda error, _: forward(operation))

    async def refuse_then_break(request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            return web.Response(status=401)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    server.answer = refuse_then_break
    async with HttpLink(server.uri) as link:
        with pytest.raises(NetworkError) as caught:
            await execute(from_([ApolloLink(send_twice), link]), QUERY)

    assert 401 == operations[0].get_context()["response"].status
    assert not is_auth_error(Answer.of(caught.value, operations[0]))
