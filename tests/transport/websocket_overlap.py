"""A link in the midst of going over from one socket to the next, for the tests of that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from rxlink import AuthSession, FetchResult
from rxlink.testing.virtual_time import VirtualTime
from rxlink.transport.websocket import Resubscribed
from tests.auth.scripted import Issuer
from tests.recording import Recorder
from tests.transport.websocket_bench import Bench, bench, session_with, settle
from tests.transport.websocket_server import Connection


@dataclass
class Overlap:
    """Two sockets, of which the newer one has the subscription A too.

    Attributes:
        recorders: Who has subscribed, by the name of the operation.
        old: The server's end of the older socket, with A0.
        new: That of the newer one, with A1; it has answered no ping yet.
        ids: The ids of operations, the same on both.
    """

    bench: Bench
    session: AuthSession
    issuer: Issuer
    recorders: dict[str, Recorder]
    old: Connection
    new: Connection
    ids: dict[str, str]

    @property
    def recorder(self) -> Recorder:
        return self.recorders["A"]

    @property
    def seen(self) -> list[Any]:
        return self.recorder.seen

    async def tell(self, connection: Connection, *numbers: int, name: str = "A") -> None:
        for number in numbers:
            await connection.deliver(self.ids[name], tick=number)
        await settle()

    async def answer(self, connection: Connection) -> None:
        """Answer the next ping."""
        while (await connection.hear())["type"] != "ping":
            pass
        await connection.send({"type": "pong"})
        await settle()

    async def finish(self) -> None:
        """Answer the pings with which the overlap ends, and hear the older socket close."""
        for connection in (self.new, self.old, self.new):
            await self.answer(connection)
        assert (1000, "Normal Closure") == await self.old.closed()

    def resubscribed(self) -> list[tuple[str, bool, bool]]:
        """Return what the link has told about that: which operations, whether with gap and duplicates."""
        return [
            (
                "".join(operation.operation_name or "" for operation in event.operations),
                event.may_have_gap,
                event.may_have_duplicates,
            )
            for event in self.bench.events
            if isinstance(event, Resubscribed)
        ]


def by_tick(result: FetchResult) -> int:
    return result["data"]["tick"]


@asynccontextmanager
async def overlap(time: VirtualTime, *others: str, **options: Any) -> AsyncIterator[Overlap]:
    """Start A and others (a name in small letters is a query), and change the token."""
    issuer = Issuer()
    async with session_with(issuer, time) as session, bench(auth=session, **options) as link:
        recorders = {name: link.start(name, "query" if name.islower() else "subscription") for name in ("A", *others)}
        old, ids = await link.accept("A", *others)
        await session.refresh(force=True)
        new, _ = await link.accept("A", *(name for name in others if name.isupper()))
        yield Overlap(link, session, issuer, recorders, old, new, ids)
