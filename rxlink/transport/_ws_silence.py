"""Whether the server is still there: who says nothing for long is asked, and who does not answer is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from rxlink.transport._ws_alarm import Alarm

__all__ = ["Silence"]

CLOCK_STEP: Final = 0.001  # seconds; a timer may be early by the resolution of the loop's clock
NO_ANSWER: Final = "no answer to a ping"
NOT_READ: Final = "nothing is read that was sent"


class Silence:
    """Watches a server for silence.

    Args:
        keep_alive: After how many seconds without a message it is asked; None for never.
        timeout: How many seconds it may take to answer.
        loop: The event loop.
        ask: Asks it.
        standstill: Tells for how many seconds it has taken nothing of what waits for it.
        give_up: Called with the reason.

    Attributes:
        heard_at: When it has last said something, in the loop's time.
    """

    __slots__ = ("_alarm", "_ask", "_give_up", "_keep_alive", "_loop", "_standstill", "_timeout", "heard_at")

    def __init__(
        self,
        keep_alive: float | None,
        timeout: float,
        loop: asyncio.AbstractEventLoop,
        *,
        ask: Callable[[], None],
        standstill: Callable[[], float],
        give_up: Callable[[str], None],
    ) -> None:
        self._keep_alive = keep_alive
        self._timeout = timeout
        self._loop = loop
        self._ask = ask
        self._standstill = standstill
        self._give_up = give_up
        self._alarm = Alarm(loop)
        self.heard_at = 0.0

    def watch(self) -> None:
        """Ask when it has said nothing for long; a server that talks, and does not read, is given up."""
        if self._keep_alive is None:
            return
        if self._standstill() + CLOCK_STEP >= self._keep_alive + self._timeout:
            self._give_up(NOT_READ)
            return
        silent_at = self.heard_at + self._keep_alive
        self._alarm.set(max(0.0, silent_at - self._loop.time()), self._ask_for_life)

    def stop(self) -> None:
        """Watch no more."""
        self._alarm.stop()

    def _ask_for_life(self) -> None:
        asked_at = self._loop.time()
        if self.heard_at + (self._keep_alive or 0.0) > asked_at + CLOCK_STEP:  # a message has come meanwhile
            self.watch()
            return

        def judge() -> None:
            if self.heard_at < asked_at:
                self._give_up(NO_ANSWER)
            else:
                self.watch()

        self._ask()
        self._alarm.set(self._timeout, judge)
