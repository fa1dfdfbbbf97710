"""What lasts while a transport of gql is connected; it knows nothing of gql."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager

from rxlink.core.async_iteration import ObservableIterator
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription

__all__ = ["Connection", "HeaderNote"]


class Connection:
    """What lasts from ``connect`` to ``close``.

    Args:
        chain: What operations go through.
        owned: The link to be entered and closed, None for none.

    Attributes:
        is_open: Whether the chain has been entered, so that operations may be sent.
    """

    def __init__(self, chain: ApolloLink, *, owned: ApolloLink | None) -> None:
        self.chain = chain
        self._owned = owned
        self._loops: set[ObservableIterator[FetchResult]] = set()
        self.is_open = False

    async def enter(self) -> None:
        """Enter what is to be entered."""
        if self._owned is not None:
            await self._owned.__aenter__()
        self.is_open = True

    @contextmanager
    def holding(self, results: ObservableIterator[FetchResult]) -> Generator[None]:
        """End a loop with the connection, where it does not end before."""
        self._loops.add(results)
        try:
            yield
        finally:
            self._loops.discard(results)

    async def aclose(self) -> None:
        """End all loops, and close what is to be closed, whichever of it fails."""
        async with AsyncExitStack() as stack:
            if self._owned is not None:
                stack.push_async_callback(self._owned.aclose)
            for results in self._loops:
                stack.push_async_callback(results.aclose)


class HeaderNote(ApolloLink):
    """Tells the headers of each answer, whatever becomes of it, before the answer itself.

    Args:
        note: Gets them.
    """

    def __init__(self, note: Callable[[Mapping[str, str]], None]) -> None:
        super().__init__()
        self._note = note

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            forward.connect(operation, _HeaderReader(self._note, operation, observer), root)

        return start


class _HeaderReader:
    """Looks at the context of one operation before each thing that is told."""

    __slots__ = ("_note", "_observer", "_operation")

    def __init__(
        self, note: Callable[[Mapping[str, str]], None], operation: Operation, observer: ResultObserver
    ) -> None:
        self._note = note
        self._operation = operation
        self._observer = observer

    def on_next(self, result: FetchResult) -> None:
        self._look()
        self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        self._look()
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._look()
        self._observer.on_completed()

    def _look(self) -> None:
        headers = getattr(self._operation.get_context().get("response"), "headers", None)
        if headers is not None:
            self._note(headers)
