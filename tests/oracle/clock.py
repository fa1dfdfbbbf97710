"""A virtual event loop that lets all settle after each timer, as the Apollo worker's clock does.

asyncio runs the timers of one moment together, and only then what they have made ready. Whatever meets at one moment
would meet in another order than in the worker; here each timer waits until the one before it has had its effect.
"""

from __future__ import annotations

import heapq
from asyncio import TimerHandle

from rxlink.testing._virtual_loop import VirtualLoop

__all__ = ["SettlingLoop"]


class SettlingLoop(VirtualLoop):
    """Timers fire one at a time; each settles before the next."""

    _ready: list[object]  # asyncio's own, as `_scheduled`: only looked at

    def __init__(self) -> None:
        super().__init__(io_grace=0.0, patience=0.0)

    def run_until_ms(self, moment: float) -> None:
        """Run all that is due up to a moment, in milliseconds."""
        self.run_until(moment / 1000)

    def _run_once(self) -> None:
        hidden = self._hidden_timers()
        super()._run_once()
        for timer in hidden:
            heapq.heappush(self._scheduled, timer)

    def _hidden_timers(self) -> list[TimerHandle]:
        """Take out of asyncio's heap what must not fire now: all while something is ready, else all but one."""
        self._drop_cancelled()
        timers = self._scheduled
        if not timers:
            return []
        # The clock has not moved yet: with nothing ready it moves to the first timer.
        moment = self.time() if self._ready else timers[0].when()
        first = None if self._ready else heapq.heappop(timers)
        hidden: list[TimerHandle] = []
        while timers and timers[0].when() <= moment:
            hidden.append(heapq.heappop(timers))
        if first is not None:
            heapq.heappush(timers, first)
        return hidden

    def _drop_cancelled(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            self._timer_cancelled_count -= 1
            heapq.heappop(self._scheduled)._scheduled = False
