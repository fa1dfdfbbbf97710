"""Child processes that speak lines of JSON: started, asked, killed, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = ["PATIENCE", "Child", "ChildFailed", "Children", "children"]

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Real seconds for what should take a moment, on a machine that may be busy."""
LONGEST_LINE = 64 * 1024 * 1024


class ChildFailed(AssertionError):
    """A child ended or said nothing; the message has what it wrote on stderr."""


class Child:
    """A process; each of its lines is JSON, and so is each that it is told."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, complaints: IO[bytes]) -> None:
        self.name = name
        self._process = process
        self._complaints = complaints

    async def line(self, within: float = PATIENCE) -> Any:
        """Return what it says next.

        Raises:
            ChildFailed: It says nothing for so many seconds, or ends.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within):
                line = await self._process.stdout.readline()
                if not line:
                    await self._process.wait()
        except TimeoutError:
            self._fail(f"said nothing for {within:g} s")
        if not line:
            self._fail(f"ended with {self._process.returncode}")
        return json.loads(line)

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def ask(self, within: float = PATIENCE, **command: Any) -> Any:
        self.tell(**command)
        return await self.line(within)

    async def kill(self) -> None:
        """End it with SIGKILL, at whatever it does."""
        self._process.kill()
        await self._process.wait()

    def stop(self) -> None:
        """Ask it to come to its end, with SIGTERM."""
        self._process.terminate()

    async def end(self) -> None:
        """See to it that it has ended: by its own will as its input ends, or else by force."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            self._fail("did not end with its input")
        finally:
            with suppress(ConnectionError):
                await self._process.stdin.wait_closed()
            self._complaints.close()

    def complaints(self) -> str:
        """Return what it wrote on stderr."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")

    def _fail(self, what: str) -> None:
        raise ChildFailed(f"{self.name} {what}; its stderr:\n{self.complaints()[-5000:]}")


class Children:
    """Starts processes."""

    def __init__(self) -> None:
        self.all: list[Child] = []

    async def python(self, module: str, *arguments: object, name: str = "") -> Child:
        """Start a module of this folder, in which every warning is an error."""
        command = [sys.executable, "-W", "error", "-m", f"tests.fleet.{module}", *map(str, arguments)]
        return await self.program(name or module, command, ROOT)

    async def program(self, name: str, command: list[str], folder: Path) -> Child:
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            limit=LONGEST_LINE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.all.append(Child(name, process, complaints))
        return self.all[-1]


@asynccontextmanager
async def children() -> AsyncIterator[Children]:
    """Give what starts processes, and see to the end of all of them."""
    started = Children()
    try:
        yield started
    except BaseException:
        for child in started.all:
            with suppress(ProcessLookupError):
                await child.kill()
        raise
    finally:
        for child in reversed(started.all):
            await child.end()
