"""What a worker talks to, and what it leaves to be stopped."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

__all__ = ["Cancellable", "Observer"]

T_contra = TypeVar("T_contra", contravariant=True)


class Observer(Protocol[T_contra]):
    """What a worker talks to: the worker of the link above it, or the root."""

    def on_next(self, value: T_contra, /) -> None:
        """Take one result."""

    def on_error(self, error: Exception, /) -> None:
        """Take the end, with its reason."""

    def on_completed(self) -> None:
        """Take the end."""


class Cancellable(Protocol):
    """What fits into the slot."""

    def cancel(self) -> Any:
        """Stop, for good; called at most once by the slot."""
