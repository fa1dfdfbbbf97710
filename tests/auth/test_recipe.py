"""What the promises are for: each known defect of Apollo's recipe is a promise broken there and kept by AuthLink.

Each scenario runs twice, in the same world and by the same script: through the recipe the check of the named promise
must fail, through AuthLink every check must pass. The ids are those of `auth-demands.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.auth.promise_checks import (
    check_all,
    check_p2_every_operation_ends_once_with_its_own,
    check_p2_nobody_waits_for_nothing,
    check_p5_refreshes_have_a_reason,
    check_p10_a_refresh_ends_within_its_limit,
    check_p10_the_session_works,
    check_p11_everybody_sees_their_own_context,
)
from tests.auth.promise_records import TIME_LIMIT
from tests.auth.promise_world import World
from tests.auth.recipe import recipe_chain


@dataclass(frozen=True)
class Defect:
    """A scenario in which the recipe breaks a promise.

    Attributes:
        id: What goes wrong, and where it was observed.
        script: What happens.
        check: The promise that the recipe breaks.
        complaint: How the check puts it.
    """

    id: str
    script: Callable[[World], None]
    check: Callable[[World], None]
    complaint: str


def the_refresh_of_a_wave_fails(world: World) -> None:
    _refused_operations(world, 5)
    world.finish_refresh("value error")


def the_refresh_of_one_fails(world: World) -> None:
    _refused_operations(world, 1)
    world.finish_refresh("value error")


def one_is_refused_during_the_release(world: World) -> None:
    leader, follower = world.start(), world.start(reaction="revoke and start another")
    world.answer(leader, "refuse by result")
    world.answer(follower, "refuse by result")
    world.server_policy = "at once"
    world.finish_refresh("good")
    if world.undecided_refreshes:
        world.finish_refresh("good")


def the_refresh_is_refused_itself(world: World) -> None:
    _refused_operations(world, 2)
    world.finish_refresh("its operation is refused")
    world.time.advance(TIME_LIMIT + 1)


def the_refresh_hangs(world: World) -> None:
    _refused_operations(world, 2)
    world.time.advance(TIME_LIMIT + 1)


def one_is_refused_late(world: World) -> None:
    in_time, late = world.start(), world.start()
    world.answer(in_time, "refuse by result")
    world.finish_refresh("good")
    world.answer(in_time, "accept")
    world.answer(late, "refuse by result")


def something_raises_before_the_refresh(world: World) -> None:
    world.issuer.policy = "value error at once"
    _refused_operations(world, 1)
    world.issuer.policy = "good at once"
    world.time.advance(TIME_LIMIT)


def a_wave_is_released(world: World) -> None:
    _refused_operations(world, 3)
    world.finish_refresh("good")
    world.answer_all("accept")


def _refused_operations(world: World, number: int) -> None:
    for op in [world.start() for _ in range(number)]:
        world.answer(op, "refuse by result")


ENDS = check_p2_every_operation_ends_once_with_its_own
WAKES = check_p2_nobody_waits_for_nothing
LIMIT = check_p10_a_refresh_ends_within_its_limit
ALL_FOLLOWERS = "ever wake Work1, Work2, Work3, Work4"
DEFECTS = (
    Defect("S10-p2-followers-are-forgotten", the_refresh_of_a_wave_fails, WAKES, ALL_FOLLOWERS),
    Defect("S10-p2-the-leader-completes-empty", the_refresh_of_one_fails, ENDS, "Work0 completed empty"),
    Defect("S13-p2-a-gap-before-the-flag-is-reset", one_is_refused_during_the_release, WAKES, "ever wake Work2"),
    Defect("S38-p10-a-refresh-behind-itself", the_refresh_is_refused_itself, LIMIT, "a refresh has run for"),
    Defect("E23-p10-a-refresh-that-hangs", the_refresh_hangs, LIMIT, "a refresh has run for"),
    Defect("E09-p5-a-late-refusal", one_is_refused_late, check_p5_refreshes_have_a_reason, "a late refusal"),
    Defect("S23-p10-the-flag-stays-up", something_raises_before_the_refresh, check_p10_the_session_works, "healed"),
    Defect("P11-in-the-leaders-context", a_wave_is_released, check_p11_everybody_sees_their_own_context, "another"),
)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
class TestDefect:
    def test_breaks_its_promise_in_the_recipe(self, defect: Defect) -> None:
        with World(make_chain=recipe_chain) as world:
            defect.script(world)

            with pytest.raises(AssertionError, match=defect.complaint):
                defect.check(world)

    def test_does_not_exist_in_auth_link(self, defect: Defect) -> None:
        with World() as world:
            defect.script(world)

            defect.check(world)
            check_all(world)


def test_the_recipe_works_where_nothing_goes_wrong() -> None:
    with World(make_chain=recipe_chain) as world:
        a_wave_is_released(world)

        assert [op.expected for op in world.ops.values()] == [op.results for op in world.ops.values()]
