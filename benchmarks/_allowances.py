"""What may be spent, counted: the record that the guard compares with.

The figures are what CPython 3.11 needs, and a little room for what differs between its patches: none for calls, one
block, and bytes rounded up. Lower one whenever something has become cheaper; raise one only for a reason, which the
commit tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GARBAGE", "JUDGED_VERSION", "LINKS", "STREAMS", "TRANSPORTS", "Bounds"]

JUDGED_VERSION = (3, 11)
"""Function calls and allocations differ between minor versions of Python."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one operation costs, or may cost.

    Attributes:
        calls: Function calls, from `execute` to completion.
        blocks: Allocated blocks while it waits for its answer.
        bytes: The size of these blocks.
    """

    calls: int
    blocks: int
    bytes: int

    def above(self, other: Bounds) -> Bounds:
        """Return how much more this is than another."""
        return Bounds(self.calls - other.calls, self.blocks - other.blocks, self.bytes - other.bytes)


LINKS: Mapping[str, Bounds] = {
    "four links": Bounds(50, 15, 1250),
    "SetContextLink": Bounds(6, 4, 350),
    "ErrorLink": Bounds(4, 2, 150),
    "RetryLink": Bounds(2, 4, 250),
    "AuthLink": Bounds(14, 6, 500),
    "TokenRefreshLink": Bounds(17, 1, 50),
    "DedupLink": Bounds(89, 15, 1500),
    "BatchLink, 10 together": Bounds(43, 5, 350),
    "PersistedQueryLink": Bounds(30, 8, 750),
    "RemoveTypenameFromVariablesLink": Bounds(23, 1, 50),
    "ClientAwarenessLink": Bounds(14, 7, 650),
    "TraceLink": Bounds(119, 20, 1700),
    "PollingLink, one attempt": Bounds(50, 18, 1150),
    "split": Bounds(2, 1, 50),
    "a user's handler": Bounds(8, 1, 50),
}
"""Of a chain, with its `Operation`; of a link, what it adds to the terminating link alone."""

TRANSPORTS: Mapping[str, Bounds] = {
    "four links over HttpLink": Bounds(79, 26, 3150),
    "HttpLink": Bounds(54, 20, 2550),
    "BatchHttpLink, 10 together": Bounds(52, 16, 1750),
    "SseLink": Bounds(181, 31, 3400),
    "GraphQLWsLink": Bounds(128, 14, 1500),
    "SchemaLink": Bounds(40, 18, 1500),
}
"""Of rxlink's own code, with the `Operation`."""

STREAMS: Mapping[str, int] = {
    "HttpLink, multipart": 43,
    "SseLink": 42,
    "GraphQLWsLink": 22,
}
"""The calls of rxlink's own code for one more result of a stream."""

GARBAGE: Mapping[str, int] = {"SchemaLink": 2}
"""Objects an operation leaves for the cycle collector; nobody else leaves any.

An executor of graphql-core 3.3 refers to itself, so that it waits for the collector with all that it knows. With
SchemaLink that are two objects more: it asks a method of an `Execution` of rxlink's what is awaitable.
"""
