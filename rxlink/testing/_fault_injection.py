"""Where scripted faults strike: between the arrival of a request and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from rxlink.testing._answers import fault_answer
from rxlink.testing._faults import Fault, FaultScript
from rxlink.testing._ledger import Ledger
from rxlink.testing._ledger_records import Arrival, RefreshTry, Send

__all__ = ["FaultInjector"]


@dataclass(slots=True, kw_only=True)
class FaultInjector:
    """Serves requests as a script of faults says.

    Attributes:
        script: What goes wrong.
        ledger: Where a request that a fault kept from being processed is written down.
        closing: Releases every request that a fault holds back.
    """

    script: FaultScript
    ledger: Ledger
    closing: asyncio.Event

    async def serve(
        self,
        request: web.Request,
        arrival: Arrival,
        process: Callable[[Fault | None], web.Response],
    ) -> web.Response:
        """Answer a request: by `process`, unless the fault it meets answers or cuts the connection.

        Args:
            request: Whose connection may be cut.
            arrival: What the script judges.
            process: Does what was asked, knowing the fault it has to take part in, and writes that
                into the ledger.
        """
        fault = self.script.take(arrival)
        if fault is None:
            return process(None)
        if await self._hold_back(arrival, fault) or fault.kind == "drop":
            self.write_down(arrival, fault, fault.kind)
            return _cut(request)
        answer = fault_answer(fault, arrival)
        if answer is not None:
            self.write_down(arrival, fault, fault.kind)
            return answer
        answer = process(fault)
        return _cut(request) if fault.kind == "drop_after" else answer

    async def _hold_back(self, arrival: Arrival, fault: Fault) -> bool:
        """Wait as long as a fault says; return whether the server closes meanwhile."""
        if fault.seconds == 0 and fault.kind != "hang":
            return False
        try:
            async with asyncio.timeout(None if fault.kind == "hang" else fault.seconds):
                await self.closing.wait()
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self.write_down(arrival, fault, "client-left")
            raise
        return True

    def write_down(self, arrival: Arrival, fault: Fault, why: str) -> None:
        """Write down a request that was kept from being processed."""
        if arrival.is_refresh:
            self.ledger.refresh_tries.append(RefreshTry.of(arrival, "faulted", why=why, fault=fault.kind))
            return
        if why == "unauthenticated":
            arrival.note_refusal()
        self.ledger.all_sends.append(Send.of(arrival, "faulted", why=why, fault=fault.kind))


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
