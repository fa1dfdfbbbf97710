"""How Apollo's events become rxlink's where they differ on purpose: results in increments.

As in `rewriting.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.oracle.pair import Pair, class_of, event_at, last_of
from tests.oracle.properties import has_handler, payloads_of, text_of_pieces
from tests.oracle.rewriting_streams import is_premature, with_our_error
from tests.oracle.scenario import Event, Trace
from tests.oracle.timelines import timeline_of

__all__ = [
    "announced_end_is_waited_for",
    "ends_of_nothing_are_overlooked",
    "first_data_stays",
    "first_stream_is_left",
    "items_go_to_the_end",
    "last_payload_ends_the_answer",
    "what_does_not_fit_is_an_error",
]


def first_stream_is_left(pair: Pair) -> Trace | None:
    """An answer to errors in the midst of a stream: its request is aborted at once, and not at its end."""
    late = last_of(pair.apollo)
    place = next((place for place, event in enumerate(pair.rxlink) if event["event"] == "abort"), -1)
    if late["event"] != "abort" or event_at(pair.apollo, place - 1).get("event") != "handler":
        return None
    asked = pair.apollo[place - 1]
    return [*pair.apollo[:place], {**late, "at": asked["at"]}, *pair.apollo[place:-1]]


def first_data_stays(pair: Pair) -> Trace | None:
    """Data beside increments is in the result."""
    first = next((part["data"] for part in payloads_of(pair.scenario) if part.keys() >= {"data", "incremental"}), {})
    return [_with_data(event, first) if first and event["event"] == "next" else event for event in pair.apollo]


def _with_data(event: Event, first: dict[str, Any]) -> Event:
    return {**event, "value": {**event["value"], "data": {**first, **event["value"]["data"]}}}


def items_go_to_the_end(pair: Pair) -> Trace | None:
    """Items for a list that came with other items are lost there, and so are those that it had: it becomes shorter."""
    places = [place for place, event in enumerate(pair.apollo) if event["event"] == "next"]
    later = [
        place
        for before, place in pairwise(places)
        if _has_lost_items(pair.apollo[place]["value"], pair.apollo[before]["value"])
        and pair.apollo[place]["value"] != pair.apollo[before]["value"]
    ]
    if not later or len(pair.apollo) != len(pair.rxlink):
        return None
    rest = zip(pair.apollo[later[0] :], pair.rxlink[later[0] :], strict=True)
    return [*pair.apollo[: later[0]], *(_with_items(theirs, ours) for theirs, ours in rest)]


def _with_items(theirs: Event, ours: Event) -> Event:
    is_result = theirs["event"] == ours["event"] == "next"
    is_lost = is_result and _has_lost_items(theirs["value"], ours["value"])
    return {**theirs, "value": ours["value"]} if is_lost else theirs


def _has_lost_items(theirs: Any, ours: Any) -> bool:
    """Tell whether a result is another one without some ends of lists."""
    if isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) <= len(ours) and all(map(_has_lost_items, theirs, ours))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return theirs.keys() == ours.keys() and all(_has_lost_items(theirs[name], ours[name]) for name in theirs)
    return theirs == ours


def what_does_not_fit_is_an_error(pair: Pair) -> Trace | None:
    """An entry of another format, or for what is not pending: an error with a reason here."""
    has_pending = any("pending" in payload for payload in payloads_of(pair.scenario))
    is_merged = has_pending and has_handler("defer20220824")(pair.scenario)
    asks_for_a_report = any(class_of(event) == "Invariant Violation" for event in pair.apollo)
    return with_our_error(pair, "a piece does not fit") if is_merged or asks_for_a_report else None


def ends_of_nothing_are_overlooked(pair: Pair) -> Trace | None:
    """The end of what is not pending is a TypeError there, and changes nothing here."""
    place = next((place for place, event in enumerate(pair.apollo) if class_of(event) == "TypeError"), None)
    if place is None or "pendingMap" not in pair.apollo[place]["error"]["message"]:
        return None
    kept, timeline = pair.apollo[place - 1], timeline_of(pair)
    if timeline is None:
        return None
    rest = [{**kept, "at": at} for at in timeline.moments if at >= pair.apollo[place]["at"]]
    return [*pair.apollo[:place], *rest, {**pair.apollo[0], "at": timeline.end, "event": "complete"}]


def announced_end_is_waited_for(pair: Pair) -> Trace | None:
    """An answer that ends although more was announced is complete there."""
    theirs, ours = last_of(pair.apollo), last_of(pair.rxlink)
    has_announced = any(payload.get("hasNext") for payload in payloads_of(pair.scenario)[-1:])
    is_said = class_of(ours) == "ServerError" and "had announced more" in ours["error"]["message"]
    is_same = theirs["event"] == "complete" and theirs["at"] == ours["at"]
    return [*pair.apollo[:-1], ours] if has_announced and is_said and is_same else None


def last_payload_ends_the_answer(pair: Pair) -> Trace | None:
    """An answer whose last payload has said that it is the last is complete without a delimiter."""
    theirs, ours = last_of(pair.apollo), last_of(pair.rxlink)
    is_said = '"hasNext":false' in text_of_pieces(pair.scenario)
    is_complete = is_premature(theirs) and ours["event"] == "complete" and theirs["at"] == ours["at"]
    return [*pair.apollo[:-1], ours] if is_said and is_complete else None
