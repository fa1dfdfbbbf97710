"""What a session tells about itself."""

import dataclasses

import pytest

from rxlink.auth import events
from rxlink.auth.events import AuthEvent, AuthState, AuthStatus, RefreshReason

KINDS = [kind for name in events.__all__ if issubclass(kind := getattr(events, name), AuthEvent)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_holds_counts_durations_and_names_and_nothing_that_could_be_a_secret(kind: type[AuthEvent]) -> None:
    """P7, E98."""
    fields = {field.name: field.type for field in dataclasses.fields(kind)}

    harmless = {"generation", "reason", "seconds", "waiting", "error_type", "delay", "operation_name"} | {
        "callback",
        "where",
        "fingerprint",
        "is_adopted",
    }
    assert fields.keys() <= harmless
    assert "generation" in fields


def test_events_and_states_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        AuthState(AuthStatus.LOADING).status = AuthStatus.AUTHENTICATED  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        AuthEvent(1).generation = 2  # type: ignore[misc]


def test_words_are_text() -> None:
    """E32: a callback may compare the reason with text."""
    assert ["expiring", "expired", "rejected", "forced", "missing"] == list(RefreshReason)
    assert ["loading", "authenticated", "refreshing", "unauthenticated"] == list(AuthStatus)
