"""PersistedQueryLink against servers that other people wrote. Strawberry knows no persisted queries."""

import asyncio
import hashlib

import pytest

from rxlink import AuthLink, GraphQLRequest, HttpLink, ServerError, execute, from_
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.transport.batch_http import BatchHttpLink
from tests.peers.peer import Peer, Wire, session_of

with_persisted_queries = pytest.mark.parametrize("peer", ["yoga", "apollo"], indirect=True)
without_persisted_queries = pytest.mark.parametrize("peer", ["strawberry"], indirect=True)
MISS = {"yoga": 404, "apollo": 200}


def hello(account: str) -> GraphQLRequest:
    """Return a query whose text no other test has sent."""
    return GraphQLRequest(f"query Hello($name: String) {{ {account}: hello(name: $name) }}", {"name": "Ada"})


@with_persisted_queries
async def test_the_text_goes_once_and_from_then_on_the_hash_alone(peer: Peer, wire: Wire, account: str):
    link = from_([PersistedQueryLink(), HttpLink(peer.url, session=wire.session)])

    results = [await execute(link, hello(account)) for _ in range(3)]

    assert [{"data": {account: "hello Ada"}}] * 3 == results
    assert [MISS[peer.name], 200, 200, 200] == [exchange.status for exchange in wire.exchanges]
    assert [False, True, False, False] == ["query" in exchange.json for exchange in wire.exchanges]
    text = wire.exchanges[1].json["query"]
    expected = {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}
    assert [expected] * 4 == [exchange.json["extensions"]["persistedQuery"] for exchange in wire.exchanges]


@with_persisted_queries
async def test_a_hash_goes_with_get_and_its_text_with_post(peer: Peer, wire: Wire, account: str):
    link = from_([PersistedQueryLink(use_get_for_hashed_queries=True), HttpLink(peer.url, session=wire.session)])

    results = [await execute(link, hello(account)) for _ in range(2)]

    assert [{"data": {account: "hello Ada"}}] * 2 == results
    assert ["GET", "POST", "GET"] == [exchange.method for exchange in wire.exchanges]
    assert [MISS[peer.name], 200, 200] == [exchange.status for exchange in wire.exchanges]


@with_persisted_queries
async def test_a_mutation_goes_as_a_hash_too_but_with_post(peer: Peer, wire: Wire, account: str):
    link = from_([PersistedQueryLink(use_get_for_hashed_queries=True), HttpLink(peer.url, session=wire.session)])
    refresh = GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}')

    results = [await execute(link, refresh) for _ in range(2)]

    assert [f"{account}.1", f"{account}.2"] == [result["data"]["refresh"] for result in results]
    assert ["POST"] * 3 == [exchange.method for exchange in wire.exchanges]


@with_persisted_queries
async def test_a_hash_that_is_wrong_is_the_servers_error(peer: Peer, wire: Wire, account: str):
    persisted = PersistedQueryLink(sha256=lambda text: "0" * 64)
    link = from_([persisted, HttpLink(peer.url, session=wire.session)])

    result = await execute(link, hello(account))

    expected = {"yoga": "PersistedQueryMismatch", "apollo": "provided sha does not match query"}[peer.name]
    assert [expected] == [error["message"] for error in result["errors"]]
    assert [MISS[peer.name], 400] == [exchange.status for exchange in wire.exchanges]


@with_persisted_queries
async def test_in_a_batch_what_the_server_does_not_know_goes_again_with_its_text(peer: Peer, wire: Wire, account: str):
    link = from_([PersistedQueryLink(), BatchHttpLink(peer.url, session=wire.session)])
    await execute(link, hello(account))
    unknown = GraphQLRequest(f"query Other {{ other{account}: hello }}")

    results = await asyncio.gather(execute(link, hello(account)), execute(link, unknown))

    assert [{"data": {account: "hello Ada"}}, {"data": {f"other{account}": "hello world"}}] == results
    assert [1, 1, 2, 1] == [len(exchange.json) for exchange in wire.exchanges]


@with_persisted_queries
async def test_a_refused_token_and_an_unknown_hash_are_cured_one_after_the_other(peer: Peer, wire: Wire, account: str):
    viewer = GraphQLRequest(f"query Viewer {{ {account}: viewer {{ account }} }}")

    async with session_of(peer, account) as session:
        link = from_([AuthLink(session), PersistedQueryLink(), HttpLink(peer.url, session=wire.session)])
        result = await execute(link, viewer)

    assert {"data": {account: {"account": account}}} == result
    assert 1 == await peer.refreshes(account)
    assert [False, True, False] == ["query" in exchange.json for exchange in wire.exchanges]


@without_persisted_queries
async def test_a_server_that_says_nothing_of_persisted_queries_is_an_error(peer: Peer, wire: Wire, account: str):
    link = from_([PersistedQueryLink(), HttpLink(peer.url, session=wire.session)])

    with pytest.raises(ServerError) as caught:
        await execute(link, hello(account))

    assert 400 == caught.value.status_code


@without_persisted_queries
async def test_disable_and_retry_can_take_its_status_for_a_no(peer: Peer, wire: Wire, account: str):
    def is_refused(options):
        return isinstance(options.error, ServerError) and options.error.status_code == 400

    persisted = PersistedQueryLink(disable=is_refused, retry=is_refused)
    link = from_([persisted, HttpLink(peer.url, session=wire.session)])

    results = [await execute(link, hello(account)) for _ in range(2)]

    assert [{"data": {account: "hello Ada"}}] * 2 == results
    assert [400, 200, 200] == [exchange.status for exchange in wire.exchanges]
