"""What a session writes into the log: what concerns itself at INFO, single operations at DEBUG."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import bench


@virtual
async def test_a_service_sees_its_refreshes_and_not_each_operation(
    time: VirtualTime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rxlink.auth.session")
    built = bench(time=time)

    built.start()
    await asyncio.sleep(1)

    levels = {str(record.args[0]).partition("(")[0]: record.levelname for record in caplog.records if record.args}
    assert {"INFO"} == {levels[name] for name in ("RefreshStarted", "RefreshSucceeded")}
    assert {"DEBUG"} == {levels[name] for name in ("OperationQueued", "OperationRetried")}
