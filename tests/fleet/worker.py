"""One of several processes that share a session: sends operations, and says at its end what became of them.

It says `ready`, waits for a line, says `runs`. From then on SIGTERM brings it to its end as time does; at SIGKILL it
says nothing more.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import signal
from collections import Counter
from typing import Any

from rxlink import AuthLink, AuthSession, Ended, HttpLink, from_, oauth2_refresh
from rxlink.auth.events import AuthEvent
from tests.fleet.load import Load
from tests.fleet.places import add_place, storage_of
from tests.fleet.speaking import hear, say

__all__ = ["CLIENT", "main"]

CLIENT = "fleet"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="stands in the names of its operations")
    parser.add_argument("--graphql", required=True, help="URL")
    parser.add_argument("--token", required=True, help="URL")
    add_place(parser)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--operations", type=int, help="at most so many")
    parser.add_argument("--rate", type=float, default=50.0, help="starts a second; 0 for all at once")
    parser.add_argument("--in-flight", type=int, default=100, help="at most so many at a time")
    return parser.parse_args()


class Heard:
    """What a session told."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.endings: list[str] = []

    def note(self, event: AuthEvent) -> None:
        self.events[type(event).__name__] += 1
        if isinstance(event, Ended):
            self.endings.append(event.reason)


async def run(given: argparse.Namespace) -> dict[str, Any]:
    stopped, heard = asyncio.Event(), Heard()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    say(runs=given.name)
    async with (
        oauth2_refresh(given.token, client_id=CLIENT) as refresh,
        AuthSession(refresh=refresh, storage=storage_of(given)) as session,
        from_([AuthLink(session), HttpLink(given.graphql)]) as link,
    ):
        session.events.subscribe(heard.note)
        load = Load(link, given.name, rate=given.rate, in_flight=given.in_flight)
        await load.run(stopped, seconds=given.seconds, operations=given.operations)
        return {"events": heard.events, "endings": heard.endings, **load.report()}


def main() -> None:
    given = options()
    say(ready=given.name)
    hear()
    report = asyncio.run(run(given))
    used = resource.getrusage(resource.RUSAGE_SELF)
    say(name=given.name, cpu=round(used.ru_utime + used.ru_stime, 2), **report)


if __name__ == "__main__":
    main()
