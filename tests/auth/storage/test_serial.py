"""Calls to a storage one after another."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from rxlink.auth.storage.serial import SerialDepot
from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual

A0 = TokenSet("A0")


class Slow:
    """Writes down when its calls begin and how they end; `seconds` has how long each takes, `...` for ever."""

    def __init__(self, time: VirtualTime, **seconds: Any) -> None:
        self.time = time
        self.seconds = seconds
        self.log: list[Any] = []

    async def load(self) -> Any:
        await self._take("load")
        return A0

    async def save(self, kept: Any, /) -> Any:
        await self._take(kept)

    async def _take(self, name: str) -> None:
        self.log.append((self.time.monotonic(), name))
        seconds = self.seconds.get(name, 1)
        try:
            if isinstance(seconds, Exception):
                raise seconds
            await (asyncio.Event().wait() if seconds is ... else asyncio.sleep(seconds))
        except BaseException as error:
            self.log.append((self.time.monotonic(), f"{name} {type(error).__name__}"))
            raise
        self.log.append((self.time.monotonic(), f"{name} done"))


def started(*calls: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    return [asyncio.get_running_loop().create_task(call) for call in calls]


@virtual
async def test_each_call_begins_when_the_one_before_has_ended(time: VirtualTime) -> None:
    slow = Slow(time, save=5)
    storage: Any = SerialDepot(slow)

    loaded, *_ = await asyncio.gather(storage.load(), storage.save("save"), storage.save("clear"))

    assert A0 is loaded
    assert [
        (0, "load"),
        (1, "load done"),
        (1, "save"),
        (6, "save done"),
        (6, "clear"),
        (7, "clear done"),
    ] == slow.log


@virtual
async def test_a_call_that_fails_fails_alone(time: VirtualTime) -> None:
    slow = Slow(time, save=OSError("full"))
    storage: Any = SerialDepot(slow)
    save, clear = started(storage.save("save"), storage.save("clear"))

    with pytest.raises(OSError, match="full"):
        await save
    await clear

    assert [(0, "save"), (0, "save OSError"), (0, "clear"), (1, "clear done")] == slow.log


@virtual
async def test_a_call_that_hangs_and_is_cancelled_makes_room(time: VirtualTime) -> None:
    slow = Slow(time, save=...)
    storage: Any = SerialDepot(slow)
    save, clear = started(storage.save("save"), storage.save("clear"))
    await asyncio.sleep(3)

    save.cancel()
    await clear

    assert [(0, "save"), (3, "save CancelledError"), (3, "clear"), (4, "clear done")] == slow.log


@virtual
async def test_a_call_that_is_cancelled_while_it_waits_is_never_made_and_keeps_the_order(time: VirtualTime) -> None:
    """The third still waits for the first."""
    slow = Slow(time, load=5)
    storage: Any = SerialDepot(slow)
    _, save, clear = started(storage.load(), storage.save("save"), storage.save("clear"))
    await asyncio.sleep(1)

    save.cancel()
    with suppress(asyncio.CancelledError):
        await save
    await clear

    assert [(0, "load"), (5, "load done"), (5, "clear"), (6, "clear done")] == slow.log


def test_one_storage_serves_loops_one_after_another() -> None:
    """E54: also where the first loop was stopped in the midst of a call."""
    with VirtualTime() as first:
        slow = Slow(first, save=...)
        storage: Any = SerialDepot(slow)
        tasks: list[Any] = []
        first.call(lambda: tasks.extend(started(storage.save("save"), storage.save("clear"))))
        with VirtualTime() as second:
            second.run(asyncio.wait_for(storage.load(), 10))

    assert ["save", "load"] == [name for _, name in slow.log][:2]
