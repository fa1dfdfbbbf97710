"""AuthLink where it is easily forgotten: who comes back later, who is refused without errors, and later results."""

from __future__ import annotations

import asyncio
from typing import Any

from rxlink.auth.link import AuthLink
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import UNAUTHENTICATED, Issuer, bench, fresh, good, request
from tests.recording import Worker, subscribed

B0 = TokenSet("B0", refresh_token="S0")


@virtual
async def test_an_operation_that_was_left_before_it_was_sent_is_not_sent_for_the_next_user(time: VirtualTime) -> None:
    """P8: it began under the login before, and is subscribed again."""
    built = bench(fresh(time, -1), time=time, valid=["B0"], issuer=Issuer(delay=20))
    observable = built.run()
    subscribed(observable).subscription.dispose()

    await built.session.set_tokens(B0)
    again = subscribed(observable)
    await asyncio.sleep(1)

    assert ["another login"] == [getattr(error, "reason", error) for error in again.seen]
    assert [] == built.server.sends


@virtual
async def test_a_server_that_refuses_without_errors_needs_one_predicate_as_well(time: VirtualTime) -> None:
    """S22: it answers with null to whom it does not know."""
    refusal: dict[str, Any] = {"data": {"me": None}}
    built = bench(time=time, link={"is_auth_error": lambda answer: refusal == answer.result})
    built.server.refusal = lambda: refusal

    result = built.start()
    await asyncio.sleep(1)

    assert (good(), ["Bearer A0", "Bearer A1"]) == (result.seen, built.server.tokens)


@virtual
async def test_only_the_first_result_of_the_retry_says_something_about_its_token(time: VirtualTime) -> None:
    """S22: a stream that is refused later on, such as one whose user lost a right, spoils nothing for others."""
    built = bench(time=time, valid=["A1"])
    streams = iter([[UNAUTHENTICATED], [{"data": {}}, UNAUTHENTICATED]])

    def answer(operation: Any, observer: Any, root: Any) -> None:
        for result in next(streams):
            observer.on_next(result)

    stream = subscribed(execute(from_([AuthLink(built.session), Worker(answer)]), request()))
    await asyncio.sleep(1)
    built.server.accept_only("A1")
    following = built.start("Following")
    await asyncio.sleep(1)
    stream.subscription.dispose()

    assert ([{"data": {}}, UNAUTHENTICATED], good("Following")) == (stream.seen, following.seen)
    assert (1, ["Bearer A1"]) == (len(built.issuer.calls), built.server.tokens)
