"""No token, password, header, variable, value or message gets into a trace, whatever it is shown as."""

import asyncio

import pytest

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import NetworkError, ServerError, SessionEnded, SocketClosed, TokenRefreshError
from rxlink.links.context import SetContextLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from rxlink.trace.explain import explain
from rxlink.trace.html import to_html
from rxlink.trace.link import TraceLink, traced
from rxlink.trace.recorder import Trace
from rxlink.trace.svg import to_svg
from rxlink.trace.text import to_text

SECRET = "s3cr3t-0123456789"
FAILURES = [
    OSError(SECRET),
    NetworkError(SECRET),
    ServerError(SECRET, status_code=503, headers={"set-cookie": SECRET}, body_text=SECRET),
    ServerError(SECRET, status_code=SECRET, headers={}, body_text=SECRET),
    SocketClosed(4403, SECRET, meaning=SECRET),
    SessionEnded(SECRET),
    TokenRefreshError(SECRET, retryable=True),
]


def all_views(trace):
    views = [repr(trace), repr(trace.events), explain(trace), to_text(trace), to_svg(trace), to_html(trace)]
    return "\n".join([*views, repr([getattr(event, name) for event in trace.events for name in event.__slots__])])


@virtual
async def test_nothing_of_what_an_operation_carries_is_recorded():
    # given: a secret wherever an operation, an answer or a session can hold one
    async def refresh(tokens, reason):
        await asyncio.sleep(0.1)
        return TokenSet(SECRET + "new", SECRET + "refresh")

    trace = Trace()
    session = AuthSession(refresh=refresh, tokens=TokenSet(SECRET, SECRET))
    trace.watch(session)
    refused = {
        "data": {"password": SECRET},
        "errors": [
            {"message": SECRET, "path": [SECRET], "extensions": {"code": "UNAUTHENTICATED", "token": SECRET}},
            {"message": "no", "extensions": {"code": SECRET}},
            {"message": "no", "extensions": {"code": {"token": SECRET}}},
            SECRET,
        ],
        "extensions": {"token": SECRET},
    }
    answers = [
        MockedResponse(result={**refused, "data": None}),
        MockedResponse(result={"data": {"token": SECRET}, "extensions": {"token": SECRET}}),
        *(MockedResponse(error=failure) for failure in FAILURES),
    ]
    cookie = SetContextLink(lambda context, operation: {"headers": {"cookie": SECRET}, SECRET: SECRET})
    link = traced(from_([cookie, AuthLink(session), MockLink(answers)]), trace)
    request = GraphQLRequest(
        f'query Viewer($password: String) {{ viewer(password: "{SECRET}", other: $password) {{ name }} }}',
        {"password": SECRET},
        extensions={"token": SECRET},
        context={"headers": {"authorization": SECRET}},
    )

    # when
    for _ in range(1 + len(FAILURES)):
        await asyncio.gather(execute(link, request), return_exceptions=True)
    await session.clear()
    await session.aclose()

    # then
    assert 1 + len(FAILURES) == len({event.operation for event in trace.events} - {None})
    assert "UNAUTHENTICATED" in all_views(trace)
    assert "status 503" in all_views(trace)
    assert SECRET not in all_views(trace)


@pytest.mark.parametrize(
    "code", ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "0123456789abcdef", SECRET, "a" * 60, ""]
)
def test_a_code_that_looks_like_no_code_is_not_shown(code):
    trace = Trace()
    link = traced(MockLink([MockedResponse(result={"errors": [{"extensions": {"code": code}}]})]), trace)

    execute(link, GraphQLRequest("{ answer }")).subscribe()

    assert ("(other)",) == trace.events[1].codes
    assert not code or code not in all_views(trace)


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "invalid-jwt", "P2002", "PERSISTED_QUERY_NOT_FOUND"])
def test_codes_of_servers_are_shown(code):
    trace = Trace()
    link = traced(MockLink([MockedResponse(result={"errors": [{"extensions": {"code": code}}]})]), trace)

    execute(link, GraphQLRequest("{ answer }")).subscribe()

    assert (code,) == trace.events[1].codes


@pytest.mark.parametrize(
    "result", [None, 7, "text", [], {"errors": 7}, {"errors": None}, {"data": 1}, {"errors": [[]]}]
)
def test_what_is_no_result_does_not_break_the_chain(result):
    seen, trace = [], Trace()
    link = from_([TraceLink(trace), ApolloLink(lambda operation, forward: __import__("reactivex").of(result))])

    execute(link, GraphQLRequest("{ answer }")).subscribe(seen.append)

    assert [result] == seen
    assert ["started", "result", "completed"] == [event.kind.value for event in trace.events]


@virtual
async def test_names_and_titles_cannot_harm_whoever_looks():
    name = "a\x00\x1b[31mb\u202e\ud800"
    trace = Trace()
    session = AuthSession(refresh=lambda *_: TokenSet("new"), tokens=TokenSet("old"))
    trace.watch(session, name=name)
    await session.refresh(force=True)
    await session.aclose()

    views = explain(trace), to_text(trace), to_svg(trace, title=name), to_html(trace, title=name)
    harmful = [sign for view in views for sign in view if sign != "\n" and not sign.isprintable()]
    assert ([], True) == (harmful, all("a??[31mb??" in view for view in views))
    assert all(view.encode() for view in views)
