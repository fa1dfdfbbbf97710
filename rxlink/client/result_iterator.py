"""The results of a subscription in a ``for`` loop."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from rxlink.client.portal import Portal
from rxlink.core.async_iteration import ObservableIterator
from rxlink.errors import ClientClosed

__all__ = ["ResultIterator"]

T = TypeVar("T")

END: Final = object()


class ResultIterator(Iterator[T], Generic[T]):
    """The results of one subscription, for a ``for`` loop in a plain thread; ``SyncClient.subscribe`` makes it.

    The subscription begins with ``with``, or else with the first step. It ends where the ``with`` block does; without
    one, when nobody refers to the iterator any more. One thread takes from it at a time.
    """

    def __init__(self, client: object, portal: Portal, results: ObservableIterator[T]) -> None:
        self._client = client  # whose end would be the portal's
        self._portal = portal
        self._results = results

    @property
    def dropped(self) -> int:
        """How many results were thrown away because the buffer was full."""
        return self._results.dropped

    def __next__(self) -> T:
        result = self._portal.run(_next_or_end, self._results)
        if result is END:
            raise StopIteration
        return result

    def close(self) -> None:
        """End the subscription; whoever waits for a result gets the end. In a forked child nothing happens."""
        if not self._portal.is_here():
            return
        try:
            self._portal.run(self._results.aclose)
        except ClientClosed:  # and the subscription with it
            return

    def __enter__(self) -> Self:
        self._portal.run(self._results.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _next_or_end(results: ObservableIterator[T]) -> Any:
    """Return the next result, ``END`` where there is none: an end of a loop must not travel as an exception."""
    return await anext(results, END)
