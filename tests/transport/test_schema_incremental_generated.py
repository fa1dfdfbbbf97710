"""SchemaLink: results in pieces of generated queries, beside the same queries without the directives."""

import asyncio
from dataclasses import dataclass, field
from itertools import count, pairwise

import pytest
from graphql import build_schema
from hypothesis import assume, given
from hypothesis import strategies as st

from rxlink.core.chain import execute
from rxlink.core.result import IncrementalResult
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport._execution import HAS_PIECES
from rxlink.transport.schema import SchemaLink
from tests.recording import END, subscribed
from tests.transport.schema_world import request, turns

SCHEMA = build_schema("""
    type Query { id: Int! name: String boom: String one: Node! many: [Node!] later: [Node] numbers: [Int!] }
    type Node { id: Int! name: String boom: String one: Node! many: [Node!] later: [Node] numbers: [Int!] }
""")
LEAVES = ("id", "name", "boom", "numbers")
STREAMED = ("many", "later", "numbers")
DEPTH = 3


@dataclass
class Node:
    """Resolvers that wait as long as they were told to."""

    delays: list[int]
    clock: count = field(default_factory=count)

    async def wait(self):
        await asyncio.sleep(self.delays[next(self.clock) % len(self.delays)])

    id = 1

    async def name(self, info):
        await self.wait()
        return str(info.path.as_list())

    async def boom(self, info):
        await self.wait()
        raise OSError("boom")

    def one(self, info):
        return self

    def many(self, info):
        return [self._later(), self, self._later()]

    async def later(self, info):
        for _ in range(3):
            await self.wait()
            yield self

    if not HAS_PIECES:  # graphql-core 3.2.0 does not await the items of an asynchronous list

        def later(self, info):
            return [self] * 3

    def numbers(self, info):
        yield from range(4)

    async def _later(self):
        await self.wait()
        return self


def fields(depth):
    leaves = st.tuples(st.just("field"), st.sampled_from(LEAVES), st.booleans(), st.just(()))
    if depth == 0:
        return leaves
    inner = st.deferred(lambda: selections(depth - 1))
    objects = st.tuples(st.just("field"), st.sampled_from(("one", "many", "later")), st.booleans(), inner)
    fragments = st.tuples(st.just("fragment"), st.sampled_from(("inline", "named")), st.booleans(), inner)
    return leaves | objects | fragments


def selections(depth):
    return st.lists(fields(depth), min_size=1, max_size=4)


class Printer:
    """Prints a query twice: as it is, and without the directives."""

    def __init__(self, *, has_directives):
        self.has_directives = has_directives
        self.fragments = []
        self.labels = count()

    def query(self, chosen):
        text = self.selection(chosen, "Query")
        return " ".join([text, *self.fragments])

    def selection(self, chosen, parent):
        return f"{{ {' '.join(self.one(*each, parent) for each in chosen)} }}"

    def one(self, kind, name, has_directive, inner, parent):
        if kind == "fragment":
            return self.fragment(name == "named", self.directive("defer", has_directive), inner, parent)
        below = self.selection(inner, "Node") if inner else ""
        streamed = self.directive("stream", has_directive and name in STREAMED, "initialCount: 1")
        # Fields of one name are one field: they are streamed all, or none of them.
        alias = f"streamed_{name}: " if has_directive and name in STREAMED else ""
        return f"{alias}{name}{streamed} {below}"

    def fragment(self, is_named, directive, inner, parent):
        text = self.selection(inner, parent)
        if not is_named:
            return f"...{directive} {text}"
        name = f"F{next(self.labels)}"
        self.fragments.append(f"fragment {name} on {parent} {text}")
        return f"...{name}{directive}"

    def directive(self, name, is_wanted, argument=""):
        if not self.has_directives or not is_wanted:
            return ""
        label = f'label: "L{next(self.labels)}"' if name == "defer" else ""
        return f" @{name}({label or argument})"


def is_part(part, whole):
    """Tell whether nothing in a value is different in another one, which may have more."""
    if isinstance(part, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    return part == whole


def sorted_errors(result):
    return sorted(result.get("errors", []), key=lambda error: [*map(str, error["path"])])


@given(selections(DEPTH), st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_the_last_one_is_what_comes_without_the_directives_and_each_has_more_than_that_before(chosen, delays):
    divided, whole = (Printer(has_directives=has).query(chosen) for has in (True, False))
    link = SchemaLink(SCHEMA, root_value=Node(delays))

    async def run(time):
        expected = await execute(link, request(whole))
        recorder = subscribed(execute(link, request(divided)))
        await asyncio.sleep(1000)
        return expected, recorder.seen, time.leftovers()

    with VirtualTime() as time:
        expected, [*results, end], left = time.run(run(time))

    assert (END, []) == (end, left)
    assert (expected["data"], sorted_errors(expected)) == (results[-1]["data"], sorted_errors(results[-1]))
    assert all(is_part(*pair) for pair in pairwise([result["data"] for result in results]))
    assert all(
        earlier.get("errors", []) == later.get("errors", [])[: len(earlier.get("errors", []))]
        for earlier, later in pairwise(results)
    )
    assert [HAS_PIECES] * len(results[:-1]) == [
        type(result) is IncrementalResult and result.has_next for result in results[:-1]
    ]


@pytest.mark.skipif(not HAS_PIECES, reason="graphql-core 3.2 overlooks @defer and @stream")
@given(selections(DEPTH), st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(0, 30))
def test_whoever_leaves_at_any_time_leaves_nothing_behind(chosen, delays, time_of_leaving):
    divided = Printer(has_directives=True).query(chosen)
    assume("@" in divided)
    link = SchemaLink(SCHEMA, root_value=Node(delays))

    async def run(time):
        recorder = subscribed(execute(link, request(divided)))
        await asyncio.sleep(time_of_leaving)
        seen = list(recorder.seen)
        recorder.subscription.dispose()
        await turns()
        return seen, recorder.seen, time.leftovers()

    with VirtualTime() as time:
        before, after, left = time.run(run(time))

    assert (before, []) == (after, left)
