"""AuthLink against servers that other people wrote: however they refuse a token, one refresh and one retry follow."""

import asyncio
from typing import Any

import pytest

from rxlink import (
    AuthLink,
    AuthSession,
    ErrorLink,
    GraphQLRequest,
    HttpLink,
    ServerError,
    SetContextLink,
    TokenSet,
    execute,
    from_,
)
from tests.peers.peer import Peer, Wire, session_of

REFUSALS = {
    "code": ("graphql", "viewer"),  # UNAUTHENTICATED in an answer with status 200
    "status": ("graphql", "guarded"),  # the same with status 401
    "gate": ("gated", "viewer"),  # 401 and plain text, from what stands before GraphQL
}
TYPES = {"yoga": "application/graphql-response+json", "apollo": "application/graphql-response+json"}


def request_of(refusal: str) -> GraphQLRequest:
    return GraphQLRequest(f"query Viewer {{ me: {REFUSALS[refusal][1]} {{ account }} }}")


def url_of(peer: Peer, refusal: str) -> str:
    return f"{peer.address}/{REFUSALS[refusal][0]}"


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_token_that_is_refused_is_refreshed_and_the_operation_sent_once_more(
    peer: Peer, wire: Wire, account: str, refusal: str
):
    async with session_of(peer, account) as session:
        link = from_([AuthLink(session), HttpLink(url_of(peer, refusal), session=wire.session)])

        result = await execute(link, request_of(refusal))

    assert {"data": {"me": {"account": account}}} == result
    assert 1 == await peer.refreshes(account)
    assert [200 if refusal == "code" else 401, 200] == [exchange.status for exchange in wire.exchanges]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_fifty_refusals_at_a_time_share_one_refresh(peer: Peer, account: str, refusal: str):
    async with session_of(peer, account) as session:
        async with from_([AuthLink(session), HttpLink(url_of(peer, refusal))]) as link:
            results = await asyncio.gather(*(execute(link, request_of(refusal)) for _ in range(50)))

    assert [{"data": {"me": {"account": account}}}] * 50 == results
    assert 1 == await peer.refreshes(account)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_who_is_refused_with_a_new_token_too_gets_what_the_server_said(
    peer: Peer, wire: Wire, account: str, refusal: str
):
    async with AuthSession(refresh=lambda tokens, reason: TokenSet("never"), tokens=TokenSet("stale")) as session:
        link = from_([AuthLink(session), HttpLink(url_of(peer, refusal), session=wire.session)])

        if refusal == "gate" or (refusal == "status" and peer.name not in TYPES):
            with pytest.raises(ServerError) as caught:
                await execute(link, request_of(refusal))
            assert 401 == caught.value.status_code
        else:
            result = await execute(link, request_of(refusal))
            assert ["UNAUTHENTICATED"] == [error["extensions"]["code"] for error in result["errors"]]

    assert 2 == len(wire.exchanges)


async def test_a_token_that_somebody_else_has_replaced_is_refreshed_again(peer: Peer, account: str):
    async with session_of(peer, account) as session, HttpLink(peer.url) as http:
        link = from_([AuthLink(session), http])
        before = await execute(link, request_of("code"))
        await execute(http, GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}'))

        after = await execute(link, request_of("code"))

    assert before == after == {"data": {"me": {"account": account}}}
    assert 3 == await peer.refreshes(account)


async def test_a_mutation_is_sent_again_with_its_variables(peer: Peer, wire: Wire, account: str):
    rename = GraphQLRequest("mutation Rename($name: String!) { rename(name: $name) { name } }", {"name": "Grace"})

    async with session_of(peer, account) as session:
        result = await execute(from_([AuthLink(session), HttpLink(peer.url, session=wire.session)]), rename)

    assert {"data": {"rename": {"name": "Grace"}}} == result
    first, second = (exchange.json for exchange in wire.exchanges)
    assert first == second


async def test_four_links_under_load_refresh_once_and_report_what_is_left(peer: Peer, wire: Wire, account: str):
    failures: list[str | None] = []

    def set_tenant(context: dict[str, Any], operation: Any) -> dict[str, Any]:
        return {"headers": {**context.get("headers", {}), "x-tenant": "blue"}}

    async with session_of(peer, account) as session:
        link = from_([
            ErrorLink(lambda response: failures.append(response.operation.operation_name)),
            SetContextLink(set_tenant),
            AuthLink(session),
            HttpLink(peer.url, session=wire.session),
        ])  # fmt: skip
        good = [execute(link, request_of("status")) for _ in range(25)]
        bad = [execute(link, GraphQLRequest("query Bad { hello optional }")) for _ in range(25)]

        results = await asyncio.gather(*good, *bad)

    assert [{"data": {"me": {"account": account}}}] * 25 == results[:25]
    assert [{"hello": "hello world", "optional": None}] * 25 == [result["data"] for result in results[25:]]
    assert ["Bad"] * 25 == failures
    assert 1 == await peer.refreshes(account)
