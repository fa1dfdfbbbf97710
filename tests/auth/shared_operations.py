"""Operations of hosts, and the server that answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rxlink.core.chain import execute
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import ServerError
from tests.auth.shared_records import LIFE, Minted

if TYPE_CHECKING:
    from tests.auth.shared_host import Host
    from tests.auth.shared_world import World


class Op:
    """One operation and its subscriber.

    Attributes:
        began: When.
        waits_since: Since when it waits for the session, by the time that its host has run.
        sends: With what it was sent.
        ends: How it ended: an error, or None.
    """

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        self.id = number
        self.began = host.world.now
        self.waits_since = host.awake
        self.sends: list[tuple[float, Minted | None]] = []
        self.results: list[Any] = []
        self.ends: list[Exception | None] = []
        self.has_left = False
        self.attempt: Attempt | None = None
        self._subscription: Any = None

    def __str__(self) -> str:
        return f"operation {self.id}"

    @property
    def is_open(self) -> bool:
        return not self.ends and not self.has_left

    @property
    def waits(self) -> bool:
        """Whether it waits for the session: open, and not at the server."""
        return self.is_open and (self.attempt is None or self.attempt.is_over)

    def subscribe(self) -> None:
        request = GraphQLRequest(f"query Work{self.id} {{ work }}", {"id": self.id})
        self._subscription = execute(self.host.chain, request).subscribe(self)

    def leave(self) -> None:
        if self.is_open and self._subscription is not None:
            self.host.world.tell(f"{self} leaves")
            self.has_left = True
            self.host.run(self._subscription.dispose)

    def on_next(self, result: Any) -> None:
        self.results.append(result)

    def on_error(self, error: Exception) -> None:
        self.ends.append(error)
        self.host.world.tell(f"{self} fails: {type(error).__name__}: {error}")
        self.host.world.check_failure(self, error)

    def on_completed(self) -> None:
        self.ends.append(None)
        self.host.world.tell(f"{self} is done")


class Attempt:
    """One send, until it is answered."""

    def __init__(self, op: Op, pair: Minted | None, observer: ResultObserver, root: Subscription) -> None:
        self.op = op
        self._pair = pair
        self._observer = observer
        self._root = root
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True

    def answer(self, how: str) -> None:
        """Answer as deserved, or refuse."""
        if self.is_over or not self.op.host.gate.is_open:
            return
        pair, now = self._pair, self.op.host.world.now
        is_good = pair is None or not (pair.is_revoked or now >= pair.born + LIFE)
        self.op.waits_since = self.op.host.awake
        self.op.host.run_inside(lambda: self._root.resume(self._accept if is_good else self._refuse))

    def _accept(self) -> None:
        self._end()
        self._observer.on_next({"data": {"work": self.op.id}})
        self._observer.on_completed()

    def _refuse(self) -> None:
        self.op.host.world.tell(f"{self.op} is refused")
        if self._pair is not None:
            self._pair.is_refused = True
        self._end()
        self._observer.on_error(ServerError("401", status_code=401, headers={}, body_text=""))

    def _end(self) -> None:
        self.is_over = True
        self._root.release()


class Server(ApolloLink):
    """The end of every chain."""

    is_terminating = True

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def connect(self, forward: Forward) -> Connect:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            world = self._world
            op = world.ops[operation.variables["id"]]
            header = (operation.get_context().get("headers") or {}).get("authorization")
            pair = None if header is None else world.minted[header.removeprefix("Bearer ")]
            world.tell(f"{op} is sent with {None if pair is None else pair.access}")
            op.sends.append((world.now, pair))
            world.check_send(op, pair)
            op.attempt = Attempt(op, pair, observer, root)
            root.hold(op.attempt)
            if world.options.server == "at once":
                op.attempt.answer("as deserved")

        return start
