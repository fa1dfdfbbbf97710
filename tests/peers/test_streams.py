"""Answers in pieces from servers that other people wrote: deferred and streamed results, and subscriptions over HTTP.

What each of them does is a table in `docs/stream-peers.md`. A cell is a test, and the test expects what the page says;
the run prints the table as it came out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.peers.stream_rows import ROWS
from tests.peers.streams import WAYS, StreamServers, Way, line_to
from tests.tables import PROPERTY, read

TABLE = "in pieces"
PAGE = Path(__file__).parents[2] / "docs/stream-peers.md"
COLUMNS = [str(way) for way in WAYS]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("row", ROWS)
async def test_what_happens_is_what_the_page_says(
    row: str,
    way: Way,
    streams: StreamServers,
    account: str,
    record_property: Callable[[str, object], None],
):
    async with line_to(streams, way) as line:
        text = await ROWS[row](streams, way, line, account)

    number, column = list(ROWS).index(row), COLUMNS.index(str(way))
    record_property(PROPERTY, {"table": TABLE, "row": (number, row), "column": (column, str(way)), "text": text})
    assert documented()[row][str(way)] == text


def documented() -> Mapping[str, Mapping[str, str]]:
    return read(PAGE.read_text(encoding="utf-8"), TABLE)


def test_the_page_says_nothing_that_no_test_asks():
    expected = dict.fromkeys(ROWS, COLUMNS)

    assert expected == {row: list(texts) for row, texts in documented().items()}
