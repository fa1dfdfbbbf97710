"""The questions that links ask of a result."""

import pytest

from rxlink.core.result import graphql_errors, has_data


@pytest.mark.parametrize(
    ("result", "errors"),
    [
        ({"data": {}}, None),
        ({"data": {}, "errors": None}, None),
        ({"errors": []}, []),
        ({"errors": [None, {"message": "no"}]}, [None, {"message": "no"}]),
        ({"errors": "text"}, None),
        ({"errors": {"message": "no"}}, None),
    ],
)
def test_errors_are_a_list_or_none(result, errors):
    assert errors == graphql_errors(result)


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        ({"data": {"a": 1}}, True),
        ({"data": {"a": None, "b": False}}, True),
        ({"data": {"a": None}}, False),
        ({"data": {}}, False),
        ({"data": None}, False),
        ({}, False),
        ({"data": "text"}, True),
    ],
)
def test_data_is_there_when_any_root_field_has_a_value(result, answer):
    assert answer is has_data(result)
