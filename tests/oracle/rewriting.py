"""How Apollo's events become rxlink's where they differ on purpose: the chain, ErrorLink, RetryLink, and who leaves.

Each function returns the events as rxlink has them, or None where it has nothing to do with them.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from tests.oracle.pair import Pair, class_of, event_at, last_of
from tests.oracle.scenario import Event, Trace

__all__ = [
    "answer_comes_once",
    "end_is_an_error",
    "first_stream_stops",
    "handler_error_is_the_operations",
    "hopeless_errors_pass",
    "raised_error_is_answered",
    "raised_error_is_retried",
    "type_error_is_named",
    "who_has_left_is_not_sent",
]


def type_error_is_named(pair: Pair) -> Trace | None:
    """V8's TypeError about `subscribe` is our InvariantTypeError at the same place."""
    ours = last_of(pair.rxlink)
    theirs = last_of(pair.apollo)
    if (
        class_of(ours) != "InvariantTypeError"
        or class_of(theirs) != "TypeError"
        or "subscribe" not in theirs["error"]["message"]
    ):
        return None
    return [*pair.apollo[:-1], {**theirs, "error": ours["error"]}]


def end_is_an_error(pair: Pair) -> Trace | None:
    """The completion that nobody has sent is our error."""
    ours = last_of(pair.rxlink)
    if class_of(ours) != "InvariantError" or last_of(pair.apollo)["event"] != "complete":
        return None
    rest = [event for event in pair.apollo if "complete" not in (event["event"], event.get("what"))]
    return [*rest, {**pair.apollo[-1], "event": "error", "error": ours["error"]}]


def first_stream_stops(pair: Pair) -> Trace | None:
    """An answer to a result with errors: what stood below the error link ends later there, and is left here."""
    events = list(pair.apollo)
    for index, event in enumerate(pair.rxlink):
        if event.get("what") != "unsubscribe" or event == event_at(events, index):
            continue
        label, ends = event["label"], ("complete", "unsubscribe")
        places = [
            place
            for place in range(index, len(events))
            if events[place].get("label") == label and events[place]["what"] in ends
        ]
        if not places or not any(event["event"] == "handler" for event in events[:index]):
            return None
        del events[places[0]]
        events.insert(index, event)
    return events


def answer_comes_once(pair: Pair) -> Trace | None:
    """Each later result of the first stream subscribes to the answer once more there: its values come again."""
    places = [place for place, event in enumerate(pair.apollo) if event["event"] == "handler"]
    if not places:
        return None
    seen: list[Any] = []
    events = pair.apollo[: places[0] + 1]
    for event in pair.apollo[places[0] + 1 :]:
        if event["event"] != "next" or event["value"] not in seen:
            events.append(event)
            seen.append(event.get("value"))
    return events


def raised_error_is_answered(pair: Pair) -> Trace | None:
    """The handler has been asked about the same error, and its answer counts."""
    place = len(pair.apollo) - 1
    asked, end = event_at(pair.apollo, place - 1), event_at(pair.apollo, place)
    is_ignored = asked.get("event") == "handler" and end.get("event") == "error" and asked["error"] == end["error"]
    return [*pair.apollo[:place], *pair.rxlink[place:]] if is_ignored else None


def handler_error_is_the_operations(pair: Pair) -> Trace | None:
    """Where the handler has raised the operation ends with that, and nothing is left unhandled."""
    raised = [event for event in pair.apollo if event["event"] == "unhandled"]
    places = [place for place, event in enumerate(pair.apollo) if event["event"] == "handler"]
    if not raised or not places:
        return None
    at, error = raised[0]["at"], raised[0]["error"]
    ours = last_of(pair.rxlink)
    if error["class"] == "TypeError" and class_of(ours) == "InvariantTypeError":
        error = ours["error"]
    end = {**pair.apollo[0], "at": at, "event": "error", "error": error}
    return [*pair.apollo[: places[-1] + 1], end]


def who_has_left_is_not_sent(pair: Pair) -> Trace | None:
    """What is done there for a subscriber who has left, once a promise is kept, is not done here."""
    place = next((place for place, event in enumerate(pair.apollo) if event["event"] == "unsubscribe"), None)
    if place is None:
        return None
    left = pair.apollo[place]["at"]
    before_sending = takewhile(lambda event: event["event"] != "request", pair.apollo[place + 1 :])
    leaving = [event for event in before_sending if event["at"] == left and _is_torn_down(event)]
    return [*pair.apollo[: place + 1], *leaving]


def _is_torn_down(event: Event) -> bool:
    return event["event"] == "abort" or event.get("what") == "unsubscribe"


def hopeless_errors_pass(pair: Pair) -> Trace | None:
    """The default of RetryLink lets our last error pass, which is no outage; Apollo sends again."""
    ours = last_of(pair.rxlink)
    is_hopeless = class_of(ours) == "ServerError" and ours["error"]["statusCode"] not in (
        408,
        425,
        429,
        500,
        502,
        503,
        504,
    )
    return [*pair.apollo[: len(pair.rxlink) - 1], ours] if is_hopeless else None


def raised_error_is_retried(pair: Pair) -> Trace | None:
    """What a handler raises at once ends the operation there, and is retried here."""
    end = last_of(pair.apollo)
    if class_of(end) != "Error" or not end["error"]["message"].startswith("raised"):
        return None
    return [*pair.apollo[:-1], *pair.rxlink[len(pair.apollo) - 1 :]]
