"""AuthServer in a process of its own: speaks WebSocket, and answers what its books say."""

from __future__ import annotations

import argparse
import asyncio
import resource
from typing import Any

from rxlink.testing import AuthServer
from rxlink.testing.auth_server import Ledger, SocketRecord, SocketRules
from tests.fleet.speaking import commands, say

__all__ = ["books_of", "closed", "pair_of"]

USER = "ada"
PATIENCE = 10.0
"""Seconds."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--token-life", type=float, default=2.0, help="seconds")
    parser.add_argument("--leeway", type=float, default=0.0, help="seconds that a socket outlives its token")
    return parser.parse_args()


def pair_of(server: AuthServer) -> dict[str, Any]:
    """Sign in, and return the tokens."""
    pair = server.sign_in(USER)
    return {"access_token": pair.access_token, "refresh_token": pair.refresh_token, "expires_in": pair.expires_in}


def books_of(ledger: Ledger) -> dict[str, Any]:
    """Sum up what happened; times are seconds of one clock."""
    return {
        "refreshes": ledger.refreshes,
        "expiries": ledger.expiries,
        "violations": ledger.violations(),
        "generations": len(ledger.generations),
        "ends": [each.ends for each in ledger.generations],
        "tries": [each.outcome for each in ledger.refresh_tries],
        "refused": sum(send.outcome != "accepted" for send in ledger.all_sends),
        "sockets": [socket_of(each) for each in ledger.sockets],
    }


def socket_of(each: SocketRecord) -> dict[str, Any]:
    return {
        "generation": None if each.generation is None else each.generation.index,
        "opened": each.opened,
        "acknowledged": each.acknowledged,
        "closed": each.closed,
        "closed_by": each.closed_by,
        "code": each.code,
        "why": each.why,
        "operations": each.operations,
    }


async def closed(ledger: Ledger) -> None:
    """Wait until the server has heard of the end of each socket."""
    async with asyncio.timeout(PATIENCE):
        while any(each.closed is None for each in ledger.sockets):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


class Control:
    """What the parent may ask for."""

    def __init__(self, server: AuthServer) -> None:
        self._server = server

    async def sign_in(self) -> dict[str, Any]:
        return pair_of(self._server)

    async def books(self) -> dict[str, Any]:
        """Sum up what happened, once all sockets are closed."""
        await closed(self._server.ledger)
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {**books_of(self._server.ledger), "cpu": round(used.ru_utime + used.ru_stime, 2)}


async def main() -> None:
    given = options()
    rules = SocketRules(leeway=given.leeway)
    async with AuthServer(token_life=given.token_life, sockets=rules) as server:
        control = Control(server)
        say(ws=server.ws_url, token=server.token_url)
        async for command in commands():
            say(**await getattr(control, command["do"])())


if __name__ == "__main__":
    asyncio.run(main())
