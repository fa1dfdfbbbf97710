"""What a handler of incremental delivery is: what it asks a server for, and how it puts the pieces together.

Ports: ``@apollo/client`` 4.3.8 ``src/incremental/types.ts``, and what both of its handlers share.
Differs: links merge, so that each link above them sees results as the application does (there the client does, above
all links); a handler names the media types that it wants, and the link asks for them; ``data`` and ``extensions``
that come beside ``incremental`` are kept (there they are lost); an answer without ``data`` gets none (there an empty
object).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

from rxlink.core.result import FetchResult, IncrementalResult
from rxlink.incremental.merging import MISSING, BadIncrement, Change, Path, changed_at, merged

__all__ = ["Chunk", "Entry", "Format", "IncrementalHandler", "IncrementalRequest", "Merged", "entries_of", "path_of"]

Chunk: TypeAlias = Mapping[str, Any]
"""One payload of a server: the first result, or what is to be added to it."""
Entry: TypeAlias = Mapping[str, Any]
"""A member of ``incremental``, ``pending`` or ``completed``."""


class IncrementalHandler(Protocol):
    """Knows a format of incremental delivery.

    Attributes:
        accept: The media types to ask for where a document defers or streams something, the preferred one first.
    """

    accept: Sequence[str]

    def is_incremental_result(self, result: FetchResult) -> bool:
        """Tell whether the first payload of an answer is a piece of a result."""
        ...

    def start_request(self) -> IncrementalRequest:
        """Begin to put the pieces of one answer together."""
        ...


class Format(Protocol):
    """How the entries of a piece say where they belong; one object for each answer."""

    def begin(self, chunk: Chunk) -> None:
        """Look at a piece before its entries are taken."""
        ...

    def take(self, result: Merged, entry: Entry) -> None:
        """Put a member of ``incremental`` into the result."""
        ...

    def end(self, result: Merged, chunk: Chunk) -> None:
        """Look at a piece after its entries were taken."""
        ...


class Merged:
    """What has come of one answer.

    Attributes:
        data: The data; MISSING as long as there was none.
        new_errors: The errors that the last piece has brought.
    """

    __slots__ = ("_errors", "_extensions", "data", "new_errors")

    def __init__(self) -> None:
        self.data: Any = MISSING
        self.new_errors: tuple[Any, ...] = ()
        self._errors: tuple[Any, ...] = ()
        self._extensions: Mapping[str, Any] = {}

    def note(self, part: Mapping[str, Any]) -> None:
        """Take the errors and extensions of a piece, or of an entry."""
        errors, extensions = part.get("errors"), part.get("extensions")
        if isinstance(errors, list):
            self.new_errors += tuple(cast("list[Any]", errors))
        if isinstance(extensions, Mapping):
            self._extensions = {**self._extensions, **cast("Mapping[str, Any]", extensions)}

    def merge(self, path: Path, data: Any) -> None:
        """Merge data into what stands at a path."""
        self.change(path, lambda kept: merged(kept, data))

    def change(self, path: Path, change: Change) -> None:
        """Put in the place of what stands at a path what a function makes of it."""
        self.data = changed_at(self.data, path, change)

    def emit(self, chunk: Chunk, *, has_next: bool) -> IncrementalResult:
        """Return the result so far, after a piece."""
        self._errors += self.new_errors
        result: FetchResult = {} if self.data is MISSING else {"data": self.data}
        if self._errors:
            result["errors"] = list(self._errors)
        if self._extensions:
            result["extensions"] = {**self._extensions}
        new_errors, self.new_errors = self.new_errors, ()
        return IncrementalResult(result, increment=chunk, has_next=has_next, new_errors=new_errors)


class IncrementalRequest:
    """The pieces of one answer, put together as they come.

    Args:
        format: How its entries say where they belong.

    Attributes:
        has_next: Whether another piece is to come.
    """

    __slots__ = ("_format", "_merged", "has_next")

    def __init__(self, format: Format) -> None:  # noqa: A002 - nothing here formats text
        self._format = format
        self._merged = Merged()
        self.has_next = True

    def handle(self, chunk: Chunk) -> IncrementalResult:
        """Take a piece; return the result so far.

        Raises:
            BadIncrement: It does not fit what has come before, or is of another format.
        """
        has_next, result = chunk.get("hasNext"), self._merged
        if not isinstance(has_next, bool):
            raise BadIncrement("its `hasNext` is neither true nor false")
        self._format.begin(chunk)
        if "data" in chunk:
            result.merge((), chunk["data"])
        result.note(chunk)
        for entry in entries_of(chunk, "incremental"):
            self._format.take(result, entry)
        self._format.end(result, chunk)
        self.has_next = has_next
        return result.emit(chunk, has_next=has_next)


def entries_of(chunk: Chunk, name: str) -> Sequence[Entry]:
    """Return a list of objects in a piece; what is not there, or null, is empty.

    Raises:
        BadIncrement: It is something else.
    """
    entries = chunk.get(name)
    if entries is None:
        return ()
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in cast("list[object]", entries)):
        raise BadIncrement(f"its `{name}` is no list of objects")
    return cast("list[Entry]", entries)


def path_of(entry: Entry, name: str) -> Path:
    """Return a path in an entry; what is not there, or null, is the root.

    Raises:
        BadIncrement: It is something else than a list of names and indices.
    """
    path = entry.get(name)
    if path is None:
        return ()
    if not isinstance(path, list) or not all(map(_is_step, cast("list[object]", path))):
        raise BadIncrement(f"the `{name}` of an entry is no list of names and indices")
    return cast("list[str | int]", path)


def _is_step(step: object) -> bool:
    return isinstance(step, str) or (isinstance(step, int) and not isinstance(step, bool) and step >= 0)
