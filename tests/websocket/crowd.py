"""Many subscriptions on one link: what each heard, and what was told of the connection before that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reactivex import abc

from rxlink import ApolloLink, GraphQLRequest, execute
from rxlink.transport.websocket import GraphQLWsLink, Resubscribed, WebSocketClosed, WebSocketConnected, WebSocketEvent

__all__ = ["EVERY", "TICKS", "Crowd", "Listener", "gathered", "number_of", "until"]

TICKS = "subscription Ticks($every: Float!, $key: String) { ticks(every: $every, key: $key) }"
EVERY = 0.2
"""Seconds from one number to the next."""


def number_of(result: Any) -> int:
    """Return the number in a result; it serves as a key too."""
    return result["data"]["ticks"]


@dataclass
class Listener:
    """One subscription.

    Attributes:
        key: Of its counter.
        heard: Each number, and how many events the link had told before it.
        errors: With which it ended.
        is_complete: Whether the server has ended it.
        subscription: Leaves.
    """

    key: str
    heard: list[tuple[int, int]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    is_complete: bool = False
    subscription: abc.DisposableBase | None = None

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.heard]


class Crowd:
    """Subscriptions, and the events of their link.

    Attributes:
        listeners: They.
        events: What the link told, and when, in seconds of the loop.
    """

    def __init__(self, link: GraphQLWsLink) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self.listeners: list[Listener] = []
        self.events: list[tuple[float, WebSocketEvent]] = []
        self._watch = link.events.subscribe(lambda event: self.events.append((self._loop.time(), event)))

    def subscribe(self, size: int, *, keys: int | None = None, above: ApolloLink | None = None) -> None:
        """Begin so many subscriptions, each with a counter of its own, or with so many counters in all."""
        for number in range(size):
            listener = Listener(f"key-{number % (keys or size)}")
            self.listeners.append(listener)
            request = GraphQLRequest(TICKS, {"every": EVERY, "key": listener.key})
            listener.subscription = execute(above or self._link, request).subscribe(
                self._hear(listener), listener.errors.append, lambda listener=listener: self._complete(listener)
            )

    def leave(self) -> None:
        """End all that is left."""
        for listener in self.listeners:
            if listener.subscription is not None:
                listener.subscription.dispose()
        self._watch.dispose()

    async def hears(self, more: int, *, within: float) -> None:
        """Wait until each subscription has heard so many numbers more than now, or has ended with an error.

        Raises:
            AssertionError: One of them says nothing: it is silently dead.
        """
        before = {id(listener): len(listener.heard) for listener in self.listeners}

        def silent() -> list[str]:
            return [
                each.key
                for each in self.listeners
                if len(each.heard) < before[id(each)] + more and not each.errors and not each.is_complete
            ]

        try:
            await until(lambda: not silent(), within=within)
        except TimeoutError:
            raise AssertionError(f"{len(silent())} of {len(self.listeners)} say nothing: {silent()[:10]}") from None

    def is_settled(self) -> bool:
        """Tell whether all run on one socket."""
        connected = sum(isinstance(event, WebSocketConnected) for _, event in self.events)
        closed = sum(isinstance(event, WebSocketClosed) for _, event in self.events)
        return connected == closed + 1

    def errors(self) -> list[Exception]:
        return [error for listener in self.listeners for error in listener.errors]

    def resubscribed(self) -> list[Resubscribed]:
        return [event for _, event in self.events if isinstance(event, Resubscribed)]

    def _hear(self, listener: Listener) -> Callable[[Any], None]:
        heard, events = listener.heard, self.events
        return lambda result: heard.append((number_of(result), len(events)))

    def _complete(self, listener: Listener) -> None:
        listener.is_complete = True


@contextmanager
def gathered(link: GraphQLWsLink) -> Iterator[Crowd]:
    """Give a crowd, and see to it that it leaves."""
    crowd = Crowd(link)
    try:
        yield crowd
    finally:
        crowd.leave()


async def until(condition: Callable[[], object], *, within: float) -> None:
    """Wait for what nobody tells.

    Raises:
        TimeoutError: It does not come within so many seconds.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
