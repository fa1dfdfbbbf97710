"""Which refreshes the running code is a part of.

A refresh may send operations of its own, through the very chain that waits for it. Who makes operations wait, for a
refresh or for one another, looks here first: an operation of a refresh must wait for nobody who waits for that refresh.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from reactivex import Subject

__all__ = ["enter_refresh", "is_inside_a_refresh", "refreshes_here"]

refreshes_here: ContextVar[tuple[Subject[Any], ...]] = ContextVar("rxlink.refreshes_here", default=())
"""Those who wait for each of them, from the outermost to the innermost, through any number of calls and tasks.

What a refresh has begun may outlive it: then those who waited are still here, and have been told.
"""


def enter_refresh(waiting: Subject[Any]) -> None:
    """Note, in the current context, that it is a part of the refresh for which these wait."""
    refreshes_here.set((*_under_way(), waiting))


def is_inside_a_refresh() -> bool:
    """Tell whether somebody waits for a refresh that the running code is a part of."""
    return bool(refreshes_here.get() and _under_way())


def _under_way() -> tuple[Subject[Any], ...]:
    return tuple(waiting for waiting in refreshes_here.get() if not waiting.is_stopped)
