"""Four workers that share a session, and the server that they send to."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from tests.fleet.children import Child, Children

__all__ = ["SECONDS", "SIZE", "Fleet"]

SIZE = 4
SECONDS = 8.0 if os.environ.get("RXLINK_SOAK") == "short" else 60.0
ENDING = 60.0
"""Seconds in which a worker has to come to its end: in which operations in flight get their answers."""


class Fleet:
    """Workers; those that were killed are no longer among them."""

    def __init__(self, children: Children, addresses: dict[str, str], arguments: list[str]) -> None:
        self._children = children
        self._arguments = ["--graphql", addresses["graphql"], "--token", addresses["token"], *arguments]
        self._numbers = 0
        self.workers: list[Child] = []

    async def add(self, *arguments: object) -> Child:
        """Start a worker, which waits for `go`."""
        name = f"worker{self._numbers}"
        self._numbers += 1
        worker = await self._children.python("worker", "--name", name, *self._arguments, *arguments, name=name)
        self.workers.append(worker)
        return worker

    async def go(self, *workers: Child) -> None:
        """Let workers begin, all at once as soon as all are ready."""
        for worker in workers:
            await worker.line()
        for worker in workers:
            worker.tell(go=True)
        for worker in workers:
            await worker.line()

    async def launch(self, *arguments: object) -> None:
        """Start as many as a fleet has, and let them begin."""
        await asyncio.gather(*(self.add(*arguments) for _ in range(SIZE)))
        await self.go(*self.workers)

    async def reports(self) -> list[dict[str, Any]]:
        """Wait for the ends of the workers, and return what they say."""
        return await asyncio.gather(*(worker.line(SECONDS + ENDING) for worker in self.workers))

    async def replace(self, worker: Child) -> None:
        """Kill a worker at whatever it does, and start another in its place."""
        self.workers.remove(worker)
        await worker.kill()
        await self.go(await self.add())

    async def spare(self, operations: int) -> Child:
        """Start a worker for a few operations, beside those of the fleet; see `run`."""
        worker = await self.add("--operations", operations, "--rate", 0)
        self.workers.remove(worker)
        return worker

    async def run(self, *workers: Child) -> list[dict[str, Any]]:
        """Let workers start their operations, all at once, and return what they say of them."""
        await self.go(*workers)
        return await asyncio.gather(*(worker.line(ENDING) for worker in workers))
