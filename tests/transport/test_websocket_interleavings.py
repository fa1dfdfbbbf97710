"""Two sockets of GraphQLWsLink in an overlap, in any order of what they bring: nothing is missing or mixed up.

The server numbers what it publishes and writes it to each socket that has the subscription. It has the subscription of
a socket before it answers the following ping there. Each socket brings what was written to it in that order, but one
may be slower than the other.
"""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.transport.websocket_bench import settle, ticks
from tests.transport.websocket_overlap import Overlap, by_tick, overlap
from tests.transport.websocket_server import Connection

STEPS = st.lists(st.sampled_from(("publish", "publish", "old", "old", "new", "new", "begin")), max_size=30)
PONG = "pong"


class Pipe:
    """What is on its way from the server on one socket."""

    def __init__(self, both: Overlap, connection: Connection, *, has_begun: bool) -> None:
        self.connection = connection
        self.has_begun = has_begun
        self._both = both
        self._waiting: deque[Any] = deque()
        self._answered = 0

    def look(self) -> None:
        """Answer what the client has sent since."""
        kinds = self.connection.kinds
        while self._answered < kinds.count("ping"):
            self._answered += 1
            self.has_begun = True
            self._waiting.append(PONG)
        if "complete" in kinds or self.connection.is_closed:
            self.has_begun = False

    def write(self, number: int) -> None:
        if self.has_begun:
            self._waiting.append(number)

    async def bring(self) -> bool:
        """Let the next message arrive; tell whether there was one."""
        if not self._waiting:
            return False
        message = self._waiting.popleft()
        if self.connection.is_closed:
            return True
        if message is PONG:
            await self.connection.send({"type": "pong"})
            await settle()
        else:
            await self._both.tell(self.connection, message)
        return True


async def _play(both: Overlap, steps: list[str]) -> int:
    """Let all happen that is drawn, and then the rest; return how much was published."""
    pipes = {"old": Pipe(both, both.old, has_begun=True), "new": Pipe(both, both.new, has_begun=False)}
    number = 0
    for step in [*steps, *["old", "new"] * 20, "publish", "new", "new"]:
        for pipe in pipes.values():
            pipe.look()
        if step == "publish":
            number += 1
            for pipe in pipes.values():
                pipe.write(number)
        elif step == "begin":
            pipes["new"].has_begun = True
        else:
            await pipes[step].bring()
    while any([await pipe.bring() for pipe in pipes.values()]):
        pass
    return number


@settings(max_examples=25)
@given(steps=STEPS)
@virtual
async def test_with_a_key_each_number_arrives_once_and_in_order(steps: list[str], time: VirtualTime) -> None:
    async with overlap(time, dedup_key=by_tick) as both:
        number = await _play(both, steps)

        assert ticks(*range(1, number + 1)) == both.seen
        assert [("A", False, False)] == both.resubscribed()
        assert both.old.is_closed


@settings(max_examples=25)
@given(steps=STEPS)
@virtual
async def test_without_a_key_no_number_is_missing(steps: list[str], time: VirtualTime) -> None:
    async with overlap(time) as both:
        number = await _play(both, steps)

        seen = [result["data"]["tick"] for result in both.seen]
        assert list(range(1, number + 1)) == sorted(set(seen))
        assert all(seen.count(one) <= 2 for one in seen)
        # What was held back comes in one piece, after what the older one has brought.
        turns = [before for before, after in itertools.pairwise(seen) if after <= before]
        assert len(turns) <= 1
