"""The differences between Apollo's client and rxlink's that are meant; see `accepted.py`."""

from __future__ import annotations

from tests.oracle.pair import Accepted, Pair, class_of, last_of
from tests.oracle.scenario import Scenario, Trace

__all__ = ["ACCEPTED_OF_CLIENTS"]


def _calls(scenario: Scenario) -> bool:
    return any("call" in operation for operation in scenario["operations"])


def _misuse_is_named(pair: Pair) -> Trace | None:
    """What is refused there by a number, or trips, is refused here when it is called, with the cure."""
    ours, theirs = last_of(pair.rxlink), last_of(pair.apollo)
    is_refused = ours["event"] == "throw" and class_of(ours) == "InvariantError"
    return pair.rxlink if is_refused and class_of(theirs) in ("Invariant Violation", "TypeError") else None


def _missing_result_is_an_error(pair: Pair) -> Trace | None:
    """A chain that completes at once: the policy of a mutation makes a result of it there."""
    ours, sent = last_of(pair.rxlink), [event for event in pair.apollo if event["event"] == "request"]
    is_missed = class_of(ours) == "InvariantError" and "without a result" in ours["error"]["message"]
    return pair.rxlink if is_missed and not sent else None


def _extensions_are_kept(pair: Pair) -> Trace | None:
    """Those of a query's result are lost there."""
    ours = last_of(pair.rxlink[:-1])
    extensions = (ours.get("value") or {}).get("extensions")
    if ours.get("event") != "next" or extensions is None:
        return None
    return [
        {**event, "value": {**event["value"], "extensions": extensions}} if event["event"] == "next" else event
        for event in pair.apollo
    ]


ACCEPTED_OF_CLIENTS: tuple[Accepted, ...] = (
    Accepted(
        "misuse of a client is named at once",
        "Differs of rxlink/client/client.py: a call returns an Observable, so what can be refused is refused before, "
        "and the message names the method that the document is for",
        _calls,
        _misuse_is_named,
    ),
    Accepted(
        "a chain without a result is an error of a client",
        "Differs of rxlink/client/policies.py: the policies ignore and all hide it there from who has sent a mutation",
        _calls,
        _missing_result_is_an_error,
    ),
    Accepted(
        "the result of a query has extensions",
        "Differs of rxlink/client/policies.py: Apollo's QueryResult has none, those of mutations and subscriptions do",
        _calls,
        _extensions_are_kept,
    ),
)
