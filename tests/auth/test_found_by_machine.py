"""What the state machine of `test_promises.py` has found, each as the smallest story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rxlink.auth.pacing import Backoff
from rxlink.errors import TokenRefreshError
from tests.auth.promise_checks import check_all, check_p10_the_session_works
from tests.auth.promise_records import Options
from tests.auth.promise_world import World

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A_DAY = timedelta(days=1)


class TestClockSetBackAfterAFailure:
    """E61: the pause after a failure is over in its time, also where somebody sets the clock back meanwhile."""

    def test_a_session_that_fails_fast_is_not_locked_out_until_the_clock_is_where_it_was(self) -> None:
        """P10: operations go on once the issuer works again."""
        with World(options=Options(on_outage="fail")) as world:
            op = world.start()
            world.answer(op, "refuse")
            world.finish_refresh("transient")

            world.realm.set_clock(-A_DAY.total_seconds())
            world.heal()

            check_p10_the_session_works(world)
            check_all(world)

    def test_the_pause_begins_anew_once(self) -> None:
        backoff = Backoff()
        backoff.fail(TokenRefreshError("busy", retryable=True, retry_after=5), NOON)

        pauses = [backoff.delay_at(NOON - A_DAY + timedelta(seconds=passed)) for passed in (0, 2, 5)]

        assert [5, 3, 0] == pauses


class TestClockSetForwardDuringARefresh:
    def test_the_time_that_is_left_for_another_try_is_not_a_matter_of_the_clock(self) -> None:
        """P9: a failure that may pass ends nobody while there is time; E61: whatever the clock shows."""
        with World() as world:
            op = world.start()
            world.answer(op, "refuse")

            world.realm.set_clock(A_DAY.total_seconds())
            world.finish_refresh("transient")
            world.time.advance(1)
            world.finish_refresh("good")
            world.answer(op)

            assert op.expected == op.results
            check_all(world)
