"""Results in pieces in whichever format a server sends them: each entry shows which it is in.

Differs: Apollo Client has no such handler, and each of its own breaks on what the other one asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

from rxlink.core.result import FetchResult
from rxlink.incremental.defer20220824 import ByPath, Defer20220824Handler
from rxlink.incremental.graphql17_alpha9 import ById, GraphQL17Alpha9Handler
from rxlink.incremental.handlers import Chunk, Entry, IncrementalRequest, Merged

__all__ = ["DetectingHandler"]


class DetectingHandler:
    """Asks for incremental delivery in either format, and takes what comes, mixtures of both too.

    Example:
        >>> request = DetectingHandler().start_request()
        >>> request.handle({"data": {"hero": {"name": "R2-D2"}}, "hasNext": True})
        {'data': {'hero': {'name': 'R2-D2'}}}
        >>> request.handle({"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False})
        {'data': {'hero': {'name': 'R2-D2', 'age': 33}}}
    """

    accept: Sequence[str] = (*GraphQL17Alpha9Handler.accept, *Defer20220824Handler.accept)

    def is_incremental_result(self, result: FetchResult) -> bool:
        """Tell whether the first payload of an answer is a piece of a result."""
        return "hasNext" in result

    def start_request(self) -> IncrementalRequest:
        """Begin to put the pieces of one answer together."""
        return IncrementalRequest(_Either())


class _Either:
    """Entries that name an id, or else a path; one that names neither is for the root."""

    __slots__ = ("_by_id", "_by_path")

    def __init__(self) -> None:
        self._by_id = ById()
        self._by_path = ByPath()

    def begin(self, chunk: Chunk) -> None:
        self._by_id.begin(chunk)

    def take(self, result: Merged, entry: Entry) -> None:
        # Strawberry's entries have both, and their path is that of what is pending: without the index, or `subPath`.
        (self._by_id if "id" in entry else self._by_path).take(result, entry)

    def end(self, result: Merged, chunk: Chunk) -> None:
        self._by_id.end(result, chunk)
