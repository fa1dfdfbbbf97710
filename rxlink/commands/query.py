"""``rxlink query``: run a query or a mutation, and print its result."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from typing import Any

from rxlink.commands.failures import CommandFailed
from rxlink.commands.output import Output
from rxlink.commands.running import Setting, operation_of, run, setting_of, written
from rxlink.commands.sources import Sources
from rxlink.commands.time_limit import TimeLimit, time_limit
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.result import FetchResult, IncrementalResult

__all__ = ["answer_to", "query"]


def query(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    return run(lambda: _prepared(options))


def _prepared(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
    sources = Sources()
    request = operation_of(options, sources, is_subscription=False)
    return _run(setting_of(options, sources), request, Output(options.output))


async def _run(setting: Setting, request: GraphQLRequest, output: Output) -> int:
    async with (
        time_limit(setting.connection.timeout) as limit,
        setting.opened("an answer", output, limit) as (link, waiting),
    ):
        result = await answer_to(request, link, limit)
        limit.lift()
        waiting.end()
        return written(result, output)


async def answer_to(request: GraphQLRequest, link: ApolloLink, limit: TimeLimit) -> FetchResult:
    """Run a query or a mutation; return its last result.

    Args:
        request: What to run.
        link: The chain.
        limit: Of the time until an answer, or the first piece of one, has come.

    Raises:
        RxlinkError: There is none.
        CommandFailed: There is none, nor an error.
    """
    limit.what = "the operation"
    answer: FetchResult | None = None
    async with to_async_iterator(execute(link, request), max_buffer=1, overflow="drop_oldest") as results:
        async for answer in results:
            if isinstance(answer, IncrementalResult) and answer.has_next:
                limit.lift()
    if answer is None:
        raise CommandFailed("the answer has no result in it")
    return answer
