"""The addresses of an auth server, and who answers at each."""

from __future__ import annotations

from aiohttp import web

from rxlink.testing._answers import COOKIE_PATH
from rxlink.testing._endpoints import Endpoints
from rxlink.testing._websocket_connection import House
from rxlink.testing._websocket_operations import OperationDesk
from rxlink.testing._websocket_rules import SocketRules
from rxlink.testing._websocket_ticks import Ticks
from rxlink.testing._websockets import WebSockets

__all__ = ["GRAPHQL_PATH", "TOKEN_PATH", "application_of", "websockets_of"]

GRAPHQL_PATH = "/graphql"
TOKEN_PATH = "/token"


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
