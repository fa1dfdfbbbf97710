"""Files of one operation: which of them can be read again, and by whom."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import UploadFile

from rxlink.transport._files import CHUNK, FilePart
from rxlink.transport.upload import Upload


class Pipe:
    """What can be read once, and cannot say so itself."""

    def __init__(self) -> None:
        self._left = [b"abc"]

    def read(self, size: int = -1) -> bytes:
        return self._left.pop() if self._left else b""


@pytest.mark.parametrize(("source", "is_spent"), [(Pipe(), True), (b"abc", False)], ids=["stream", "bytes"])
async def test_a_stream_that_one_operation_has_read_is_used_up_for_all_others(source: Any, is_spent: bool) -> None:
    upload, written = Upload(source, filename="a.txt"), bytearray()

    async def write(chunk: bytes) -> None:
        written.extend(chunk)

    part, before = FilePart(upload), FilePart(upload).is_spent
    await part.send(write, None)

    assert (b"abc", False) == (bytes(written), before)
    assert [is_spent] * 3 == [part.is_spent, FilePart(upload).is_spent, FilePart(Upload(source, filename="b")).is_spent]


class LinesLater:
    """A file as aiofiles opens it: whatever it is asked, it answers later, and it iterates over its lines."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.sizes: list[int] = []

    async def read(self, size: int = -1) -> bytes:
        self.sizes.append(size)
        return self._file.read(size)

    async def seekable(self) -> bool:
        return True

    async def tell(self) -> int:
        return self._file.tell()

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("its lines may be as long as the file")


async def test_a_file_whose_reading_is_awaited_is_read_once_in_pieces() -> None:
    content = b"row\n" * CHUNK
    file, written = LinesLater(content), bytearray()

    async def write(chunk: bytes) -> None:
        written.extend(chunk)

    part = FilePart(file)
    size = part.size()
    await part.send(write, size)

    assert (None, content, {CHUNK}) == (size, bytes(written), set(file.sizes))
    assert (False, True) == (part.is_replayable, part.is_spent)


async def test_the_files_that_fastapi_gets_can_be_sent_on() -> None:
    received = UploadFile(io.BytesIO(b"from a browser"), filename="a.txt")
    written = bytearray()

    async def write(chunk: bytes) -> None:
        written.extend(chunk)

    part = FilePart(Upload(received, filename=received.filename))
    await part.send(write, part.size())

    assert ("a.txt", b"from a browser") == (part.upload.filename, bytes(written))


def test_a_stream_that_cannot_be_remembered_is_not_used_up_before_it_was_read() -> None:
    class Unhashable(Pipe):
        __hash__ = None

    assert not FilePart(Upload(Unhashable(), filename="a.txt")).is_spent
