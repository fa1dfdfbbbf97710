"""The body of a request with files: a form, written while its files are read.

Ports: the GraphQL multipart request specification (github.com/jaydenseric/graphql-multipart-request-spec, revision 2).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import NoReturn

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter

from rxlink.errors import UploadError
from rxlink.transport._files import FilePart

__all__ = ["MultipartBody"]


class MultipartBody(Payload):
    """An operation with files; aiohttp writes it, and writes it again after a redirect.

    Attributes:
        failure: Why a file could not be read, None as long as all could.
    """

    def __init__(
        self,
        operations: bytes,
        files: Sequence[FilePart],
        *,
        operation_name: str | None,
        note_spent: Callable[[], None],
    ) -> None:
        """Measure the files.

        Args:
            operations: The usual body, with null in the place of each file.
            files: The files, in the order in which they are sent.
            operation_name: Whose body it is, for error messages.
            note_spent: Called when a file is begun that cannot be read again.

        Raises:
            UploadError: A file is not there, or is used up.
        """
        boundary = token_hex(16)
        super().__init__(None, content_type=f"multipart/form-data; boundary={boundary}")
        self._operation_name = operation_name
        self._note_spent = note_spent
        places = json.dumps({str(number): part.paths for number, part in enumerate(files)})
        self._head = b"".join(
            [
                _field(boundary, 'name="operations"'),
                operations,
                _field(boundary, 'name="map"', before=b"\r\n"),
                places.encode(),
            ]
        )
        self._check_streams(files)
        self._parts = [
            (_head_of(part, number, boundary), part, self._measured(part)) for number, part in enumerate(files)
        ]
        self._end = f"\r\n--{boundary}--\r\n".encode()
        sizes = [size for _, _, size in self._parts]
        around = len(self._head) + len(self._end) + sum(len(head) for head, _, _ in self._parts)
        self._size = None if None in sizes else around + sum(size or 0 for size in sizes)
        self.failure: UploadError | None = None

    @property
    def consumed(self) -> bool:
        """Whether it cannot be written again."""
        return any(part.is_spent for _, part, _ in self._parts)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it all, reading the files."""
        await writer.write(self._head)
        for head, part, size in self._parts:
            await writer.write(head)
            if part.is_taken:
                self.failure = self._error(
                    part, "is being read by another operation; give Upload a function that opens it"
                )
                raise self.failure
            if not part.is_replayable:
                self._note_spent()
            outlet = _Outlet(writer)
            try:
                await part.send(outlet.write, size)
            except Exception as error:
                if error is not outlet.failure:
                    self.failure = self._error(part, f"could not be read ({type(error).__name__})", error)
                raise
        await writer.write(self._end)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        """Refuse: files are not read into memory."""
        raise TypeError("a body with files is not shown as text")

    def _check_streams(self, files: Sequence[FilePart]) -> None:
        streams: set[int] = set()
        for part in files:
            if part.is_spent:
                raise self._error(
                    part, "is used up and cannot be sent again; give Upload a function that opens it"
                ) from None
            if not part.is_replayable and id(part.upload.source) in streams:
                raise self._error(
                    part, "stands there twice and can be read once; use one Upload for both places"
                ) from None
            streams.add(id(part.upload.source))

    def _measured(self, part: FilePart) -> int | None:
        try:
            return part.size()
        except Exception as error:
            raise self._error(part, f"could not be read ({type(error).__name__})", error) from error

    def _error(self, part: FilePart, what: str, cause: Exception | None = None) -> UploadError:
        error = UploadError(what, path=part.paths[0], operation_name=self._operation_name)
        error.__cause__ = cause
        return error


class _Outlet:
    """Where a file is written to; what breaks here is the connection, and not the file."""

    __slots__ = ("_writer", "failure")

    def __init__(self, writer: AbstractStreamWriter) -> None:
        self._writer = writer
        self.failure: Exception | None = None

    async def write(self, chunk: bytes) -> None:
        try:
            await self._writer.write(chunk)
        except Exception as error:
            self.failure = error
            raise


def _head_of(part: FilePart, number: int, boundary: str) -> bytes:
    upload = part.upload
    filename = upload.filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")  # as browsers do it
    disposition = f'name="{number}"; filename="{filename}"\r\nContent-Type: {upload.content_type}'
    return _field(boundary, disposition, before=b"\r\n")


def _field(boundary: str, disposition: str, before: bytes = b"") -> bytes:
    text = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return before + text.encode(errors="surrogateescape")
