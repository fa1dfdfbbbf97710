"""The books about one operation: what it got, from which socket, and whether what the link has told of that is true.

Each result bears the number that was published, and the socket on which it was said. So for each result it is certain
whether one is missing before it, whether it comes twice, and whether it comes from a socket that was left already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rxlink import FetchResult
from rxlink.transport.websocket import Resubscribed

if TYPE_CHECKING:
    from tests.transport.websocket_peer import Peer
    from tests.transport.websocket_world import World

KEEP_ALIVE_TIMEOUT = 2.0
"""Seconds that the server has to answer a ping."""
PROBATION = 10.0
"""Seconds for which a socket has to stand before a denial counts as the end of a good token."""


class Ride:
    """An operation on one socket, as its server has it.

    Attributes:
        peer: The server's end of the socket.
        before: The ride before, None for the first.
        at: When it began.
        is_overlap: Whether the one before went on meanwhile.
        numbers: What came from there.
        is_told: Whether the link has told that the operation goes on here.
        is_certain: Whether it has told so when nothing could come twice any more.
        has_no_gap: Whether it has told that nothing was lost on the way here.
        may_repeat: Whether it has told that results may come twice.
        was_denied: Whether the server's denial has arrived.
    """

    def __init__(self, peer: Peer, before: Ride | None, at: float, *, is_overlap: bool) -> None:
        self.peer = peer
        self.before = before
        self.at = at
        self.is_overlap = is_overlap
        self.numbers: list[int] = []
        self.is_told = self.is_certain = self.has_no_gap = self.may_repeat = self.was_denied = False


class Op:
    """An operation, as its subscriber sees it.

    Attributes:
        login: Who was signed in when it began; 0 for nobody.
        rides: The sockets on which it was sent.
        numbers: What has arrived.
        first: The first number that the server has said to it.
        end: Its error, "completed" or "left"; None while it runs.
        untold_gaps: Since when something is missing of which nothing was told yet, and on which ride that was seen.
        has_untold_repeats: Whether something has come twice of which nothing was told yet.
    """

    def __init__(self, world: World, kind: str, begin_again: Callable[[str], None] | None) -> None:
        self._world = world
        self._begin_again = begin_again
        self.name = f"Op{len(world.ops)}"
        self.kind = kind
        self.login = world.login
        self.rides: list[Ride] = []
        self.numbers: list[int] = []
        self.first: int | None = None
        self.end: Any = None
        self.untold_gaps: list[tuple[float, Ride]] = []
        self.has_untold_repeats = False
        self.subscription: Any = None
        self._was_told_since = False  # of a gap, since the last number
        self._resent = self._denials = 0

    # -- what the subscriber sees

    def on_next(self, result: FetchResult) -> None:
        self._check(self.end is None, "gets a result after its end")
        data = result.get("data")
        if data is not None:
            ride = next((ride for ride in self.rides if ride.peer.place == data["on"]), None)
            if ride is None:
                self._check(False, f"gets {data} from a socket on which it was never sent")
            else:
                self._take(data["tick"], ride)

    def on_error(self, error: Exception) -> None:
        self._check(self.end is None, "ends twice")
        self.end = error
        if self._begin_again is not None:
            self._begin_again(self.kind)

    def on_completed(self) -> None:
        self._check(self.end is None, "ends twice")
        self.end = "completed"

    def leave(self) -> None:
        self.end = "left"
        self.subscription.dispose()

    def _take(self, number: int, ride: Ride) -> None:
        heard = [other for other in self.rides if other.numbers]
        self._check(not heard or self.rides.index(heard[-1]) <= self.rides.index(ride), "hears a socket it has left")
        self._check(not ride.numbers or ride.numbers[-1] < number, f"has {number} twice from one socket")
        awaited = max(self.numbers) + 1 if self.numbers else self.first or number
        if number > awaited:
            self._miss(number, ride, is_same=bool(ride.numbers) or ride.before is None)
        elif number in self.numbers:
            self._check(not self._world.with_key, f"has {number} twice, with a key")
            self.has_untold_repeats = self.has_untold_repeats or not ride.may_repeat
        else:
            self._check(number == awaited, f"has {number} too late")
        ride.numbers.append(number)
        self.numbers.append(number)
        self._was_told_since = False

    def _miss(self, number: int, ride: Ride, *, is_same: bool) -> None:
        self._check(not is_same, f"misses what came before {number}, on one and the same socket")
        if not self._was_told_since:
            self._check(not ride.has_no_gap, f"misses what came before {number}, and was told that nothing is missing")
            self.untold_gaps.append((self._world.now, ride))

    # -- what the link tells

    def told(self, event: Resubscribed) -> None:
        if not self.rides:
            return  # the server has never heard of it
        ride = self.rides[-1]
        if event.may_have_gap:
            self._check(self._may_be_gap(ride), "was told of a gap, though nothing has disturbed it")
            self._was_told_since = True
            self.untold_gaps.clear()
        elif ride.is_overlap:
            self._check(
                all(other is not ride for _, other in self.untold_gaps), "misses something, and was told no gap"
            )
            ride.has_no_gap = True
        if event.may_have_duplicates:
            self._check(not self._world.with_key, "was told that something may come twice, with a key")
            self.has_untold_repeats, ride.may_repeat = False, True
        self._check(not self.has_untold_repeats, "has something twice, and was told that nothing does")
        ride.is_certain = not ride.is_told and not self._may_be_gap(ride)
        ride.is_told = True

    def _may_be_gap(self, ride: Ride) -> bool:
        """Tell whether results may be lost since the operation was sent on its socket, or before."""
        before, world = ride.before, self._world
        if before is None or not ride.is_overlap or ride.is_told:
            return True
        was_lost = before.before is not None and not before.is_overlap
        if was_lost and world.now - before.at < world.longest_handover:
            return True  # of which it is told only now
        return (
            world.now - ride.at >= KEEP_ALIVE_TIMEOUT
            or before.peer.is_disturbed
            or ride.peer.is_disturbed
            or ride.peer is not world.newest()
            or ride.peer.said >= world.most_held
        )

    def was_asked_for_key(self) -> None:
        ride = self.rides[-1]
        is_known = all(not peer.is_stalled for peer in self._world.peers)  # else not all was heard
        self._check(
            not is_known or (ride.is_overlap and not ride.is_certain), "has its keys looked at outside of an overlap"
        )

    # -- what the server hears

    def rides_on(self, peer: Peer) -> None:
        self._check(all(ride.peer is not peer for ride in self.rides), "was sent twice on one socket")
        going_on = [ride for ride in self.rides if ride.peer.has_client_running(self)]
        before = (going_on or self.rides or [None])[-1]
        if before is not None and not going_on:
            self._sent_again(before)
        self.rides.append(Ride(peer, before, self._world.now, is_overlap=bool(going_on)))

    def _sent_again(self, before: Ride) -> None:
        if before.peer.age >= PROBATION or self._world.life is not None:
            self._denials = 0
        elif before.was_denied:
            self._denials += 1
            self._check(self._denials <= 1, "was denied twice, and is sent a third time")
        if not before.was_denied:
            self._resent += 1
            most = int(self._world.retries_mutations)
            self._check(self.kind != "mutation" or self._resent <= most, f"was sent again {self._resent} times")

    def was_denied_on(self, peer: Peer) -> None:
        """Take note of a denial, unless it is held back, as long as an older socket goes on."""
        if not any(ride.peer.has_client_running(self) for ride in self.rides):
            for ride in self.rides:
                ride.was_denied = ride.was_denied or ride.peer is peer

    def _check(self, is_right: bool, fault: str) -> None:
        if not is_right:  # raised here, the link would take it for the subscriber's
            self._world.faults.append(f"{self.name} {fault}: {self.numbers}")
