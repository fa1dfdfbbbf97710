"""What does it cost to have the text of a document, for each operation that sends it?

rxlink prints a document once and keeps the text by the document's identity. Printing it each time is
what other clients do; a `WeakKeyDictionary` is the usual cache, which hashes the document, and that
walks the whole tree.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from graphql import DocumentNode, parse, print_ast

from benchmarks.four_links import QUERY
from benchmarks.harness import Effort, Table, Variant, cpu_clock, ratio_rows, repeat, rounds_of
from rxlink.core.documents import document_of

__all__ = ["measure"]

KEPT = "rxlink's kept text"
PRINTED = "print_ast each time"
HASHED = "a WeakKeyDictionary of texts"
FIELDS = 80

NESTED = """
query Orders($first: Int!, $after: String, $customer: ID!) {
  customer(id: $customer) {
    id
    name
    address { city }
    orders(first: $first, after: $after, orderBy: {field: PLACED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor }
      edges { node { ...OrderParts } }
    }
  }
}
fragment OrderParts on Order {
  id
  placedAt
  total { amount currency }
  lines { quantity product { id name price { amount currency } } }
}
"""
LARGE = "query Report($from: Date!, $to: Date!) {{ {} }}".format(
    " ".join(
        f"series{number}: series(name: $name{number}, from: $from, to: $to, unit: DAY, first: {number})"
        " { points { at value } total }"
        for number in range(FIELDS)
    )
)
TEXTS = (QUERY, NESTED, LARGE)


async def measure(effort: Effort) -> list[Table]:
    """Compare the ways to have the text of a small, a usual and a large document."""
    return [await _compare(text, effort) for text in TEXTS]


async def _compare(written: str, effort: Effort) -> Table:
    text = print_ast(_parsed(written))
    ways = {KEPT: _kept(_parsed(written)), PRINTED: _printed(_parsed(written)), HASHED: _hashed(_parsed(written))}
    for way in ways.values():
        assert way() == text
    times = await rounds_of([Variant(name, repeat(way)) for name, way in ways.items()], effort, clock=cpu_clock)
    title = f"The text of a document of {len(text):,} characters; ratio: cost, {KEPT} = 1"
    return Table(title, ratio_rows(times, KEPT))


def _parsed(text: str) -> DocumentNode:
    """Parse it anew: a weak reference to a document keeps its hash, also for somebody else."""
    return parse(text, no_location=True)


def _kept(document: DocumentNode) -> Callable[[], str]:
    return lambda: document_of(document).text


def _printed(document: DocumentNode) -> Callable[[], str]:
    return lambda: print_ast(document)


def _hashed(document: DocumentNode) -> Callable[[], str]:
    texts = WeakKeyDictionary({document: print_ast(document)})
    return lambda: texts[document]
