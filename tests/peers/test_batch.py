"""BatchHttpLink against servers that other people wrote."""

import asyncio

import pytest

from rxlink import AuthLink, GraphQLRequest, HttpLink, ServerError, execute, from_
from rxlink.transport.batch_http import BatchHttpLink
from tests.peers.peer import Peer, Wire, session_of

HELLO = "query Hello($name: String) { hello(name: $name) }"


def hello(name: str) -> GraphQLRequest:
    return GraphQLRequest(HELLO, {"name": name})


async def test_the_operations_of_a_moment_share_a_request_and_each_gets_its_own_answer(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session)

    results = await asyncio.gather(*(execute(link, hello(name)) for name in "abc"))

    assert [{"data": {"hello": f"hello {name}"}} for name in "abc"] == results
    (exchange,) = wire.exchanges
    assert ["a", "b", "c"] == [body["variables"]["name"] for body in exchange.json]


async def test_an_operation_alone_is_a_list_of_one(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session)

    result = await execute(link, hello("a"))

    assert {"data": {"hello": "hello a"}} == result
    assert [1] == [len(exchange.json) for exchange in wire.exchanges]


async def test_an_error_reaches_its_own_operation_only(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session)
    bad = GraphQLRequest("query Bad { required }")

    first, second, third = await asyncio.gather(*(execute(link, request) for request in (hello("a"), bad, hello("c"))))

    assert [{"data": {"hello": "hello a"}}, {"data": {"hello": "hello c"}}] == [first, third]
    assert (None, "on purpose") == (second["data"], second["errors"][0]["message"])
    assert 1 == len(wire.exchanges)


async def test_a_document_that_the_server_refuses_spoils_no_other(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session)
    bad = GraphQLRequest("query Bad { nobody }")

    good, refused = await asyncio.gather(execute(link, hello("a")), execute(link, bad))

    assert {"data": {"hello": "hello a"}} == good
    assert refused.get("data") is None
    assert 1 == len(refused["errors"])


async def test_fifty_operations_go_in_five_requests(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session)
    names = [f"number {number}" for number in range(50)]

    results = await asyncio.gather(*(execute(link, hello(name)) for name in names))

    assert [f"hello {name}" for name in names] == [result["data"]["hello"] for result in results]
    assert [10] * 5 == [len(exchange.json) for exchange in wire.exchanges]


async def test_more_operations_than_the_server_takes_are_an_error_of_each(peer: Peer, wire: Wire):
    link = BatchHttpLink(peer.url, session=wire.session, batch_max=0)

    results = await asyncio.gather(*(execute(link, hello(str(n))) for n in range(11)), return_exceptions=True)

    if peer.name == "apollo":  # which has no limit
        assert [f"hello {n}" for n in range(11)] == [result["data"]["hello"] for result in results]
    else:
        assert [{"yoga": 413, "strawberry": 400}[peer.name]] * 11 == [error.status_code for error in results]


async def test_a_server_that_takes_no_batches_is_an_error_of_each(peer: Peer):
    async with BatchHttpLink(f"{peer.address}/nowhere") as link:
        results = await asyncio.gather(*(execute(link, hello(name)) for name in "ab"), return_exceptions=True)

    assert [404, 404] == [error.status_code for error in results if isinstance(error, ServerError)]


@pytest.mark.parametrize("address", ["url", "gated"])
async def test_a_refused_batch_is_refreshed_once_and_goes_again_as_a_batch(
    peer: Peer, wire: Wire, account: str, address: str
):
    viewer = GraphQLRequest("query Viewer { viewer { account } }")

    async with session_of(peer, account) as session:
        link = from_([AuthLink(session), BatchHttpLink(getattr(peer, address), session=wire.session)])
        results = await asyncio.gather(*(execute(link, viewer) for _ in range(10)))

    assert [{"data": {"viewer": {"account": account}}}] * 10 == results
    assert 1 == await peer.refreshes(account)
    assert [10, 10] == [len(exchange.json) for exchange in wire.exchanges]


async def test_a_batch_and_single_requests_get_the_same(peer: Peer):
    requests = [hello("a"), GraphQLRequest("query Bad { hello optional }"), GraphQLRequest("query Worse { required }")]

    async with BatchHttpLink(peer.url) as batch, HttpLink(peer.url) as http:
        together = await asyncio.gather(*(execute(batch, request) for request in requests))
        alone = [await execute(http, request) for request in requests]

    assert alone == together
