"""A process dies while it refreshes, at each moment; what another finds that shares its tokens, and what becomes of it.

AuthServer is strict: a refresh token that is used again ends its session. Real processes, and SIGKILL. Demands E72,
E74, E77; promise P9. "Request sent" is two moments: before the server has processed it, and after.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rxlink.auth.storage.record_text import FORMAT
from rxlink.auth.storage.shared import is_first_serial
from tests.fleet.children import PATIENCE, Child, Children
from tests.fleet.fleet import Fleet
from tests.fleet.places import Place
from tests.fleet.tokens import ended
from tests.fleet.withholding import proxied

pytestmark = [
    pytest.mark.timeout(4 * PATIENCE),
    pytest.mark.skipif(os.name == "nt", reason="needs signals of POSIX"),
]

LEASE = 0.5
"""Seconds, of Valkey's: what the survivor waits for; a file's lock is free at once.

The dying process alone has it: survivors that a loaded machine holds up for so long would lose theirs."""
OPERATIONS = 5
"""That the survivor starts, all at once."""
TOKEN_REQUEST = b"grant_type"
CAUSE = "refresh token rejected"


@dataclass
class Scene:
    """A server, a place with tokens that have ended, and what the process is given that is to die."""

    started: Children
    server: Child
    addresses: dict[str, str]
    place: Place
    fleet: Fleet
    was_locked: bool = False
    open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def die(
        self, moment: str = "never", *, reached: Any = None, place: Place | None = None, **other: str
    ) -> None:
        """Start a process, wait until it has reached a moment, and kill it there."""
        addresses = {**self.addresses, **other}
        arguments = ["--graphql", addresses["graphql"], "--token", addresses["token"], "--moment", moment]
        child = await self.started.python("dying", *arguments, *(place or self.place).arguments)
        if reached is None:
            assert {"reached": moment} == await child.line()
        else:
            await reached(PATIENCE)
        self.was_locked = await is_locked(self.place)
        await child.kill()


async def request_arrived(scene: Scene) -> None:
    """The server has the request, and has not processed it."""
    await scene.server.ask(do="hang_refresh")
    await scene.die(reached=scene.server.line)


async def request_processed(scene: Scene) -> None:
    """The server has answered, and none of it was read."""
    proxy = await scene.open.enter_async_context(proxied(scene.addresses["token"], TOKEN_REQUEST))
    await scene.die(reached=proxy.reached, token=proxy.url)


async def save_begun(scene: Scene) -> None:
    """The storage has a half of the new tokens."""
    if scene.place.kind == "file":
        await scene.die("file begun")
    else:
        await save_through_proxy(scene, halves=True)


async def save_on_its_way(scene: Scene) -> None:
    """The storage has all of the new tokens, and has not said so: a file under another name, a command."""
    if scene.place.kind == "file":
        await scene.die("file written")
    else:
        await save_through_proxy(scene, halves=False)


async def save_through_proxy(scene: Scene, *, halves: bool) -> None:
    proxy = await scene.open.enter_async_context(proxied(scene.place.where, FORMAT.encode(), halves=halves))
    await scene.die(reached=proxy.reached, place=replace(scene.place, where=proxy.url))


LIVES = {
    "before the lock": lambda scene: scene.die("before the lock"),
    "lock held": lambda scene: scene.die("lock held"),
    "request sent, not processed": request_arrived,
    "during the save": save_on_its_way,
    "saved, still locked": lambda scene: scene.die("saved"),
}
ENDS = {
    "request sent and processed": request_processed,
    "answered, not saved": lambda scene: scene.die("before the save"),
    "answered, the save only begun": save_begun,
}
IS_SAVED = {"during the save", "saved, still locked"}


@asynccontextmanager
async def opened(started: Children, place: Place, *options: object) -> AsyncIterator[Scene]:
    server = await started.python("server", "--token-life", 60, "--latency", 0, *options)
    addresses = await server.line()
    pair = await server.ask(do="sign_in")
    await server.ask(do="revoke_access")  # so that the ledger knows why a refresh came early
    await place.storage.save(ended(pair))
    scene = Scene(started, server, addresses, replace(place, lease=LEASE), Fleet(started, addresses, place.arguments))
    async with scene.open:
        yield scene


async def is_locked(place: Place) -> bool:
    lease = await place.storage.try_acquire()
    if lease is not None:
        await lease.release()
    return lease is None


async def found_by_survivor(place: Place) -> str:
    record = await place.storage.read()
    assert record is not None
    tokens = "the old tokens" if is_first_serial(record.serial) else "the new tokens"
    return f"{tokens}, locked" if await is_locked(place) else tokens


@pytest.mark.parametrize("moment", LIVES)
async def test_the_session_outlives_a_death(
    started: Children, place: Place, moment: str, record_property: Callable[[str, object], None]
) -> None:
    async with opened(started, place) as scene:
        other = await scene.fleet.spare(OPERATIONS)
        await LIVES[moment](scene)
        found = await found_by_survivor(scene.place)

        [survivor] = await scene.fleet.run(other)
        ledger = await scene.server.ask(do="ledger")

    note(record_property, place, moment, found, "lives", ledger)
    assert (OPERATIONS, [], []) == (survivor["own"], survivor["failed"], survivor["endings"])
    assert [("granted", 0)] == [
        (each["outcome"], each["of"]) for each in ledger["tries"] if each["why"] != "client-left"
    ]
    assert ([], 1, 0) == (ledger["violations"], ledger["refreshes"], ledger["families_ended"])
    assert (moment not in IS_SAVED) == survivor["events"].get("RefreshSucceeded", 0)
    assert ("the new tokens" in found) == (moment in IS_SAVED)
    assert scene.was_locked == (moment != "before the lock")


@pytest.mark.parametrize("moment", ENDS)
async def test_a_death_with_the_only_new_tokens_ends_the_session_once_with_its_cause(
    started: Children, place: Place, moment: str, record_property: Callable[[str, object], None]
) -> None:
    async with opened(started, place) as scene:
        others = [await scene.fleet.spare(OPERATIONS) for _ in range(2)]
        await ENDS[moment](scene)
        found = await found_by_survivor(scene.place)

        survivors = await scene.fleet.run(*others)
        ledger = await scene.server.ask(do="ledger")

    note(record_property, place, moment, found, f"ends: {CAUSE}", ledger)
    assert "the old tokens" in found
    assert scene.was_locked
    assert [("granted", None), ("refused", "reused")] == [(each["outcome"], each["why"]) for each in ledger["tries"]]
    assert 1 == ledger["families_ended"]
    first, second = sorted(survivors, key=heard_less)
    assert [CAUSE] == first["endings"]
    assert ["SessionEnded"] * OPERATIONS == [each["kind"] for each in first["failed"]]
    assert all(CAUSE in each["message"] for each in first["failed"])
    # The other one hears of it, and asks the server no more; or it comes later, and finds nobody signed in.
    assert (OPERATIONS, 0) == (len(second["failed"]), second["own"])
    assert second["endings"] in (["refresh token rejected"], [])


def heard_less(survivor: dict[str, Any]) -> tuple[bool, bool]:
    """Sort behind the one whose operations have waited; one that had none yet may have heard the cause as well."""
    return survivor["endings"] != [CAUSE], any(each["kind"] != "SessionEnded" for each in survivor["failed"])


@pytest.mark.parametrize("moment", ["request sent and processed", "answered, not saved"])
async def test_a_server_that_repeats_a_lost_answer_keeps_the_session(
    started: Children, place: Place, moment: str
) -> None:
    async with opened(started, place, "--reuse-grace", 10) as scene:
        other = await scene.fleet.spare(OPERATIONS)
        await ENDS[moment](scene)

        [survivor] = await scene.fleet.run(other)
        ledger = await scene.server.ask(do="ledger")

    assert (OPERATIONS, [], []) == (survivor["own"], survivor["failed"], survivor["endings"])
    assert [("granted", False), ("granted", True)] == [(each["outcome"], each["replayed"]) for each in ledger["tries"]]
    assert (2, 0) == (len(ledger["generations"]), ledger["families_ended"])


def note(
    record_property: Callable[[str, object], None],
    place: Place,
    moment: str,
    found: str,
    session: str,
    ledger: dict[str, Any],
) -> None:
    """Add a row to the table that stands in the documentation."""
    refused = sum(each["outcome"] == "refused" for each in ledger["tries"])
    refreshes = f"{ledger['refreshes']}" if not refused else f"{ledger['refreshes']}, and {refused} refused"
    record_property("moment of death", f"{moment} | {place.kind} | {found} | {session} | {refreshes}")
