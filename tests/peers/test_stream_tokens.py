"""The tokens of `SseLink` itself, with servers that other people wrote."""

import pytest

from rxlink import ServerError
from tests.peers.peer import until
from tests.peers.stream_hearing import hear, is_over, told
from tests.peers.streams import WAYS, StreamServers, Way, line_to, session_of

BY_SSE = [way for way in WAYS if way.is_sse]
VIEWER = "query Viewer { viewer { account } }"
MINE = "subscription Mine { mine }"
HIDDEN = ("yoga, single connection", MINE)  # the plugin says that there is no operation


@pytest.mark.parametrize("document", [VIEWER, MINE], ids=["query", "subscription"])
@pytest.mark.parametrize("way", BY_SSE, ids=str)
async def test_a_token_that_is_refused_is_refreshed_and_the_operation_sent_again(
    way: Way, document: str, streams: StreamServers, account: str
):
    async with session_of(streams, account) as session, line_to(streams, way, auth=session) as line:
        operation = await hear(line, document)
        refreshes = await streams.refreshes(account)

    if (str(way), document) == HIDDEN:
        (error,) = operation.seen
        assert (0, ServerError, 400) == (refreshes, type(error), error.status_code)
    else:
        assert (1, f"{account}, the end") == (refreshes, told(operation))


@pytest.mark.parametrize("way", BY_SSE, ids=str)
async def test_three_operations_that_are_refused_share_a_refresh(way: Way, streams: StreamServers, account: str):
    async with session_of(streams, account) as session, line_to(streams, way, auth=session) as line:
        operations = [line.hear(VIEWER) for _ in range(3)]
        await until(lambda: all(map(is_over, operations)))

    assert 1 == await streams.refreshes(account)
    assert [f"{account}, the end"] * 3 == [told(operation) for operation in operations]
