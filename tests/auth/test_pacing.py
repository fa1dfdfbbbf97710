"""When a refresh may run: back-off and cool-down."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from rxlink.auth.pacing import Backoff, CoolDown, is_transient, may_have_arrived
from rxlink.errors import (
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    RxlinkError,
    ServerError,
    SessionEnded,
    TokenRefreshError,
    TokenStorageError,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def server_error(status: int) -> ServerError:
    return ServerError("no", status_code=status, headers={}, body_text="")


def busy(retry_after: float | None) -> TokenRefreshError:
    return TokenRefreshError("busy", retryable=True, retry_after=retry_after)


def of_a_library(**fields: int) -> Exception:
    """An error that carries a status as HTTP libraries have it."""
    error = Exception(fields)
    vars(error).update(fields)
    return error


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        OSError("DNS"),
        aiohttp.ClientConnectionError(),
        aiohttp.ServerTimeoutError(),
        NetworkError("refused"),
        NetworkTimeout("token endpoint", seconds=1),
        server_error(503),
        server_error(429),
        busy(None),
        TokenStorageError("loaded"),
        json.JSONDecodeError("an outage page", "<html>", 0),
        Exception("whatever a library raises"),
        of_a_library(status=429),
        of_a_library(status_code=429),
    ],
    ids=repr,
)
def test_what_may_pass_is_transient(error: Exception) -> None:
    """S44, E19: a network blip logs nobody out."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        TypeError(),
        KeyError("access_token"),
        IndexError(),
        AttributeError(),
        ValueError(),
        NameError(),
        AssertionError(),
        NotImplementedError(),
        ZeroDivisionError(),
        ImportError(),
        RecursionError(),
        InvariantError("misuse"),
        InvariantTypeError("misuse"),
        SessionEnded(),
        ClientClosed("the session"),
        TokenRefreshError("no client", retryable=False),
        server_error(400),
        of_a_library(status=400),
        of_a_library(status_code=400),
        RxlinkError(),
    ],
    ids=repr,
)
def test_what_would_fail_again_is_not(error: Exception) -> None:
    assert not is_transient(error)


class TestBackoff:
    @pytest.mark.usefixtures("longest")
    def test_the_pauses_double_up_to_ten_seconds(self) -> None:
        """E22."""
        backoff = Backoff()

        delays = [backoff.fail(OSError(), NOW) for _ in range(40)]

        assert [0.5, 1, 2, 4, 8, 10, 10] == delays[:7]
        assert {10.0} == set(delays[5:])

    def test_the_pauses_have_full_jitter(self) -> None:
        """E22."""
        pauses: list[float] = []
        for _ in range(200):
            backoff = Backoff()
            pauses.append([backoff.fail(OSError(), NOW) for _ in range(6)][-1])

        assert 0 <= min(pauses) < 1
        assert 9 < max(pauses) <= 10

    @pytest.mark.usefixtures("longest")
    def test_what_the_server_asked_for_wins(self) -> None:
        """E22: `Retry-After`, longer and shorter than the own pause."""
        backoff = Backoff()

        assert 120.0 == backoff.fail(busy(120), NOW)
        assert 0.1 == backoff.fail(busy(0.1), NOW)
        assert 2.0 == backoff.fail(busy(None), NOW)

    @pytest.mark.usefixtures("longest")
    @pytest.mark.parametrize("asked", [0, 0.0, -3, float("nan")])
    def test_a_server_that_asks_for_no_pause_gets_the_usual_one(self, asked: float) -> None:
        """E22: zero-delay hot loop."""
        assert 0.5 == Backoff().fail(busy(asked), NOW)

    @pytest.mark.usefixtures("longest")
    def test_the_pause_runs_out_and_never_grows_whatever_the_clock_does(self) -> None:
        backoff = Backoff()
        assert 0 == backoff.delay_at(NOW)

        backoff.fail(OSError(), NOW)

        assert [0.5, 0.25, 0, 0] == [backoff.delay_at(after(seconds)) for seconds in (0, 0.25, 0.5, 99)]
        assert 0.5 == backoff.delay_at(after(-7200))

    @pytest.mark.usefixtures("longest")
    @pytest.mark.parametrize("asked", [float("inf"), 1e300, 10**400, 1795252800, "20", timedelta(seconds=5)])
    def test_a_pause_that_makes_no_sense_says_nothing(self, asked: Any) -> None:
        """E22: a date in the place of seconds must not lock a session for years."""
        assert 0.5 == Backoff().fail(busy(asked), NOW)

    @pytest.mark.usefixtures("longest")
    def test_a_reset_forgets_all(self) -> None:
        backoff = Backoff()
        backoff.fail(OSError(), NOW)
        backoff.fail(OSError(), NOW)

        backoff.reset()

        assert (0, None) == (backoff.delay_at(NOW), backoff.last_error)
        assert 0.5 == backoff.fail(OSError(), NOW)

    def test_the_last_error_is_kept(self) -> None:
        """E24."""
        backoff = Backoff()
        error = OSError()

        backoff.fail(ValueError(), NOW)
        backoff.fail(error, NOW)

        assert error is backoff.last_error


class TestCoolDown:
    def test_begins_with_the_third_rejection_in_a_row_and_lasts_thirty_seconds(self) -> None:
        """E25."""
        cool_down = CoolDown()

        seen: list[bool] = []
        for _ in range(3):
            cool_down.count_rejection(NOW)
            seen.append(cool_down.is_on(NOW))

        assert [False, False, True] == seen
        assert (True, False) == (cool_down.is_on(after(29.9)), cool_down.is_on(after(30)))

    def test_counts_anew_afterwards(self) -> None:
        cool_down = CoolDown()
        for _ in range(3):
            cool_down.count_rejection(NOW)

        cool_down.count_rejection(after(31))

        assert not cool_down.is_on(after(31))

    def test_counts_rejections_in_a_row_only(self) -> None:
        cool_down = CoolDown()
        for _ in range(2):
            cool_down.count_rejection(NOW)

        cool_down.reset()
        cool_down.count_rejection(NOW)

        assert not cool_down.is_on(NOW)

    def test_is_over_when_something_helped(self) -> None:
        cool_down = CoolDown()
        for _ in range(3):
            cool_down.count_rejection(NOW)

        cool_down.reset()

        assert not cool_down.is_on(NOW)


class ServerDisconnectedError(OSError):
    """As aiohttp calls it."""


class ClientConnectorError(ConnectionResetError):
    """As aiohttp calls it: the connection was never made, whatever it is derived from."""


class Wrapped(OSError):
    """As urllib has it: what happened is in `reason`."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NetworkError("reset"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ServerDisconnectedError(), True),
        (Wrapped(ConnectionResetError()), True),
        (ConnectionRefusedError(), False),
        (ClientConnectorError(), False),
        (Wrapped(ConnectionRefusedError()), False),
        (OSError("DNS"), False),
        (RuntimeError("of an SDK"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_names_of_exceptions_say_whether_an_answer_may_have_been_lost(error: Exception, expected: bool) -> None:
    """E77: of aiohttp, httpx, requests and urllib."""
    assert expected is may_have_arrived(error)
