"""What counts as a refusal over HTTP, from end to end: status, code, challenge, in whichever shape they come."""

from __future__ import annotations

from typing import Any

import pytest

from rxlink.auth.classify import AuthErrorClassifier
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ServerError
from rxlink.testing.auth_server import AuthServer, Unauthenticated
from rxlink.transport.http import HttpLink
from tests.auth.refusals import LACKING
from tests.auth.scripted import REFUSED, Issuer, request
from tests.transport.scripted_server import ScriptedServer, answer_json, scripted_server


@pytest.mark.parametrize("style", ["result", "status", "graphql-response"])
async def test_every_way_to_say_it_is_one_refresh_and_one_retry(style: Unauthenticated) -> None:
    """E01, E02, S18: 200 with a code, 401 that is an exception, 401 that is a result."""
    seen: list[Any] = []

    def watch(answer: Any) -> bool:
        seen.append((answer.status, answer.codes))
        return AuthErrorClassifier()(answer)

    async with AuthServer(token_life=60, unauthenticated=style) as server:
        pair = server.sign_in("ada")
        server.revoke_access("ada")
        new = server.sign_in("ada")
        session = AuthSession(refresh=lambda *_: TokenSet(new.access_token), tokens=TokenSet(pair.access_token))
        async with from_([AuthLink(session, is_auth_error=watch), HttpLink(server.url)]) as link:
            result = await execute(link, GraphQLRequest("{ viewer { name } }"))

    assert "ada" == result["data"]["viewer"]["name"]
    status = 200 if style == "result" else 401
    assert [(status, ("UNAUTHENTICATED",)), (200, ())] == seen


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("content_type", ["application/json", "application/graphql-response+json", "text/html"])
async def test_a_scope_that_is_lacking_is_no_reason_to_refresh(status: int, content_type: str) -> None:
    """E05: a new token would have no more rights; the error says which are needed."""
    issuer = Issuer()
    async with scripted_server() as server:
        body = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
        server.answer = answer_json(body, status, WWW_Authenticate=LACKING, content_type=content_type)
        session = AuthSession(refresh=issuer, tokens=REFUSED)
        async with from_([AuthLink(session), HttpLink(server.uri)]) as link:
            outcome = await _outcome(link)

    assert ([], 1) == (issuer.calls, len(server.requests))
    if isinstance(outcome, ServerError):
        assert (status, ("admin",)) == (outcome.status_code, outcome.required_scopes)
    else:
        assert (body, "application/graphql-response+json") == (outcome, content_type)


async def test_a_page_in_the_place_of_an_answer_is_a_refusal_if_its_status_says_so() -> None:
    """E01: a proxy in front of the server knows nothing of GraphQL."""
    issuer = Issuer()
    async with scripted_server() as server:
        _refuse_first(server)
        session = AuthSession(refresh=issuer, tokens=REFUSED)
        async with from_([AuthLink(session), HttpLink(server.uri)]) as link:
            result = await execute(link, request())

    assert ({"data": {"echo": "A1"}}, 1) == (result, len(issuer.calls))


def _refuse_first(server: ScriptedServer) -> None:
    refused = answer_json("<html>", 401, content_type="text/html")
    granted = answer_json({"data": {"echo": "A1"}})

    async def answer(given: Any) -> Any:
        return await (granted if given.headers["authorization"] == "Bearer A1" else refused)(given)

    server.answer = answer


async def _outcome(link: ApolloLink) -> Any:
    try:
        return await execute(link, request())
    except ServerError as error:
        return error
