"""Which test proves which demand: makes `docs/auth-coverage.md` from the docstrings of the tests.

    python tests/auth_coverage.py          # writes the page
    python tests/auth_coverage.py --check  # compares it, and says what is missing

A test cites a demand (S01, E09) or a promise (P5) by its id, in its own docstring or in that of its class; the classes
`TestP5...` cite theirs by name. A break of `breaks.py` counts for what it names and for what its test cites.
Exits with 1 if the page is stale, a demand has neither a test nor a reason, more than three are open, there are too few
breaks, or none of a promise, or a test cites what nobody has demanded.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import auth_demands as table
from breaks import BREAKS

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "auth-coverage.md"
TESTS_SHOWN = 4
BREAKS_SHOWN = 3
OPEN_AT_MOST = 3
BROKEN_AT_LEAST = 40
"""Demands whose tests a break turns red; each promise has one as well."""

_ID = re.compile(r"(?<![\w#.-])(S\d{2}|E\d{2,3}|P\d{1,2})\b(?!-)")
_NAMED = re.compile(r"^test_([eps]\d+)_")
"""How the name of a test says which one it is about."""
_PROMISE_CLASS = re.compile(r"TestP(\d{1,2})(?!\d)")

ALL: Mapping[str, str] = {**table.PROMISES, **table.DEMANDS}


@dataclass(frozen=True)
class Cited:
    """A test, or a class of tests, and the ids in its docstring.

    Attributes:
        test: Its file, class and name, as pytest takes it below `tests`.
        ids: What it cites itself.
        above: What the class around it cites.
    """

    test: str
    ids: frozenset[str]
    above: frozenset[str] = frozenset()


def citations(folder: Path) -> list[Cited]:
    """Read every test below a folder, in the order of their files and lines; nothing is imported."""
    found: list[Cited] = []
    for file in sorted(_test_files(folder)):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += _tests_in(tree, file.relative_to(folder).as_posix(), frozenset())
    return found


def _test_files(folder: Path) -> Iterator[Path]:
    """Find the project's own tests: the peers and the oracle install what they need beside theirs."""
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith(".") and path.name != "node_modules":
            yield from _test_files(path)
        elif path.match("test_*.py"):
            yield path


def _tests_in(node: ast.Module | ast.ClassDef, path: str, above: frozenset[str]) -> Iterator[Cited]:
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and child.name.startswith("test"):
            own = ids_in(ast.get_docstring(child)) | {found.upper() for found in _NAMED.findall(child.name)}
            yield Cited(f"{path}::{child.name}", own, above)
        elif isinstance(child, ast.ClassDef) and child.name.startswith("Test"):
            own = ids_in(ast.get_docstring(child)) | {f"P{number}" for number in _PROMISE_CLASS.findall(child.name)}
            yield Cited(f"{path}::{child.name}", own)
            yield from _tests_in(child, f"{path}::{child.name}", above | own)


def ids_in(text: str | None) -> frozenset[str]:
    """Return the ids that a docstring cites, known or not."""
    return frozenset(_ID.findall(text or ""))


@dataclass(frozen=True)
class Coverage:
    """What the tests and the breaks prove.

    Attributes:
        tests: The tests of each id.
        breaks: The names of the breaks of each id.
        unknown: Ids that nobody has demanded, each with the test that cites it.
    """

    tests: Mapping[str, list[str]]
    breaks: Mapping[str, list[str]]
    unknown: list[str]

    def missing(self) -> list[str]:
        """Demands with neither a test nor a reason."""
        reasons = {*table.PAGES, *table.LATER, *table.OPEN}
        return [name for name in ALL if not self.tests[name] and name not in reasons]

    def unbroken(self) -> list[str]:
        """Promises without a break."""
        return [name for name in table.PROMISES if not self.breaks[name]]

    def broken(self) -> int:
        """How many demands have a break."""
        return sum(1 for name in table.DEMANDS if self.breaks[name])

    def problems(self) -> list[str]:
        """What must not stay so."""
        found = [f"{name} ({ALL[name]}): neither a test nor a reason" for name in self.missing()]
        found += [f"{name}: a promise without a break" for name in self.unbroken()]
        found += [f"{cited}, which nobody has demanded" for cited in self.unknown]
        listed = [*table.PAGES, *table.LATER, *table.OPEN]
        found += [f"{name} has a reason, and is not in the table" for name in listed if name not in table.DEMANDS]
        found += [f"{name} has two reasons" for name in sorted({name for name in listed if listed.count(name) > 1})]
        if len(table.OPEN) > OPEN_AT_MOST:
            found.append(f"{len(table.OPEN)} are open: {', '.join(table.OPEN)}")
        if (broken := self.broken()) < BROKEN_AT_LEAST:
            found.append(f"{broken} demands have a break that turns their test red; {BROKEN_AT_LEAST} should")
        return found


def covered(cited: Iterable[Cited], breaks: Iterable[Any]) -> Coverage:
    """Put citations and breaks in order of what they prove."""
    cited = list(cited)
    tests: dict[str, list[str]] = {name: [] for name in ALL}
    unknown: list[str] = []
    for one in cited:
        for name in sorted(one.ids):
            if name in tests:
                tests[name].append(one.test)
            elif name not in table.NOT_OF_THIS_PAGE:
                unknown.append(f"{one.test} cites {name}")
    broken: dict[str, list[str]] = {name: [] for name in ALL}
    for each in breaks:
        for name in _ids_of(each, cited):
            if name in broken and each.name not in broken[name]:
                broken[name].append(each.name)
    return Coverage(tests, broken, unknown)


def _ids_of(broken: Any, cited: list[Cited]) -> set[str]:
    """Return what a break names itself, and what the test that it turns red cites."""
    named = {getattr(broken, "promise", ""), *getattr(broken, "ids", ())}
    test = str(broken.test).split("[", maxsplit=1)[0].removeprefix("tests/")
    for one in cited:
        if one.test == test or one.test.endswith(f"/{test}") or one.test.endswith(f"::{test}"):
            named |= one.ids | one.above
    return named


def page(coverage: Coverage) -> str:
    """Write the page."""
    lines = [*INTRODUCTION, *_summary(coverage), "", "## The promises", "", *HEAD]
    lines += [_row(name, coverage) for name in table.PROMISES]
    for name in table.DEMANDS:
        if name in table.SECTIONS:
            lines += ["", f"## {table.SECTIONS[name]}", "", *HEAD]
        lines.append(_row(name, coverage))
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
# What is demanded of a token refresh, and what proves it

What users of clients that refresh tokens ran into, collected from the recipe that this project started with and from
what was asked about it (S), and from the issues of other clients (E), a line each. Beside it stand the tests that prove
it here, and the mistakes that CI makes on purpose, one at a time, to see those tests turn red (`tests/breaks.py`). E103
to E107 are about what comes with a client: these parts are not there yet.

Tests lie below `tests`; an id in the docstring of a class speaks for all tests in it. This page is made by
`tests/auth_coverage.py`, and CI fails where it is not up to date.
""".splitlines()
HEAD = ("| | demand | tests | broken on purpose |", "|---|---|---|---|")


def _summary(coverage: Coverage) -> Iterator[str]:
    tested = sum(1 for name in table.DEMANDS if coverage.tests[name])
    unproven = [name for name in table.DEMANDS if name in table.OPEN or name in coverage.missing()]
    yield ""
    broken = coverage.broken()
    yield f"Of {len(table.DEMANDS)} demands {tested} have tests, {broken} of them a break that turns one red."
    for reasons, what in ((table.PAGES, "asked for documentation"), (table.LATER, "wait for a part to come")):
        yield f"{', '.join(reasons)} {what}."
    yield f"Open: {', '.join(unproven) or 'none'}."


def _row(name: str, coverage: Coverage) -> str:
    tests, breaks = coverage.tests[name], coverage.breaks[name]
    proof = _shortened([f"`{test}`" for test in tests], TESTS_SHOWN)
    if name in table.PAGES:
        proof.append(f"documentation: {table.PAGES[name]}")
    if name in table.LATER:
        proof.append(f"later: {table.LATER[name]}")
    if name in table.OPEN:
        proof.append(f"**open**: {table.OPEN[name]}")
    if not proof:
        proof.append("**open**")
    shown = _shortened(breaks, BREAKS_SHOWN)
    return f"| {name} | {ALL[name]} | {'<br>'.join(proof)} | {'<br>'.join(shown)} |"


def _shortened(texts: Sequence[str], most: int) -> list[str]:
    if len(texts) <= most:
        return [*texts]
    return [*texts[: most - 1], f"and {len(texts) - most + 1} more"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Say which test proves which demand.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where something is missing")
    options = parser.parse_args(arguments)
    coverage = covered(citations(TESTS), BREAKS)
    problems = coverage.problems()
    text = page(coverage)
    if not options.check:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        problems.append(f"{PAGE.name} is stale: run python tests/auth_coverage.py")
    print("\n".join(problems) or "every demand has a test or a reason")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
