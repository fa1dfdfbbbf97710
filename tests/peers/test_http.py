"""HttpLink with POST against servers that other people wrote: results, errors, statuses, media types, leaving."""

import asyncio
from collections.abc import Callable

import pytest

from rxlink import GraphQLRequest, HttpLink, NetworkTimeout, ServerError, execute
from tests.peers.peer import Peer, Wire

GRAPHQL = "application/graphql-response+json; charset=utf-8"
JSON = "application/json; charset=utf-8"
BROKEN = {"syntax": "query Q { hello", "validation": "query Q { nobody }"}
HELLO = "query Hello($name: String) { hello(name: $name) }"
SLOW = "query Slow($ms: Int!) { slow(milliseconds: $ms) }"
ECHO = """
query Echo($input: EchoInput!) {
  echo(input: $input) { ...All inner { ...All inner { ...All } } others { ...All others { ...All } } }
}
fragment All on Echo { text number ratio flag color tags matrix }
"""


def all_of(**values: object) -> dict[str, object]:
    """Return what `...All` selects, with null where there is no value."""
    return dict.fromkeys(["text", "number", "ratio", "flag", "color", "tags", "matrix"]) | values


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - the connector of aiohttp has no event
            await asyncio.sleep(0)


async def test_a_query_gets_its_data(peer: Peer):
    async with HttpLink(peer.url) as link:
        result = await execute(link, GraphQLRequest(HELLO, {"name": "Ada"}))

    assert {"data": {"hello": "hello Ada"}} == result


async def test_null_and_a_variable_left_out_are_different(peer: Peer):
    async with HttpLink(peer.url) as link:
        absent = await execute(link, GraphQLRequest(HELLO))
        null = await execute(link, GraphQLRequest(HELLO, {"name": None}))

    assert {"hello": "hello world"} == absent["data"]
    assert null["data"]["hello"] in {"hello null", "hello None"}


async def test_every_kind_of_input_arrives_and_comes_back(peer: Peer):
    inner = {
        "text": 'Ünï 漢字 🦊 "quoted" \\ \n\t\u2028</script>',
        "tags": [],
        "inner": {"matrix": [[1, None, -2], []], "flag": False},
    }
    others = [{"number": -(2**31)}, {"ratio": 1e-7, "others": [{"tags": ["", "b"]}]}]
    sent = {"number": 2**31 - 1, "ratio": 0.1, "flag": True, "color": "GREEN", "inner": inner, "others": others}

    async with HttpLink(peer.url) as link:
        result = await execute(link, GraphQLRequest(ECHO, {"input": sent}))

    expected_inner = all_of(text=inner["text"], tags=[])
    expected_inner["inner"] = all_of(matrix=[[1, None, -2], []], flag=False)
    expected_others = [
        all_of(number=-(2**31)) | {"others": None},
        all_of(ratio=1e-7) | {"others": [all_of(tags=["", "b"])]},
    ]
    expected = all_of(number=2**31 - 1, ratio=0.1, flag=True, color="GREEN")
    assert expected | {"inner": expected_inner, "others": expected_others} == result["data"]["echo"]


async def test_a_field_that_fails_leaves_the_rest(peer: Peer):
    async with HttpLink(peer.url) as link:
        result = await execute(link, GraphQLRequest("query Q { hello optional }"))

    assert {"hello": "hello world", "optional": None} == result["data"]
    (error,) = result["errors"]
    assert ("on purpose", ["optional"], {"code": "ON_PURPOSE"}) == (
        error["message"],
        error["path"],
        error["extensions"],
    )


async def test_a_required_field_that_fails_takes_the_data_with_it(peer: Peer):
    async with HttpLink(peer.url) as link:
        result = await execute(link, GraphQLRequest("query Q { hello required }"))

    assert result["data"] is None
    assert ["on purpose"] == [error["message"] for error in result["errors"]]


async def test_a_mutation_wants_its_token(peer: Peer, account: str):
    rename = GraphQLRequest('mutation Rename { rename(name: "Grace") { name } }')

    async with HttpLink(peer.url) as link:
        refused = await execute(link, rename)
        fresh = await execute(link, GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}'))
        headers = {"authorization": f"Bearer {fresh['data']['refresh']}"}
        accepted = await execute(link, GraphQLRequest(rename.query, context={"headers": headers}))

    assert "UNAUTHENTICATED" == refused["errors"][0]["extensions"]["code"]
    assert {"data": {"rename": {"name": "Grace"}}} == accepted


@pytest.mark.parametrize("mistake", BROKEN)
async def test_a_document_that_the_server_refuses_is_a_result_with_errors(peer: Peer, wire: Wire, mistake: str):
    expected = (200, JSON) if peer.name == "strawberry" else (400, GRAPHQL)
    link = HttpLink(peer.url, session=wire.session, print=lambda node, default: BROKEN[mistake])

    result = await execute(link, GraphQLRequest("query Q { hello }"))

    assert result.get("data") is None
    assert 1 == len(result["errors"])
    assert [expected] == [(exchange.status, exchange.content_type) for exchange in wire.exchanges]


async def test_a_variable_that_is_missing_is_a_result_with_errors(peer: Peer, wire: Wire):
    expected = (200, JSON) if peer.name == "strawberry" else (400, GRAPHQL)
    link = HttpLink(peer.url, session=wire.session)

    result = await execute(link, GraphQLRequest(SLOW))

    assert result.get("data") is None
    assert 1 == len(result["errors"])
    assert [expected] == [(exchange.status, exchange.content_type) for exchange in wire.exchanges]


async def test_who_asks_for_plain_json_only_gets_it_and_a_status_of_failure_is_an_error(peer: Peer, wire: Wire):
    headers = {"accept": "application/json"}
    link = HttpLink(peer.url, session=wire.session, headers=headers, print=lambda node, default: BROKEN["validation"])
    request = GraphQLRequest("query Q { hello }")

    if peer.name == "apollo":
        with pytest.raises(ServerError) as caught:
            await execute(link, request)
        assert "GRAPHQL_VALIDATION_FAILED" == caught.value.result["errors"][0]["extensions"]["code"]
        expected_status = 400
    else:
        assert 1 == len((await execute(link, request))["errors"])
        expected_status = 200

    assert [(expected_status, JSON)] == [(exchange.status, exchange.content_type) for exchange in wire.exchanges]


@pytest.mark.parametrize("document", ["query Q { hello }", "query Q { hello optional }", "query Q { required }"])
async def test_what_was_executed_has_status_200_in_the_type_that_the_server_prefers(
    peer: Peer, wire: Wire, document: str
):
    expected = JSON if peer.name == "strawberry" else GRAPHQL
    link = HttpLink(peer.url, session=wire.session)

    await execute(link, GraphQLRequest(document))

    assert [(200, expected)] == [(exchange.status, exchange.content_type) for exchange in wire.exchanges]


async def test_an_address_without_a_server_is_an_error_with_its_status(peer: Peer):
    async with HttpLink(f"{peer.address}/nowhere") as link:
        with pytest.raises(ServerError) as caught:
            await execute(link, GraphQLRequest("query Q { hello }"))

    assert 404 == caught.value.status_code
    assert caught.value.result is None


async def test_who_cannot_wait_gets_a_timeout_and_the_link_goes_on(peer: Peer):
    async with HttpLink(peer.url, timeout=1) as link:
        with pytest.raises(NetworkTimeout):
            await execute(link, GraphQLRequest(SLOW, {"ms": 10_000}))
        after = await execute(link, GraphQLRequest("query Q { hello }"))

    assert {"data": {"hello": "hello world"}} == after


async def test_who_leaves_stops_its_own_request_only(peer: Peer, wire: Wire):
    results: list[object] = []
    ended = asyncio.Event()
    connections = wire.session.connector._acquired
    link = HttpLink(peer.url, session=wire.session)
    leaver = execute(link, GraphQLRequest(SLOW, {"ms": 20_000})).subscribe(results.append, results.append)
    execute(link, GraphQLRequest(SLOW, {"ms": 300})).subscribe(results.append, results.append, ended.set)
    await until(lambda: len(connections) == 2)

    leaver.dispose()
    await ended.wait()
    await until(lambda: not connections)  # long before the server would have answered who has left

    assert [{"data": {"slow": "at last"}}] == results
    assert 1 == len(wire.exchanges)


async def test_subscribing_again_asks_again(peer: Peer, wire: Wire, account: str):
    link = HttpLink(peer.url, session=wire.session)
    refresh = execute(link, GraphQLRequest(f'mutation Refresh {{ refresh(account: "{account}") }}'))

    first, second = await refresh, await refresh

    assert [f"{account}.1", f"{account}.2"] == [result["data"]["refresh"] for result in (first, second)]
    assert 2 == len(wire.exchanges)


async def test_fifty_at_a_time_each_get_their_own_answer(peer: Peer):
    names = [f"number {number}" for number in range(50)]

    async with HttpLink(peer.url) as link:
        results = await asyncio.gather(*(execute(link, GraphQLRequest(HELLO, {"name": name})) for name in names))

    assert [f"hello {name}" for name in names] == [result["data"]["hello"] for result in results]
