"""How a session tells its listeners."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from rxlink.auth.signals import CurrentSignal, Signal
from rxlink.testing.virtual_time import virtual
from tests.recording import END, subscribed

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def fail(*_: object) -> None:
    raise LookupError("mine")


def test_one_that_raises_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """E50, E51, P10: a hook that raises."""
    signal = Signal[int]()
    before = subscribed(signal)
    signal.subscribe(fail, None, fail)
    after = subscribed(signal)

    signal.on_next(1)
    signal.on_next(2)
    signal.on_completed()

    assert [[1, 2, END]] * 2 == [before.seen, after.seen]
    assert ["rxlink: a callback raised LookupError"] * 3 == [record.getMessage() for record in caplog.records]


@virtual
async def test_the_loop_is_told_what_one_raised() -> None:
    """E51."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    signal = Signal[int]()
    signal.subscribe(fail)

    signal.on_next(1)

    assert [LookupError] == [type(complaint["exception"]) for complaint in complaints]


def test_each_is_called_in_the_context_in_which_it_subscribed() -> None:
    """P11."""
    signal = CurrentSignal("old")
    seen: list[tuple[str, str]] = []
    for name in ("Ada", "Bob"):
        token = WHO.set(name)
        signal.subscribe(lambda value: seen.append((WHO.get(), value)), None, lambda: seen.append((WHO.get(), END)))
        WHO.reset(token)
    WHO.set("somebody else")

    signal.on_next("new")
    signal.on_completed()

    assert [("Ada", "old"), ("Bob", "old"), ("Ada", "new"), ("Bob", "new"), ("Ada", END), ("Bob", END)] == seen


def test_all_hear_the_same_order_of_what_one_of_them_sets_off() -> None:
    signal = Signal[int]()
    signal.subscribe(lambda value: signal.on_next(value + 1) if value < 3 else None)
    behind = subscribed(signal)

    signal.on_next(1)

    assert [1, 2, 3] == behind.seen


def test_the_current_value_comes_at_once_and_then_each_change() -> None:
    """E78."""
    signal = CurrentSignal("loading")
    first = subscribed(signal)

    signal.on_next("in")
    signal.on_next("in")
    second = subscribed(signal)
    signal.on_next("out")

    assert ["loading", "in", "out"] == first.seen
    assert ["in", "out"] == second.seen


def test_an_error_reaches_all_as_of_any_subject() -> None:
    signal = Signal[int]()
    recorders = [subscribed(signal) for _ in range(2)]

    signal.on_error(error := ValueError())

    assert [[error], [error]] == [recorder.seen for recorder in recorders]


def test_who_comes_after_the_end_gets_the_end_only() -> None:
    signal = CurrentSignal("in")
    signal.on_completed()

    assert [END] == subscribed(signal).seen


def test_who_has_left_hears_nothing() -> None:
    signal = CurrentSignal("in")
    recorder = subscribed(signal)

    recorder.subscription.dispose()
    signal.on_next("out")

    assert ["in"] == recorder.seen
    assert [] == signal.observers
