"""Which refreshes the running code is a part of.

A refresh may send operations of its own, through the very chain that waits for it. Who makes operations wait, for a
refresh or for one another, looks here first: an operation of a refresh must wait for nobody who waits for that refresh.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["refreshes_here"]

refreshes_here: ContextVar[tuple[object, ...]] = ContextVar("rxlink.refreshes_here", default=())
"""What stands for each of them, from the outermost to the innermost, through any number of calls and tasks."""
