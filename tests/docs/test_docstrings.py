"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from importlib.util import find_spec

import pytest

import rxlink

HAS_GQL = find_spec("gql") is not None  # not beside an older graphql-core


def _modules() -> list[str]:
    found = [module.name for module in pkgutil.walk_packages(rxlink.__path__, "rxlink.")]
    return [name for name in found if not name.endswith("__main__") and (HAS_GQL or "gql" not in name)]


def _examples() -> list[object]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [
        pytest.param(example, id=example.name)
        for name in _modules()
        for example in finder.find(importlib.import_module(name))
        if example.examples
    ]


@pytest.mark.parametrize("example", _examples())
def test_each_example_prints_what_it_says(example: doctest.DocTest) -> None:
    outcome = doctest.DocTestRunner().run(example)

    assert (0, len(example.examples)) == (outcome.failed, outcome.attempted)
