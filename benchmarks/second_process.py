"""A server in a process of its own, so that the client has a core for itself."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

__all__ = ["second_process", "serve"]

HOST = "127.0.0.1"
BACKLOG = 1_024


@contextlib.asynccontextmanager
async def second_process(module: str) -> AsyncGenerator[str]:
    """Run a module that calls `serve`, until the block ends; give where it listens: ``host:port``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,  # where the module is found
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"{HOST}:{port}"
    finally:
        process.stdin.close()
        await process.wait()


async def serve(make_connection: Callable[[], asyncio.BaseProtocol]) -> None:
    """Listen, print the port, and go on until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make_connection, HOST, 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
