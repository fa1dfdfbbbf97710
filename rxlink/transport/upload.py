"""Files in the variables of an operation, sent as the GraphQL multipart request specification says.

Ports: the community link ``apollo-upload-client`` 18, of which the effect is a part of ``HttpLink`` here.
Differs: there is no ``File`` or ``Blob`` in Python, so paths, bytes, open files and asynchronous streams take their
place; they are read while they are sent. What cannot be read twice is never sent twice: see :class:`Upload`.
"""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["AsyncBinaryFile", "BinaryFile", "Upload", "UploadSource", "has_files", "is_file", "parts_of"]

NAMELESS = "blob"
"""What a file is called that has no name, as browsers do it; servers take a part without a name for no file."""


@runtime_checkable
class BinaryFile(Protocol):
    """What is read from: a file opened with ``"rb"``, or anything like it."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


@runtime_checkable
class AsyncBinaryFile(Protocol):
    """What is read from with ``await``: a file as aiofiles and anyio open it, or as FastAPI gets it from a browser."""

    async def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


UploadSource: TypeAlias = (
    os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | AsyncBinaryFile
    | AsyncIterable[bytes]
    | Callable[[], AsyncIterable[bytes]]
)


class Upload:
    """A file to be sent, and what the server is told about it.

    In the variables, a path, bytes, an open file or an asynchronous generator may also stand as it is; this adds a name
    and a type. The same object in two places of the variables is sent once, for both.

    What is sent again, after a token was refreshed or by a retry, is read again: paths and bytes are, an open file from
    where it stood at first, and a function is called once more. An open file that cannot seek, one whose reading is
    awaited, and an asynchronous generator are used up when they are first sent: such an operation ends with the error
    that it got.

    Attributes:
        source: The file.
        filename: Its name.
        content_type: Its media type.

    Example:
        >>> Upload(b"a,b", filename="table.csv")
        <Upload 'table.csv' text/csv>
    """

    __slots__ = ("content_type", "filename", "source")

    def __init__(self, source: UploadSource, *, filename: str | None = None, content_type: str | None = None) -> None:
        """Describe a file; nothing is opened or read yet.

        Args:
            source: A path; bytes; a file opened with ``"rb"``, also an asynchronous one, which stays open; an
                asynchronous iterable of bytes, such as an asynchronous generator; or a function that returns one, such
                as an asynchronous generator function.
            filename: Its name; None for the name of the path or file, or ``blob``.
            content_type: Its media type; None guesses it by the name, or is ``application/octet-stream``.

        Raises:
            InvariantTypeError: The source is something else, or the name or the type is no text.
            InvariantError: The type holds a line break or another control character.
        """
        if not _is_source(source) and not callable(source):
            raise InvariantTypeError(
                f"Upload got {kind_of(source)}; give a pathlib.Path, bytes, a file opened with 'rb', or an "
                "asynchronous iterable of bytes"
            )
        if isinstance(source, io.TextIOBase):
            raise InvariantTypeError(f"the file {_name_of(source)!r} is opened as text; open it with 'rb'")
        for option, value in (("filename", filename), ("content_type", content_type)):
            if value is not None and not isinstance(cast("object", value), str):
                raise InvariantTypeError(f"`{option}` of Upload is {kind_of(value)}; give text, or None")
        if content_type is not None and not (content_type.isprintable() and content_type.isascii()):
            raise InvariantError("`content_type` of Upload cannot stand in a header; give one such as 'image/png'")
        self.source: Any = source
        self.filename = filename or _name_of(source)
        self.content_type = content_type or _type_of(source, self.filename)

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r} {self.content_type}>"


def has_files(operation: Operation) -> bool:
    """Tell whether an operation holds files, at any depth of its variables.

    A test for :func:`~rxlink.core.chain.split`: files do not go in batches. Nothing is opened or read. What HttpLink
    sends as a file is one: an :class:`Upload`, a path, bytes, a file, an asynchronous iterable. It is found also where
    the document does not use the variable, and where a link has an ``encode`` of its own, which may know how to write
    bytes: HttpLink sends such operations all the same.

    Args:
        operation: The operation.

    Example:
        >>> from rxlink import GraphQLRequest
        >>> mutation = "mutation ($in: In) { put(in: $in) }"
        >>> has_files(Operation(GraphQLRequest(mutation, {"in": {"files": [b"a", b"b"]}})))
        True
        >>> has_files(Operation(GraphQLRequest(mutation, {"in": {"files": []}})))
        False
    """
    seen: dict[int, object] = {}  # held, so that no other object takes its place in memory
    left: list[object] = [operation.variables]
    while left:
        value = left.pop()
        parts = parts_of(value)
        if parts is None:
            if is_file(value):
                return True
        elif id(value) not in seen:  # it may hold itself
            seen[id(value)] = value
            left.extend(part for _, part in parts)
    return False


def parts_of(value: object) -> Iterable[tuple[Any, Any]] | None:
    """Return what a value in variables holds, with its names or places; None if it is a single thing."""
    if isinstance(value, Mapping):
        return cast("Mapping[Any, Any]", value).items()
    return enumerate(cast("list[Any]", value)) if isinstance(value, (list, tuple)) else None


def is_file(value: object, *, only_marked: bool = False) -> bool:
    """Tell whether a value in variables is a file.

    Args:
        value: What holds nothing else.
        only_marked: Whether only an :class:`Upload` is one, and not what could be one.
    """
    return isinstance(value, Upload) or (not only_marked and _is_source(value))


def _is_source(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview, os.PathLike, AsyncIterable, BinaryFile))


def _name_of(source: object) -> str:
    if isinstance(source, os.PathLike):
        return PurePath(os.fspath(cast("os.PathLike[str]", source))).name or NAMELESS
    if not hasattr(source, "read"):
        return NAMELESS
    # Of an open file: a path, or a number where it was opened by descriptor; of FastAPI's it is what the browser said.
    names = getattr(source, "name", None), getattr(source, "filename", None)
    return next((PurePath(name).name or NAMELESS for name in names if isinstance(name, str)), NAMELESS)


def _type_of(source: object, filename: str) -> str:
    """Return what a file says of its type, as FastAPI's does, or what goes with its name."""
    said = getattr(source, "content_type", None) if hasattr(source, "read") else None
    if isinstance(said, str) and said and said.isprintable() and said.isascii():
        return said
    return mimetypes.guess_type(filename)[0] or "application/octet-stream"
