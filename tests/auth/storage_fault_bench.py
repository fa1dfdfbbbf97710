"""Two processes that share a storage which goes wrong, and what must hold of them all the same."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rxlink.auth.storage import FileTokenStorage, KeyringTokenStorage, MemoryTokenStorage, SharedTokenStorage
from rxlink.auth.storage.record_text import to_text
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.testing.faulty_storage import FaultyTokenStorage, StorageFault
from rxlink.testing.virtual_time import VirtualTime
from tests.auth.shared_bench import Host, StrictIssuer
from tests.auth.storage.keychains import MemoryKeychain, in_use

LIMIT = 5.0
"""Seconds that a refresh may take."""
LONGEST = 2 * LIMIT + 3.0 + 1.0
"""Seconds in which everybody must have an answer: others' time, the lease, one's own time, and a moment."""
ENTRY = ("api.example.com", "ada")
WHOLE = to_text(StoredTokens(TokenSet("planted-access", "planted-refresh"), "login", 1))
CONTENTS = {
    "torn": WHOLE[: len(WHOLE) // 2].encode(),
    "garbage": b"\x00planted",
    "another version": WHOLE.replace('"version": 1', '"version": 7').encode(),
}
"""What may be found where tokens should be."""
CALLS: dict[str, list[tuple[StorageFault, str]]] = {
    "down": [(StorageFault.fail(ConnectionError("down")), "any")],
    "slow": [(StorageFault.slow(0.4), "any")],
    "hanging": [(StorageFault.hang(), call) for call in ("read", "replace", "acquire")],
    "saving fails": [(StorageFault.fail(OSError(errno.EIO, "no")), "replace")],
    "a full disk": [(StorageFault.fail(OSError(errno.ENOSPC, "no space left on device")), "replace")],
    "wrong permissions": [(StorageFault.fail(PermissionError(errno.EACCES, "permission denied")), "any")],
    "answers are lost": [(StorageFault.fail_after(), "replace")],
    "writes are lost": [(StorageFault.lose(), "replace")],
}
"""What may become of its calls."""


async def at_once(call: Callable[[], Any], **_: Any) -> Any:
    """Make a blocking call here and now: on virtual time, threads would be in the way."""
    return call()


class Place:
    """Where tokens are kept; `content` is what lies there, as bytes."""

    def __init__(
        self, storage: SharedTokenStorage, read: Callable[[], bytes], write: Callable[[bytes], object]
    ) -> None:
        self.storage = storage
        self.read, self.write = read, write


@contextmanager
def place_of(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Make a storage, and a way around it."""
    for module in ("file", "keyring"):
        monkeypatch.setattr(f"rxlink.auth.storage.{module}.off_loop", at_once)
    if kind == "file":
        path = folder / "tokens.json"
        yield Place(FileTokenStorage(path), path.read_bytes, path.write_bytes)
    elif kind == "keyring":
        keychain = MemoryKeychain()

        def write(content: bytes) -> None:
            keychain.set_password(*ENTRY, content.decode("latin-1"))
            for stamp in folder.glob("*.stamp"):
                stamp.write_text("changed by hand")

        with in_use(keychain):
            yield Place(
                KeyringTokenStorage(*ENTRY, lock_folder=folder),
                lambda: str(keychain.get_password(*ENTRY)).encode("latin-1"),
                write,
            )
    else:
        yield Place(MemoryTokenStorage(), lambda: b"", lambda _: None)


class Scene:
    """Two sessions over a place, with a strict issuer."""

    def __init__(self, place: Place, time: VirtualTime) -> None:
        self.place = place
        self.time = time
        self.issuer = StrictIssuer()
        self.storage = FaultyTokenStorage(place.storage)
        self.hosts = [self.host(), self.host()]

    def host(self) -> Host:
        return Host(self.storage, self.issuer, self.time, refresh_timeout=LIMIT, jitter=0.0)

    async def begin(self) -> None:
        tokens = TokenSet("A0", refresh_token="R0", expires_in=100.0).received(self.time.clock())
        await self.place.storage.save(tokens)
        await asyncio.gather(*(host.token() for host in self.hosts))

    def break_down(self, fault: str) -> None:
        for what, call in CALLS.get(fault, []):
            self.storage.faults.add(what, on=call, times=None)  # type: ignore[arg-type]
        if fault in CONTENTS:
            self.kept = self.place.read()
            self.place.write(CONTENTS[fault])

    def mend(self, fault: str) -> None:
        self.storage.faults.clear()
        if fault in CONTENTS:
            assert CONTENTS[fault] == self.place.read(), "written over"
            self.place.write(self.kept)

    async def close(self) -> None:
        for host in self.hosts:
            with suppress(Exception):
                await host.session.aclose()


async def outcome_of(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - the test judges it
        return error
