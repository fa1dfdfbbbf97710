"""Counters that run on a server by the time of its loop, whether or not anybody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import floor

__all__ = ["Ticks", "count_down"]

Listener = Callable[[int], None]
Leave = Callable[[], None]


class Ticks:
    """The counters of one server, one for each pair of key and period."""

    def __init__(self) -> None:
        """Make none; each begins as it is first listened to."""
        self._counters: dict[tuple[str | None, float], _Counter] = {}

    def listen(self, key: str | None, every: float, listener: Listener) -> Leave:
        """Tell each number of a counter from now on, and return what stops that.

        A counter tells 0, `every` seconds after it began; then 1, and so on. Whoever listens to it
        hears the same number at the same time, and a number that nobody listens to is lost.
        """
        counter = self._counters.get((key, every))
        if counter is None:
            counter = self._counters[key, every] = _Counter(every)
        return counter.listen(listener)


class _Counter:
    def __init__(self, every: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._every = every
        self._began = self._loop.time()
        self._next = 0
        self._listeners: dict[object, Listener] = {}
        self._timer: asyncio.TimerHandle | None = None

    def listen(self, listener: Listener) -> Leave:
        if not self._listeners:
            # Nobody has heard the numbers whose time has gone by. With a listener none is left out, however late.
            self._next = max(self._next, floor((self._loop.time() - self._began) / self._every))
            self._set_timer()
        place = object()
        self._listeners[place] = listener
        return lambda: self._leave(place)

    def _leave(self, place: object) -> None:
        self._listeners.pop(place, None)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._timer = self._loop.call_at(self._began + (self._next + 1) * self._every, self._tell)

    def _tell(self) -> None:
        number = self._next
        self._next += 1
        self._set_timer()
        for place, listener in list(self._listeners.items()):
            if place in self._listeners:
                listener(number)


def count_down(start: int, every: float, listener: Listener, end: Callable[[], None]) -> Leave:
    """Tell `start` at once, each lower number down to 1 `every` seconds later, then the end; return what stops that."""
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle

    def tell(number: int) -> None:
        nonlocal timer
        if number == 0:
            end()
            return
        timer = loop.call_later(every, tell, number - 1)
        listener(number)

    timer = loop.call_soon(tell, start)
    return lambda: timer.cancel()  # noqa: PLW0108 - the timer there is then
