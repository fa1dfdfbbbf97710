"""``rxlink query``: run a query or a mutation, and print its result."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Coroutine
from typing import Any

from rxlink.commands.output import Output
from rxlink.commands.running import Setting, operation_of, run, setting_of, telling_result, written
from rxlink.commands.sources import Sources
from rxlink.commands.waiting import Waiting
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.result import FetchResult
from rxlink.errors import NetworkTimeout, RxlinkError

__all__ = ["answer_to", "query"]


def query(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    return run(lambda: _prepared(options))


def _prepared(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
    sources = Sources()
    request = operation_of(options, sources, is_subscription=False)
    return _run(setting_of(options, sources), request, Output(options.output))


async def _run(setting: Setting, request: GraphQLRequest, output: Output) -> int:
    with telling_result(output):
        async with Waiting("an answer") as waiting, setting.opened(waiting.tell) as link:
            result = await answer_to(request, link, setting)
    return written(result, output)


async def answer_to(request: GraphQLRequest, link: ApolloLink, setting: Setting) -> FetchResult:
    """Run a query or a mutation; return its last result.

    Raises:
        RxlinkError: There is none.
    """
    limit = setting.whole_limit
    try:
        async with asyncio.timeout(limit):
            return await execute(link, request)
    except TimeoutError as error:
        if limit is None or isinstance(error, RxlinkError):
            raise
        raise NetworkTimeout(f"the operation over {link!r}", seconds=limit) from None
