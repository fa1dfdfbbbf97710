"""A process that stops for ever at one moment of a refresh, to be killed there.

It starts one operation, whose token has ended. At the moment it says `reached`, and does nothing more.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NoReturn, Self

from rxlink import AuthLink, AuthSession, GraphQLRequest, HttpLink, execute, from_, oauth2_refresh
from rxlink.auth.storage import SharedTokenStorage, StoredTokens, TokenLease
from tests.fleet.places import add_place, storage_of
from tests.fleet.speaking import end_with_input, say
from tests.fleet.worker import CLIENT

MOMENTS = ("never", "before the lock", "lock held", "before the save", "file begun", "file written", "saved")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphql", required=True, help="URL")
    parser.add_argument("--token", required=True, help="URL")
    parser.add_argument("--moment", choices=MOMENTS, default="never", help="where it stops by itself")
    add_place(parser)
    return parser.parse_args()


async def stop(moment: str) -> None:
    """Say that it was reached, and go on no more."""
    say(reached=moment)
    await asyncio.Event().wait()


def stop_thread(moment: str) -> NoReturn:
    """Do the same for a thread."""
    say(reached=moment)
    threading.Event().wait()
    raise AssertionError


class Stopping(SharedTokenStorage):
    """A storage that stops before or after a call, as told."""

    def __init__(self, inner: SharedTokenStorage, moment: str) -> None:
        super().__init__(lease=inner.lease)
        self._inner = inner
        self._moment = moment

    async def read(self) -> StoredTokens | None:
        return await self._inner.read()

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        await self._stop_at("before the save")
        if self._moment == "file begun":
            stop_in_the_middle_of_writing()
        if self._moment == "file written":
            stop_before_renaming()
        is_done = await self._inner.replace(old, new)
        assert is_done
        await self._stop_at("saved")
        return is_done

    async def try_acquire(self) -> TokenLease | None:
        await self._stop_at("before the lock")
        lease = await self._inner.try_acquire()
        assert lease is not None
        await self._stop_at("lock held")
        return lease

    def stamp(self) -> Hashable:
        return self._inner.stamp()

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        return self._inner.watch(notice)

    async def _stop_at(self, moment: str) -> None:
        if moment == self._moment:
            await stop(moment)


def stop_in_the_middle_of_writing() -> None:
    """Let half of the next file be written, whatever it is."""
    opened = os.fdopen

    class Half:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def write(self, data: bytes) -> int:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            stop_thread("file begun")

    os.fdopen = lambda *arguments, **options: Half(opened(*arguments, **options))  # type: ignore[assignment]


def stop_before_renaming() -> None:
    """Let the next file be written, and not get its name."""

    def replace(*_: object) -> NoReturn:
        stop_thread("file written")

    os.replace = os.rename = Path.replace = Path.rename = replace  # type: ignore[assignment,method-assign]


async def main() -> None:
    given = options()
    storage = Stopping(storage_of(given), given.moment)
    end_with_input()
    async with (
        oauth2_refresh(given.token, client_id=CLIENT) as refresh,
        AuthSession(refresh=refresh, storage=storage) as session,
        from_([AuthLink(session), HttpLink(given.graphql)]) as link,
    ):
        await execute(link, GraphQLRequest('{ echo(value: "dying") }'))
    say(reached="the end")


if __name__ == "__main__":
    asyncio.run(main())
