"""An operation of the demo counts as done only with its own right result."""

import pytest
import reactivex

from rxlink import ApolloLink
from rxlink.demo.calls import AT_ONCE, Call, wave_of

QUERY = Call(1, is_mutation=False)
MUTATION = Call(2, is_mutation=True)


async def ends(link, *calls):
    outcomes = []
    wave_of(link, calls).subscribe(outcomes.append)
    return outcomes


def answering(answer):
    return ApolloLink(lambda operation, _: answer(operation))


@pytest.mark.parametrize("call", [QUERY, MUTATION])
async def test_its_own_result_is_right(call):
    (outcome,) = await ends(answering(lambda _: reactivex.just(call.right_answer())), call)

    assert outcome.call is call
    assert outcome.failure is None


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (lambda _: reactivex.just(Call(7, is_mutation=False).right_answer()), "got a wrong result"),
        (lambda _: reactivex.just({"errors": [{"message": "no"}]}), "got errors"),
        (lambda _: reactivex.empty(), "got 0 results instead of one"),
        (lambda _: reactivex.of(QUERY.right_answer(), QUERY.right_answer()), "got 2 results instead of one"),
        (lambda _: reactivex.throw(LookupError("gone")), "LookupError: gone"),
    ],
)
async def test_anything_else_is_a_failure(answer, failure):
    (outcome,) = await ends(answering(answer), QUERY)

    assert failure == outcome.failure


async def test_a_mutation_that_ran_twice_is_a_failure():
    (outcome,) = await ends(answering(lambda _: reactivex.just({"data": {"increment": 2}})), MUTATION)

    assert "got a wrong result" == outcome.failure


async def test_a_failure_leaves_the_others_alone():
    def answer(operation):
        return reactivex.throw(LookupError()) if operation.variables["value"] == "query 1" else reactivex.just({})

    outcomes = await ends(answering(answer), QUERY, Call(3, is_mutation=False))

    assert [1, 3] == [outcome.call.number for outcome in outcomes]


async def test_a_large_wave_goes_in_turn():
    # given
    running = [reactivex.Subject() for _ in range(AT_ONCE + 1)]
    started = []

    def start(_scheduler):
        started.append(running[len(started)])
        return started[-1]

    # when
    await ends(
        answering(lambda _: reactivex.defer(start)), *(Call(number, is_mutation=False) for number in range(AT_ONCE + 1))
    )
    before = len(started)
    running[0].on_completed()

    # then
    assert AT_ONCE == before
    assert AT_ONCE + 1 == len(started)
