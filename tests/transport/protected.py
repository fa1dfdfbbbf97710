"""Operations as AuthLink leaves them, for the tests of where they may go."""

import json
from typing import Any

from aiohttp import web

from rxlink.auth.origins import PROTECTED, Audience
from rxlink.core.operation import GraphQLRequest
from tests.transport.scripted_server import VIEWER

TOKEN = "s3cret"
OWN = Audience()


def query(token: str | None = TOKEN, *, header: str = "authorization", audience: Audience = OWN, **context: Any):
    """A query as AuthLink leaves it; None is nobody's."""
    if token is not None:
        headers = {**context.pop("headers", {}), header: token}
        context = {**context, "headers": headers, PROTECTED: {header.lower(): audience}}
    return GraphQLRequest("query Viewer($t: String) { viewer(t: $t) { name } }", {"t": token}, context=context)


async def answer_each(request: web.Request) -> web.StreamResponse:
    sent = json.loads(await request.text())
    answers = [{"data": one["variables"]} for one in sent] if isinstance(sent, list) else VIEWER
    return web.json_response(answers)
