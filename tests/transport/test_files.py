"""Files of one operation: which of them can be read again, and by whom."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import UploadFile
from starlette.datastructures import Headers

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


async def sent(part: FilePart) -> bytes:
    written = bytearray()

    async def write(chunk: bytes) -> None:
        written.extend(chunk)
        await asyncio.sleep(0)

    await part.send(write, part.size())
    return bytes(written)


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
    file = LinesLater(content)
    part = FilePart(file)

    assert (None, content, {CHUNK}) == (part.size(), await sent(part), set(file.sizes))
    assert (False, True) == (part.is_replayable, part.is_spent)


async def test_the_files_that_fastapi_gets_can_be_sent_on() -> None:
    received = UploadFile(
        io.BytesIO(b"from a browser"), filename="a.txt", headers=Headers({"content-type": "text/markdown"})
    )

    part = FilePart(received)

    assert b"from a browser" == await sent(part)
    assert ("a.txt", "text/markdown") == (part.upload.filename, part.upload.content_type)


async def test_the_files_that_anyio_opens_can_be_sent(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"row" * CHUNK)

    async with await anyio.open_file(tmp_path / "a.txt", "rb") as file:
        part = FilePart(file)
        assert b"row" * CHUNK == await sent(part)

    assert ("a.txt", False) == (part.upload.filename, part.is_replayable)


async def test_operations_that_send_one_open_file_at_once_do_not_disturb_one_another() -> None:
    content = bytes(number % 251 for number in range(5 * CHUNK))
    file = io.BytesIO(b"before " + content)
    file.seek(7)
    parts = [FilePart(file) for _ in range(4)]

    assert [content] * 4 == await asyncio.gather(*map(sent, parts))


def test_a_stream_that_cannot_be_remembered_is_not_used_up_before_it_was_read() -> None:
    class Unhashable(Pipe):
        __hash__ = None

    assert not FilePart(Upload(Unhashable(), filename="a.txt")).is_spent
