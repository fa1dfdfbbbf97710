"""Subscribes with gql's transport for aiohttp, and prints what comes, a line each.

Runs in an environment of its own, made from `requirements.txt`: rxlink is not in it.
"""

from __future__ import annotations

import asyncio
import json
import sys

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport


async def main(url: str, document: str, key: str) -> None:
    async with Client(transport=AIOHTTPTransport(url=url)) as session:
        request = gql(document)
        request.variable_values = {"key": key}
        async for data in session.subscribe(request):
            print(json.dumps(data), flush=True)


asyncio.run(main(*sys.argv[1:]))
