"""A link, a real server that does what it is told, and the books about both: for the promises of WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

from rxlink import AuthSession, FetchResult, GraphQLRequest, GraphQLWsLink, SessionEnded, TokenSet, execute
from rxlink.auth.events import RefreshReason
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import Resubscribed, WebSocketState
from tests.transport.websocket_books import KEEP_ALIVE_TIMEOUT, PROBATION, Op
from tests.transport.websocket_peer import Peer
from tests.transport.websocket_server import ScriptedWebSocketServer

WAIT = 1.0
"""Seconds before the link tries again."""
KEEP_ALIVE = 5.0
REFRESH = 1.0
"""Seconds that a refresh takes."""


class World:
    """All of it, on one virtual time.

    Args:
        life: Seconds for which a token is good; None for ever.
        with_key: Whether the link has a `dedup_key`.
        on_new_token: Its policy.
        overlap: Of the link; above 0.4 the server begins what it was sent later than it answers a ping.
        echoes: Whether the server says in a pong what came with the ping.
        retries_mutations: Whether the link does.
        most_held: How much the link holds back.

    Attributes:
        faults: What was seen that must not be, where raising would only end an operation.
        was_denied: Whether an operation was denied since the last refresh.
        doubted: The tokens with which something has gone wrong.
        watches_refusals: Whether a second refusal in a row has to end operations.
    """

    def __init__(
        self,
        *,
        life: float | None,
        with_key: bool,
        on_new_token: str,
        overlap: float,
        echoes: bool,
        retries_mutations: bool,
        most_held: int,
    ) -> None:
        self.time = VirtualTime(io_grace=0.001)
        self.server = ScriptedWebSocketServer()
        self.time.run(self.server.__aenter__())
        self._fewer_held = patch("rxlink.transport._ws_operation.MOST_HELD", most_held)
        self._fewer_held.start()
        self.life = life
        self.with_key = with_key
        self.on_new_token = on_new_token
        self.overlap = overlap
        self.echoes = echoes
        self.retries_mutations = retries_mutations
        self.most_held = most_held
        self.login = self.logins = 1
        self.number = self.issued = 0
        self.errors_left = 20
        self.presented: list[str] = []
        self.ops: dict[str, Op] = {}
        self.peers: list[Peer] = []
        self.states: list[WebSocketState] = []
        self.complaints: list[Any] = []
        self.faults: list[str] = []
        self.was_denied = False
        self.doubted: set[str] = set()
        self.watches_refusals = False
        self._refused: set[str] = set()  # who waited for the last refresh of a token that was refused
        self.time.loop.set_exception_handler(lambda _, complaint: self.complaints.append(complaint))
        self.session = AuthSession(refresh=self._refresh, tokens=self._tokens(1), clock=self.time.clock)
        self.link = GraphQLWsLink(
            self.server.url,
            auth=self.session,
            dedup_key=self._key if with_key else None,
            on_new_token=on_new_token,  # type: ignore[arg-type]
            overlap=overlap,
            keep_alive=KEEP_ALIVE,
            keep_alive_timeout=KEEP_ALIVE_TIMEOUT,
            connection_ack_wait_timeout=KEEP_ALIVE,
            retry_attempts=None,
            retry_wait=lambda retries: WAIT,
            retry_mutations=retries_mutations,
        )
        self.link.states.subscribe(self.states.append)
        self.link.events.subscribe(self._note)

    @property
    def now(self) -> float:
        return self.time.monotonic()

    @property
    def longest_handover(self) -> float:
        """Seconds after which all is told, where nothing happens any more."""
        return 3 * KEEP_ALIVE_TIMEOUT + self.overlap + 0.1

    # -- the session, and what the link asks and tells

    def _tokens(self, login: int) -> TokenSet:
        self.issued += 1
        return TokenSet(f"u{login}n{self.issued}", refresh_token=f"r{login}n{self.issued}", expires_in=self.life)

    async def _refresh(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        assert tokens is not None
        assert tokens.refresh_token is not None
        if tokens.refresh_token in self.presented:
            self.faults.append("P1: two refreshes for one token")
        self.presented.append(tokens.refresh_token)
        if reason is RefreshReason.REJECTED:
            self._note_refusal()
        await asyncio.sleep(REFRESH)
        return self._tokens(int(tokens.access_token.removeprefix("u").split("n")[0]))

    def _note_refusal(self) -> None:
        """Take note of who waits for a token in the place of a refused one; nobody does so twice in a row (E91)."""
        is_certain = self.watches_refusals and not self.was_denied and self.life is None
        is_certain = is_certain and not any(peer.for_client for peer in self.open_peers())
        waiting = {op.name for op in self.running if op.rides} if is_certain else set()
        if waiting & self._refused:
            self.faults.append(f"E91: {waiting & self._refused} wait while a fresh token is replaced")
        self._refused = waiting
        self.was_denied = False

    def forget_refusals(self) -> None:
        self.watches_refusals, self._refused = False, set()

    def _key(self, result: FetchResult) -> Any:
        data = result["data"]
        assert data is not None
        self.ops[data["op"]].was_asked_for_key()
        return data["tick"]

    def _note(self, event: object) -> None:
        if isinstance(event, Resubscribed):
            for operation in event.operations:
                self.ops[operation.operation_name or ""].told(event)

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
        if any(peer.is_acknowledged and peer.age >= PROBATION for peer in self.open_peers()):
            self._refused = set()

    def advance(self, seconds: float) -> None:
        self.time.advance(seconds)
        self.look()

    def serve(self) -> None:
        """Take everybody in, do what is asked, and bring all that is on its way, until nothing is."""
        self.look()
        while busy := [peer for peer in self.open_peers() if is_busy(peer)]:
            for peer in busy:
                if is_waiting(peer):
                    self.do(peer.acknowledge())
                peer.work()
                if peer.pipe:
                    self.do(peer.bring())

    def start(self, kind: str, *, is_stubborn: bool = False) -> None:
        self.time.call(self._begin_stubborn if is_stubborn else self._begin, kind)
        self.look()

    def _begin(self, kind: str, begin_again: Callable[[str], None] | None = None) -> None:
        op = Op(self, kind, begin_again)
        self.ops[op.name] = op
        op.subscription = execute(self.link, GraphQLRequest(f"{kind} {op.name} {{ tick }}")).subscribe(op)

    def _begin_stubborn(self, kind: str) -> None:
        """Begin an operation that is begun anew by its own error, a few times."""
        self.errors_left -= 1
        self._begin(kind, self._begin_stubborn if self.errors_left > 0 else None)

    def publish(self, times: int = 1) -> None:
        for _ in range(times):
            self.number += 1
            for peer in self.open_peers():
                peer.publish(self.number)

    def get_a_new_token(self) -> None:
        if self.login:
            self.do(self.session.refresh(force=True))

    def sign_in(self) -> None:
        self.logins += 1
        self.login = self.logins
        self._change_login(self.session.set_tokens(self._tokens(self.login)))

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

    def close(self) -> None:
        """Close the link, the session and the server."""
        self.errors_left = 0
        self.time.run(self.link.aclose())
        assert [] == self.running
        self.time.run(self.session.aclose())
        self.time.run(self.server.__aexit__(None, None, None))
        self.time.settle()
        assert [] == self.time.leftovers()
        assert not self.complaints, self.complaints
        assert not self.faults, self.faults

    def vanish(self) -> None:
        self._fewer_held.stop()
        self.time.close()

    # -- what there is

    @property
    def running(self) -> list[Op]:
        return [op for op in self.ops.values() if op.end is None]

    def open_peers(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.is_open]

    def newest(self) -> Peer | None:
        """The last socket that was acknowledged."""
        return next((peer for peer in reversed(self.peers) if peer.is_acknowledged), None)

    def is_good(self, peer: Peer) -> bool:
        """Tell whether operations may be sent on a socket: nothing has gone wrong there, and its token is in use."""
        is_well = peer.is_open and peer.is_acknowledged and not peer.is_disturbed
        is_in_use = peer.token == self.token and f"r{self.token[1:]}" not in self.presented
        return is_well and is_in_use and peer.token not in self.doubted and not self.client.is_parting

    @property
    def token(self) -> str:
        """The one that was issued last."""
        return f"u{self.login}n{self.issued}"

    @property
    def client(self) -> Any:
        return self.link._connections._clients.get(self.time.loop)


def is_waiting(peer: Peer) -> bool:
    return peer.is_open and peer.login is not None and not peer.is_acknowledged


def is_talking(peer: Peer) -> bool:
    return peer.is_open and bool(peer.pipe) and not peer.is_stalled


def is_serving(peer: Peer) -> bool:
    return peer.is_open and bool(peer.running) and not peer.is_stalled


def is_busy(peer: Peer) -> bool:
    return is_waiting(peer) or is_talking(peer) or (peer.is_open and bool(peer.inbox) and not peer.is_stalled)
