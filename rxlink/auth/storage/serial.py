"""Calls to a depot one after another, so that the last word wins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

from rxlink.auth.storage.depot import Depot, Kept
from rxlink.auth.storage.shared import StoredTokens

__all__ = ["SerialDepot", "Turn"]

T = TypeVar("T")


class SerialDepot:
    """A depot whose calls never overlap: each begins when the one before has ended or was cancelled.

    Without this, a slow save of a refresh could land after the ``clear`` of the sign-out that came later. The order is
    that in which turns are taken, on whichever loops.
    """

    def __init__(self, depot: Depot) -> None:
        self._depot = depot
        self._lock = Lock()
        self._last: Turn | None = None

    def take_turn(self) -> Turn:
        """Return a place in the queue; whoever takes it calls the depot with it, or gives it up."""
        with self._lock:
            before = self._last
            self._last = Turn(self._depot, None if before is None else before.awaited())
            return self._last

    async def load(self) -> StoredTokens | None:
        """Load, in turn."""
        return await self.take_turn().load()

    async def save(self, kept: Kept, /) -> StoredTokens:
        """Save, in turn."""
        return await self.take_turn().save(kept)


class Turn:
    """One call of the depot, when it is its turn."""

    def __init__(self, depot: Depot, before: Turn | None) -> None:
        self._depot = depot
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._over: Future[None] = Future()
        self._is_given_up = False

    async def load(self) -> StoredTokens | None:
        """Load, in turn."""
        return await self._call(self._depot.load)

    async def save(self, kept: Kept, /) -> StoredTokens:
        """Save, in turn."""
        return await self._call(lambda: self._depot.save(kept))

    def awaited(self) -> Turn | None:
        """Return for whom the next one waits, None where it may begin.

        It is this one; where its call stands still with its loop, or is the parent's, it is the one before.
        """
        turn: Turn | None = self
        while turn is not None and not turn._over.done():
            if turn._loop.is_running() and turn._process == os.getpid():
                return turn
            turn = turn._before
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the turn up where what was to be saved could not even be worked out."""
        if error is not None:
            self.give_up()

    def give_up(self) -> None:
        """Let the next one begin, as soon as the one before has ended."""
        if self._is_given_up:
            return
        self._is_given_up = True
        before = None if self._before is None else self._before.awaited()
        if before is None:
            self._end()
        else:
            before._over.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        self._before = None
        self._over.set_result(None)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            if self._before is not None:
                await asyncio.wait([asyncio.wrap_future(self._before._over)])
                self._before = None
            return await call()
        finally:
            self.give_up()
