"""Hears of changes over a channel of Redis, through one connection after another."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

from rxlink.auth.storage.redis_clients import CALL_LIMIT, Clients, keeping_cancellations, letting_outages_pass

__all__ = ["Watch"]

PULSE: Final = 15.0
"""Seconds of silence on the channel after which it is asked whether it still stands."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before the channel is opened again: doubling from the one to the other."""

logger = logging.getLogger(__name__)


class Watch:
    """Listens to a channel, over one connection after another."""

    def __init__(self, clients: Clients, channel: str, hear: Callable[[], None]) -> None:
        self._clients = clients
        self._channel = channel
        self._hear = hear
        self._pause = FIRST_PAUSE

    async def run(self) -> None:
        """Go on until the task is cancelled."""
        from redis.exceptions import RedisError

        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if self._pause == FIRST_PAUSE:  # once for each outage
                    logger.warning("not told of changes by %s: %s", self._clients.place, type(error).__name__)
            # Spread out: every process has lost the server at the same moment.
            await asyncio.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _listen(self) -> None:
        client: Any = await self._clients.here()
        pubsub = client.pubsub()
        try:
            await self._take_messages(pubsub)
        finally:
            with letting_outages_pass():
                await pubsub.aclose()

    async def _take_messages(self, pubsub: Any) -> None:
        now = asyncio.get_running_loop().time
        due = await self._ask(pubsub)
        is_asked = True
        while True:
            with keeping_cancellations():
                message = await pubsub.get_message(timeout=max(0, due - now()))
            if message is not None:
                is_asked, due = False, now() + PULSE
                self._take()
            elif now() >= due:
                if is_asked:
                    raise TimeoutError("the channel does not answer")
                due = await self._ask(pubsub)
                is_asked = True

    async def _ask(self, pubsub: Any) -> float:
        """Subscribe, also once more: the server confirms it each time. Return until when."""
        due = asyncio.get_running_loop().time() + CALL_LIMIT
        with keeping_cancellations():
            async with asyncio.timeout_at(due):
                await pubsub.subscribe(self._channel)
        return due

    def _take(self) -> None:
        self._pause = FIRST_PAUSE
        try:
            self._hear()
        except Exception as error:  # noqa: BLE001 - the next change is told all the same
            told = {"message": "what watches a token storage raised", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
