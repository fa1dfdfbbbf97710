"""What the parts of a scenario being played know of each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

__all__ = ["Owner", "World"]


@dataclass(frozen=True)
class Owner:
    """Whom an event belongs to: one subscription to one operation."""

    operation: str
    attempt: int


class World(Protocol):
    """The scenario being played."""

    session: aiohttp.ClientSession
    """Leads to the scripted server."""

    def owner(self, name: str | None = None) -> Owner:
        """Return for whom the code runs now, or the latest subscription to a named operation."""
        ...

    def latest_socket(self) -> Owner:
        """Return the owner of what happens to the WebSocket that was opened last."""
        ...

    def at_start(self, enter: Callable[[], Awaitable[object]]) -> None:
        """Let something begin before the first operation."""
        ...

    def at_end(self, close: Callable[[], Awaitable[object]]) -> None:
        """Let something be closed when the scenario is over."""
        ...

    def note_for(self, owner: Owner, event: str, **fields: Any) -> None:
        """Write an event into the trace."""
        ...
