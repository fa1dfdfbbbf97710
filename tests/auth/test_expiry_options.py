"""The windows of a session as options."""

import re
from datetime import timedelta
from typing import Any

import pytest

from rxlink.auth.expiry import Windows
from rxlink.errors import InvariantError, InvariantTypeError

BAD: Any = object()
"""Where the bad value of a case goes."""
each_option = pytest.mark.parametrize(
    ("of", "name"), [((BAD, 10), "advisory_window"), ((60, BAD), "mandatory_window"), ((60, 10, BAD), "jitter")]
)


def test_windows_are_durations() -> None:
    windows = Windows(timedelta(minutes=2), 5, 0)

    assert (120, 5, 0) == (windows.advisory, windows.mandatory, windows.jitter)
    assert 0.1 == Windows(60, 10).jitter


@each_option
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_what_makes_no_sense_is_refused(of: tuple[Any, ...], name: str, value: float) -> None:
    with pytest.raises(InvariantError, match=f"`{name}` is {value!r}; give"):
        Windows(*(value if item is BAD else item for item in of))


@each_option
@pytest.mark.parametrize("value", ["60", None, True, [60]])
def test_what_is_no_number_is_a_type_error(of: tuple[Any, ...], name: str, value: Any) -> None:
    with pytest.raises(InvariantTypeError, match=re.escape(f"`{name}` is {value!r}; give")):
        Windows(*(value if item is BAD else item for item in of))


def test_more_than_the_whole_window_is_no_jitter() -> None:
    assert 1 == Windows(60, 10, 1).jitter
    with pytest.raises(InvariantError, match=r"`jitter` is 1\.01; give a share of the advisory window, from 0 to 1"):
        Windows(60, 10, 1.01)
