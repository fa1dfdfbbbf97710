"""Files in the variables of an operation, sent as the GraphQL multipart request specification says.

Ports: the community link ``apollo-upload-client`` 18, of which the effect is a part of ``HttpLink`` here.
Differs: there is no ``File`` or ``Blob`` in Python, so paths, bytes, open files and asynchronous streams take their
place; they are read while they are sent. What cannot be read twice is never sent twice: see :class:`Upload`.
"""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import AsyncIterable, Callable
from pathlib import PurePath
from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["BinaryFile", "Upload", "UploadSource", "is_source"]

NAMELESS = "blob"
"""What a file is called that has no name, as browsers do it; servers take a part without a name for no file."""


@runtime_checkable
class BinaryFile(Protocol):
    """What is read from: a file opened with ``"rb"``, or anything like it."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, none at the end."""
        ...


UploadSource: TypeAlias = (
    os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | AsyncIterable[bytes]
    | Callable[[], AsyncIterable[bytes]]
)


class Upload:
    """A file to be sent, and what the server is told about it.

    In the variables, a path, bytes, an open file or an asynchronous generator may also stand as it is; this adds a name
    and a type. The same object in two places of the variables is sent once, for both.

    What is sent again, after a token was refreshed or by a retry, is read again: paths and bytes are, an open file from
    where it stood at first, and a function is called once more. An open file that cannot seek, and an asynchronous
    generator, are used up when they are first sent: such an operation ends with the error that it got.

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
            source: A path; bytes; a file opened with ``"rb"``, which stays open; an asynchronous iterable of bytes,
                such as an asynchronous generator; or a function that returns one, such as an asynchronous generator
                function.
            filename: Its name; None for the name of the path or file, or ``blob``.
            content_type: Its media type; None guesses it by the name, or is ``application/octet-stream``.

        Raises:
            InvariantTypeError: The source is something else, or the name or the type is no text.
            InvariantError: The type holds a line break or another control character.
        """
        if not is_source(source) and not callable(source):
            raise InvariantTypeError(
                f"Upload got a {type(source).__name__}; give a pathlib.Path, bytes, a file opened with 'rb', or an "
                "asynchronous iterable of bytes"
            )
        if isinstance(source, io.TextIOBase):
            raise InvariantTypeError(f"the file {_name_of(source)!r} is opened as text; open it with 'rb'")
        for option, value in (("filename", filename), ("content_type", content_type)):
            if value is not None and not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvariantTypeError(f"`{option}` of Upload is a {type(value).__name__}; give text, or None")
        if content_type is not None and not (content_type.isprintable() and content_type.isascii()):
            raise InvariantError("`content_type` of Upload cannot stand in a header; give one such as 'image/png'")
        self.source: Any = source
        self.filename = filename or _name_of(source)
        self.content_type = content_type or mimetypes.guess_type(self.filename)[0] or "application/octet-stream"

    def __repr__(self) -> str:
        return f"<Upload {self.filename!r} {self.content_type}>"


def is_source(value: object) -> bool:
    """Tell whether a value in variables is a file even though no :class:`Upload` says so."""
    return isinstance(value, (bytes, bytearray, memoryview, os.PathLike, AsyncIterable, BinaryFile))


def _name_of(source: object) -> str:
    if isinstance(source, os.PathLike):
        return PurePath(os.fspath(cast("os.PathLike[str]", source))).name or NAMELESS
    name = getattr(source, "name", None)  # of an open file: a path, or a number where it was opened by descriptor
    return PurePath(name).name if isinstance(name, str) and hasattr(source, "read") else NAMELESS
