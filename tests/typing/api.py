"""What a user's code looks like to mypy strict. It is checked, never run."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

from gql import Client as GqlClient
from gql import gql as parsed_by_gql
from gql.transport.async_transport import AsyncTransport
from reactivex import Observable

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    Client,
    ErrorLink,
    ErrorResponse,
    FetchResult,
    GraphQLRequest,
    HttpLink,
    Operation,
    OperationResult,
    SetContextLink,
    SyncClient,
    TokenSet,
    concat,
    empty,
    execute,
    from_,
    from_error,
    from_future,
    gql,
    on_error,
    set_context,
    split,
)
from rxlink.core.link import ForwardFunction
from rxlink.core.operation import Context
from rxlink.integrations.gql import LinkTransport


async def refresh(tokens: TokenSet | None, reason: str) -> TokenSet:
    """How a service gets new tokens."""
    raise NotImplementedError


async def get_new_token() -> str | None:
    """The same in the words of the recipe."""
    raise NotImplementedError


def log(operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
    """A link of a user's own, as a function."""
    print(operation.operation_name, operation.variables)
    return forward(operation).do_action(print)


class Quiet(ApolloLink):
    """A link of a user's own, as a class."""

    def request(self, operation: Operation, forward: ForwardFunction) -> Observable[FetchResult]:
        """Pass it on."""
        return forward(operation)


def authorize(context: Context, operation: Operation) -> Context:
    """A setter that answers at once."""
    return {"headers": {**context.get("headers", {}), "x-operation": operation.operation_name}}


async def authorize_later(operation: Operation, context: Context) -> Context:
    """A setter that waits, with Apollo 3's order of arguments."""
    return {**context, "token": await get_new_token()}


def refresh_and_retry(response: ErrorResponse) -> Observable[FetchResult] | None:
    """The recipe's error handler."""
    if not response.graphql_errors and response.network_error is None:
        return None
    tokens = assert_type(from_future(get_new_token), Observable[str | None])
    return tokens.filter(bool).flat_map(lambda _: response.forward(response.operation))


async def answer_later(response: ErrorResponse) -> Observable[FetchResult] | None:
    """An error handler that waits."""
    return None if response.result else from_error(response.error)


def chain(uri: str) -> ApolloLink:
    """A chain as a service builds it."""
    session = AuthSession(refresh=refresh)
    http = HttpLink(uri)
    parts: list[ApolloLink] = [ApolloLink(log), Quiet(), AuthLink(session), http]
    either = split(lambda operation: operation.operation_name is not None, from_(parts), empty())
    return concat(
        on_error(refresh_and_retry),
        ErrorLink(answer_later),
        set_context(authorize_later),
        SetContextLink(authorize),
        either,
    )


async def one_result() -> FetchResult:
    """A query awaited."""
    async with chain("https://example.com/graphql") as link:
        request = GraphQLRequest("{ viewer { name } }", variables={"a": 1}, context={"tenant": 7})
        result = await execute(link, request)
        return assert_type(result, dict[str, Any])


def many_results(link: ApolloLink) -> Observable[str]:
    """A query as a stream, with RxPY's operators."""
    results = execute(link, GraphQLRequest("{ viewer { name } }"))
    names: Observable[str] = results.map(lambda result: str(result["data"]["viewer"]["name"]))
    names.subscribe(print, on_error=print).dispose()
    return names


class Viewer(TypedDict):
    """What an operation asks for, as its author knows it."""

    name: str


VIEWER = gql("query Viewer { name }")


async def calls(client: Client) -> None:
    """A client's calls, with results of a type and without."""
    strict = await client.query(VIEWER, {"id": 1}, result_type=Viewer, timeout=5, headers={"x-tenant": "7"})
    assert_type(strict, OperationResult[Viewer])
    print(strict.data["name"])
    tolerant = await client.mutate(VIEWER, result_type=Viewer, error_policy="all")
    assert_type(tolerant.data, Viewer | None)
    untyped = await client.query("{ viewer { name } }", fetch_policy="no-cache", error_policy="ignore")
    assert_type(untyped.data, Any)
    async for event in client.subscribe("subscription Viewers { name }", result_type=Viewer):
        assert_type(event.data, Viewer | None)
        print(event.error, event.extensions)
    names: Observable[str] = client.query(VIEWER, result_type=Viewer).map(lambda result: result.data["name"])
    names.subscribe(print)


async def client_of(link: ApolloLink) -> None:
    """A client with defaults, closed with its block."""
    async with Client(link, default_options={"query": {"error_policy": "all"}}, schema="schema.graphql") as client:
        await calls(client)


def waiting_calls(client: SyncClient) -> None:
    """The same from a plain thread."""
    strict = client.query(VIEWER, {"id": 1}, result_type=Viewer, timeout=5)
    print(assert_type(strict, OperationResult[Viewer]).data["name"])
    tolerant = client.mutate(VIEWER, result_type=Viewer, error_policy="ignore")
    assert_type(tolerant.data, Viewer | None)
    assert_type(client.query("{ viewer { name } }").data, Any)
    with client.subscribe("subscription Viewers { name }", result_type=Viewer, max_buffer=10) as events:
        for event in events:
            assert_type(event.data, Viewer | None)


async def from_gql(link: ApolloLink) -> dict[str, Any]:
    """A client of gql over a chain, or over a function that makes one."""
    transports: list[AsyncTransport] = [LinkTransport(link, owns_link=True), LinkTransport(lambda: link)]
    async with GqlClient(transport=transports[0]) as session:
        request = parsed_by_gql("{ viewer { name } }")
        data: dict[str, Any] = await session.execute(request, extra_args={"headers": {"x-request-id": "7"}})
        return data
