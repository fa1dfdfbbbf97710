"""TokenRefreshLink: only what its own refresh sends passes unasked, and not what another one's does."""

from __future__ import annotations

import asyncio
from typing import Any

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import good
from tests.auth.token_desk import Desk


@virtual
async def test_an_operation_of_a_sessions_refresh_waits_for_its_token_like_any_other(time: VirtualTime) -> None:
    desk = Desk()

    async def refresh(*_: Any) -> TokenSet:
        await desk.run("OfTheSession")
        return TokenSet("new")

    session = AuthSession(refresh=refresh, tokens=TokenSet("old"), clock=time.clock)
    await session.refresh(force=True)

    assert (1, ["Bearer A1"]) == (desk.fetches, desk.server.tokens)
    await session.aclose()


@virtual
async def test_an_operation_of_another_links_refresh_waits_for_its_token_like_any_other() -> None:
    desk = Desk()
    answers: list[Any] = []

    async def fetch() -> Any:
        answers.append(await desk.run("OfTheOther"))
        return {"access_token": "A1"}

    other = Desk(fetch_access_token=fetch)
    operation = other.start()
    await asyncio.sleep(9)

    assert (good("OfTheOther")[:1], good()) == (answers, operation.seen)
    assert (1, ["Bearer A1"]) == (desk.fetches, desk.server.tokens)
