"""Scenarios of WebSockets drawn at random: who comes and leaves when, what the server says, when a socket is lost.

In some an operation is there from the beginning to the end; in others nobody leaves of his own accord. What graphql-ws
does with a socket that nobody waits for, and after the retries are used up, are accepted differences that change all
that comes after them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from hypothesis import strategies as st

__all__ = ["socket_scenarios"]

Json: TypeAlias = dict[str, Any]

IDS = "ABC"
APART = 0.01
"""Milliseconds by which the moments of one subscriber are apart from all others': which of two things comes first at
one moment is left open."""
WAITS = [[5], [3, 15], [0, 20], [9, 2, 4]]
LINKS: list[Json] = [
    {"retryWait": wait, "retryAttempts": 1000, "shouldRetry": ["always"], **more}
    for wait in WAITS
    for more in (
        {},
        {"lazyCloseTimeout": 12},
        {"lazy": False},
        {"connectionAckWaitTimeout": 1000, "connectionParams": {"token": "t"}},
        {"connectionParams": {"byCall": {"token": "t"}}, "url": {"byCall": "wss://server.test/{n}"}},
    )
]

HEADS: list[list[Json]] = [
    [],
    [{"link": "retry", "delay": [3], "attempts": ["first", 2]}],
    [{"link": "context", "set": {"x": 1}, "after": 2}],
    [{"link": "observe", "label": "above"}],
]

ACK = {"send": {"type": "connection_ack"}}
OPENINGS: list[list[Json]] = [
    [{**ACK, "after": 6}],
    [{"cut": True, "after": 4}],
    [{"close": [4403, "Forbidden"]}],
    [{"send": {"type": "ping"}}, {**ACK, "after": 3}, {"send": {"type": "ping", "payload": {"x": 1}}, "after": 9}],
    [ACK, {"cut": True, "after": 15}],
    [ACK, {"close": [1013, "later"], "after": 25}],
    [{"send": {"type": "pong"}}, ACK],
]
RESULTS: list[Json] = [
    {"type": "next", "payload": {"data": {"a": 1}}},
    {"type": "next", "payload": {"data": {"a": None}, "errors": [{"message": "partly"}], "extensions": {"cost": 1}}},
]
CLOSES: list[list[Any]] = [[1001, "going"], [], [1012], [1013, "later"], [4403, "no"], [4408], [4504], [3000, "own"]]
ENDS: list[list[Json]] = [
    *[[]] * 4,
    *[[{"send": {"type": "complete"}}]] * 4,
    *[[{"send": {"type": "error", "payload": [{"message": "no"}]}}]] * 2,
    *[[{"cut": True}]] * 2,
    *([{"close": close}] for close in CLOSES),
]
FATAL: list[list[Json]] = [
    [{"close": close}] for close in ([4400, "bad"], [4401, "no"], [4429], [4500], [1011], [1002])
]
LEAVING = ("leaves", "leaves-again")


def socket_scenarios() -> st.SearchStrategy[Json]:
    """Return the strategy."""
    operations = st.lists(_operations(), min_size=1, max_size=len(IDS))
    chains = st.sampled_from([[*head, {"link": "graphql-ws", **link}] for head in HEADS for link in LINKS])
    kept = st.builds(_kept, chains, st.lists(_sockets(ENDS), min_size=1, max_size=4), operations)
    left = st.builds(_left, chains, st.lists(_sockets(ENDS + FATAL), min_size=1, max_size=4), operations)
    return kept | left


def _kept(chain: list[Json], sockets: list[Json], operations: list[Json]) -> Json:
    keeper = {"id": "K", "query": "subscription K { k }"}
    return _scenario(chain, sockets, [keeper, *(_operation(*numbered) for numbered in enumerate(operations))])


def _left(chain: list[Json], sockets: list[Json], operations: list[Json]) -> Json:
    staying = [{name: each[name] for name in each if name not in LEAVING} for each in operations]
    lazy = [{name: link[name] for name in link if name != "lazy"} for link in chain]
    closed = [{**socket, "closes": 0} for socket in sockets]  # nobody comes while a socket closes
    return _scenario(lazy, closed, [_operation(*numbered) for numbered in enumerate(staying)])


def _scenario(chain: list[Json], sockets: list[Json], operations: list[Json]) -> Json:
    last = {"closes": 0}
    return {"chain": chain, "sockets": [*sockets, last], "operations": operations, "until": 200}


def _operation(place: int, moments: Json) -> Json:
    name, apart = IDS[place], APART * (1 + 4 * place)
    operation: Json = {"id": name, "query": f"{moments['type']} {name} {{ a }}", "start": moments["start"] + apart}
    if moments["again"] is not None:
        operation["resubscribe"] = [moments["again"] + apart + APART]
    leaving = [moments.get(name) for name in LEAVING]
    operation["unsubscribe"] = [
        None if moment is None else moment + apart + APART * (2 + number) for number, moment in enumerate(leaving)
    ]
    return operation


def _sockets(ends: list[list[Json]]) -> st.SearchStrategy[Json]:
    answers = {f"subscribe {name}": st.sampled_from(_answers(name, ends)) for name in IDS}
    late = {"complete": st.sampled_from(_answers("A", ends)), "connection_init": st.sampled_from(OPENINGS)}
    return st.fixed_dictionaries(
        {"on": st.fixed_dictionaries(answers, optional=late)},
        optional={"after": st.integers(1, 8), "fail": st.just(True)},
    )


def _answers(name: str, ends: list[list[Json]]) -> list[list[Json]]:
    """Return results and an end of an operation, in several tempos; one list of all, as drawing is what takes time."""
    return [
        [_step(step, name, after) for step in (*({"send": result} for result in results), *end)]
        for end in ends
        for results in (RESULTS, RESULTS[:1], [])
        for after in (1, 4, 11)
    ]


def _step(step: Json, name: str, after: int) -> Json:
    said = {"send": {**step["send"], "id": name}} if "send" in step else step
    return {**said, "after": after}


def _operations() -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            "type": st.sampled_from(["subscription", "query"]),  # graphql-ws sends a mutation again without end
            "start": st.sampled_from([0, 1, 2, 3, 5, 8, 13, 21]),
            "leaves": st.sampled_from([None, 1, 2, 4, 7, 12, 20, 33, 54]),
            "again": st.sampled_from([None, 22, 23, 25, 28, 41]),
            "leaves-again": st.sampled_from([None, 23, 26, 29, 35, 60]),
        }
    )
