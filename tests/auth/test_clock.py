"""What a session's time comes from."""

from datetime import UTC, datetime
from typing import Any

import pytest

from rxlink.auth.clock import checked_clock, system_clock
from rxlink.errors import InvariantError, InvariantTypeError


def test_the_systems_clock_is_aware() -> None:
    assert UTC is system_clock().tzinfo
    assert system_clock is checked_clock(system_clock)


def test_a_naive_clock_is_refused() -> None:
    with pytest.raises(InvariantError, match="without a time zone; give lambda"):
        checked_clock(lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test


@pytest.mark.parametrize(
    ("clock", "what"),
    [(5, "`clock` is 5"), (datetime.now(UTC), "`clock` is a datetime"), (lambda: 5, "tells an int")],
)
def test_what_is_no_clock_is_a_type_error(clock: Any, what: str) -> None:
    with pytest.raises(InvariantTypeError, match=what):
        checked_clock(clock)
