"""The comparison itself: what it finds, and what it overlooks on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.comparison import compare
from tests.oracle.scenario import Event, Scenario

SCENARIO: Scenario = {"chain": [{"link": "http"}], "operations": [{"id": "A"}]}
START = {"at": 0, "operation": "A", "attempt": 1, "event": "start"}
NEXT = {"at": 5, "operation": "A", "attempt": 1, "event": "next", "value": {"data": 1}}
END = {"at": 5, "operation": "A", "attempt": 1, "event": "complete"}
REQUEST = {
    "at": 0,
    "operation": "A",
    "attempt": 1,
    "event": "request",
    "method": "POST",
    "url": "http://server.test/graphql",
    "headers": {"accept": "a/b"},
    "body": {"operationName": "A", "variables": {}, "query": "query A {\n  a(x: {y: 1})\n}"},
}


def changed(event: Event, **fields: Any) -> Event:
    return {**event, **fields}


def error(**fields: Any) -> Event:
    return {"at": 5, "operation": "A", "attempt": 1, "event": "error", "error": fields}


def are_equal(apollo: list[Event], rxlink: list[Event]) -> bool:
    return not compare(SCENARIO, apollo, rxlink).differences


@pytest.mark.parametrize(
    "rxlink",
    [
        [START, NEXT],
        [START, NEXT, END, END],
        [START, END, NEXT],
        [START, changed(NEXT, at=6), END],
        [START, changed(NEXT, value={"data": 2}), END],
        [START, changed(NEXT, attempt=2), END],
        [START, NEXT, changed(END, operation="B")],
        [START, NEXT, error(**{"class": "Error", "message": "no"})],
    ],
)
def test_another_event_time_order_or_owner_is_a_difference(rxlink: list[Event]) -> None:
    assert not are_equal([START, NEXT, END], rxlink)


def test_the_order_between_operations_is_none() -> None:
    other = changed(START, operation="B")

    assert are_equal([START, other, END], [other, START, END])


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "GET"},
        {"url": "http://server.test/other"},
        {"url": "http://server.test/graphql?a=1"},
        {"headers": {"accept": "a/c"}},
        {"headers": {"Accept": "a/b"}},
        {"headers": {"accept": "a/b", "user-agent": "mine"}},
        {"headers": {"accept": "a/b", "host": "other.test"}},
        {"body": {"operationName": "A", "variables": {}, "query": "query A { b }"}},
        {"body": {"operationName": "A", "variables": {"x": None}, "query": REQUEST["body"]["query"]}},
    ],
)
def test_another_request_is_a_difference(fields: dict[str, Any]) -> None:
    assert not are_equal([REQUEST], [changed(REQUEST, **fields)])


@pytest.mark.parametrize(
    "fields",
    [
        {
            "headers": {
                "Host": "server.test",
                "accept": "a/b",
                "User-Agent": "Python/3.11 aiohttp",
                "Content-Length": "7",
            }
        },
        {"body": {"variables": {}, "query": "query A { a(x: { y: 1 }) }", "operationName": "A"}},
        {"url": "http://server.test/graphql#part"},
    ],
)
def test_what_the_http_library_and_the_printer_do_is_none(fields: dict[str, Any]) -> None:
    assert are_equal([REQUEST], [changed(REQUEST, **fields)])


def test_each_library_says_its_own_name() -> None:
    theirs = changed(REQUEST, body={"extensions": {"clientLibrary": {"name": "@apollo/client", "version": "4.3.8"}}})
    ours = changed(REQUEST, body={"extensions": {"clientLibrary": {"name": "rxlink", "version": "1"}}})
    silent = changed(REQUEST, body={"extensions": {}})

    assert are_equal([theirs], [ours])
    assert not are_equal([theirs], [silent])


def test_messages_of_engines_do_not_count_and_others_do() -> None:
    def network(text: str) -> Event:
        return error(**{"class": "NetworkError", "message": text})

    def combined(text: str) -> Event:
        return error(**{"class": "CombinedGraphQLErrors", "message": text})

    assert are_equal([network("fetch failed")], [network("operation A got no answer")])
    assert not are_equal([combined("one")], [combined("two")])


def test_what_rxlink_says_about_a_close_code_is_none() -> None:
    def closed(text: str) -> Event:
        return error(**{"class": "SocketClosed", "message": f"Socket closed with event {text}"})

    assert are_equal([closed("4401 no")], [closed("4401 no (unauthorized)")])
    assert are_equal([closed("1006 ")], [closed("1006")])
    assert not are_equal([closed("4401 no")], [closed("4400 no")])
    assert not are_equal([closed("4401 no")], [closed("4401 never (unauthorized)")])


def test_another_message_on_a_socket_is_a_difference() -> None:
    def sent(query: str, **fields: Any) -> Event:
        message = {"type": "subscribe", "id": "A#1", "payload": {"query": query, "variables": {}, **fields}}
        return {"at": 5, "operation": "socket", "attempt": 1, "event": "ws-send", "message": message}

    assert are_equal([sent("query A { a(x: {y: 1}) }")], [sent("query A {\n  a(x: { y: 1 })\n}")])
    assert not are_equal([sent("query A { a }")], [sent("query A { b }")])
    assert not are_equal([sent("query A { a }", extensions={"x": 1})], [sent("query A { a }")])


def test_an_accepted_difference_hides_no_other_one() -> None:
    scenario = {
        "chain": [{"link": "observe", "label": "x"}, {"link": "handler", "do": "nothing"}],
        "operations": [{"id": "A"}],
    }
    theirs = error(**{"class": "TypeError", "message": "Cannot read properties of undefined (reading 'subscribe')"})
    ours = error(**{"class": "InvariantTypeError", "message": "handle returned None"})

    accepted = compare(scenario, [START, theirs], [START, ours])
    late = compare(scenario, [START, theirs], [START, changed(ours, at=6)])
    elsewhere = compare(SCENARIO, [START, theirs], [START, ours])

    assert (set(), 1) == (set(accepted.differences), len(accepted.accepted))
    assert late.differences
    assert elsewhere.differences
