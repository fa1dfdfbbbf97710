"""A link, a real server that does what it is told, and the books about both: for the promises of WebSockets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from rxlink import AuthSession, FetchResult, GraphQLRequest, GraphQLWsLink, SessionEnded, TokenSet, execute
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import Resubscribed, WebSocketState
from tests.transport.websocket_bench import UNAUTHENTICATED
from tests.transport.websocket_server import Connection, ScriptedWebSocketServer

WAIT = 1.0
"""Seconds before the link tries again."""
KEEP_ALIVE = 5.0
KEEP_ALIVE_TIMEOUT = 2.0
REFRESH = 1.0
"""Seconds that a refresh takes."""


class Op:
    """An operation, as its subscriber sees it.

    Attributes:
        login: Who was signed in when it began; 0 for nobody.
        numbers: What has arrived.
        end: Its error, "completed" or "left"; None while it runs.
        gaps: How often the link has told that something may be missing.
    """

    def __init__(self, name: str, kind: str, login: int, begin_again: Callable[[str], None] | None) -> None:
        self.name = name
        self._begin_again = begin_again
        self.kind = kind
        self.login = login
        self.numbers: list[int] = []
        self.end: Any = None
        self.gaps = 0
        self.subscription: Any = None

    def on_next(self, result: FetchResult) -> None:
        assert self.end is None, f"{self.name} gets a result after its end"
        if result.get("data") is not None:
            self.numbers.append(result["data"]["tick"])

    def on_error(self, error: Exception) -> None:
        assert self.end is None, f"{self.name} ends twice"
        self.end = error
        if self._begin_again is not None:
            self._begin_again(self.kind)

    def on_completed(self) -> None:
        assert self.end is None, f"{self.name} ends twice"
        self.end = "completed"

    def leave(self) -> None:
        self.end = "left"
        self.subscription.dispose()

    @property
    def jumps(self) -> int:
        """How often numbers are missing."""
        return sum(after > before + 1 for before, after in zip(self.numbers, self.numbers[1:], strict=False))


class Peer:
    """The server's end of one socket; what it says is on its way for as long as it pleases.

    Attributes:
        login: Whose token the client has shown; 0 for none, None as long as it has shown nothing.
        running: The operations that run there; those that have begun get what is published.
        ended: The names of those that the server has ended.
    """

    def __init__(self, world: World, connection: Connection) -> None:
        self._world = world
        self._heard = 0
        self.connection = connection
        self.login: int | None = None
        self.is_acknowledged = False
        self.is_stalled = False
        self.running: dict[str, Op] = {}
        self.begun: set[str] = set()
        self.ended: set[str] = set()
        self.pipe: deque[dict[str, Any]] = deque()

    @property
    def is_open(self) -> bool:
        return not self.connection.is_closed

    def hear(self) -> None:
        """Take in what the client has said."""
        for message in self.connection.received[self._heard :]:
            self._heard += 1
            match message["type"]:
                case "connection_init":
                    token = message.get("payload", {}).get("authorization")
                    self.login = 0 if token is None else int(token.removeprefix("Bearer u").split("n")[0])
                case "subscribe":
                    op = self._world.ops[message["payload"]["operationName"]]
                    assert self.is_acknowledged, "an operation came before the acknowledgement"
                    assert message["id"] not in self.running, f"{op.name} was sent twice on one socket"
                    assert self.login == op.login, f"P8: {op.name} of {op.login} was sent with a token of {self.login}"
                    self.running[message["id"]] = op
                case "complete":
                    self.running.pop(message["id"], None)
                case "ping":
                    self.begin()  # the server has taken them before it answers
                    self.pipe.append({"type": "pong"})
                case kind:
                    raise AssertionError(kind)

    def begin(self) -> None:
        """Begin the operations of this socket, and those of older ones, which came before."""
        peers = self._world.peers
        for peer in peers[: peers.index(self) + 1]:
            peer.begun |= set(peer.running)

    def publish(self, number: int) -> None:
        for identity, op in self.running.items():
            if identity in self.begun and op.kind == "subscription":
                self.say(identity, "next", {"data": {"tick": number}})

    def say(self, identity: str, kind: str, payload: Any = None) -> None:
        self.pipe.append({"id": identity, "type": kind} | ({} if payload is None else {"payload": payload}))

    def end(self, identity: str, how: str) -> None:
        """End an operation, as far as the server is concerned."""
        self.ended.add(self.running.pop(identity).name)
        if how == "complete":
            self.say(identity, "complete")
        else:
            self.say(identity, "error", [UNAUTHENTICATED if how == "deny" else {"message": "no"}])

    async def bring(self) -> None:
        """Let the next message arrive."""
        message = self.pipe.popleft()
        if self.is_open and not self.connection._socket.closed:
            await self.connection.send(message)

    async def acknowledge(self) -> None:
        self.is_acknowledged = True
        await self.connection.send({"type": "connection_ack"})


class World:
    """All of it, on one virtual time."""

    def __init__(self, *, life: float | None, with_key: bool, on_new_token: str, overlap: float) -> None:
        self.time = VirtualTime(io_grace=0.001)
        self.server = ScriptedWebSocketServer()
        self.time.run(self.server.__aenter__())
        self.life = life
        self.with_key = with_key
        self.on_new_token = on_new_token
        self.login = 1
        self.logins = 1
        self.number = 0
        self.issued = 0
        self.errors_left = 20
        self.presented: list[str] = []
        self.ops: dict[str, Op] = {}
        self.peers: list[Peer] = []
        self.states: list[WebSocketState] = []
        self.complaints: list[Any] = []
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.session = AuthSession(refresh=self._refresh, tokens=self.tokens(1), clock=self.time.clock)
        self.link = GraphQLWsLink(
            self.server.url,
            auth=self.session,
            dedup_key=(lambda result: result["data"]["tick"]) if with_key else None,
            on_new_token=on_new_token,  # type: ignore[arg-type]
            overlap=overlap,
            keep_alive=KEEP_ALIVE,
            keep_alive_timeout=KEEP_ALIVE_TIMEOUT,
            connection_ack_wait_timeout=KEEP_ALIVE,
            retry_attempts=None,
            retry_wait=lambda retries: WAIT,
            retry_mutations=False,
        )
        self.link.states.subscribe(self.states.append)
        self.link.events.subscribe(self._note)

    def tokens(self, login: int) -> TokenSet:
        self.issued += 1
        return TokenSet(f"u{login}n{self.issued}", refresh_token=f"r{login}n{self.issued}", expires_in=self.life)

    async def _refresh(self, tokens: TokenSet | None, reason: object) -> TokenSet:
        assert tokens is not None
        assert tokens.refresh_token is not None
        assert tokens.refresh_token not in self.presented, "P1: two refreshes for one token"
        self.presented.append(tokens.refresh_token)
        await asyncio.sleep(REFRESH)
        return self.tokens(int(tokens.access_token.removeprefix("u").split("n")[0]))

    def _note(self, event: object) -> None:
        if isinstance(event, Resubscribed):
            for operation in event.operations:
                self.ops[operation.operation_name or ""].gaps += event.may_have_gap

    # -- what can be done

    def do(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.time.run(coroutine)
        self.look()

    def look(self) -> None:
        """Let all happen that can happen now, and take note of it."""
        self.time.settle()
        for connection in self.server.connections[len(self.peers) :]:
            self.peers.append(Peer(self, connection))
        for peer in self.peers:
            peer.hear()

    def serve(self) -> None:
        """Take everybody in, and bring all that is on its way, until nothing is."""
        self.look()
        while unacknowledged(self) or talking(self):
            for peer in unacknowledged(self):
                self.do(peer.acknowledge())
            for peer in talking(self):
                self.do(peer.bring())

    def start(self, kind: str, *, is_stubborn: bool = False) -> None:
        self.time.call(self._begin_stubborn if is_stubborn else self._begin, kind)
        self.look()

    def _begin(self, kind: str, begin_again: Callable[[str], None] | None = None) -> None:
        op = Op(f"Op{len(self.ops)}", kind, self.login, begin_again)
        self.ops[op.name] = op
        op.subscription = execute(self.link, GraphQLRequest(f"{kind} {op.name} {{ tick }}")).subscribe(op)

    def _begin_stubborn(self, kind: str) -> None:
        """Begin an operation that is begun anew by its own error, a few times."""
        self.errors_left -= 1
        self._begin(kind, self._begin_stubborn if self.errors_left > 0 else None)

    def publish(self) -> None:
        self.number += 1
        for peer in self.peers:
            if peer.is_open:
                peer.publish(self.number)

    def sign_in(self) -> None:
        self.logins += 1
        self.login = self.logins
        self._change_login(self.session.set_tokens(self.tokens(self.login)))

    def sign_out(self) -> None:
        self.login = 0
        self._change_login(self.session.clear())

    def _change_login(self, change: Coroutine[Any, Any, None]) -> None:
        running = self.running
        was_nobodys = {op.name for op in running if op.login == 0}
        self.do(change)
        for op in running:
            assert isinstance(op.end, SessionEnded) or op.name in was_nobodys, f"P8: {op.name} has outlived its login"
            if op.name in was_nobodys and op.end is None:
                assert self.login == 0

    @property
    def running(self) -> list[Op]:
        return [op for op in self.ops.values() if op.end is None]

    def open_peers(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.is_open]

    @property
    def client(self) -> Any:
        return self.link._connections._clients.get(self.time.loop)


def unacknowledged(world: World) -> list[Peer]:
    return [peer for peer in world.open_peers() if peer.login is not None and not peer.is_acknowledged]


def talking(world: World) -> list[Peer]:
    return [peer for peer in world.open_peers() if peer.pipe and not peer.is_stalled]


def serving(world: World) -> list[Peer]:
    return [peer for peer in world.open_peers() if peer.running and not peer.is_stalled]
