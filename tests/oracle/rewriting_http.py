"""How Apollo's events become rxlink's where they differ on purpose: requests, batches, persisted queries, schemas.

As in `rewriting.py`.
"""

from __future__ import annotations

from typing import Any

from tests.oracle.pair import Pair, class_of, event_at, last_of
from tests.oracle.properties import thrown_by_batch_handlers
from tests.oracle.scenario import Event, Trace

__all__ = [
    "connection_closes_a_turn_later",
    "disabled_stays_disabled",
    "members_get_the_handlers_error",
    "next_batch_keeps_its_time",
    "no_object_is_malformed",
    "parameters_go_once",
    "request_errors_in_other_words",
    "subscriptions_abort_alone",
    "text_goes_by_post",
    "wrong_length_is_named",
]


def no_object_is_malformed(pair: Pair) -> Trace | None:
    """A list is a value there, and null a TypeError; here both are the error of a malformed answer."""
    ours = last_of(pair.rxlink)
    if class_of(ours) != "ServerError" or "malformed" not in ours["error"]["message"]:
        return None
    if class_of(last_of(pair.apollo)) == "TypeError":
        return [*pair.apollo[:-1], ours]
    is_list = len(pair.apollo) > 1 and isinstance(pair.apollo[-2].get("value"), list)
    return [*pair.apollo[:-2], ours] if is_list else None


def subscriptions_abort_alone(pair: Pair) -> Trace | None:
    """One AbortController serves all subscriptions there: the first to end takes it from the others."""
    theirs = last_of(pair.apollo)
    if class_of(theirs) == "AbortError":
        place = next(place for place, event in enumerate(pair.apollo) if event["event"] == "abort")
        others = [event for event in pair.everything if event["attempt"] != pair.key[1]]
        left = [event["at"] for event in others if (event["operation"], event["event"]) == (pair.key[0], "unsubscribe")]
        return (
            [*pair.apollo[:place], *pair.rxlink[place:]]
            if min(left, default=theirs["at"] + 1) <= theirs["at"]
            else None
        )
    # A stream goes on for nobody there; it may still come to an end at which Apollo leaves it by itself.
    events = pair.apollo[:-1] if theirs["event"] == "abort" else pair.apollo
    left = last_of(events)
    if left["event"] == "unsubscribe" and pair.rxlink[-1:] == [{**left, "event": "abort"}]:
        return [*events, pair.rxlink[-1]]
    return None


def next_batch_keeps_its_time(pair: Pair) -> Trace | None:
    """A batch that goes out there at the very moment at which another one has ended goes out at its own time here."""
    events = pair.apollo
    ends = {event["at"] for event in pair.everything if _tells_an_end(event)}
    for place, ours in enumerate(pair.rxlink):
        theirs = event_at(events, place)
        is_sent = theirs.get("event") in ("batch", "request") and ours["event"] == theirs["event"]
        if is_sent and theirs["at"] < ours["at"] and theirs["at"] in ends:
            later = ours["at"] - theirs["at"]
            events = [*events[:place], *({**event, "at": event["at"] + later} for event in events[place:])]
            ends |= {moment + later for moment in ends}
    return events


def _tells_an_end(event: Event) -> bool:
    return event["event"] in ("complete", "error", "handler") or event.get("what") in ("complete", "error")


def members_get_the_handlers_error(pair: Pair) -> Trace | None:
    """What a batch handler raises is unhandled there, and here the error of each member."""
    if last_of(pair.rxlink).get("error", {}).get("message") not in thrown_by_batch_handlers(pair.scenario):
        return None
    return [*[event for event in pair.apollo if event["event"] != "unhandled"], last_of(pair.rxlink)]


def wrong_length_is_named(pair: Pair) -> Trace | None:
    """The same failure has a class of its own here."""
    if len(pair.apollo) != len(pair.rxlink):
        return None
    return [_named_length(theirs, ours) for theirs, ours in zip(pair.apollo, pair.rxlink, strict=True)]


def _named_length(theirs: Event, ours: Event) -> Event:
    is_length = "server returned results with length" in theirs.get("error", {}).get("message", "")
    is_named = class_of(ours) in ("InvariantError", "ServerError")
    return {**theirs, "error": ours["error"]} if is_length and is_named else theirs


def disabled_stays_disabled(pair: Pair) -> Trace | None:
    """After the server has said that it supports no hashes, what goes out as a hash there has its text here."""
    events = list(pair.apollo)
    for place, event in enumerate(events):
        ours = event_at(pair.rxlink, place)
        if event["event"] != "request" or "persistedQuery" not in event["body"].get("extensions", {}):
            continue
        if ours.get("event") != "request" or "query" not in ours["body"]:
            return None
        extensions = {name: value for name, value in event["body"]["extensions"].items() if name != "persistedQuery"}
        events[place] = {**event, "body": {**event["body"], "extensions": extensions, "query": ours["body"]["query"]}}
    return events


def text_goes_by_post(pair: Pair) -> Trace | None:
    """A text that goes by GET there goes by POST here, with the same parts."""
    return [_posted(event) if _is_text_by_get(event) else event for event in pair.apollo]


def _is_text_by_get(event: Event) -> bool:
    if event["event"] != "request" or event["method"] != "GET":
        return False
    parameters = dict(event["url"]["parameters"])
    return "query" in parameters and "persistedQuery" in parameters.get("extensions", {})


def _posted(event: Event) -> Event:
    url = {**event["url"], "parameters": []}
    return {**event, "method": "POST", "url": url, "body": dict(event["url"]["parameters"])}


def parameters_go_once(pair: Pair) -> Trace | None:
    """A GET that is subscribed again has each parameter once more there."""
    return [_with_parameters_once(event) for event in pair.apollo]


def _with_parameters_once(event: Event) -> Event:
    if event["event"] != "request" or event["method"] != "GET":
        return event
    parameters = event["url"]["parameters"]
    once = [item for place, item in enumerate(parameters) if item not in parameters[:place]]
    is_repeated = parameters == once * (len(parameters) // max(1, len(once)))
    return {**event, "url": {**event["url"], "parameters": once}} if is_repeated else event


def connection_closes_a_turn_later(pair: Pair) -> Trace | None:
    """The connection of an aborted request closes after its error has been told, at the same moment."""
    abort = next((event for event in pair.apollo if event["event"] == "abort"), None)
    end = last_of(pair.apollo)
    if abort is None or class_of(end) != "AbortError" or abort["at"] != end["at"]:
        return None
    return [*[event for event in pair.apollo if event is not abort], abort]


def request_errors_in_other_words(pair: Pair) -> Trace | None:
    """A document or a variable that is wrong: as many errors, each without a path, in graphql-core's words."""
    if len(pair.apollo) != len(pair.rxlink):
        return None
    return [_in_words_of(theirs, ours) for theirs, ours in zip(pair.apollo, pair.rxlink, strict=True)]


def _in_words_of(theirs: Event, ours: Event) -> Event:
    errors, others = _errors_of(theirs), _errors_of(ours)
    is_request_error = bool(errors) and len(errors) == len(others) and "data" not in theirs["value"]
    if not is_request_error or any("path" in error for error in errors):
        return theirs
    reworded = [{**error, "message": other["message"]} for error, other in zip(errors, others, strict=True)]
    return {**theirs, "value": {**theirs["value"], "errors": reworded}}


def _errors_of(event: Event) -> list[Any]:
    value = event.get("value")
    return value.get("errors") or [] if isinstance(value, dict) else []
