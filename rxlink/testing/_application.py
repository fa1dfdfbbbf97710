"""The addresses of an auth server, and who answers at each."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.testing._answers import COOKIE_PATH
from rxlink.testing._endpoints import Endpoints
from rxlink.testing._websocket_connection import House
from rxlink.testing._websocket_operations import OperationDesk
from rxlink.testing._websocket_rules import SocketRules
from rxlink.testing._websocket_ticks import Ticks
from rxlink.testing._websockets import WebSockets

__all__ = ["GRAPHQL_PATH", "TOKEN_PATH", "application_of", "checked_port", "websockets_of"]

GRAPHQL_PATH = "/graphql"
TOKEN_PATH = "/token"
LAST_PORT: Final = 65535


def checked_port(port: object) -> int:
    """Return where a server is to listen.

    Raises:
        InvariantError: There is no such port.
        InvariantTypeError: It is no whole number.
    """
    if isinstance(port, bool) or not isinstance(port, int):
        raise InvariantTypeError(f"`port` is {port!r}; give a whole number, or 0 for any free port")
    if not 0 <= port <= LAST_PORT:
        raise InvariantError(f"`port` is {port}; give 1 to {LAST_PORT}, or 0 for any free port")
    return port


def websockets_of(endpoints: Endpoints, rules: SocketRules) -> WebSockets:
    """Return the endpoint of sockets, over the tokens, ledger and faults of the others."""
    desk = OperationDesk(schema=endpoints.schema, injector=endpoints.injector, execute=endpoints.execute, ticks=Ticks())
    return WebSockets(House(rules=rules, table=endpoints.table, clock=endpoints.clock, desk=desk))


def application_of(endpoints: Endpoints, websockets: WebSockets) -> web.Application:
    """Return what answers all requests."""
    application = web.Application()
    application.router.add_get(GRAPHQL_PATH, websockets.serve, allow_head=False)
    application.router.add_post(GRAPHQL_PATH, endpoints.graphql)
    application.router.add_post(TOKEN_PATH, endpoints.token)
    application.router.add_post(COOKIE_PATH, endpoints.cookie)
    return application
