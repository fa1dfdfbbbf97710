"""AuthLink: only what the refresh of its own session sends passes untouched, and not what another session's does."""

from __future__ import annotations

from typing import Any

from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, bench, fresh, good


@virtual
async def test_an_operation_of_another_sessions_refresh_gets_its_header_and_waits_like_any_other(
    time: VirtualTime,
) -> None:
    asked = bench(fresh(time, -1), time=time, issuer=Issuer(delay=1))
    answers: list[Any] = []

    async def refresh(*_: object) -> TokenSet:
        answers.append(await asked.run("OfTheOther"))
        return TokenSet("A1")

    other = bench(time=time, valid=["A1"], refresh=refresh)
    answers.append(await other.run())

    assert [good("OfTheOther")[0], good()[0]] == answers
    assert (["Bearer A1"], 1) == (asked.server.tokens, len(asked.issuer.calls))
