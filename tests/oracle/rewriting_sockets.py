"""How Apollo's events become rxlink's where they differ on purpose: WebSockets, and the client of graphql-ws.

As in `rewriting.py`.
"""

from __future__ import annotations

import re
from typing import Any

from tests.oracle.pair import Pair, class_of, event_at, last_of
from tests.oracle.properties import parameters_of
from tests.oracle.scenario import Event, Trace

__all__ = [
    "another_subprotocol_is_named",
    "bad_messages_are_4400",
    "each_loss_is_told",
    "empty_extensions_stay_out",
    "errors_of_functions_are_the_operations",
    "new_socket_does_not_wait",
    "newcomer_does_not_wait",
    "normal_close_is_waited_for",
    "own_close_is_known_at_once",
    "parameters_come_first",
    "refused_handshake_has_its_status",
    "second_acknowledgement_is_bad",
    "silent_server_is_given_up",
    "unneeded_socket_is_given_up",
    "unused_variables_stay_out",
]

SOCKET = "socket"
NORMAL = {"event": "ws-close", "code": 1000, "reason": "Normal Closure"}
BAD_RESPONSE, BAD_REQUEST, SUBPROTOCOL = 4004, 4400, 4406
INTERNAL_CLIENT_ERROR = 4005
TIMEOUT_OF_RECIPE, TERMINATED = 4408, 4499


def empty_extensions_stay_out(pair: Pair) -> Trace | None:
    """An operation without extensions is sent with an empty object there."""
    return [_with_payload(event, _without_empty_extensions) for event in pair.apollo]


def _without_empty_extensions(payload: Any) -> Any:
    return {name: value for name, value in payload.items() if (name, value) != ("extensions", {})}


def unused_variables_stay_out(pair: Pair) -> Trace | None:
    """Variables that the document does not name are sent there."""
    return [_with_payload(event, _without_unused_variables) for event in pair.apollo]


def _without_unused_variables(payload: Any) -> Any:
    used = {name: value for name, value in payload["variables"].items() if re.search(rf"\${name}\b", payload["query"])}
    return {**payload, "variables": used}


def _with_payload(event: Event, change: Any) -> Event:
    message = event.get("message", {})
    if message.get("type") != "subscribe":
        return event
    return {**event, "message": {**message, "payload": change(message["payload"])}}


def unneeded_socket_is_given_up(pair: Pair) -> Trace | None:
    """A socket on which nobody waits any more becomes ready there before it is closed; here it is closed at once."""
    if pair.key[0] != SOCKET or not _is_normal_close(last_of(pair.apollo)) or _subscribes(pair.apollo):
        return None
    leaving = [event["at"] for event in pair.everything if event["event"] == "unsubscribe"]
    left = max((at for at in leaving if at < pair.apollo[-1]["at"]), default=None)
    if left is None:
        return None
    before = [event for event in pair.apollo if event["at"] < left]
    is_open = any(event["event"] == "ws-send" for event in before)
    return [*before, {**pair.apollo[-1], "at": left}] if is_open else before


def _is_normal_close(event: Event) -> bool:
    return NORMAL.items() <= event.items()


def _subscribes(events: Trace) -> bool:
    return any(event.get("message", {}).get("type") == "subscribe" for event in events)


def new_socket_does_not_wait(pair: Pair) -> Trace | None:
    """Who comes while a socket closes waits there for its end; here another one is opened at once."""

    def is_closing(event: Event) -> bool:
        return event["event"] == "ws-close" and event["at"] <= pair.rxlink[0]["at"] < pair.apollo[0]["at"]

    return _opened_earlier(pair) if _opens(pair) and any(map(is_closing, pair.everything)) else None


def newcomer_does_not_wait(pair: Pair) -> Trace | None:
    """Who comes when all others have gone waits there for a loss that was theirs."""
    if pair.key[0] != SOCKET:
        return None
    starts = {event["at"] for event in pair.everything if event["event"] == "start"}
    end = last_of(pair.apollo)
    if end["event"] == "ws-retry" and end["at"] in starts:
        return pair.apollo[:-1]

    def waits(event: Event) -> bool:
        return event["event"] == "ws-retry" and event["at"] in starts and event["at"] == pair.rxlink[0]["at"]

    return _opened_earlier(pair) if _opens(pair) and any(map(waits, pair.everything)) else None


def _opens(pair: Pair) -> bool:
    return pair.key[0] == SOCKET and bool(pair.apollo) and bool(pair.rxlink)


def _opened_earlier(pair: Pair) -> Trace:
    """Let a socket open, up to its first operations, as early as it does here."""
    earlier = pair.apollo[0]["at"] - pair.rxlink[0]["at"]
    opening = ("connection_init", "subscribe")
    return [
        {**event, "at": event["at"] - earlier}
        if event["event"] == "ws-connect" or event.get("message", {}).get("type") in opening
        else event
        for event in pair.apollo
    ]


def own_close_is_known_at_once(pair: Pair) -> Trace | None:
    """The wait after a close of the client's own begins before the close is under way, at the same moment."""
    close, retry = event_at(pair.apollo, len(pair.apollo) - 2), last_of(pair.apollo)
    if (close.get("event"), retry["event"]) != ("ws-close", "ws-retry") or close["at"] != retry["at"]:
        return None
    return [*pair.apollo[:-2], retry, close]


def parameters_come_first(pair: Pair) -> Trace | None:
    """Parameters of the connection are gathered when the socket is open there; here before it is opened."""
    parameters = parameters_of(pair.scenario)
    if pair.key[0] == SOCKET and "after" in parameters:
        return [{**pair.apollo[0], "at": pair.apollo[0]["at"] + parameters["after"]}, *pair.apollo[1:]]
    if "throws" not in parameters:
        return None
    if pair.key[0] == SOCKET:
        return [] if last_of(pair.apollo).get("code") == INTERNAL_CLIENT_ERROR else None
    end = last_of(pair.apollo)
    is_theirs = class_of(end) == "Error" and end["error"]["message"] == parameters["throws"]
    return [*pair.apollo[:-1], {**end, "at": last_of(pair.rxlink).get("at")}] if is_theirs else None


def errors_of_functions_are_the_operations(pair: Pair) -> Trace | None:
    """What some functions raise is unhandled there, and the operation waits for ever."""
    end = last_of(pair.apollo)
    return [*pair.apollo[:-1], {**end, "event": "error"}] if end["event"] == "unhandled" else None


def bad_messages_are_4400(pair: Pair) -> Trace | None:
    """What the protocol does not know closes the socket with 4400, as its document says; there with 4004."""
    ours, theirs = last_of(pair.rxlink), last_of(pair.apollo)
    if pair.key[0] == SOCKET:
        is_bad = (theirs.get("code"), ours.get("code")) == (BAD_RESPONSE, BAD_REQUEST)
        return [*pair.apollo[:-1], {**theirs, "code": BAD_REQUEST, "reason": ours["reason"]}] if is_bad else None
    closes = [event for event in pair.everything if event.get("code") == BAD_RESPONSE]
    is_bad = any(event["reason"] == theirs.get("error", {}).get("message") for event in closes)
    return [*pair.apollo[:-1], {**theirs, "error": ours["error"]}] if is_bad and _is_bad_request(ours) else None


def _is_bad_request(event: Event) -> bool:
    return class_of(event) == "SocketClosed" and f"event {BAD_REQUEST} " in event["error"]["message"]


def second_acknowledgement_is_bad(pair: Pair) -> Trace | None:
    """It is overlooked there; here it is a bad message."""
    ours = last_of(pair.rxlink)
    words = ours.get("reason") or ours.get("error", {}).get("message", "")
    if "a second 'connection_ack'" not in words or not (ours.get("code") == BAD_REQUEST or _is_bad_request(ours)):
        return None
    return [*[event for event in pair.apollo if event["at"] < ours["at"]], ours]


def refused_handshake_has_its_status(pair: Pair) -> Trace | None:
    """There it is an error without words."""
    ours, theirs = last_of(pair.rxlink), last_of(pair.apollo)
    refusals = {socket.get("status") for socket in pair.scenario["sockets"]}
    is_refused = class_of(ours) == "ServerError" and ours["error"]["statusCode"] in refusals
    is_theirs = class_of(theirs) == "NetworkError"
    return [*pair.apollo[:-1], {**theirs, "error": ours["error"]}] if is_refused and is_theirs else None


def another_subprotocol_is_named(pair: Pair) -> Trace | None:
    """A server that speaks another one is left with 4406; there the connection just fails."""
    ours, theirs = last_of(pair.rxlink), last_of(pair.apollo)
    if pair.key[0] == SOCKET:
        return [*pair.apollo, ours] if ours.get("code") == SUBPROTOCOL and theirs["event"] == "ws-connect" else None
    is_named = class_of(ours) == "SocketClosed" and f"event {SUBPROTOCOL} " in ours["error"]["message"]
    is_theirs = class_of(theirs) == "NetworkError"
    return [*pair.apollo[:-1], {**theirs, "error": ours["error"]}] if is_named and is_theirs else None


def normal_close_is_waited_for(pair: Pair) -> Trace | None:
    """After a server has closed normally a new socket is opened there at once; here after the wait, of 0 ms."""
    ours = last_of(pair.rxlink)
    is_wait = ours["event"] == "ws-retry" and pair.rxlink[:-1] == pair.apollo
    return [*pair.apollo, ours] if is_wait else None


def silent_server_is_given_up(pair: Pair) -> Trace | None:
    """The recipe says 4408 there, as in the other timeouts; 4499 is graphql-ws's own code for a frozen socket."""
    ours = {event["at"]: event for event in pair.rxlink if event.get("code") == TERMINATED}
    return [
        ours.get(event["at"], event)
        if event.get("code") == TIMEOUT_OF_RECIPE and event["event"] == "ws-close"
        else event
        for event in pair.apollo
    ]


def each_loss_is_told(pair: Pair) -> Trace | None:
    """A connection that is to be kept is given up again: of that nothing is told there."""
    told = [event for event in pair.rxlink if event["event"] == "non-lazy"]
    is_again = len(told) > 1 and pair.rxlink[: len(pair.apollo)] == pair.apollo and told == pair.rxlink
    return pair.rxlink if is_again else None
