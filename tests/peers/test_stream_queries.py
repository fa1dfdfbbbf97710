"""Generated queries, of which some is deferred and streamed, end with what they give as a whole, in every format.

In the formats that Apollo Client knows, the result after each piece is the one that its handler has.
"""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink import IncrementalResult
from tests.oracle.apollo import Apollo
from tests.peers.stream_hearing import hear, plain, states
from tests.peers.streams import NEW, OLD, WAYS, StreamServers, Way, line_to
from tests.recording import END

DEPTH = 4
FIELDS = {
    "Query": {"hello": "", "letters": "", "person": "Person", "people": "Person", "visitors": "Person"},
    "Person": {"name": "", "email": "", "friends": "Person", "visitors": "Person"},
}
"""Of each type, and which type they are of; "" is a leaf."""
LISTS = frozenset({"letters", "people", "friends", "visitors"})
FRAGMENTS = ("...", "... @defer", '... @defer(label: "#")', "... @defer(if: false)")
STREAMS = ("@stream", "@stream(initialCount: 1)", '@stream(initialCount: 2, label: "#")', "@stream(if: false)")
HANDLERS = {OLD: "defer20220824", NEW: "graphql17Alpha9"}
"""Apollo's, by the format that they know."""
DEFERRING = [way for way in WAYS if way.name != "graphql-sse"]  # which is on a `graphql` that cannot

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Avoided:
    """What a server does wrong, as `docs/stream-peers.md` says."""

    in_items_of: Collection[str] = ()
    """Streamed lists, of whose items nothing may come later."""
    fragments_in_fragments: bool = False
    """Deferred ones with no field between them."""


AVOIDED = {
    "apollo, v0.2": Avoided(in_items_of={"people", "friends"}),
    "apollo, 2022": Avoided(in_items_of={"people", "friends"}, fragments_in_fragments=True),
}


class Query:
    """Draws a query; no two of its labels are the same, and no two names of its streamed lists."""

    def __init__(self, draw: Draw, avoided: Avoided) -> None:
        self._draw = draw
        self._avoided = avoided
        self._numbers = itertools.count()

    def selection(self, type_: str, depth: int, *, fragments: bool = True, streams: bool = True) -> str:
        """Draw what is selected of a type, and whether there may be fragments, and streamed lists."""
        fields = FIELDS[type_]
        kinds = [field for field in fields if depth or not fields[field]] + ["..."] * (depth > 0 and fragments)
        chosen = self._draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
        return f"{{ {' '.join(self._part(kind, type_, depth - 1, streams) for kind in chosen)} }}"

    def _part(self, kind: str, type_: str, depth: int, streams: bool) -> str:
        if kind == "...":
            fragments = not self._avoided.fragments_in_fragments
            return f"{self._one_of(FRAGMENTS)} {self.selection(type_, depth, fragments=fragments)}"
        alias, stream = "", ""
        if kind in LISTS and streams and self._draw(st.booleans()):
            alias, stream = f"{kind}{next(self._numbers)}:", self._one_of(STREAMS)
            streams = kind not in self._avoided.in_items_of
        inner = FIELDS[type_][kind]
        selection = self.selection(inner, depth, fragments=streams, streams=streams) if inner else ""
        return " ".join(filter(None, [alias, kind, stream, selection]))

    def _one_of(self, directives: tuple[str, ...]) -> str:
        return self._draw(st.sampled_from(directives)).replace("#", f"label{next(self._numbers)}")


@st.composite
def queries(draw: Draw, avoided: Avoided) -> str:
    return f"query Generated {Query(draw, avoided).selection('Query', DEPTH)}"


def compare_with_apollo(apollo: Apollo, handler: str, results: Sequence[IncrementalResult], document: str) -> None:
    """See that Apollo's handler has the same after each piece.

    With v0.2 it loses items of a list that came with a piece itself; see the Differs of graphql17_alpha9.py.
    """
    merged = apollo.merge(handler, [result.increment for result in results])
    has_list_in_piece = "@stream" in document and ("@defer" in document or document.count("@stream") > 1)
    is_apollos_defect = handler == HANDLERS[NEW] and has_list_in_piece
    if not is_apollos_defect or merged.results[-1]["data"] == results[-1]["data"]:
        assert (None, list(results)) == (merged.error, merged.results), document


@pytest.mark.parametrize("way", DEFERRING, ids=str)
def test_pieces_come_to_the_same_as_the_whole(way: Way, streams: StreamServers, handlers: Apollo):
    async def compare(document: str) -> None:
        async with line_to(streams, way) as line:
            in_pieces = await hear(line, document)
            whole = await hear(line, plain(document))
        assert (END, END) == (in_pieces.seen[-1], whole.seen[-1]), (document, in_pieces.seen, whole.seen)
        assert states(whole)[-1] == states(in_pieces)[-1]
        pieces = [result for result in in_pieces.seen if isinstance(result, IncrementalResult)]
        if pieces and way.form in HANDLERS:
            compare_with_apollo(handlers, HANDLERS[way.form], pieces, document)

    @given(queries(AVOIDED.get(str(way), Avoided())))
    def check(document: str) -> None:
        asyncio.run(compare(document))

    check()
