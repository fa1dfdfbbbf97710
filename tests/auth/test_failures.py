"""The errors of those who waited together."""

import asyncio
from typing import Any

import pytest

from rxlink.auth.failures import outcome_of, own_error
from rxlink.auth.pending import PendingRequests
from rxlink.errors import (
    AuthError,
    ClientClosed,
    SessionEnded,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.testing.virtual_time import virtual


@pytest.mark.parametrize(
    "shared",
    [
        SessionEnded("signed out"),
        TokenRefreshError("503", retryable=True, retry_after=7),
        TokenRefreshTimeout(seconds=30),
        TokenStorageError("loaded"),
        ClientClosed("the AuthSession"),
    ],
    ids=repr,
)
def test_each_gets_the_same_error_as_an_object_of_its_own(shared: Exception) -> None:
    """E24, E102."""
    shared.__cause__ = cause = OSError()

    own: Any = own_error(shared, "Viewer", {"errors": []})

    assert type(shared) is type(own)
    assert shared is not own
    if isinstance(own, AuthError):
        assert ("Viewer", {"errors": []}, cause) == (own.operation_name, own.auth_error, own.__cause__)
        assert f"operation Viewer: {shared}" == str(own)
        extra = own.__dict__.keys() - {"operation_name", "auth_error"}
        assert {name: shared.__dict__[name] for name in extra} == {name: own.__dict__[name] for name in extra}


def test_an_error_without_a_cause_becomes_the_cause() -> None:
    """E24: the one that was raised by the callback stays to be seen."""
    shared = SessionEnded()

    own = own_error(shared, is_call=True)

    assert shared is own.__cause__
    assert str(shared) == str(own)


def test_an_operation_without_a_name_is_told_that_it_is_one() -> None:
    """E24: also where it was never sent, and has no answer to show."""
    assert "operation (anonymous): the session has ended (signed out); sign in again" == str(
        own_error(SessionEnded("signed out"))
    )


async def test_an_error_that_cannot_be_made_anew_is_handed_on_and_why_is_told_to_the_loop() -> None:
    """P10: of a user's own class, which wants other arguments."""

    class Own(SessionEnded):
        def for_operation(self, *_: object) -> Any:
            raise LookupError("own")

    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
    error = Own("signed out")

    assert error is own_error(error, "Viewer")
    assert [LookupError] == list(map(type, complaints))


def test_other_errors_pass() -> None:
    error = ValueError()

    assert error is own_error(error, "Viewer")


@virtual
async def test_waiting_ends_with_the_value_or_an_error_of_ones_own() -> None:
    good, bad = PendingRequests[str](), PendingRequests[str]()
    shared = SessionEnded()
    waits = [asyncio.get_running_loop().create_task(outcome_of(wave)) for wave in (good, bad, bad)]
    await asyncio.sleep(0)

    good.on_next("A1")
    good.on_completed()
    bad.on_error(shared)
    outcomes = await asyncio.gather(*waits, return_exceptions=True)

    assert ["A1", SessionEnded, SessionEnded] == [outcomes[0], *map(type, outcomes[1:])]
    assert 3 == len({id(error) for error in (shared, *outcomes[1:])})
    assert shared.__traceback__ is None
