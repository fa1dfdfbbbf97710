"""The public interface is what the checked-in listing says, and all of it is on the reference page."""

import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

from tests.public_api import LISTING, MODULES, listing

REFERENCE = (Path(__file__).parents[1] / "docs/reference.md").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="signatures are written differently by other versions")
def test_is_what_the_listing_says():
    pytest.importorskip("gql", reason="the extra gql is not installed")
    assert LISTING.read_text(encoding="utf-8") == listing(), (
        "look at what has changed, then: python tests/public_api.py"
    )


@pytest.mark.parametrize("module", MODULES)
def test_each_name_is_on_the_reference_page(module):
    if module.endswith(".gql"):
        pytest.importorskip("gql", reason="the extra gql is not installed")
    public = importlib.import_module(module)

    assert not set(public.__all__) - _documented()


@pytest.mark.parametrize("module", MODULES[:2])
def test_each_class_and_each_function_has_a_docstring(module):
    public = importlib.import_module(module)
    found = {name: getattr(public, name) for name in public.__all__}
    own = {name: each for name, each in found.items() if inspect.isclass(each) or inspect.isfunction(each)}

    assert not [name for name, each in own.items() if not inspect.getdoc(each)]


def _documented():
    """Return the names on the page: those in `__all__` of its modules."""
    shown = re.findall(r"^\.\. automodule:: (\S+)$\n(?!   :no-members:)", REFERENCE, re.MULTILINE)
    assert len(shown) > 50  # the page has not lost them
    return {name for module in shown for name in _names_of(module)}


def _names_of(module):
    try:
        return importlib.import_module(module).__all__
    except ImportError:  # an extra is not installed
        return ()
