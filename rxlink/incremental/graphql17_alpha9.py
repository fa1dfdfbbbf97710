"""Results in pieces in the format v0.2: the server announces what is pending, and each entry names that by its id.

Ports: ``@apollo/client`` 4.3.8 ``src/incremental/handlers/graphql17Alpha9.ts``.
Differs: items go to the end of their list, however its first items have come (there its length is taken from the entry
that brought the list, where that entry's place is one above; else the items are lost, also those of a list in the items
of a streamed list); the end of something that is not pending is overlooked (there a ``TypeError``); a payload in the
older format is an error that says so (there one that asks for a report).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from rxlink.core.result import FetchResult
from rxlink.incremental.handlers import Chunk, Entry, IncrementalRequest, Merged, entries_of, path_of
from rxlink.incremental.merging import BadIncrement, Path

__all__ = ["ById", "GraphQL17Alpha9Handler"]


class GraphQL17Alpha9Handler:
    """Asks for incremental delivery in the format v0.2, which graphql-js 17.0.0-alpha.9 has, and takes no other.

    Source: https://specs.apollo.dev/incremental/v0.2/

    Example:
        >>> request = GraphQL17Alpha9Handler().start_request()
        >>> pending = [{"id": "0", "path": ["hero"]}]
        >>> request.handle({"data": {"hero": {"name": "R2-D2"}}, "pending": pending, "hasNext": True})
        {'data': {'hero': {'name': 'R2-D2'}}}
        >>> entry = {"id": "0", "data": {"age": 33}}
        >>> request.handle({"incremental": [entry], "completed": [{"id": "0"}], "hasNext": False})
        {'data': {'hero': {'name': 'R2-D2', 'age': 33}}}
    """

    accept: Sequence[str] = ("multipart/mixed;incrementalSpec=v0.2",)

    def is_incremental_result(self, result: FetchResult) -> bool:
        """Tell whether the first payload of an answer is a piece of a result."""
        return "hasNext" in result

    def start_request(self) -> IncrementalRequest:
        """Begin to put the pieces of one answer together."""
        return IncrementalRequest(ById())


class ById:
    """Entries that name by its id what the server has announced as pending."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[str, Path] = {}

    def begin(self, chunk: Chunk) -> None:
        """Note what is announced."""
        for pending in entries_of(chunk, "pending"):
            self._pending[_id_of(pending)] = path_of(pending, "path")

    def take(self, result: Merged, entry: Entry) -> None:
        """Put data or items into the result."""
        known = self._pending.get(_id_of(entry))
        if known is None:
            raise BadIncrement("an entry of its `incremental` has an id that is not pending")
        path = [*known, *path_of(entry, "subPath")]
        if "items" in entry:
            result.change(path, lambda kept: _extended(kept, entry["items"]))
        elif entry.get("data") is not None:
            result.merge(path, entry["data"])
        result.note(entry)

    def end(self, result: Merged, chunk: Chunk) -> None:
        """Forget what is complete, and note why it failed if it did."""
        for completed in entries_of(chunk, "completed"):
            self._pending.pop(_id_of(completed), None)
            result.note(completed)


def _id_of(entry: Entry) -> str:
    name = entry.get("id")
    if not isinstance(name, str):
        raise BadIncrement("an entry has no id: the format is not v0.2, which the link asks for")
    return name


def _extended(kept: Any, items: Any) -> list[Any]:
    if not isinstance(kept, list) or not isinstance(items, list):
        raise BadIncrement("its `items` are no list, or there is no list for them")
    return [*cast("list[Any]", kept), *cast("list[Any]", items)]
