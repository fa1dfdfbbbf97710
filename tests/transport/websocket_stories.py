"""How most stories over a WebSocket begin, for both protocols."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.transport.websocket import GraphQLWsLink, WebSocketLink
from tests.recording import Recorder, subscribed
from tests.transport.websocket_server import LEGACY, TRANSPORT, Connection, ScriptedWebSocketServer

Make: TypeAlias = Callable[..., GraphQLWsLink]

TICKS = GraphQLRequest("subscription Ticks { ticks }")
VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
RENAME = GraphQLRequest("mutation Rename { rename }")
NORMAL = (1000, "Normal Closure")

PROTOCOLS = {GraphQLWsLink: TRANSPORT, WebSocketLink: LEGACY}
both = pytest.mark.parametrize("make", PROTOCOLS, ids=lambda make: make.__name__)


def serving(make: Make) -> ScriptedWebSocketServer:
    """Return a server for a link of this class."""
    return ScriptedWebSocketServer(subprotocol=PROTOCOLS[make])  # type: ignore[index]


def ticked(*numbers: int) -> list[Any]:
    return [{"data": {"ticks": number}} for number in numbers]


async def begun(
    server: ScriptedWebSocketServer, link: ApolloLink, *requests: GraphQLRequest
) -> tuple[Connection, list[Recorder]]:
    """Subscribe to some operations, a subscription if none is given, and see them arrive on a new connection."""
    recorders = [subscribed(execute(link, request)) for request in requests or (TICKS,)]
    connection = await server.connection()
    await connection.acknowledge()
    for _ in recorders:
        await connection.begin()
    return connection, recorders


def ids_of(connection: Connection) -> list[str]:
    """Return the ids of the operations that have begun on a connection, in order."""
    return [message["id"] for message in connection.received if message["type"] in ("subscribe", "start")]


def sockets_that_live() -> list[Any]:
    """Return the tasks of the sockets that clients have not closed yet."""
    return [task for task in asyncio.all_tasks() if "Socket._run" in repr(task)]
