"""What happens when a session would end: the application may sign its user in again, and those who wait go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from reactivex import Observable
from reactivex import operators as ops

from rxlink.auth.refresh_callback import NewTokens, checked_return
from rxlink.auth.tokens import TokenSet
from rxlink.core.observables import resolve
from rxlink.core.options import checked_function
from rxlink.errors import SessionEnded

__all__ = ["Relogin", "SessionEndedHook"]

SessionEndedHook: TypeAlias = Callable[[SessionEnded], "NewTokens | Awaitable[NewTokens] | Observable[NewTokens]"]


class Relogin:
    """Asks the application for tokens of the same user, once a session.

    Args:
        hook: Gets why the session ends; returns new tokens, or None where it is to end.
        time_limit: Seconds that it may take.
    """

    def __init__(self, hook: SessionEndedHook | None, *, time_limit: float) -> None:
        if hook is not None:
            checked_function("`on_session_ended`", hook, "error", or_else=", or None")
        self._hook = hook
        self.time_limit = time_limit

    @property
    def is_wanted(self) -> bool:
        """Whether there is anybody to ask."""
        return self._hook is not None

    async def ask(self, ended: SessionEnded) -> TokenSet | None:
        """Ask for new tokens; None where there are none.

        Raises:
            Exception: What the application's function raised.
        """
        assert self._hook is not None, "nobody is asked where nobody is there"
        answer = self._hook(ended)
        return checked_return(
            await resolve(answer.pipe(ops.default_if_empty()) if isinstance(answer, Observable) else answer),
            "`on_session_ended`",
        )
