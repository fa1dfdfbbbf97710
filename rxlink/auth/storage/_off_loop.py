"""Calls that block, each in a thread of its own beside the event loop that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TypeVar

__all__ = ["off_loop"]

T = TypeVar("T")


async def off_loop(call: Callable[[], T], *, unwanted: Callable[[T], None] | None = None) -> T:
    """Run a function that blocks in a thread, and return what it returned.

    Whoever leaves does not stop it: a thread cannot be stopped.

    Args:
        call: The function.
        unwanted: Called with what it returned once nobody waits for that any more, possibly in that thread.

    Raises:
        Exception: What it raised.
    """
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    future: Future[T] = Future()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there any more
            loop.call_soon_threadsafe(_settle, woken)

    def hand_back(done: Future[T]) -> None:
        if unwanted is not None and done.exception() is None:
            unwanted(done.result())

    future.add_done_callback(wake)
    # A thread of its own and not one of the loop's pool: those are waited for when a loop or the program ends, and a
    # keychain may be asking its user for a password. A forked child could not use the pool's threads either.
    Thread(target=copy_context().run, args=(_run, call, future), name="rxlink-token-storage", daemon=True).start()
    try:
        await woken
    except BaseException:
        # Also where the thread has ended and this task was cancelled before it went on, or was dropped with its loop.
        future.add_done_callback(hand_back)
        raise
    return future.result()


def _run(call: Callable[[], T], future: Future[T]) -> None:
    try:
        returned = call()
    except BaseException as error:  # noqa: BLE001 - whoever waits gets it
        future.set_exception(error)
    else:
        future.set_result(returned)


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
