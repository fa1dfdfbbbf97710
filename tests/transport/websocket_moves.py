"""What can happen to GraphQLWsLink, one thing at a time: what operations, servers, tokens and time do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.transport.websocket_books import KEEP_ALIVE_TIMEOUT
from tests.transport.websocket_peer import Peer
from tests.transport.websocket_world import (
    KEEP_ALIVE,
    REFRESH,
    WAIT,
    World,
    is_busy,
    is_serving,
    is_talking,
    is_waiting,
)

ANY = st.integers(min_value=0, max_value=63)
FEW = st.integers(min_value=0, max_value=2)
CODES = (1000, 1001, 1011, 1012, 4400, 4401, 4403, 4403, 4500)
KINDS = ("subscription", "subscription", "subscription", "query", "mutation")
ENDS = ("complete", "error", "deny", "deny")
STEPS = (0.01, 0.5, WAIT, REFRESH, KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, 20.0)


def some(question: Callable[[Peer], bool]) -> Any:
    return precondition(lambda machine: any(question(peer) for peer in machine.world.peers))


class Moves(RuleBasedStateMachine):
    """A link in its world, and what is done to it."""

    world: World

    @initialize(
        life=st.sampled_from((None, None, None, 20.0)),
        with_key=st.booleans(),
        on_new_token=st.sampled_from(("overlap", "overlap", "overlap", "overlap", "reconnect", "keep")),
        overlap=st.sampled_from((0.0, 0.0, 0.5)),
        echoes=st.booleans(),
        retries_mutations=st.booleans(),
        most_held=st.sampled_from((10_000, 10_000, 10_000, 4)),
        count=st.integers(min_value=1, max_value=3),
    )
    def begin(self, count: int, **options: Any) -> None:
        self.world = World(**options)
        for _ in range(count):
            self.world.start("subscription")
        self.all_goes_well(1)

    def one(self, question: Callable[[Peer], bool], which: int) -> Peer:
        peers = [peer for peer in self.world.peers if question(peer)]
        return peers[which % len(peers)]

    # -- operations

    @rule(kind=st.sampled_from(KINDS), is_stubborn=st.booleans())
    def start(self, kind: str, is_stubborn: bool) -> None:
        self.world.start(kind, is_stubborn=is_stubborn)

    @precondition(lambda machine: machine.world.running)
    @rule(which=ANY)
    def leave(self, which: int) -> None:
        running = self.world.running
        self.world.time.call(running[which % len(running)].leave)
        self.world.look()

    # -- the server

    @some(is_waiting)
    @rule(which=ANY, how=st.sampled_from(("well", "well", "well", "well", 4401, 4403, "connection_error")))
    def take_in(self, which: int, how: Any) -> None:
        peer = self.one(is_waiting, which)
        if how == "well":
            self.world.do(peer.acknowledge())
        elif how == "connection_error":
            self.world.doubted.add(peer.token)
            self.world.do(peer.connection.send({"type": "connection_error", "payload": {"message": "who?"}}))
        else:
            self.disturb(peer, how)

    @rule(times=st.integers(min_value=1, max_value=3))
    def publish(self, times: int) -> None:
        self.world.publish(times)

    @some(is_busy)
    @rule(which=ANY, count=st.sampled_from((1, 1, 2, 5, 100)), works=st.booleans())
    def go_on(self, which: int, count: int, *, works: bool) -> None:
        """A server does some of what it was asked, or some of what it has said arrives."""
        peer = self.one(is_busy, which)
        if works and not peer.is_stalled:
            peer.work(count)
        elif is_talking(peer):
            self.world.do(peer.bring(count))

    @some(is_serving)
    @rule(which=ANY, operation=ANY, how=st.sampled_from(ENDS), is_brought=st.booleans())
    def end_operation(self, which: int, operation: int, how: str, *, is_brought: bool) -> None:
        peer = self.one(is_serving, which)
        self.end_on(peer, operation, how)
        if is_brought:
            self.bring_all(peer)

    @rule(numbers=FEW)
    def all_goes_well(self, numbers: int) -> None:
        """The server takes everybody in, publishes something, and nothing stays on the way."""
        self.world.serve()
        self.world.publish(numbers)
        self.world.serve()

    # -- what disturbs

    @rule(
        which=ANY,
        trouble=st.one_of(
            st.sampled_from(CODES),
            st.sampled_from(("abort", "abort", "hang up", "stall")),
            st.sampled_from(("sign out", "sign in", "newer token")),
            st.sampled_from(("401", "503", "silence", "nothing", "nothing")),
        ),
    )
    def trouble(self, which: int, trouble: Any) -> None:
        world = self.world
        if trouble in {"401", "503", "silence", "nothing"}:
            self.treat_handshakes(trouble)
        elif trouble in {"sign out", "sign in", "newer token"}:
            {"sign out": world.sign_out, "sign in": world.sign_in, "newer token": world.get_a_new_token}[trouble]()
        elif world.open_peers():
            self.disturb(self.one(lambda peer: peer.is_open, which), trouble)

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    def treat_handshakes(self, how: str) -> None:
        if self.world.server.refusal is not None or how != "nothing":
            self.world.doubted.add(self.world.token)
        self.world.server.refusal = int(how) if how.isdigit() else None
        self.world.server.is_silent = how == "silence"

    def disturb(self, peer: Peer, how: Any) -> None:
        if not peer.is_open:
            return
        if not isinstance(how, int):
            self.world.time.call(peer.break_off, how)
            self.world.look()
        elif not peer.is_stalled:
            self.world.do(peer.close(how))

    def end_on(self, peer: Peer, operation: int, how: str) -> None:
        if is_serving(peer):
            peer.end(list(peer.running)[operation % len(peer.running)], how)

    def bring_all(self, peer: Peer) -> None:
        if is_talking(peer):
            self.world.do(peer.bring())
