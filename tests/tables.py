"""Tables that the tests of a run fill cell by cell, and that are printed when it ends, whichever process ran them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

__all__ = ["PROPERTY", "Cell", "markdown", "pytest_terminal_summary", "read"]

PROPERTY = "cell of a table"  # of a test's report


class Cell(TypedDict):
    """A text, its place, and the heading of the first column, which names the table."""

    table: str
    row: tuple[int, str]  # the number says which comes first
    column: tuple[int, str]
    text: str


def markdown(cells: Iterable[Cell]) -> str:
    """Return a table; what nobody filled is a question mark."""
    cells = list(cells)
    texts = {(cell["row"][1], cell["column"][1]): cell["text"] for cell in cells}
    columns = _in_order(cell["column"] for cell in cells)
    lines = [[cells[0]["table"], *columns], ["---"] * (1 + len(columns))]
    lines += [
        [row, *(texts.get((row, column), "?") for column in columns)]
        for row in _in_order(cell["row"] for cell in cells)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _in_order(places: Iterable[tuple[int, str]]) -> list[str]:
    return [name for _, name in sorted({(number, name) for number, name in places})]


def read(page: str, table: str) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of a table in a page, by row and column."""
    lines = [line.strip("| ").split(" | ") for line in _lines_of(page, table)]
    (_, *columns), _, *rows = lines
    return {row: dict(zip(columns, texts, strict=True)) for row, *texts in rows}


def _lines_of(page: str, table: str) -> list[str]:
    lines = page.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"| {table} |"))
    end = next((number for number in range(first, len(lines)) if not lines[number].startswith("|")), len(lines))
    return lines[first:end]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables; `tests/conftest.py` has this hook."""
    tables: dict[str, list[Cell]] = {}
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, cell in report.user_properties:
            if name == PROPERTY:
                tables.setdefault(cell["table"], []).append(cell)
    for table, cells in tables.items():
        terminalreporter.write_sep("=", table)
        terminalreporter.write_line(markdown(cells))
