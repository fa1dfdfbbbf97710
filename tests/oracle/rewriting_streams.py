"""How Apollo's events become rxlink's where they differ on purpose: answers in pieces.

As in `rewriting.py`.
"""

from __future__ import annotations

import json
import re

from tests.oracle.pair import Pair, class_of, last_of
from tests.oracle.properties import payloads_of, pieces_of, text_of_pieces
from tests.oracle.scenario import Event, Trace
from tests.oracle.timelines import timeline_of

__all__ = [
    "all_types_of_json_are_json",
    "batches_come_as_a_whole",
    "boundaries_may_be_short",
    "delimiters_stand_alone",
    "early_end_is_a_network_error",
    "is_premature",
    "json_comes_when_it_is_complete",
    "lines_may_end_with_lf",
    "no_errors_are_none",
    "no_result_is_malformed",
    "part_has_no_blank_line",
    "payload_comes_before_the_retry",
    "protocol_errors_are_the_error",
    "subscriptions_ask_for_their_type",
    "type_of_a_part_is_a_server_error",
    "with_our_error",
]

PREMATURE = "premature end of multipart body"


# ---------------------------------------------------------------------------------------------- subscriptions


def protocol_errors_are_the_error(pair: Pair) -> Trace | None:
    """A result with fatal errors is what it has beside them, and then the error; nothing comes after that."""
    place = next((place for place, event in enumerate(pair.apollo) if event.get("protocolErrors")), None)
    if place is None:
        return None
    at = pair.apollo[place]["at"]
    carriers = [event for event in pair.apollo[place:] if event["at"] == at and event.get("protocolErrors")]
    results = [_without_errors(event) for event in carriers if event["value"]]
    # Who stops reading before the body has ended closes the connection.
    aborts = [{**pair.apollo[0], "at": at, "event": "abort"}] if at < pair.apollo[-1]["at"] else []
    return [*pair.apollo[:place], *results, *aborts, *map(_error_of, carriers)]


def _without_errors(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "protocolErrors"}


def _error_of(carrier: Event) -> Event:
    errors = carrier["protocolErrors"]
    message = "\n".join(error["message"] for error in errors)
    event = {name: value for name, value in _without_errors(carrier).items() if name != "value"}
    told = {"what": "error"} if carrier["event"] == "observe" else {"event": "error"}
    return {**event, **told, "error": {"class": "CombinedProtocolErrors", "message": message, "errors": errors}}


def no_errors_are_none(pair: Pair) -> Trace | None:
    """An empty list of fatal errors is none."""
    return [_without_errors(event) if event.get("protocolErrors") == [] else event for event in pair.apollo]


def payload_comes_before_the_retry(pair: Pair) -> Trace | None:
    """What stands beside errors that are retried is lost there, and delivered here."""
    beside = [part["payload"] for part in payloads_of(pair.scenario) if part.get("errors") and part["payload"]]
    place = next((place for place, event in enumerate(pair.apollo) if event["event"] == "abort"), None)
    if not beside or place is None or any(event.get("value") in beside for event in pair.apollo):
        return None
    told = {**pair.apollo[0], "at": pair.apollo[place]["at"], "event": "next", "value": beside[0]}
    return [*pair.apollo[:place], told, *pair.apollo[place:]]


# ------------------------------------------------------------------------------------------------------- parts


def early_end_is_a_network_error(pair: Pair) -> Trace | None:
    """An answer that ends in the middle is a network error, and no plain one."""
    return [_network_error(event) if is_premature(event) else event for event in pair.apollo]


def is_premature(event: Event) -> bool:
    """Tell whether Apollo has missed the last delimiter."""
    return event.get("error", {}).get("message") == PREMATURE


def _network_error(event: Event) -> Event:
    return {**event, "error": {"class": "NetworkError"}}


def part_has_no_blank_line(pair: Pair) -> Trace | None:
    """The text of a part in an error is its body; there the blank line before that belongs to it."""
    return [_with_body_alone(event) for event in pair.apollo]


def _with_body_alone(event: Event) -> Event:
    body = event.get("error", {}).get("bodyText", "")
    return {**event, "error": {**event["error"], "bodyText": body.removeprefix("\r\n\r\n")}} if body else event


def type_of_a_part_is_a_server_error(pair: Pair) -> Trace | None:
    """A part that is no JSON by its type: a server's error here, and a plain one there."""
    theirs, ours = last_of(pair.apollo), last_of(pair.rxlink)
    is_same = _is_unsupported(theirs) and class_of(ours) == "ServerError" and "content-type" in ours["error"]["message"]
    return [*pair.apollo[:-1], {**theirs, "error": ours["error"]}] if is_same else None


def all_types_of_json_are_json(pair: Pair) -> Trace | None:
    """A part of another type of JSON ends the stream there, and is a result here."""
    return _read_to_the_end(pair) if _is_unsupported(last_of(pair.apollo)) else None


def _is_unsupported(event: Event) -> bool:
    return event.get("error", {}).get("message", "").startswith("Unsupported patch content type")


def subscriptions_ask_for_their_type(pair: Pair) -> Trace | None:
    """A subscription does not ask for increments, also where it defers something."""
    return [_without_increments(event) if event["event"] == "request" else event for event in pair.apollo]


def _without_increments(request: Event) -> Event:
    types = request["headers"].get("accept", "").split(",")
    if not any("subscriptionSpec" in one for one in types):
        return request
    kept = [one for one in types if "deferSpec" not in one and "incrementalSpec" not in one]
    return {**request, "headers": {**request["headers"], "accept": ",".join(kept)}}


def boundaries_may_be_short(pair: Pair) -> Trace | None:
    """A boundary of one letter has all that follows it in the header there, so that no delimiter is found."""
    types = str([answer.get("headers") for answer in pieces_of(pair.scenario)])
    is_short = re.search(r"boundary=\w;", types) is not None and is_premature(last_of(pair.apollo))
    return _read_to_the_end(pair) if is_short else None


def delimiters_stand_alone(pair: Pair) -> Trace | None:
    """Words behind a delimiter are an error, and overlooked there."""
    has_words = re.search(r"\r\n--graphql[^\r\n-]+\w", text_of_pieces(pair.scenario))
    return with_our_error(pair, "the parts are damaged") if has_words else None


def batches_come_as_a_whole(pair: Pair) -> Trace | None:
    """A batch that is answered in parts is an error at the head of the answer, and there one of parsing at its end."""
    return with_our_error(pair, "by itself and in no batch")


def with_our_error(pair: Pair, words: str) -> Trace | None:
    """Return Apollo's events before our error, if it is the server's and has these words, and comes with a piece.

    Who stops reading before the body has ended closes the connection.
    """
    ours, timeline = last_of(pair.rxlink), timeline_of(pair)
    if class_of(ours) != "ServerError" or words not in ours["error"]["message"]:
        return None
    if timeline is None or not timeline.has_moment(ours["at"]):
        return None
    at = ours["at"]
    before = [event for event in pair.apollo if event["at"] < at or event["event"] in ("start", "request")]
    aborts = [{**pair.apollo[0], "at": at, "event": "abort"}] if at < timeline.end else []
    return [*before, *aborts, ours]


def lines_may_end_with_lf(pair: Pair) -> Trace | None:
    """A body whose lines end with LF alone has no delimiter there."""
    if not is_premature(last_of(pair.apollo)) or "\n--graphql" not in text_of_pieces(pair.scenario).replace("\r\n", ""):
        return None
    return _read_to_the_end(pair)


def json_comes_when_it_is_complete(pair: Pair) -> Trace | None:
    """A JSON object is taken before its delimiter has come, or without it; a subscriber may leave inside it then."""
    end = next((event for event in pair.apollo if event["event"] in ("complete", "error", "unsubscribe")), None)
    return None if end is None else _read_until(pair, end)


def _read_to_the_end(pair: Pair) -> Trace | None:
    timeline = timeline_of(pair)
    return timeline and _read_until(pair, {**pair.apollo[0], "at": timeline.end, "event": "complete"})


def _read_until(pair: Pair, end: Event) -> Trace | None:
    """Return the events of who reads each result when it has come, up to a certain end; `take` ends it before."""
    timeline = timeline_of(pair)
    if timeline is None or "pieces" not in str(pair.scenario["server"]) or len(pair.scenario["chain"]) > 1:
        return None
    start = next(place for place, event in enumerate(pair.apollo) if event["event"] == "request") + 1
    sent = [{**_bare(end), "at": at, "event": "next", "value": value} for at, value in timeline.results()]
    taken = next(each.get("take") for each in pair.scenario["operations"] if each["id"] == pair.key[0])
    told = [event for event in sent[:taken] if event["at"] <= end["at"]]
    if len(told) == taken:
        end = {**_bare(end), "at": told[-1]["at"], "event": "unsubscribe"}
    abort = {**_bare(end), "event": "abort"}
    left = [end, abort] if end["event"] == "unsubscribe" else [abort, end]
    return [*pair.apollo[:start], *told, *(left if end["at"] < timeline.end else [end])] if sent else None


def _bare(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "error"}


def no_result_is_malformed(pair: Pair) -> Trace | None:
    """A part that is no GraphQL response ends the stream; there it may be a result, nothing, or a TypeError."""
    ours = last_of(pair.rxlink).get("error", {})
    if "malformed" not in ours.get("message", ""):
        return None
    part = json.loads(ours["bodyText"])
    is_heartbeat_or_result = isinstance(part, dict) and (not part or part.keys() & {"data", "errors", "payload"})
    return None if is_heartbeat_or_result else with_our_error(pair, "malformed")
