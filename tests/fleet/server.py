"""AuthServer in a process of its own: serves, and answers what its ledger says."""

from __future__ import annotations

import argparse
import asyncio
import resource
from collections import defaultdict
from typing import Any

from rxlink.testing import AuthServer, Fault
from rxlink.testing.auth_server import RefreshTry, Send
from tests.fleet.speaking import commands, say

USER = "ada"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--token-life", type=float, default=3.0, help="seconds")
    parser.add_argument("--reuse-grace", type=float, default=0.0, help="seconds")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds of each operation")
    return parser.parse_args()


class Control:
    """What the parent may ask for."""

    def __init__(self, server: AuthServer) -> None:
        self._server = server

    def sign_in(self) -> dict[str, Any]:
        pair = self._server.sign_in(USER)
        return {"access_token": pair.access_token, "refresh_token": pair.refresh_token, "expires_in": pair.expires_in}

    def revoke_access(self) -> dict[str, Any]:
        return {"revoked": self._server.revoke_access(USER)}

    def hang_refresh(self) -> dict[str, Any]:
        """Answer the next refresh never, and process it neither; say when it has come."""

        def strikes(arrival: object) -> bool:
            say(reached="the refresh has arrived")
            return True

        self._server.faults.add(Fault.hang(), on="refresh", when=strikes)
        return {}

    def ledger(self) -> dict[str, Any]:
        """Sum up what happened; times are seconds of one clock."""
        ledger = self._server.ledger
        sends: dict[str, list[Send]] = defaultdict(list)
        for send in ledger.all_sends:
            sends[send.operation_id].append(send)
        return {
            "operations": len(sends),
            "answered": sum(any(send.outcome == "accepted" for send in each) for each in sends.values()),
            "sends_at_most": ledger.max_sends_per_operation,
            "refused": {
                name: [send_of(send) for send in each]
                for name, each in sends.items()
                if any(send.outcome != "accepted" for send in each)
            },
            "refreshes": ledger.refreshes,
            "expiries": ledger.expiries,
            "violations": ledger.violations(),
            "generations": [
                {"issued": each.issued, "ends": each.ends, "replaced": each.replaced_why, "revoked": each.revoked_why}
                for each in ledger.generations
            ],
            "tries": [try_of(each) for each in ledger.refresh_tries],
            "families_ended": len({each.family for each in ledger.generations if each.revoked_why == "reuse"}),
            "cpu": cpu(),
        }


def send_of(send: Send) -> dict[str, Any]:
    ends = None if send.generation is None else send.generation.ends
    return {"at": send.at, "ends": ends, "outcome": send.outcome, "why": send.why}


def try_of(each: RefreshTry) -> dict[str, Any]:
    of = None if each.generation is None else each.generation.index
    return {"at": each.at, "of": of, "outcome": each.outcome, "why": each.why, "replayed": each.replayed}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round(used.ru_utime + used.ru_stime, 2)


async def main() -> None:
    given = options()
    async with AuthServer(token_life=given.token_life, reuse_grace=given.reuse_grace) as server:
        if given.latency:
            server.faults.add(Fault.delay(given.latency), on="graphql", times=None)
        control = Control(server)
        say(graphql=server.url, token=server.token_url)
        async for command in commands():
            say(**getattr(control, command["do"])())


if __name__ == "__main__":
    asyncio.run(main())
