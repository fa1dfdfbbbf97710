"""HttpLink with GET against servers that other people wrote."""

from rxlink import GraphQLRequest, HttpLink, ServerError, execute
from tests.peers.peer import Peer, Wire

ECHO = GraphQLRequest(
    "query Echo($input: EchoInput!) { echo(input: $input) { text tags inner { number } } }",
    {"input": {"text": "a&b=c+d %20 #e ü 🦊", "tags": ["?", "/"], "inner": {"number": 1}}},
)
HELLO = GraphQLRequest("query Hello { hello }")


async def test_a_query_goes_in_the_address_and_comes_back_whole(peer: Peer, wire: Wire):
    link = HttpLink(peer.url, session=wire.session, use_get_for_queries=True)

    result = await execute(link, ECHO)

    assert {"data": {"echo": ECHO.variables["input"]}} == result
    (exchange,) = wire.exchanges
    assert ("GET", 200, b"") == (exchange.method, exchange.status, exchange.body)


async def test_parameters_that_the_address_has_stay_in_front(peer: Peer, wire: Wire):
    link = HttpLink(f"{peer.url}?tenant=blue", session=wire.session, use_get_for_queries=True)

    result = await execute(link, HELLO)

    assert {"data": {"hello": "hello world"}} == result
    assert wire.exchanges[0].target.startswith("/graphql?tenant=blue&query=")


async def test_subscribing_again_sends_the_same_address_again(peer: Peer, wire: Wire):
    twice = execute(HttpLink(peer.url, session=wire.session, use_get_for_queries=True), ECHO)

    assert await twice == await twice

    first, second = wire.exchanges
    assert first.target == second.target


async def test_a_mutation_goes_with_post_all_the_same(peer: Peer, wire: Wire, account: str):
    link = HttpLink(peer.url, session=wire.session, use_get_for_queries=True)

    result = await execute(link, GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}'))

    assert {"data": {"refresh": f"{account}.1"}} == result
    assert ["POST"] == [exchange.method for exchange in wire.exchanges]


async def test_a_mutation_with_get_is_refused_by_the_server(peer: Peer, wire: Wire, account: str):
    link = HttpLink(peer.url, session=wire.session, fetch_options={"method": "GET"})
    refresh = GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}')

    try:
        result = await execute(link, refresh)
    except ServerError as error:
        result = {"errors": [error]}

    assert result["errors"]
    assert 0 == await peer.refreshes(account)
    assert {"yoga": 405, "apollo": 405, "strawberry": 400}[peer.name] == wire.exchanges[0].status


async def test_the_usual_type_of_content_is_all_the_preflight_that_apollo_server_wants(peer: Peer, wire: Wire):
    usual = HttpLink(peer.url, session=wire.session, use_get_for_queries=True)
    suspicious = HttpLink(
        peer.url, session=wire.session, use_get_for_queries=True, headers={"content-type": "text/plain"}
    )

    accepted = await execute(usual, HELLO)
    result = await execute(suspicious, HELLO)

    assert {"data": {"hello": "hello world"}} == accepted
    if peer.name == "apollo":
        assert "CSRF" in result["errors"][0]["message"]
    else:
        assert accepted == result
