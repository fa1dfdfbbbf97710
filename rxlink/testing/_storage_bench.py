"""What the contract of shared storages is written with: hooks, event loops, threads, and failures that speak."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import BrokenBarrierError
from typing import Any, TypeVar
from unittest import SkipTest
from uuid import uuid4

from rxlink.auth.storage import SharedTokenStorage, StoredTokens
from rxlink.auth.storage.shared import new_login
from rxlink.auth.tokens import TokenSet

__all__ = ["StorageBench", "begin", "demand", "demand_equal", "in_threads", "new_tokens", "next_of", "on_a_loop"]

T = TypeVar("T")
Bench = TypeVar("Bench", bound="StorageBench")

GARBAGE = (
    b"garbage",
    b"",
    b"\xff\xfe\x00",
    b"null",
    b"[]",
    b"{}",
    b'{"access_token": "planted-secret"}',
    b'{"format": "rxlink-tokens", "version": 999, "login": "x", "serial": 1, "tokens": null}',
)
WHOLE_TEST = 3
"""Time limits of one call that a whole test may take."""


class StorageBench:
    """What a user says about a storage, for the tests of the contract."""

    lease: float = 0.5
    """Seconds; to be given to the storages, so that tests that wait for the end of a lease are quick."""

    time_limit: float = 10.0
    """Seconds that one call of the storage may take, also where its backend is down."""

    garbage: Sequence[bytes] = GARBAGE
    """What ``spoil`` is called with; leave out what your storage may rightly read as tokens, or as nothing."""

    notices: bool | None = None
    """Whether ``watch`` tells of changes; None: if the storage defines it."""

    def make_storage(self) -> SharedTokenStorage:
        """Return a new storage over the place of this test; to be defined."""
        raise NotImplementedError("define `make_storage`: it returns a new storage over the same place at each call")

    def spoil(self, content: bytes) -> None:
        """Put something else in the place of the tokens, past the storage; may be defined, with ``spoiled``."""
        raise NotImplementedError

    def spoiled(self) -> bytes:
        """Return what is in the place of the tokens."""
        raise NotImplementedError

    def tear(self) -> None:
        """Cut what is kept in the middle; may be defined."""
        raise NotImplementedError

    def break_down(self) -> None:
        """Make the backend fail; may be defined, with ``mend``."""
        raise NotImplementedError

    def mend(self) -> None:
        """Make the backend work again, with what was kept before."""
        raise NotImplementedError

    def defines(self, *hooks: str) -> bool:
        """Tell whether the user has defined these."""
        return all(getattr(type(self), hook) is not getattr(StorageBench, hook) for hook in hooks)

    def needs(self, *hooks: str) -> None:
        """Go on with a test if the user has defined these.

        Raises:
            SkipTest: Some are missing; pytest and unittest both report it with their names.
        """
        missing = [f"`{hook}`" for hook in hooks if not self.defines(hook)]
        if missing:
            raise SkipTest(f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} not defined")

    async def in_time(self, call: Awaitable[T], what: str) -> T:
        """Wait for a call of the storage.

        Raises:
            AssertionError: It takes longer than the time limit.
        """
        limit = asyncio.timeout(self.time_limit)
        try:
            async with limit:
                return await call
        except TimeoutError:
            if not limit.expired():
                raise
        raise AssertionError(f"{_WANTS} `{what}` answers or raises within {self.time_limit:g} s; it does neither")


_WANTS = "the contract of shared storages wants that"


def demand(is_so: object, wanted: str) -> None:
    """Say what the contract wants, where it is not so.

    Raises:
        AssertionError: It is not so.
    """
    if not is_so:
        raise AssertionError(f"{_WANTS} {wanted}")


def demand_equal(expected: object, actual: object, wanted: str) -> None:
    """Say what the contract wants, and what was found instead."""
    demand(expected == actual, f"{wanted}; expected {expected!r}, found {actual!r}")


def on_a_loop(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> Callable[[Bench], None]:
    """Make a coroutine function a plain test, which runs under any configuration of pytest, and under unittest."""

    def run(self: Bench) -> None:
        _run(lambda: test(self), self.time_limit)

    run.__name__, run.__qualname__, run.__module__ = test.__name__, test.__qualname__, test.__module__
    run.__doc__ = inspect.getdoc(test)
    return run


def in_threads(bench: StorageBench, works: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run each of these on an event loop and a thread of its own, and return what they return."""
    executor = ThreadPoolExecutor(len(works))
    tasks = [executor.submit(_run, work, bench.time_limit) for work in works]
    done, pending = wait(tasks, timeout=(WHOLE_TEST + 1) * bench.time_limit)
    executor.shutdown(wait=not pending)
    demand(not pending, "calls from several threads end; some do not")
    errors = [error for task in done if (error := task.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error  # those who waited for one that failed have less to say
    return [task.result() for task in tasks]


def new_tokens() -> TokenSet:
    """Return tokens that no other test has, of one length."""
    return TokenSet(f"access-{uuid4().hex}", f"refresh-{uuid4().hex}", 300.0)


def next_of(record: StoredTokens) -> StoredTokens:
    """Return what a refresh makes of it."""
    return StoredTokens(new_tokens(), record.login, record.serial + 1)


async def begin(storage: SharedTokenStorage) -> StoredTokens:
    """Keep the first tokens."""
    record = StoredTokens(new_tokens(), new_login(), 1)
    demand(await storage.replace(None, record), "`replace(None, new)` keeps `new` where nothing is kept, and says True")
    return record


def _run(work: Callable[[], Coroutine[Any, Any, T]], time_limit: float) -> T:
    return asyncio.run(_limited(work(), time_limit))


async def _limited(work: Coroutine[Any, Any, T], time_limit: float) -> T:
    limit = asyncio.timeout(WHOLE_TEST * time_limit)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
    raise AssertionError(f"{_WANTS} no call hangs; one did, for {WHOLE_TEST * time_limit:g} s")
