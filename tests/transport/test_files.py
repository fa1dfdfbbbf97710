"""Files of one operation: which of them can be read again, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from rxlink.transport._files import FilePart
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


def test_a_stream_that_cannot_be_remembered_is_not_used_up_before_it_was_read() -> None:
    class Unhashable(Pipe):
        __hash__ = None

    assert not FilePart(Upload(Unhashable(), filename="a.txt")).is_spent
