"""Does something when an event loop comes to its end, where it is let: a loop that is closed by force tells nobody.

A loop that shuts down finishes the asynchronous generators that were started on it (``loop.shutdown_asyncgens``, which
``asyncio.run`` calls).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from weakref import WeakKeyDictionary

from rxlink.auth.loops import running_loop

__all__ = ["LoopEnd"]


class LoopEnd:
    """Calls a coroutine function at the end of each loop that it minds."""

    def __init__(self, function: Callable[[], Awaitable[None]]) -> None:
        self._function = function
        self._minded: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncGenerator[None]] = WeakKeyDictionary()

    async def mind(self) -> None:
        """Call it at the end of the running loop."""
        loop = running_loop()
        if loop not in self._minded:
            self._minded[loop] = generator = self._until_the_end()
            await anext(generator)

    async def forget(self) -> None:
        """Call it at the end of the running loop no more."""
        if (generator := self._minded.pop(running_loop(), None)) is not None:
            await generator.aclose()

    async def _until_the_end(self) -> AsyncGenerator[None]:
        loop = running_loop()
        try:
            yield
        finally:
            if self._minded.pop(loop, None) is not None:
                await self._function()
