"""What GraphQLWsLink promises, through random interleavings of operations, sockets, tokens and time.

The server is real, and does what a rule tells it to: what it has heard waits until it works, and what it has said is on
its way until it is brought. After each step: every operation has ended, or runs on a socket, or waits for one that is
being opened (P2, never silent); an older socket stands only as long as something runs there or goes over from it; each
number arrives once and in order, comes twice without a key only, and where one is missing, or comes twice, the link has
said so, and not that nothing is and nothing does (E92); each token was refreshed once (P1); no operation went out with
another's token (P8). In the end the server does its best, and every subscription is alive.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from rxlink.transport.websocket import WebSocketState
from tests.transport.websocket_books import KEEP_ALIVE_TIMEOUT
from tests.transport.websocket_ways import Ways

PATIENCE = (1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 5.0, 5.0)
"""Seconds in which all is well again, once the server does its best."""
QUICK_EXAMPLES = 10
LONG_EXAMPLES = 200 if os.environ.get("RXLINK_SOAK") == "short" else 3_000
LONG_LIMIT = 7200  # seconds


class WebSocketPromises(Ways):
    """What has to be true after each step, and in the end."""

    @invariant()
    def nothing_was_seen_that_must_not_be(self) -> None:
        assert not self.world.faults, self.world.faults
        assert not self.world.complaints, self.world.complaints

    @invariant()
    def p2_no_operation_is_silent(self) -> None:
        world = self.world
        client, peers = world.client, world.open_peers()
        served = {op.name for peer in peers for op in peer.for_client.values()}
        # One that is stalled has not heard yet what began there.
        is_stalled = any(peer.is_stalled for peer in peers)
        is_awaited = client._sockets.opening or client.is_parting or is_stalled
        for op in world.running:
            assert is_awaited or op.name in served, f"P2: {op.name} is nowhere"
            may_wait = op.name in served or is_stalled or world.life is not None
            assert may_wait or not any(map(world.is_good, peers)), (
                f"P2: {op.name} waits, though there is a socket for it"
            )
        assert {op.name for op in world.running} == {live.operation.operation_name for live in client.operations.all()}

    @invariant()
    def an_older_socket_stands_as_long_as_it_is_needed(self) -> None:
        world = self.world
        newest = world.newest()
        for peer in world.open_peers():
            is_older = newest is not None and newest.is_open and peer.is_acknowledged and peer is not newest
            since = peer.unneeded_since
            if is_older and not peer.is_stalled and since is not None:
                limit = KEEP_ALIVE_TIMEOUT + world.overlap + 0.1
                assert world.now - since <= limit, f"socket {peer.place} is kept for nobody"
        assert not any(socket.is_over for socket in world.client._sockets.all()), "a dead socket counts as open"

    @invariant()
    def the_state_is_true(self) -> None:
        client, state = self.world.client, self.world.states[-1]
        if client._sockets.current is not None:
            assert WebSocketState.CONNECTED is state
        elif client._sockets.opening is not None:
            assert state in {WebSocketState.CONNECTING, WebSocketState.RETRYING}
        elif not client._sockets._retiring:
            assert WebSocketState.IDLE is state
            assert [] == self.world.running

    @invariant()
    def e92_it_is_told_soon(self) -> None:
        world = self.world
        for op in world.running:
            for since, ride in op.untold_gaps:
                is_disturbed = ride.peer.is_stalled or not ride.peer.is_open
                assert is_disturbed or world.now - since <= world.longest_handover, f"{op.name} misses {op.numbers}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.faults:
                self.the_server_does_its_best()
                self.world.close()
        finally:
            self.world.vanish()

    def the_server_does_its_best(self) -> None:
        world = self.world
        self.treat_handshakes("nothing")
        for seconds in PATIENCE:
            world.serve()
            world.advance(seconds)
        before = {op.name: len(op.numbers) for op in world.running}
        for _ in range(3):  # a token may end meanwhile, and a server is slow to begin
            world.serve()
            world.advance(0.5)
            world.publish()
        world.serve()
        for op in world.running:
            if op.kind == "subscription":
                assert len(op.numbers) > before[op.name], f"P2: {op.name} is silent"
                assert [] == op.untold_gaps, f"{op.name} misses numbers: {op.numbers}"
                assert not op.has_untold_repeats, f"{op.name} has numbers twice: {op.numbers}"
        self.p2_no_operation_is_silent()


TestWebSocketPromises = WebSocketPromises.TestCase
TestWebSocketPromises.settings = settings(max_examples=QUICK_EXAMPLES, stateful_step_count=30)


@pytest.mark.soak
@pytest.mark.timeout(LONG_LIMIT)
class TestWebSocketPromisesForLong(WebSocketPromises.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=LONG_EXAMPLES, stateful_step_count=50, report_multiple_bugs=False)
