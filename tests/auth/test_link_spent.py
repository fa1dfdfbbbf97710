"""An operation that cannot be sent again, such as an uploaded stream: its refusal is its own, and not in vain."""

from __future__ import annotations

import asyncio

import pytest

from rxlink.auth.events import RefreshReason
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import UNAUTHENTICATED, Bench, bench, good, request
from tests.recording import END, Recorder, subscribed


def spent(built: Bench, name: str = "Upload") -> Recorder:
    """Send an operation that is used up by the time its answer comes."""

    def spend(operation, forward):
        operation.spend()
        return forward(operation)

    auth, server = built.link.children()
    return subscribed(execute(from_([auth, ApolloLink(spend), server]), request(name)))


@virtual
async def test_it_gets_its_refusal_at_once_and_the_refresh_runs_beside_it(time: VirtualTime) -> None:
    built = bench(time=time)
    built.issuer.delay = 5

    upload = spent(built)
    await asyncio.sleep(1)
    during = list(upload.seen)
    await asyncio.sleep(9)

    assert ([UNAUTHENTICATED, END], during) == (during, upload.seen)
    assert ([RefreshReason.REJECTED], {"Upload": 1}) == (built.issuer.reasons, built.server.per_operation)


@virtual
async def test_those_that_come_after_it_wait_and_are_sent_once_with_the_fresh_token(time: VirtualTime) -> None:
    built = bench(time=time)
    built.issuer.delay = 5
    spent(built)
    await asyncio.sleep(1)

    following = built.start()
    await asyncio.sleep(9)

    assert (good(), ["Bearer A0", "Bearer A1"]) == (following.seen, built.server.tokens)
    assert 1 == len(built.issuer.calls)


@virtual
async def test_those_that_are_refused_beside_it_share_its_refresh(time: VirtualTime) -> None:
    built = bench(time=time, delay=1)

    upload, other = spent(built), built.start("Other")
    await asyncio.sleep(9)

    assert ([UNAUTHENTICATED, END], good("Other")) == (upload.seen, other.seen)
    assert (1, {"Upload": 1, "Other": 2}) == (len(built.issuer.calls), built.server.per_operation)


@pytest.mark.parametrize("ending", ["clear", "aclose"])
@virtual
async def test_it_keeps_its_own_error_where_the_session_has_ended_meanwhile(ending: str, time: VirtualTime) -> None:
    built = bench(time=time, delay=1)
    upload = spent(built)

    await getattr(built.session, ending)()
    await asyncio.sleep(9)

    assert ([UNAUTHENTICATED, END], []) == (upload.seen, built.issuer.calls)


@virtual
async def test_nobodys_is_refused_for_good_where_a_refresh_has_brought_tokens_meanwhile(time: VirtualTime) -> None:
    built = bench(None, time=time, delay=1)
    upload = spent(built)

    await built.session.refresh(force=True)
    await asyncio.sleep(9)

    assert [UNAUTHENTICATED, END] == upload.seen
    assert ([None], [RefreshReason.FORCED]) == (built.server.tokens, built.issuer.reasons)
