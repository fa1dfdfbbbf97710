"""The child's side of the lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["commands", "end_with_input", "hear", "say"]


def say(**message: Any) -> None:
    """Tell the parent."""
    print(json.dumps(message), flush=True)


def hear() -> Any:
    """Wait for the next line of the parent; None where it has gone."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


async def commands() -> AsyncIterator[Any]:
    """Give what the parent asks for, until its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while line := await reader.readline():
            yield json.loads(line)
    finally:
        transport.close()


def end_with_input() -> None:
    """End this process at once when the parent goes, whatever it does or waits for."""

    def wait() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
