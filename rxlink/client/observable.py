"""What a client's call returns."""

from __future__ import annotations

from typing import TypeVar

from rxlink.core.async_iteration import ObservableIterator, to_async_iterator
from rxlink.core.chain_observable import ChainObservable

__all__ = ["ClientObservable"]

T = TypeVar("T")


class ClientObservable(ChainObservable[T]):
    """A client's call: subscribe it, await its last result, or take its results one by one with ``async for``.

    Nothing is sent before, and each of these sends anew. In a loop, up to 1000 results wait while its body runs;
    :func:`~rxlink.to_async_iterator` has other bounds, and a way to leave at a known line.
    """

    def __aiter__(self) -> ObservableIterator[T]:
        """Return an iterator over one subscription, which ends when the loop has been left."""
        return to_async_iterator(self)
