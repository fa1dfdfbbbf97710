"""The clients of the files in docs/examples, for tests that put one of them through one situation."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from rxlink.core.operation import GraphQLRequest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TIME_LIMIT = 10.0  # seconds; an operation that never ends is what these tests are about
VIEWER = GraphQLRequest("query Viewer { viewer { name } }")


def example(name: str) -> ModuleType:
    """Load a file of the examples anew: its clients may keep their time on their class."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answered(client: Any) -> dict[str, Any]:
    return {"data": {"viewer": {"name": client.user}}}


async def use(stack: AsyncExitStack, client: Any) -> Any:
    """Give the test its time, and close what a client has afterwards: the session first, which may be about to send."""
    await stack.enter_async_context(asyncio.timeout(TIME_LIMIT))
    if hasattr(client, "browser"):
        await stack.enter_async_context(client.browser)
    await stack.enter_async_context(client.link)
    if client.session is not None:
        await stack.enter_async_context(client.session)
    return client
