"""``rxlink subscribe``: run a subscription, and print each result when it comes."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from rxlink.commands.output import Output
from rxlink.commands.running import Setting, operation_of, run, setting_of, written
from rxlink.commands.sources import Sources
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import NetworkError, SocketClosed

__all__ = ["subscribe"]

SAID_BY_THE_PROTOCOL: Final = range(4000, 5000)
"""Codes with which a socket is closed on purpose."""
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
        _hinting_at_retries(setting.connection.retries),
        to_async_iterator(execute(link, request), max_buffer=MOST_AT_ONCE) as results,
    ):
        async for result in results:
            waiting.end()
            code = max(code, written(result, output))
    return code


@asynccontextmanager
async def _hinting_at_retries(retries: int) -> AsyncGenerator[None]:
    """Note of a loss that may pass that there is an option for it."""
    try:
        yield
    except NetworkError as error:
        is_refusal = isinstance(error, SocketClosed) and error.code in SAID_BY_THE_PROTOCOL
        if error.retryable and not retries and not is_refusal:
            error.add_note("with --retry N it is tried again")
        raise
