"""Every demand has a test or a reason, the page says which, and what makes the page sees what it should."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

TESTS = Path(__file__).parents[1]

A_FILE = '''
"""E01 of a module counts for nothing."""

class TestOuter:
    """E02, E03: of the class."""

    def test_one(self):
        """E04: not E05-like, but (E06); P7, S01."""
        # E07 in a comment

    async def test_two(self, name="E08"):
        "E09"

    class TestInner:
        def test_three(self):
            """Nothing."""

    def no_test(self):
        """E10."""

class TestP5NoRefreshWithoutReason:
    def test_four(self):
        pass

class Recorder:
    """E11."""

    def test_five(self):
        """E12."""

def test_six():  # noqa: S311
    """E402 and S311 are rules of a checker, E99 is a demand."""
'''


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which finds what it imports beside it."""
    monkeypatch.syspath_prepend(str(TESTS))
    return importlib.import_module("auth_coverage")


@pytest.fixture
def tables(coverage: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Three demands and a promise, instead of all."""
    table = coverage.table
    demands = {"S01": "one", "E02": "two", "E03": "three"}
    values = {"DEMANDS": demands, "PROMISES": {"P5": "five"}, "PAGES": {}, "LATER": {}, "OPEN": {}, "SECTIONS": {}}
    for name, value in values.items():
        monkeypatch.setattr(table, name, value)
    monkeypatch.setattr(coverage, "ALL", {**values["PROMISES"], **demands})
    monkeypatch.setattr(coverage, "BROKEN_AT_LEAST", 0)
    return table


def test_every_demand_has_a_test_or_a_reason_and_the_page_is_up_to_date(
    coverage: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    code = coverage.main(["--check"])

    assert ["every demand has a test or a reason"] == capsys.readouterr().out.splitlines()
    assert 0 == code


class TestCitations:
    def test_are_read_from_the_docstrings_of_tests_and_of_their_classes(
        self, coverage: ModuleType, tmp_path: Path
    ) -> None:
        for file in (
            "auth/test_x.py",
            "auth/scripted.py",
            "peers/.venv/lib/test_y.py",
            "oracle/node_modules/test_z.py",
        ):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(A_FILE)

        found = coverage.citations(tmp_path)

        assert {
            "auth/test_x.py::TestOuter": {"E02", "E03"},
            "auth/test_x.py::TestOuter::test_one": {"E04", "E06", "P7", "S01"},
            "auth/test_x.py::TestOuter::test_two": {"E09"},
            "auth/test_x.py::TestOuter::TestInner": set(),
            "auth/test_x.py::TestOuter::TestInner::test_three": set(),
            "auth/test_x.py::TestP5NoRefreshWithoutReason": {"P5"},
            "auth/test_x.py::TestP5NoRefreshWithoutReason::test_four": set(),
            "auth/test_x.py::test_six": {"E402", "E99"},
        } == {cited.test: set(cited.ids) for cited in found}

    def test_of_the_class_count_for_each_of_its_tests_where_one_is_broken(
        self, coverage: ModuleType, tables: ModuleType, tmp_path: Path
    ) -> None:
        (tmp_path / "test_x.py").write_text(A_FILE)
        broken = SimpleNamespace(name="a mistake", test="TestInner::test_three[some-case]")

        found = coverage.covered(coverage.citations(tmp_path), [broken])

        assert {"P5": [], "S01": [], "E02": ["a mistake"], "E03": ["a mistake"]} == found.breaks

    @pytest.mark.parametrize(
        "test", ["tests/auth/test_x.py::TestA::test_b", "auth/test_x.py::TestA::test_b", "TestA::test_b", "test_b"]
    )
    def test_are_found_for_a_break_however_it_names_its_test(
        self, coverage: ModuleType, tables: ModuleType, test: str
    ) -> None:
        cited = [
            coverage.Cited("auth/test_x.py::TestA::test_b", frozenset({"S01"})),
            coverage.Cited("auth/test_x.py::TestA::test_bb", frozenset({"E02"})),
        ]
        broken = SimpleNamespace(name="a mistake", promise="P5", ids=("E03",), test=test)

        found = coverage.covered(cited, [broken, broken])

        assert {"P5": ["a mistake"], "S01": ["a mistake"], "E02": [], "E03": ["a mistake"]} == found.breaks


class TestProblems:
    def problems(self, coverage: ModuleType, *ids: str, broken: bool = True) -> list[str]:
        cited = [coverage.Cited("test_x.py::test_y", frozenset(ids))]
        breaks = [SimpleNamespace(name="a mistake", promise="P5", test="test_z")] if broken else []
        return coverage.covered(cited, breaks).problems()

    def test_are_none_where_all_have_a_test_or_a_reason(self, coverage: ModuleType, tables: ModuleType) -> None:
        tables.PAGES["S01"] = "a page"
        tables.LATER["E02"] = "a part to come"

        assert [] == self.problems(coverage, "E03", "P5")

    def test_are_demands_with_neither(self, coverage: ModuleType, tables: ModuleType) -> None:
        assert ["E02 (two): neither a test nor a reason"] == self.problems(coverage, "S01", "E03", "P5")

    def test_are_promises_that_nobody_breaks(self, coverage: ModuleType, tables: ModuleType) -> None:
        actual = self.problems(coverage, "S01", "E02", "E03", "P5", broken=False)

        assert ["P5: a promise without a break"] == actual

    def test_are_too_few_breaks(
        self, coverage: ModuleType, tables: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(coverage, "BROKEN_AT_LEAST", 1)

        actual = self.problems(coverage, "S01", "E02", "E03", "P5")

        assert ["0 demands have a break that turns their test red; 1 should"] == actual

    def test_are_ids_that_nobody_has_demanded(self, coverage: ModuleType, tables: ModuleType) -> None:
        actual = self.problems(coverage, "S01", "E02", "E03", "P5", "E103", "E114")

        assert ["test_x.py::test_y cites E114, which nobody has demanded"] == actual

    def test_are_more_than_three_that_are_open(
        self, coverage: ModuleType, tables: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tables.OPEN.update(dict.fromkeys(tables.DEMANDS, "too hard"))
        assert [] == self.problems(coverage, "P5")

        monkeypatch.setattr(coverage, "OPEN_AT_MOST", 2)
        assert ["3 are open: S01, E02, E03"] == self.problems(coverage, "P5")

    def test_are_reasons_for_what_is_not_there_or_has_one_already(
        self, coverage: ModuleType, tables: ModuleType
    ) -> None:
        tables.PAGES.update({"S01": "a page", "S77": "a page"})
        tables.LATER["S01"] = "a part to come"

        assert ["S77 has a reason, and is not in the table", "S01 has two reasons"] == self.problems(
            coverage, "E02", "E03", "P5"
        )

    def test_are_a_page_that_is_stale_or_missing(
        self,
        coverage: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(coverage, "PAGE", tmp_path / "page.md")
        stale = "page.md is stale: run python tests/auth_coverage.py"

        assert 1 == coverage.main(["--check"])
        assert stale in capsys.readouterr().out
        (tmp_path / "page.md").write_text("old")
        assert 1 == coverage.main(["--check"])
        assert stale in capsys.readouterr().out
        coverage.main([])
        coverage.main(["--check"])
        assert stale not in capsys.readouterr().out


class TestPage:
    def test_names_some_tests_and_breaks_and_counts_the_rest(self, coverage: ModuleType, tables: ModuleType) -> None:
        tables.SECTIONS["S01"] = "All of them"
        tables.OPEN["E03"] = "too hard"
        cited = [coverage.Cited(f"test_x.py::test_{number}", frozenset({"S01"})) for number in range(6)]
        breaks = [SimpleNamespace(name=f"mistake {number}", ids=["S01"], test="no") for number in range(3)]

        lines = coverage.page(coverage.covered(cited, breaks)).splitlines()

        shown = [f"`test_x.py::test_{number}`" for number in range(3)]
        assert "Of 3 demands 1 have tests, 1 of them a break that turns one red." in lines
        assert "Open: E02, E03." in lines
        assert [
            "## All of them",
            "",
            "| | demand | tests | broken on purpose |",
            "|---|---|---|---|",
            f"| S01 | one | {'<br>'.join(shown)}<br>and 3 more | mistake 0<br>mistake 1<br>mistake 2 |",
            "| E02 | two | **open** |  |",
            "| E03 | three | **open**: too hard |  |",
        ] == lines[-7:]
