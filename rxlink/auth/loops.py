"""Which event loop a caller is on, and how to reach another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from rxlink.errors import InvariantError

__all__ = ["call_on", "loop_here", "running_loop"]


def loop_here() -> asyncio.AbstractEventLoop | None:
    """Return the running event loop, None where none runs."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        InvariantError: None runs.
    """
    loop = loop_here()
    if loop is None:
        raise InvariantError(
            "tokens have to be loaded or refreshed, and no event loop runs; subscribe or await inside a coroutine"
        )
    return loop


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    """Call a function at once where the loop is the caller's, else as soon as that loop can; never on a closed one."""
    if loop is loop_here():
        function(*args)
        return
    with suppress(RuntimeError):  # it is closed, and whoever waited on it is gone
        loop.call_soon_threadsafe(function, *args)
