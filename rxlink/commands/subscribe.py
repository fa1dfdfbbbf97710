"""``rxlink subscribe``: run a subscription, and print each result when it comes."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from typing import Any, Final

from rxlink.commands.output import Output
from rxlink.commands.running import Setting, operation_of, run, setting_of, written
from rxlink.commands.sources import Sources
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest

__all__ = ["subscribe"]

MOST_AT_ONCE: Final = 1_000_000
"""Results. Writing one blocks the event loop, so that the server is read as fast as the output is: no more wait than
have come with one read."""


def subscribe(options: argparse.Namespace) -> int:
    """Run the command; return the exit code."""
    return run(lambda: _prepared(options))


def _prepared(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
    sources = Sources()
    request = operation_of(options, sources, is_subscription=True)
    return _run(setting_of(options, sources), request, Output(options.output))


async def _run(setting: Setting, request: GraphQLRequest, output: Output) -> int:
    code = 0
    async with (
        setting.opened("a result", output) as (link, waiting),
        to_async_iterator(execute(link, request), max_buffer=MOST_AT_ONCE) as results,
    ):
        async for result in results:
            waiting.end()
            code = max(code, written(result, output))
    return code
