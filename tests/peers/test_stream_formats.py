"""Which formats of `@defer` and `@stream` a link takes that asks for one of them; a table in `docs/stream-peers.md`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rxlink import Defer20220824Handler, GraphQL17Alpha9Handler, GraphQLRequest, HttpLink, execute
from rxlink.incremental.handlers import IncrementalHandler
from tests.peers.peer import until
from tests.peers.stream_hearing import is_over, states, told
from tests.peers.streams import StreamServers
from tests.recording import END, subscribed
from tests.tables import PROPERTY, read

TABLE = "`incremental_handler`"
PAGE = Path(__file__).parents[2] / "docs/stream-peers.md"
DOCUMENT = """query Deferred {
    hello ... @defer { person { friends { name } } } ... @defer { people @stream { name } person { email } }
}"""
DATA = {
    "hello": "hello world",
    "person": {"friends": [{"name": "Grace"}, {"name": "Joan"}], "email": "ada@example.org"},
    "people": [{"name": "Ada"}, {"name": "Grace"}, {"name": "Joan"}],
}
HANDLERS = {
    "None": None,
    "`Defer20220824Handler()`": Defer20220824Handler(),
    "`GraphQL17Alpha9Handler()`": GraphQL17Alpha9Handler(),
}
SERVERS = {
    "yoga": "node_streams",
    "apollo": "apollo_streams",
    "apollo-alone": "apollo_streams",
    "strawberry": "python_streams",
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("name", "handler"), HANDLERS.items(), ids=HANDLERS)
async def test_what_a_handler_takes_is_what_the_page_says(
    name: str,
    handler: IncrementalHandler | None,
    server: str,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
):
    servers: StreamServers = request.getfixturevalue(SERVERS[server])

    async with HttpLink(servers.peers[server].url, incremental_handler=handler) as link:
        operation = subscribed(execute(link, GraphQLRequest(DOCUMENT)))
        await until(lambda: is_over(operation))

    has_all = operation.seen[-1] == END and states(operation)[-1:] == [DATA]
    text = "all of it" if has_all else told(operation)
    place = {"row": (list(HANDLERS).index(name), name), "column": (list(SERVERS).index(server), server)}
    record_property(PROPERTY, {"table": TABLE, **place, "text": text})
    assert read(PAGE.read_text(encoding="utf-8"), TABLE)[name][server] == text
