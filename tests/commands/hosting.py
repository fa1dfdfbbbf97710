"""Servers on a loop of their own in a thread, so that a test may call `rxlink.cli.main`, which runs a loop itself."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from aiohttp import web

from rxlink import cli

__all__ = ["Host", "Ran", "Terminal", "application", "hosting", "runner"]

T = TypeVar("T")
PATIENCE = 10  # seconds
SETTLING_TURNS = 20  # of the loop


class Host:
    """A loop in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: AsyncExitStack) -> None:
        self.loop = loop
        self._stack = stack

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context, which is left when the host ends."""
        return self.call(self._stack.enter_async_context(context))


@contextmanager
def hosting() -> Iterator[Host]:
    started, ending = Future[Host](), asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            started.set_result(Host(asyncio.get_running_loop(), stack))
            await ending.wait()
        for _ in range(SETTLING_TURNS):  # until what was just closed is closed
            await asyncio.sleep(0)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    host = started.result(PATIENCE)
    try:
        yield host
    finally:
        host.loop.call_soon_threadsafe(ending.set)
        thread.join()


@asynccontextmanager
async def application(answer: Callable[[web.Request], Any], **options: Any) -> AsyncGenerator[int]:
    """Serve on loopback; the value is the port."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, **options).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line on standard error."""
        assert self.err.startswith("rxlink: ")
        assert self.err.endswith("\n")
        assert 1 == self.err.count("\n"), self.err
        return self.err.removeprefix("rxlink: ").rstrip("\n")


class Terminal(io.TextIOWrapper):
    """A stream that looks like a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()


def runner(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Return what runs the program in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run
