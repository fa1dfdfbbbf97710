"""RetryLink: who gives something else than what an option takes is told which one, and what it would get."""

from typing import Any

import pytest

from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.retry import DelayOptions, RetryLink


@pytest.mark.parametrize("option", ["delay", "attempts"])
@pytest.mark.parametrize("wrong", [3, "3", lambda: 3])
def test_the_arguments_are_named_in_their_order(option: str, wrong: Any) -> None:
    with pytest.raises(
        InvariantTypeError, match=rf"`{option}` is .*; give a function of \(attempt, operation, error\)"
    ):
        RetryLink(**{option: wrong})


@pytest.mark.parametrize("option", ["initial", "max"])
@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_delay_that_makes_no_sense_is_named(option: str, wrong: float) -> None:
    with pytest.raises(InvariantError, match=rf"^`delay.{option}` is {wrong}"):
        RetryLink(delay=DelayOptions(**{option: wrong}))
