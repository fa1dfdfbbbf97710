"""A server's end of one socket, which hears, does and brings only what it is told to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from tests.transport.websocket_bench import UNAUTHENTICATED
from tests.transport.websocket_books import Op
from tests.transport.websocket_server import Connection

if TYPE_CHECKING:
    from tests.transport.websocket_world import World

LAG = 0.4
"""Seconds after which a slow server begins a subscription."""


class Peer:
    """The server's end of one socket: what it has heard waits to be done, and what it says is on its way.

    Attributes:
        place: The how-manieth socket it is.
        login: Whose token the client has shown; 0 for none, None as long as it has shown nothing.
        token: What the client has shown.
        acknowledged_at: When it has taken the client in; None as long as it has not.
        is_stalled: Whether it reads nothing any more.
        is_disturbed: Whether results may be lost on it.
        inbox: What it has heard, and not done yet.
        running: The operations that run there, by id.
        for_client: Those that run there as far as the client knows.
        unneeded_since: Since when none does; None while one does.
        ended: The names of those that the server has ended.
        pipe: What it has said, and has not arrived yet.
        said: How many results it has said.
    """

    def __init__(self, world: World, connection: Connection) -> None:
        self._world = world
        self._heard = 0
        self._begins_at: dict[str, float] = {}
        self.connection = connection
        self.place = len(world.peers)
        self.token = ""
        self.login: int | None = None
        self.acknowledged_at: float | None = None
        self.is_stalled = self.is_disturbed = False
        self.inbox: deque[dict[str, Any]] = deque()
        self.running: dict[str, Op] = {}
        self.for_client: dict[str, Op] = {}
        self.unneeded_since: float | None = None
        self.ended: set[str] = set()
        self.pipe: deque[dict[str, Any]] = deque()
        self.said = 0

    @property
    def is_open(self) -> bool:
        return not self.connection.is_closed

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged_at is not None

    @property
    def age(self) -> float:
        return 0.0 if self.acknowledged_at is None else self._world.now - self.acknowledged_at

    # -- what it hears

    def hear(self) -> None:
        """Take in what the client has said."""
        for message in self.connection.received[self._heard :]:
            self._heard += 1
            self._note(message)
            self.inbox.append(message)
        if not self.is_open:
            self.is_disturbed = True
        if self.for_client or not self.is_open:
            self.unneeded_since = None
        elif self.unneeded_since is None:
            self.unneeded_since = self._world.now

    def _note(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                self.token = message.get("payload", {}).get("authorization", "Bearer u0n").removeprefix("Bearer ")
                self.login = int(self.token[1:].split("n")[0])
            case "subscribe":
                op = self._world.ops[message["payload"]["operationName"]]
                assert self.is_acknowledged, "an operation came before the acknowledgement"
                assert self.login == op.login, f"P8: {op.name} of {op.login} was sent with a token of {self.login}"
                op.rides_on(self)
                self.for_client[message["id"]] = op
            case "complete":
                self.for_client.pop(message["id"], None)

    def has_client_running(self, op: Op) -> bool:
        """Tell whether the client hears an operation here, as far as it has said."""
        return self.is_open and op in self.for_client.values()

    # -- what it does

    def work(self, count: int = 1000) -> None:
        """Do so much of what it has heard, in its order."""
        for _ in range(min(count, len(self.inbox))):
            message = self.inbox.popleft()
            match message["type"]:
                case "connection_init":
                    pass
                case "subscribe":
                    self._have_older_begin(message["id"])
                    self.running[message["id"]] = self._world.ops[message["payload"]["operationName"]]
                    self._begins_at[message["id"]] = self._world.now + (LAG if self._world.overlap > LAG else 0.0)
                case "complete":
                    self.running.pop(message["id"], None)
                case "ping":
                    echo = {"payload": message["payload"]} if self._world.echoes and "payload" in message else {}
                    self.pipe.append({"type": "pong"} | echo)
                case kind:
                    raise AssertionError(kind)

    def _have_older_begin(self, identity: str) -> None:
        """Begin an operation on older sockets first, where it came before."""
        for peer in self._world.peers[: self.place]:
            if peer.is_open and any(other.get("id") == identity for other in peer.inbox):
                peer.work()

    def publish(self, number: int) -> None:
        for identity, op in self.running.items():
            if self._begins_at[identity] <= self._world.now and op.kind == "subscription":
                op.first = op.first or number
                self.said += 1
                self._say(identity, "next", {"data": {"tick": number, "on": self.place, "op": op.name}})

    def end(self, identity: str, how: str) -> None:
        """End an operation, as far as the server is concerned."""
        self.ended.add(self.running.pop(identity).name)
        if how == "complete":
            self._say(identity, "complete")
        else:
            self.is_disturbed = True
            self._say(identity, "error", [UNAUTHENTICATED if how == "deny" else {"message": "no"}])

    def _say(self, identity: str, kind: str, payload: Any = None) -> None:
        self.pipe.append({"id": identity, "type": kind} | ({} if payload is None else {"payload": payload}))

    async def bring(self, count: int = 1000) -> None:
        """Let the next messages arrive."""
        for _ in range(min(count, len(self.pipe))):
            message = self.pipe.popleft()
            if not self.is_open or self.connection._socket.closed:
                return
            if message["type"] in {"complete", "error"}:
                self._note_end(message)
            await self.connection.send(message)

    async def bring_pong(self) -> None:
        """Let all arrive up to the next answer to a ping."""
        kinds = [message["type"] for message in self.pipe]
        await self.bring(kinds.index("pong") + 1 if "pong" in kinds else 0)

    def _note_end(self, message: dict[str, Any]) -> None:
        op = self.for_client.pop(message["id"], None)
        if op is not None and message.get("payload") == [UNAUTHENTICATED]:
            op.was_denied_on(self)
            self._world.was_denied = True
            self._world.doubted.add(self.token)

    async def acknowledge(self) -> None:
        self.acknowledged_at = self._world.now
        await self.connection.send({"type": "connection_ack"})

    async def close(self, code: int) -> None:
        """Close it in order."""
        self._forget()
        await self.connection._socket._writer.close(code, b"because")

    def break_off(self, how: str) -> None:
        """Be gone without a word, or say and hear nothing any more."""
        if how == "stall":
            self.is_stalled = self.is_disturbed = True
            self.pipe.clear()
        else:
            self._forget()
        {"abort": self.connection.abort, "hang up": self.connection.hang_up, "stall": self.connection.stall}[how]()

    def _forget(self) -> None:
        """What was said does not arrive, and nobody waits for more."""
        self.is_disturbed = True
        self.pipe.clear()
        self.for_client.clear()
        self._world.doubted.add(self.token)
