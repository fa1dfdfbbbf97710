"""Looks at the tokens of a connection, on which nobody may ask for them for hours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context

from reactivex import abc

from rxlink.transport._ws_alarm import Alarm
from rxlink.transport._ws_options import OnNewToken
from rxlink.transport._ws_tokens import SessionTokens

__all__ = ["KEEP", "TokenWatch"]

KEEP = "keep"
"""The policy with which a socket stays, whatever becomes of its token."""


class TokenWatch:
    """Hears of changes of the tokens, and has them refreshed when they are due.

    Who only listens would never ask for newer ones. It all happens in a context of its own: it is nobody's in
    particular (P11).

    Args:
        tokens: The session, None for none.
        policy: What becomes of a socket whose token is replaced.
        loop: The event loop.
        changed: Called after each change.
    """

    __slots__ = ("_alarm", "_changed", "_policy", "_subscription", "_tokens")

    def __init__(
        self,
        tokens: SessionTokens | None,
        policy: OnNewToken,
        loop: asyncio.AbstractEventLoop,
        changed: Callable[[], None],
    ) -> None:
        self._tokens = tokens
        self._policy = policy
        self._changed = changed
        self._subscription: abc.DisposableBase | None = None
        self._alarm = Alarm(loop)

    def begin(self) -> None:
        """Hear of changes."""
        if self._subscription is None and self._tokens is not None:
            self._subscription = Context().run(self._tokens.watch, self._changed)

    def end(self) -> None:
        """Hear of nothing any more."""
        self.look_away()
        if self._subscription is not None:
            self._subscription.dispose()
            self._subscription = None

    def look_ahead(self) -> None:
        """Look at the tokens when they are due, as long as there is a socket with them."""
        self.look_away()
        tokens = self._tokens
        if tokens is None or (self._policy == KEEP and not tokens.is_shared):
            return
        seconds = tokens.look_ahead()
        if seconds is not None:
            self._alarm.set(seconds, self._look)

    def look_away(self) -> None:
        """Look at them no more: there is no socket."""
        self._alarm.stop()

    def _look(self) -> None:
        if self._tokens is not None:
            self._tokens.look()
        self.look_ahead()
