"""Calls to a storage one after another, so that the last word wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from threading import Lock
from types import TracebackType
from typing import Self, TypeVar

from rxlink.auth.storage.memory import TokenStorage
from rxlink.auth.tokens import TokenSet

__all__ = ["SerialStorage", "Turn"]

T = TypeVar("T")


class SerialStorage:
    """A storage whose calls never overlap: each begins when the one before has ended or was cancelled.

    Without this, a slow save of a refresh could land after the ``clear`` of the sign-out that came later. The order is
    that in which turns are taken, on whichever loops.
    """

    def __init__(self, storage: TokenStorage) -> None:
        self._storage = storage
        self._lock = Lock()
        self._last: Turn | None = None

    def take_turn(self) -> Turn:
        """Return a place in the queue; whoever takes it calls the storage with it, or gives it up."""
        with self._lock:
            before = self._last
            self._last = Turn(self._storage, None if before is None or before.is_over() else before)
            return self._last

    async def load(self) -> TokenSet | None:
        """Load, in turn."""
        return await self.take_turn().load()

    async def save(self, tokens: TokenSet, /) -> None:
        """Save, in turn."""
        await self.take_turn().save(tokens)

    async def clear(self) -> None:
        """Clear, in turn."""
        await self.take_turn().clear()


class Turn:
    """One call of the storage, when it is its turn."""

    def __init__(self, storage: TokenStorage, before: Turn | None) -> None:
        self._storage = storage
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._over: Future[None] = Future()
        self._is_given_up = False

    async def load(self) -> TokenSet | None:
        """Load, in turn."""
        return await self._call(self._storage.load)

    async def save(self, tokens: TokenSet, /) -> None:
        """Save, in turn."""
        await self._call(lambda: self._storage.save(tokens))

    async def clear(self) -> None:
        """Clear, in turn."""
        await self._call(self._storage.clear)

    def is_over(self) -> bool:
        """Tell whether the next one may begin: also where the call stands still, with its loop."""
        return self._over.done() or not self._loop.is_running()

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
        if self._before is None or self._before.is_over():
            self._over.set_result(None)
        else:
            self._before._over.add_done_callback(lambda _: self._over.set_result(None))
        self._before = None

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            if self._before is not None:
                await asyncio.wait([asyncio.wrap_future(self._before._over)])
                self._before = None
            return await call()
        finally:
            self.give_up()
