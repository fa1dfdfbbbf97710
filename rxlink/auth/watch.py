"""Hears of what others change in a shared storage, at once, on one event loop of the session's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from threading import Lock

from rxlink.auth.loops import call_on, running_loop
from rxlink.auth.storage.shared import SharedTokenStorage
from rxlink.core.work import report_callback_error

__all__ = ["Watch"]


class Watch:
    """One session's watch over a storage; it moves to another loop when its own has ended.

    Args:
        storage: What is watched.
        notice: Called when others may have changed it.
    """

    def __init__(self, storage: SharedTokenStorage, notice: Callable[[], None]) -> None:
        self._storage = storage
        self._notice = notice
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._stop: Callable[[], None] | None = None

    def is_stale(self) -> bool:
        """Tell whether what was started has ended with its loop, or is the parent's: changes went unheard since."""
        return self._loop is not None and (self._loop.is_closed() or self._process != os.getpid())

    def start(self) -> None:
        """Watch, on the running loop, where nothing is watching."""
        with self._lock:
            if self._loop is not None and not self.is_stale():
                return
            self._loop, self._process = running_loop(), os.getpid()
        try:
            self._stop = self._storage.watch(self._notice)
        except Exception as error:  # noqa: BLE001 - a user's function must not fail the load; it is tried again
            self._loop = None
            report_callback_error(error)

    def stop(self) -> None:
        """Watch no longer."""
        with self._lock:
            loop, stop, self._loop, self._stop = self._loop, self._stop, None, None
        if loop is not None and stop is not None and not loop.is_closed():
            call_on(loop, stop)
