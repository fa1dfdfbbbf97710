"""Processes and the places of their tokens, which end with the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.fleet.books")

from tests.auth.storage.valkey_server import running_server  # noqa: E402 - the same
from tests.fleet.children import Children, children  # noqa: E402
from tests.fleet.places import KINDS, Place  # noqa: E402


@pytest.fixture
async def started(guarded_loop: None) -> AsyncIterator[Children]:
    """What starts processes; all have ended after the test."""
    async with children() as started:
        yield started


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of storage in turn."""
    return request.param


@pytest.fixture
def place(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A storage that processes may share, with nothing in it."""
    folder = tmp_path_factory.mktemp("place")
    if kind == "file":
        yield Place(kind, str(folder / "tokens" / "session.json"))
    else:
        with running_server(folder) as server:
            yield Place(kind, server.url)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of the moments of death; its rows stand in the reports, so that they arrive from pytest-xdist."""
    rows = [
        row
        for report in terminalreporter.stats.get("passed", [])
        for name, row in getattr(report, "user_properties", [])
        if name == "moment of death"
    ]
    if rows:
        terminalreporter.section("moments of death")
        terminalreporter.write_line("moment | storage | what the survivor finds | the session | refreshes")
    for row in rows:
        terminalreporter.write_line(row)
