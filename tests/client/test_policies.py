"""Error policies: what each kind of call makes of each kind of answer.

The oracle (``tests/oracle/scenarios/client.json``) says the same of Apollo Client 4.3.8 itself.
"""

import pytest

from rxlink import Client, CombinedGraphQLErrors, InvariantError, NetworkError, OperationResult, empty
from rxlink.testing import MockedResponse, MockLink
from tests.recording import END, failing, seen_of, sending

DATA = {"data": {"a": 1}}
ERRORS = {"errors": [{"message": "no"}]}
BOTH = {**DATA, **ERRORS}
DOWN = NetworkError("down")
TEXTS = {"query": "query Q { a }", "mutate": "mutation Q { a }", "subscribe": "subscription Q { a }"}


def shown(seen):
    """What was seen, in words: results with their data and the text of their error, errors by their text."""
    return [
        (one.data, one.error and str(one.error))
        if isinstance(one, OperationResult)
        else one
        if one == END
        else f"raised {one}"
        for one in seen
    ]


def outcome(method, policy, *answers):
    link = failing(answers[0]) if isinstance(answers[0], Exception) else sending(*answers)
    return shown(seen_of(getattr(Client(link), method)(TEXTS[method], error_policy=policy)))


@pytest.mark.parametrize("method", ["query", "mutate"])
@pytest.mark.parametrize(
    ("policy", "answer", "expected"),
    [
        ("none", DATA, [({"a": 1}, None), END]),
        ("none", BOTH, ["raised no"]),
        ("none", ERRORS, ["raised no"]),
        ("none", DOWN, ["raised down"]),
        ("ignore", DATA, [({"a": 1}, None), END]),
        ("ignore", BOTH, [({"a": 1}, None), END]),
        ("ignore", ERRORS, [(None, None), END]),
        ("ignore", DOWN, [(None, None), END]),
        ("all", DATA, [({"a": 1}, None), END]),
        ("all", BOTH, [({"a": 1}, "no"), END]),
        ("all", ERRORS, [(None, "no"), END]),
        ("all", DOWN, [(None, "down"), END]),
    ],
)
def test_of_queries_and_mutations(method, policy, answer, expected):
    assert expected == outcome(method, policy, answer)


@pytest.mark.parametrize(
    ("policy", "answers", "expected"),
    [
        ("none", [BOTH, DATA], [(None, "no"), ({"a": 1}, None), END]),
        ("none", [ERRORS, DATA], [(None, "no"), ({"a": 1}, None), END]),
        ("none", [DOWN], [(None, "down"), END]),
        ("ignore", [BOTH, ERRORS, DATA], [({"a": 1}, None), ({"a": 1}, None), END]),
        ("ignore", [DOWN], [END]),
        ("all", [BOTH, ERRORS, DATA], [({"a": 1}, "no"), (None, "no"), ({"a": 1}, None), END]),
        ("all", [DOWN], [(None, "down"), END]),
        ("all", [{"data": None}, {"extensions": {"b": 1}}, DATA], [({"a": 1}, None), END]),
    ],
)
def test_of_subscriptions(policy, answers, expected):
    assert expected == outcome("subscribe", policy, *answers)


@pytest.mark.parametrize("method", TEXTS)
def test_the_errors_hold_the_data_that_came_with_them(method):
    (seen, *_) = seen_of(getattr(Client(sending({**BOTH, "extensions": {"b": 2}})), method)(TEXTS[method]))
    error = seen.error if isinstance(seen, OperationResult) else seen

    assert isinstance(error, CombinedGraphQLErrors)
    assert ({"a": 1}, {"b": 2}) == (error.data, error.extensions)


@pytest.mark.parametrize(("extensions", "expected"), [({"b": 1}, {"b": 1}), ({}, None), (None, None)])
def test_extensions_come_with_the_result(extensions, expected):
    (result, _) = seen_of(Client(sending({**DATA, "extensions": extensions})).query("{ a }"))

    assert expected == result.extensions


@pytest.mark.parametrize("method", ["query", "mutate"])
@pytest.mark.parametrize("policy", ["none", "ignore", "all"])
def test_a_chain_without_a_result_is_an_error_whatever_the_policy(method, policy):
    (error,) = seen_of(getattr(Client(empty()), method)(TEXTS[method], error_policy=policy))

    assert isinstance(error, InvariantError)
    assert "completed without a result for <Operation" in str(error)


def test_a_subscription_may_end_without_a_result():
    assert [END] == seen_of(Client(empty()).subscribe(TEXTS["subscribe"]))


def test_after_the_first_error_nothing_more_comes():
    assert ["raised no"] == outcome("query", "none", BOTH, DATA, DATA)


def test_empty_errors_are_none():
    assert [({"a": 1}, None), END] == outcome("query", "none", {**DATA, "errors": []})


async def test_errors_can_be_caught():
    client = Client(MockLink([MockedResponse(result=ERRORS)]))

    with pytest.raises(CombinedGraphQLErrors, match="no"):
        await client.query("{ a }")
