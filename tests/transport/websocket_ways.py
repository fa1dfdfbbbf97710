"""Ways by which GraphQLWsLink comes to what is rare: the midst of going over to another socket, and a second denial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.transport.websocket_books import KEEP_ALIVE_TIMEOUT
from tests.transport.websocket_moves import ANY, FEW, KINDS, Moves
from tests.transport.websocket_peer import Peer
from tests.transport.websocket_world import REFRESH, WAIT, is_serving, is_waiting

STEPS_OF_HANDOVER = 7
DISTURBANCE = st.sampled_from((
    "nothing", "token", "another", "another", "third", "third", "timeout", "older abort", "older 1012",
    "older stall", "newer abort", "newer abort", "newer 4401", "older deny", "older deny", "newer deny", "leave",
    "login",
))  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How subscriptions go over to a newer socket.

    Attributes:
        begins_well: Whether nothing is on its way before.
        numbers: How often something is published before each step.
        haste: On which sockets all arrives before each step.
        slow_step: The one in whose place nothing happens for as long as the server may take for an answer.
        ends_well: Whether all goes well at last.
    """

    begins_well: bool
    numbers: list[int]
    haste: list[set[str]]
    slow_step: int | None
    ends_well: bool


WAY = st.builds(
    Way,
    begins_well=st.sampled_from((True, True, False)),
    numbers=st.lists(FEW, min_size=STEPS_OF_HANDOVER, max_size=STEPS_OF_HANDOVER),
    haste=st.lists(
        st.sets(st.sampled_from(("older", "newer"))), min_size=STEPS_OF_HANDOVER, max_size=STEPS_OF_HANDOVER
    ),
    slow_step=st.sampled_from((None, None, None, None, 2, 3, 4, 5)),
    ends_well=st.booleans(),
)


class Ways(Moves):
    """Several things in a row, each of which may go another way."""

    @rule(way=WAY, steps=st.sampled_from((1, 1, 2, 3, 4, 5, 5, 6, 7)), what=DISTURBANCE, which=ANY)
    def go_over_disturbed(self, way: Way, steps: int, what: str, which: int) -> None:
        """A newer token leads so far, then something happens."""
        older, newer = self.go_over(way, steps)
        if older is not None and newer is not None:
            self.happen(what, older, newer, which)
            self.world.publish(way.numbers[-1])
        if way.ends_well:
            self.all_goes_well(1)

    @rule(way=WAY)
    def go_over_undisturbed(self, way: Way) -> None:
        self.go_over(way, STEPS_OF_HANDOVER)
        self.world.publish(way.numbers[-1])

    def go_over(self, way: Way, steps: int) -> tuple[Peer | None, Peer | None]:
        """Have subscriptions go over to a socket with a newer token, so far; return both."""
        world = self.world
        self.treat_handshakes("nothing")
        if not world.login:
            world.sign_in()
        if not any(op.kind == "subscription" for op in world.running):
            world.start("subscription")
        if way.begins_well:
            world.start("query")
            world.serve()
        world.get_a_new_token()
        older, newer = world.newest(), next(filter(is_waiting, reversed(world.peers)), None)
        if older is None or newer is None:
            return None, None
        for step in range(steps):
            world.publish(way.numbers[step])
            for peer in [{"older": older, "newer": newer}[whose] for whose in sorted(way.haste[step])]:
                self.bring_all(peer)
            if step == way.slow_step:
                world.advance(KEEP_ALIVE_TIMEOUT)
            else:
                self.take_step(step, older, newer)
        return older, newer

    def take_step(self, step: int, older: Peer, newer: Peer) -> None:
        """Take the next step of a handover."""
        match step:
            case 0 if is_waiting(newer):
                self.world.do(newer.acknowledge())
            case 1 | 5:
                newer.work()
            case 2 | 6:
                self.world.do(newer.bring_pong())
                self.world.advance(self.world.overlap)
            case 3 if not older.is_stalled:
                older.work()
            case 4:
                self.bring_all(older)

    def happen(self, what: str, older: Peer, newer: Peer, which: int) -> None:
        whose, _, how = what.rpartition(" ")
        peer = newer if whose == "newer" else older
        if how == "deny":
            self.deny_subscription(peer, which)
        elif whose:
            self.disturb(peer, int(how) if how.isdigit() else how)
        else:
            {
                "nothing": self.world.look,
                "token": self.world.get_a_new_token,
                "login": self.world.sign_in,
                "timeout": lambda: self.world.advance(KEEP_ALIVE_TIMEOUT),
                "another": lambda: self.open_another(newer),
                "third": lambda: self.open_third(newer),
                "leave": lambda: self.world.running and self.leave(which),
            }[how]()

    def open_another(self, newer: Peer) -> None:
        """The newer socket is slow, and there is a token that is newer still."""
        self.world.advance(KEEP_ALIVE_TIMEOUT)
        self.world.get_a_new_token()
        self.take_all_in()
        self.bring_all(newer)

    def deny_subscription(self, peer: Peer, which: int) -> None:
        subscriptions = [identity for identity, op in peer.running.items() if op.kind == "subscription"]
        if subscriptions and is_serving(peer):
            peer.end(subscriptions[which % len(subscriptions)], "deny")
            self.bring_all(peer)

    def open_third(self, newer: Peer) -> None:
        """A query is denied on the newer socket, and makes the link open one that is newer still."""
        self.world.start("query")
        newer.work()
        self.end_on(newer, len(newer.running) - 1, "deny")
        self.bring_all(newer)
        self.world.advance(REFRESH)
        self.take_all_in()

    def take_all_in(self) -> None:
        for peer in filter(is_waiting, self.world.peers):
            self.world.do(peer.acknowledge())

    @rule(
        kind=st.sampled_from(KINDS),
        how=st.sampled_from(("deny", "deny", 1012, 4401, "401")),
        times=st.integers(min_value=2, max_value=3),
    )
    def again_and_again(self, kind: str, how: Any, times: int) -> None:
        """What was sent again, or is opened with a fresh token, fares no better."""
        self.treat_handshakes("nothing")
        self.world.start(kind)
        self.world.serve()
        self.world.watches_refusals = True
        for _ in range(times):
            peers = [peer for peer in self.world.peers if is_serving(peer)]
            if how == "401":
                self.treat_handshakes(how)
            if peers and how == "deny":
                self.end_on(peers[-1], -1, "deny")
                self.bring_all(peers[-1])
            elif peers:
                self.disturb(peers[-1], "abort" if how == "401" else how)
            self.world.advance(max(WAIT, REFRESH))
            self.world.serve()
        self.world.forget_refusals()
        self.treat_handshakes("nothing")
