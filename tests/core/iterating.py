"""What the tests of async iteration share: a source that is sent by hand, and all that an iterator gives."""

import asyncio

import reactivex
from reactivex.disposable import Disposable

from tests.recording import END


class Source(reactivex.Observable):
    """A source that sends when the test says so, and counts how often it was left."""

    def __init__(self, teardown=lambda: None):
        super().__init__(self._open)
        self._teardown = teardown
        self.left = 0

    def _open(self, observer, scheduler=None):
        self.send = observer.on_next
        self.fail = observer.on_error
        self.finish = observer.on_completed
        return Disposable(self._leave)

    def _leave(self):
        self.left += 1
        self._teardown()


async def rest_of(iterator):
    """What comes until the end: values, then an exception or `END`."""
    seen = []
    try:
        async for value in iterator:
            seen.append(value)  # noqa: PERF401 - a comprehension would lose them at an exception
    except Exception as error:  # noqa: BLE001 - it is what came last
        return [*seen, error]
    return [*seen, END]


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)
