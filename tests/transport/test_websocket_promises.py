"""What GraphQLWsLink promises, through random interleavings of operations, sockets, tokens and time.

The server is real, and does what a rule tells it to: what it has said is on its way until it is brought. After each
step: every operation has ended, or runs on a socket, or waits for one that is being opened (P2, never silent); there is
one socket, and others only as long as something goes over from them, or ends there; with a key each number has arrived
at most once and in order, and where one is missing the link has said so (E92); each token was refreshed once (P1); no
operation went out with another's token (P8). In the end the server does its best, and every subscription is alive.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rxlink.transport.websocket import WebSocketState
from tests.transport.websocket_world import (
    KEEP_ALIVE,
    KEEP_ALIVE_TIMEOUT,
    REFRESH,
    WAIT,
    World,
    serving,
    talking,
    unacknowledged,
)

ANY = st.integers(min_value=0, max_value=63)
CODES = (1000, 1001, 1011, 1012, 4400, 4401, 4403, 4403, 4500)
ENDS = ("complete", "error", "deny", "deny")
STEPS = (0.01, 0.5, WAIT, REFRESH, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, 20.0)
PATIENCE = 20
"""Seconds in which all is well again, once the server does its best."""
QUICK_EXAMPLES = 15
LONG_EXAMPLES = 200 if os.environ.get("RXLINK_SOAK") == "short" else 3_000
LONG_LIMIT = 7200  # seconds


def some(question: Any) -> Any:
    return precondition(lambda machine: bool(question(machine.world)))


class WebSocketPromises(RuleBasedStateMachine):
    world: World

    @initialize(
        life=st.sampled_from((None, None, 20.0)),
        with_key=st.booleans(),
        policy=st.sampled_from(("overlap", "overlap", "overlap", "reconnect", "keep")),
        overlap=st.sampled_from((0.0, 0.0, 0.5)),
        count=st.integers(min_value=1, max_value=3),
    )
    def begin(self, life: float | None, with_key: bool, policy: str, overlap: float, count: int) -> None:
        self.world = World(life=life, with_key=with_key, on_new_token=policy, overlap=overlap)
        for _ in range(count):
            self.world.start("subscription")
        self.all_goes_well(1)

    # -- operations

    @rule(
        kind=st.sampled_from(("subscription", "subscription", "subscription", "query", "mutation")),
        is_stubborn=st.booleans(),
    )
    def start(self, kind: str, is_stubborn: bool) -> None:
        self.world.start(kind, is_stubborn=is_stubborn)

    @some(lambda world: world.running)
    @rule(which=ANY)
    def leave(self, which: int) -> None:
        running = self.world.running
        self.world.time.call(running[which % len(running)].leave)
        self.world.look()

    # -- the server

    @some(unacknowledged)
    @rule(which=ANY, how=st.sampled_from(("well", "well", "well", "well", 4401, 4403, "connection_error")))
    def take_in(self, which: int, how: Any) -> None:
        peers = unacknowledged(self.world)
        peer = peers[which % len(peers)]
        if how == "well":
            self.world.do(peer.acknowledge())
        elif how == "connection_error":
            self.world.do(peer.connection.send({"type": "connection_error", "payload": {"message": "who?"}}))
        else:
            self.close(which, how)

    @rule(times=st.integers(min_value=1, max_value=3))
    def publish(self, times: int) -> None:
        for _ in range(times):
            self.world.publish()

    @some(talking)
    @rule(which=ANY, count=st.sampled_from((1, 1, 2, 5, 100)))
    def bring(self, which: int, count: int) -> None:
        peers = talking(self.world)
        peer = peers[which % len(peers)]
        for _ in range(min(count, len(peer.pipe))):
            self.world.do(peer.bring())

    @some(serving)
    @rule(which=ANY)
    def begin_operations(self, which: int) -> None:
        peers = serving(self.world)
        peers[which % len(peers)].begin()

    @some(serving)
    @rule(
        which=ANY, operation=ANY, how=st.sampled_from(("complete", "error", "deny", "deny")), is_brought=st.booleans()
    )
    def end_operation(self, which: int, operation: int, how: str, *, is_brought: bool) -> None:
        peers = serving(self.world)
        peer = peers[which % len(peers)]
        peer.end(list(peer.running)[operation % len(peer.running)], how)
        while is_brought and peer.pipe and peer.is_open:
            self.world.do(peer.bring())

    @rule(numbers=st.integers(min_value=0, max_value=3))
    def all_goes_well(self, numbers: int) -> None:
        """The server takes everybody in, publishes something, and nothing stays on the way."""
        self.world.serve()
        for peer in self.world.open_peers():
            peer.begin()
        for _ in range(numbers):
            self.world.publish()
        self.world.serve()

    @some(lambda world: world.login and world.server.refusal is None and not world.server.is_silent)
    @rule(numbers=st.integers(min_value=0, max_value=2), more=st.integers(min_value=0, max_value=2))
    def two_sockets_stand(self, numbers: int, more: int) -> None:
        """The way to what is rare: a token is new, and nothing is brought yet on either socket."""
        self.world.serve()
        self.get_a_new_token()
        for peer in unacknowledged(self.world):
            self.world.do(peer.acknowledge())
        for _ in range(numbers):
            self.world.publish()
        for peer in self.world.open_peers():
            peer.begin()
        for _ in range(more):
            self.world.publish()

    @rule(
        which=ANY,
        trouble=st.one_of(
            st.sampled_from(CODES),
            st.sampled_from(("abort", "abort", "hang up", "stall")),
            st.sampled_from(("sign out", "sign in")),
            st.sampled_from((401, 503, "silence", "nothing", "nothing")),
        ),
    )
    def trouble(self, which: int, trouble: Any) -> None:
        if trouble in {401, 503, "silence", "nothing"}:
            self.treat_handshakes(trouble)
        elif trouble in {"sign out", "sign in"}:
            self.change_login(is_out=trouble == "sign out")
        elif self.world.open_peers() and isinstance(trouble, int):
            self.close(which, trouble)
        elif self.world.open_peers():
            self.break_off(which, trouble)

    def close(self, which: int, code: int) -> None:
        peers = self.world.open_peers()
        peer = peers[which % len(peers)]
        if not peer.is_stalled:
            peer.pipe.clear()
            self.world.do(peer.connection._socket._writer.close(code, b"because"))

    def break_off(self, which: int, how: str) -> None:
        peers = self.world.open_peers()
        peer = peers[which % len(peers)]
        peer.pipe.clear()
        if how == "stall":
            peer.is_stalled = True
            peer.connection.stall()
        else:
            self.world.time.call(peer.connection.abort if how == "abort" else peer.connection.hang_up)
        self.world.look()

    def treat_handshakes(self, how: Any) -> None:
        self.world.server.refusal = how if isinstance(how, int) else None
        self.world.server.is_silent = how == "silence"

    # -- tokens and time

    @some(lambda world: world.login)
    @rule()
    def get_a_new_token(self) -> None:
        self.world.do(self.world.session.refresh(force=True))

    def change_login(self, *, is_out: bool) -> None:
        if is_out:
            self.world.sign_out()
        else:
            self.world.sign_in()

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.world.time.advance(seconds)
        self.world.look()

    # -- promises

    @invariant()
    def p2_no_operation_is_silent(self) -> None:
        world = self.world
        client = world.client
        served = {op.name for peer in world.open_peers() for op in peer.running.values()}
        # What the server has said about an end is on its way.
        ending = {name for peer in world.open_peers() if peer.pipe or peer.is_stalled for name in peer.ended}
        # One that is stalled has not heard yet what began there.
        is_awaited = (
            client._sockets.opening or client._parting.is_under_way or any(p.is_stalled for p in world.open_peers())
        )
        for op in world.running:
            assert is_awaited or op.name in served | ending, f"P2: {op.name} is nowhere"
        assert {op.name for op in world.running} == {live.operation.operation_name for live in client.operations.all()}

    @invariant()
    def there_is_one_socket_and_others_only_for_a_while(self) -> None:
        client = self.world.client
        handover = client._sockets.handover
        allowed = {client._sockets.current, client._sockets.opening} - {None}
        for socket in client._sockets._retiring:
            is_handed_over = handover is not None and handover.older is socket
            assert is_handed_over or socket.conversation.receivers, "a socket is kept for nobody"
        assert not any(socket.is_over for socket in (*allowed, *client._sockets._retiring)), (
            "a dead socket counts as open"
        )
        open_ones = [peer for peer in self.world.open_peers() if peer.is_acknowledged and not peer.is_stalled]
        assert len(open_ones) <= len(allowed) + len(client._sockets._retiring) + len(client._sockets._closing)

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
    def e92_what_is_missing_was_told(self) -> None:
        if self.world.client._sockets.handover is not None:
            return  # it is told at the end of the overlap, where the older socket was lost in it
        for op in self.world.ops.values():
            assert op.jumps <= op.gaps or op.end is not None, f"{op.name} misses numbers: {op.numbers}"

    @invariant()
    def with_a_key_each_number_comes_once_and_in_order(self) -> None:
        for op in self.world.ops.values():
            if self.world.with_key:
                assert sorted(set(op.numbers)) == op.numbers, f"{op.name} has {op.numbers}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        try:
            self.the_server_does_its_best()
            world.errors_left = 0
            world.time.run(world.link.aclose())
            assert [] == world.running
            world.time.run(world.session.aclose())
            world.time.run(world.server.__aexit__(None, None, None))
            world.time.settle()
            assert [] == world.time.leftovers()
            assert [] == world.complaints
        finally:
            world.time.close()

    def the_server_does_its_best(self) -> None:
        world = self.world
        world.server.refusal, world.server.is_silent = None, False
        for _ in range(PATIENCE):
            self.world.serve()
            world.time.advance(1.0)
            world.look()
        self.world.serve()
        before = {op.name: len(op.numbers) for op in world.running}
        for peer in world.open_peers():
            peer.begin()
        world.publish()
        self.world.serve()
        for op in world.running:
            is_silent = op.kind == "subscription" and len(op.numbers) == before[op.name]
            assert not is_silent, f"P2: {op.name} is silent"
        self.p2_no_operation_is_silent()


TestWebSocketPromises = WebSocketPromises.TestCase
TestWebSocketPromises.settings = settings(max_examples=QUICK_EXAMPLES, stateful_step_count=30)


@pytest.mark.soak
@pytest.mark.timeout(LONG_LIMIT)
class TestWebSocketPromisesForLong(WebSocketPromises.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=LONG_EXAMPLES, stateful_step_count=50, report_multiple_bugs=False)
