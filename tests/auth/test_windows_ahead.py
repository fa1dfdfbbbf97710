"""Tokens are replaced ahead of their end, end to end: through AuthLink."""

import asyncio
from datetime import timedelta

from rxlink.auth.events import RefreshReason
from rxlink.auth.tokens import TokenSet
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Issuer, ScriptedStorage, bench, fresh, good
from tests.auth.test_expiry import jwt_of

HOUR = 3600


@virtual
async def test_within_the_leeway_the_refresh_comes_first(time: VirtualTime) -> None:
    """S41, S42, E13: 30 s are left, the leeway is 60 s; each operation is sent once, with the new token."""
    built = bench(
        fresh(time, 30, life=HOUR), time=time, valid=["A1"], issuer=Issuer(delay=1),
        advisory_window=60, mandatory_window=60,
    )  # fmt: skip

    results = built.start_many(10)
    await asyncio.sleep(2)

    assert [good(f"Q{number}") for number in range(10)] == [result.seen for result in results]
    assert (["Bearer A1"] * 10, [RefreshReason.EXPIRED]) == (built.server.tokens, built.issuer.reasons)


@virtual
async def test_a_token_that_would_end_on_its_way_is_not_sent(time: VirtualTime) -> None:
    """E58: 5 s are left, and the way to the server may take them."""
    built = bench(fresh(time, 5, life=HOUR), time=time, valid=["A1"])

    result = built.start()
    await asyncio.sleep(1)

    assert (good(), ["Bearer A1"]) == (result.seen, built.server.tokens)


@virtual
async def test_nearly_ended_is_refreshed_in_the_background(time: VirtualTime) -> None:
    """S47, E63, E64: 50 operations are sent at once with the old token, and one refresh runs."""
    built = bench(
        fresh(time, 30, life=HOUR), time=time, valid=["A0"], issuer=Issuer(delay=5),
        advisory_window=60, mandatory_window=0,
    )  # fmt: skip

    results = built.start_many(50)
    await asyncio.sleep(0.1)
    at_once = [result.seen for result in results]
    await asyncio.sleep(6)
    after = built.start("After")
    await asyncio.sleep(0.1)

    assert [good(f"Q{number}") for number in range(50)] == at_once
    assert (["Bearer A0"] * 50 + ["Bearer A1"], [RefreshReason.EXPIRING]) == (
        built.server.tokens, built.issuer.reasons,
    )  # fmt: skip
    assert good("After") == after.seen


@virtual
async def test_a_leeway_longer_than_the_life_causes_no_refresh_for_each_operation(time: VirtualTime) -> None:
    """E59: life 50 s, both windows 60 s: 20 operations in 5 s, and again after the next refresh."""
    built = bench(
        fresh(time, 50, life=50), time=time, valid=["A0"], issuer=Issuer(life=50),
        advisory_window=60, mandatory_window=60,
    )  # fmt: skip
    refreshes: list[int] = []
    for wait in (0, 40, 0):
        await asyncio.sleep(wait)
        for _ in range(20):
            built.start()
            await asyncio.sleep(0.25)
        refreshes.append(len(built.issuer.calls))

    assert [0, 1, 1] == refreshes


@virtual
async def test_a_hundred_sessions_of_one_expiry_refresh_one_after_another(time: VirtualTime) -> None:
    """E17: an operation each half second on each, and no two dozen of them refresh at a time."""
    life = {"iat": time.clock().timestamp(), "exp": (time.clock() + timedelta(seconds=HOUR)).timestamp()}
    tokens = [jwt_of({**life, "sub": number}) for number in range(100)]
    benches = [bench(TokenSet(token), time=time, valid=[token]) for token in tokens]
    moments: list[float] = []

    await asyncio.sleep(HOUR - 61)
    for _ in range(20):
        for built in benches:
            built.start()
        await asyncio.sleep(0.5)
        moments += [call[0] for built in benches for call in built.issuer.calls]
        benches = [built for built in benches if not built.issuer.calls]

    assert 100 == len(moments)
    assert HOUR - 60 <= min(moments) < max(moments) <= HOUR - 53.5
    assert max(moments.count(moment) for moment in moments) < 24


@virtual
async def test_what_was_judged_before_a_wait_is_judged_again_after_it(time: VirtualTime) -> None:
    """E11: all waited for the storage, which held an ended token; the first to go on has it refreshed for all."""
    storage = ScriptedStorage(fresh(time, -60), delay=1)
    built = bench(None, time=time, storage=storage, valid=["A1"], issuer=Issuer(life=HOUR))

    results = built.start_many(20)
    await asyncio.sleep(5)

    assert [good(f"Q{number}") for number in range(20)] == [result.seen for result in results]
    assert ({"Bearer A1"}, 20, 1) == (
        set(built.server.tokens), len(built.server.sends), len(built.issuer.calls),
    )  # fmt: skip
