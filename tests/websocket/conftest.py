"""Servers in processes of their own, which end with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.register_assert_rewrite("tests.websocket.books", "tests.websocket.crowd")

from tests.fleet.children import Children, children  # noqa: E402 - the same


@pytest.fixture
async def started(guarded_loop: None) -> AsyncIterator[Children]:
    """What starts processes; all have ended after the test."""
    async with children() as started:
        yield started
