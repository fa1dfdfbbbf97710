"""gql's own tests of its transports over aiohttp hold with a chain in their place, but for those with a reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.integrations.gql_tests import FILES, outcomes
from tests.oracle.node import CannotInstall, skip_or_fail

HOLDS = "holds"
BESIDE = "beside: "
AT_LEAST = 127  # test functions


def listed() -> dict[str, str]:
    """What the list says of each test function."""
    tables = tomllib.loads(Path(__file__).with_name("gql_tests.toml").read_text(encoding="utf-8"))
    return {f"{file}::{name}": said for file, tests in tables.items() for name, said in tests.items()}


@pytest.mark.timeout(300)  # fetching them too
def test_each_of_gqls_tests_does_as_the_list_says() -> None:
    try:
        found = outcomes()
    except CannotInstall as reason:
        skip_or_fail(str(reason))

    expected = {
        name: "passes" if said == HOLDS else "passes without a chain" if said.startswith(BESIDE) else "fails"
        for name, said in listed().items()
    }
    happened = {
        name: "fails" if outcome.complaint else "passes" if outcome.transports else "passes without a chain"
        for name, outcome in found.items()
    }
    surprises = {name: found[name].complaint for name in found if expected.get(name) != happened[name]}
    assert expected == happened, surprises


def test_the_list_is_of_all_eight_files_and_gives_each_test_that_does_not_hold_a_reason() -> None:
    said = listed()

    assert set(FILES) == {name.partition("::")[0] for name in said}
    assert sum(word == HOLDS for word in said.values()) >= AT_LEAST
    assert [] == [name for name, word in said.items() if word != HOLDS and len(word.split()) < 5]
