"""Whether two traces of one scenario are equal.

What belongs to one subscription must be the same, in the same order, at the same virtual times. The order between two
subscriptions at one moment is not compared. Normalised is only what must differ, in `_canonical` and what it calls;
everything else is equal, or stands in `accepted.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from graphql import GraphQLError, parse, print_ast

from tests.oracle.accepted import ACCEPTED
from tests.oracle.pair import Accepted, Pair
from tests.oracle.scenario import Event, Scenario, Trace

__all__ = ["Comparison", "canonical", "compare"]

ENGINE_MESSAGES = {"AbortError", "NetworkError", "ServerParseError"}
"""Errors whose text comes from JavaScript's JSON parser, from fetch, or from the HTTP library."""
STACK_HEADERS: Mapping[str, Callable[[str, str], bool]] = {
    "host": lambda value, url: value == urlsplit(url).netloc,
    "accept-encoding": lambda value, url: value.startswith("gzip, deflate"),
    "user-agent": lambda value, url: value.startswith("Python/"),
    "connection": lambda value, url: value == "close",  # each request has one of its own, see server.py
    "content-length": lambda value, url: value.isdigit(),
}
"""Headers that aiohttp adds by itself, with what it adds; fetch adds its own below what the worker sees."""
MEANING = re.compile(r" \([^()]*\)$")
"""What rxlink adds to a close code."""
LIBRARY_HEADERS = {"apollographql-library-name", "apollographql-library-version"}
CLIENT_LIBRARY = "the client library, by its name and version"


@dataclass
class Comparison:
    """What came of comparing two traces.

    Attributes:
        differences: For each subscription whose events differ, the difference as text; none if the traces are equal.
        accepted: The names of the accepted differences that were met.
    """

    differences: list[str] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)


def compare(scenario: Scenario, apollo: Trace, rxlink: Trace) -> Comparison:
    """Compare what Apollo Client and rxlink did in a scenario."""
    comparison = Comparison()
    everything = canonical(apollo)
    theirs, ours = _by_subscription(everything), _by_subscription(canonical(rxlink))
    for key in sorted(theirs.keys() | ours.keys()):
        pair = Pair(scenario, key, theirs.get(key, []), ours.get(key, []), everything)
        used = _explained(pair, [accepted for accepted in ACCEPTED if accepted.applies(scenario)])
        if used is None:
            comparison.differences.append(_shown(key, pair.apollo, pair.rxlink))
        else:
            comparison.accepted |= used
    return comparison


def canonical(trace: Trace) -> Trace:
    """Return a trace without what must differ."""
    return [_canonical(event) for event in trace]


def _explained(pair: Pair, candidates: list[Accepted]) -> set[str] | None:
    """Return the fewest accepted differences that make the traces equal, in their order; None if nothing does."""
    if pair.apollo == pair.rxlink:
        return set()
    for index, accepted in enumerate(candidates):
        changed = accepted.rewrite(pair)
        if changed is not None and changed != pair.apollo:
            used = _explained(pair.with_apollo(changed), candidates[index + 1 :])
            if used is not None:
                return {accepted.name, *used}
    return None


def _by_subscription(trace: Iterable[Event]) -> dict[tuple[str, int], Trace]:
    groups: dict[tuple[str, int], Trace] = {}
    for event in trace:
        groups.setdefault((event["operation"], event["attempt"]), []).append(event)
    return groups


def _shown(key: tuple[str, int], apollo: Trace, rxlink: Trace) -> str:
    lines = unified_diff(_lines(apollo), _lines(rxlink), "Apollo Client", "rxlink", lineterm="", n=100)
    return "\n".join([f"operation {key[0] or '(none)'}, subscription {key[1]}:", *lines])


def _lines(trace: Trace) -> list[str]:
    ignored = ("operation", "attempt")
    return [json.dumps({k: v for k, v in event.items() if k not in ignored}, sort_keys=True) for event in trace]


# ---------------------------------------------------------------------------------------------- what must differ


def _canonical(event: Event) -> Event:
    changed = dict(event)
    if "error" in event:
        changed["error"] = _canonical_error(event["error"])
    if event["event"] == "next":
        changed["value"] = _canonical_value(event["value"])
    if event["event"] == "request":
        changed |= _canonical_request(event)
    if event["event"] == "ws-send" and "payload" in event["message"]:
        changed["message"] = {**event["message"], "payload": _canonical_body(event["message"]["payload"])}
    if event["event"] == "observe" and "shown" in event:
        changed["shown"] = {name: _without_client_library(value) for name, value in event["shown"].items()}
    return changed


def _canonical_value(value: Any) -> Any:
    """Look at the error in the result of a client's call; any other result is as it is."""
    error = value.get("error") if isinstance(value, dict) else None
    return {**value, "error": _canonical_error(error)} if isinstance(error, dict) and "class" in error else value


def _canonical_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out messages of engines, the operation that rxlink adds to a message, spaces in a list, and null."""
    changed = {name: value for name, value in error.items() if value is not None}
    if error["class"] in ENGINE_MESSAGES:
        del changed["message"]
    elif error["class"] == "ServerError":
        changed["message"] = error["message"].partition(" (operation ")[0].replace(", ", ",")
    elif error["class"] == "SocketClosed":
        changed["message"] = MEANING.sub("", error["message"]).rstrip()
    return changed


def _canonical_request(request: Event) -> dict[str, Any]:
    """Split the URL, print queries alike, and leave out what the HTTP library adds."""
    body = request["body"]
    return {
        "url": _canonical_url(request["url"]),
        "headers": {
            name: CLIENT_LIBRARY if name in LIBRARY_HEADERS else value
            for name, value in request["headers"].items()
            if not STACK_HEADERS.get(name.lower(), _never)(value, request["url"])
        },
        "body": [_canonical_body(part) for part in body] if isinstance(body, list) else _canonical_body(body),
    }


def _never(value: str, url: str) -> bool:
    return False


def _canonical_url(url: str) -> dict[str, Any]:
    """Return an address and its parameters, those that are JSON as what they say; the fragment is never sent."""
    parts = urlsplit(url)
    parameters = [[name, _parameter(name, value)] for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    return {"to": f"{parts.scheme}://{parts.netloc}{parts.path}", "parameters": parameters}


def _parameter(name: str, value: str) -> Any:
    if name == "query":
        return _printed(value)
    if name in ("variables", "extensions"):
        return _without_client_library(json.loads(value))
    return value


def _canonical_body(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    changed = dict(body)
    if isinstance(body.get("query"), str):
        changed["query"] = _printed(body["query"])
    if "extensions" in body:
        changed["extensions"] = _without_client_library(body["extensions"])
    return changed


def _without_client_library(value: Any) -> Any:
    """Each library says its own name and version in `extensions.clientLibrary` and in two headers."""
    if isinstance(value, dict) and isinstance(value.get("clientLibrary"), dict):
        return {**value, "clientLibrary": CLIENT_LIBRARY}
    return value


@cache
def _printed(query: str) -> str:
    """Print a query anew: graphql-js and graphql-core set spaces in objects differently."""
    try:
        return " ".join(print_ast(parse(query)).split())
    except GraphQLError:
        return query
