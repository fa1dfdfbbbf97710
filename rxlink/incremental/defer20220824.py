"""Results in pieces as the GraphQL specification had them in August 2022: each entry says its path.

Ports: ``@apollo/client`` 4.3.8 ``src/incremental/handlers/defer20220824.ts``.
Differs: a payload in the newer format is an error (there its entries are merged into the root).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from rxlink.core.result import FetchResult
from rxlink.incremental.handlers import Chunk, Entry, IncrementalRequest, Merged, path_of
from rxlink.incremental.merging import BadIncrement, Path, merged

__all__ = ["ByPath", "Defer20220824Handler"]


class Defer20220824Handler:
    """Asks for incremental delivery in the format of August 2022, and takes no other.

    Source: the GraphQL specification at commit 48cf726, with ``multipart/mixed; deferSpec=20220824``.

    Example:
        >>> request = Defer20220824Handler().start_request()
        >>> request.handle({"data": {"hero": {"name": "R2-D2"}}, "hasNext": True})
        {'data': {'hero': {'name': 'R2-D2'}}}
        >>> request.handle({"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False})
        {'data': {'hero': {'name': 'R2-D2', 'age': 33}}}
    """

    accept: Sequence[str] = ("multipart/mixed;deferSpec=20220824",)

    def is_incremental_result(self, result: FetchResult) -> bool:
        """Tell whether the first payload of an answer is a piece of a result."""
        return "hasNext" in result

    def start_request(self) -> IncrementalRequest:
        """Begin to put the pieces of one answer together."""
        return IncrementalRequest(ByPath())


class ByPath:
    """Entries that name the path of what they hold; of items in a list, that of the first one."""

    __slots__ = ("_failed",)

    def __init__(self) -> None:
        self._failed: set[tuple[str | int, ...]] = set()

    def begin(self, chunk: Chunk) -> None:
        """Refuse what is in the other format."""
        if "pending" in chunk or "completed" in chunk:
            raise BadIncrement("it is in the format v0.2, and the link asks for that of August 2022")

    def take(self, result: Merged, entry: Entry) -> None:
        """Put data or items into the result."""
        path = path_of(entry, "path")
        if "items" in entry:
            self._take_items(result, path, entry["items"])
        elif entry.get("data") is not None:  # null says that the fragment has failed
            result.merge(path, entry["data"])
        result.note(entry)

    def end(self, result: Merged, chunk: Chunk) -> None:
        """Do nothing."""

    def _take_items(self, result: Merged, path: Path, items: Any) -> None:
        *where, first = (*path,) or (None,)
        if not isinstance(first, int):
            raise BadIncrement("the path of `items` does not end with an index")
        if items is None:  # an item failed that may not be null: so has the rest of the list
            self._failed.add((*where,))
        if (*where,) not in self._failed:
            result.change(where, lambda kept: _filled(kept, first, items))


def _filled(kept: Any, first: int, items: Any) -> list[Any]:
    """Return a list in which items have come for the places from an index on."""
    if not isinstance(kept, list) or not isinstance(items, list) or len(cast("list[Any]", kept)) < first:
        raise BadIncrement("its `items` are no list, or there is no list that is long enough for them")
    old, new = cast("list[Any]", kept), cast("list[Any]", items)
    return [*old[:first], *merged(old[first : first + len(new)], new), *old[first + len(new) :]]
