"""What is tried with deferred and streamed results: rows of the table in `docs/stream-peers.md`."""

from __future__ import annotations

import itertools
from typing import Any

from tests.peers.peer import until
from tests.peers.stream_hearing import codes_of, hear, is_over, plain, replaced, states, told
from tests.peers.streams import Line, StreamServers, Way
from tests.recording import END, Recorder

__all__ = [
    "alone",
    "beside",
    "deferred",
    "each",
    "field_fails",
    "fragment_fails",
    "in_items",
    "items_fail",
    "nested",
    "step_by_step",
    "streamed",
]

DEFERRED = "query Deferred($key: String!) { hello ... @defer { person { name signalled(key: $key) } } }"
NESTED = """query Nested($key: String!) {
    hello ... @defer { person { name signalled(key: $key) ... @defer { email again: signalled(key: $key) } } }
}"""
BESIDE = """query Beside($key: String!) {
    person { ... @defer(label: "names") { friends { name } email } }
    ... @defer(label: "addresses") { person { friends { email } signalled(key: $key) } hello }
}"""
LETTERS = "query Letters($key: String!) { letters(key: $key) @stream(initialCount: 1) }"
EACH = "query Each { people @stream(initialCount: 1) { name ... @defer { email friends { name } } } }"
IN_ITEMS = "query InItems { people @stream { name friends @stream { name } } }"
ALONE = "query Alone { ... @defer { person { ... @defer { ... @defer { name } } } } }"
FIELD_FAILS = "query FieldFails { person { name ... @defer { email optional } } }"
FRAGMENT_FAILS = "query FragmentFails { person { name ... @defer { email required } } }"
ITEMS_FAIL = "query ItemsFail { people @stream { name optional } }"


async def step_by_step(streams: StreamServers, line: Line, key: str, document: str) -> Recorder:
    """Hear an operation whose server makes each piece after the first when it is told that the one before is here."""
    operation = line.hear(document, key=key)
    for heard in itertools.count():
        await until(lambda heard=heard: is_over(operation) or len(states(operation)) > heard)
        await until(lambda: waits_or_is_over(streams, key, operation))
        if is_over(operation):
            return operation
        await streams.release(key)
    raise AssertionError


async def waits_or_is_over(streams: StreamServers, key: str, operation: Recorder) -> bool:
    return is_over(operation) or await streams.waiting(key) > 0


async def whole(streams: StreamServers, line: Line, key: str, document: str) -> Any:
    """Return the data of a document of which nothing is deferred or streamed."""
    for _ in range(2):  # as many as any document waits for
        await streams.release(f"{key}Whole")
    operation = await hear(line, plain(document), key=f"{key}Whole")
    (result, end) = operation.seen
    assert END == end
    return replaced(result["data"], f"{key}Whole", key)


async def pieces(streams: StreamServers, way: Way, line: Line, key: str, document: str) -> str:
    """Tell in how many pieces a result comes, each of which has arrived before the server makes the next."""
    operation = await step_by_step(streams, line, key, document)
    if (operation.seen[-1], bool(states(operation))) != (END, True):
        return told(operation)
    assert await whole(streams, line, key, document) == states(operation)[-1]
    return f"{len(states(operation))} pieces"


async def deferred(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await pieces(streams, way, line, key, DEFERRED)


async def nested(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await pieces(streams, way, line, key, NESTED)


async def beside(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await pieces(streams, way, line, key, BESIDE)


async def streamed(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await pieces(streams, way, line, key, LETTERS)


async def all_of_it(streams: StreamServers, line: Line, key: str, document: str) -> str:
    """Tell whether the pieces come to what the document gives as a whole."""
    operation = await hear(line, document)
    if (operation.seen[-1], bool(states(operation))) != (END, True):
        return told(operation)
    return (
        "all of it" if await whole(streams, line, key, document) == states(operation)[-1] else "not what it should be"
    )


async def each(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await all_of_it(streams, line, key, EACH)


async def in_items(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await all_of_it(streams, line, key, IN_ITEMS)


async def alone(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await all_of_it(streams, line, key, ALONE)


async def field_fails(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    """Tell what stands at the end for a field that may be null."""
    operation = await hear(line, FIELD_FAILS)
    if not states(operation):
        return told(operation)
    *_, last, end = operation.seen
    assert (END, {"ON_PURPOSE"}) == (end, codes_of(last))
    assert {"person": {"name": "Ada", "email": "ada@example.org", "optional": None}} == last["data"]
    return "null, and its error"


async def fragment_fails(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    operation = await hear(line, FRAGMENT_FAILS)
    if not states(operation):
        return told(operation)
    *_, last, end = operation.seen
    assert (END, {"ON_PURPOSE"}) == (end, codes_of(last))
    assert {"person": {"name": "Ada"}} == last["data"]
    return "it is missing, and its error"


async def items_fail(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    operation = await hear(line, ITEMS_FAIL)
    if not states(operation):
        return told(operation)
    *_, last, end = operation.seen
    assert (END, {"ON_PURPOSE"}) == (end, codes_of(last))
    people = last["data"]["people"]
    assert [None] * len(people) == [person["optional"] for person in people]
    assert len(people) == len(last["errors"])
    return {1: "the first alone", 3: "all three"}[len(people)]
