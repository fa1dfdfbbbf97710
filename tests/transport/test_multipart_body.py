"""The body of a request with files, as aiohttp may ask for it: never as text."""

import pytest

from rxlink.transport._multipart import MultipartBody


async def test_it_is_not_read_into_memory_to_be_shown() -> None:
    body = MultipartBody(b"{}", [], operation_name="Q", note_spent=lambda: None)

    with pytest.raises(TypeError, match="not shown as text"):
        body.decode()
