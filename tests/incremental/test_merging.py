"""What a piece does to a result: it goes where it belongs, and what was given before stays as it was."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.incremental.merging import MISSING, BadIncrement, changed_at, merged

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


class TestMerged:
    @pytest.mark.parametrize(
        ("target", "source", "result"),
        [
            ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
            ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
            ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"c": 3}]}, {"a": [{"b": 1, "c": 3}]}),
            ([1], [2, 3], [2, 3]),
            ({"a": 1}, None, None),
            (None, {"a": 1}, {"a": 1}),
            (MISSING, {"a": 1}, {"a": 1}),
            ({"a": 1}, [2], [2]),
        ],
    )
    def test_is_what_apollos_merger_makes_of_it(self, target: Any, source: Any, result: Any):
        assert result == merged(target, source)

    @given(VALUES, VALUES)
    def test_leaves_both_as_they_were(self, target: Any, source: Any):
        before = copy.deepcopy((target, source))

        merged(target, source)

        assert before == (target, source)

    @given(VALUES, VALUES)
    def test_has_all_of_the_newer_one(self, target: Any, source: Any):
        assert merged(merged(target, source), source) == merged(target, source)
        assert source == merged(source, source)


class TestChangedAt:
    def test_copies_the_way_and_shares_the_rest(self):
        root = {"a": {"b": [{"c": 1}, {"d": 2}]}, "e": {}}

        changed = changed_at(root, ["a", "b", 0], lambda kept: {**kept, "x": 3})

        assert {"a": {"b": [{"c": 1, "x": 3}, {"d": 2}]}, "e": {}} == changed
        assert {"a": {"b": [{"c": 1}, {"d": 2}]}, "e": {}} == root
        assert (root["e"], root["a"]["b"][1]) == (changed["e"], changed["a"]["b"][1])
        assert root["e"] is changed["e"]

    def test_makes_what_is_not_there_yet(self):
        assert {"a": {"b": [{"c": 1}]}} == changed_at(MISSING, ["a", "b", 0, "c"], lambda _: 1)

    def test_of_no_path_is_the_change_itself(self):
        assert 2 == changed_at(1, [], lambda kept: kept + 1)

    @pytest.mark.parametrize(
        ("root", "path", "step"),
        [
            (None, ["a"], 1),
            ({"a": None}, ["a", "b"], 2),
            ({"a": []}, ["a", "b"], 2),
            ({"a": {}}, ["a", 0], 2),
            ({"a": [1]}, ["a", 2], 2),
            ({"a": [1]}, ["a", 2, "b"], 2),
            ({"a": "text"}, ["a", 0], 2),
            (MISSING, ["a", 1], 2),
        ],
    )
    def test_of_a_place_that_cannot_be_is_an_error(self, root: Any, path: list[Any], step: int):
        with pytest.raises(BadIncrement, match=f"step {step} of a path leads to where nothing is"):
            changed_at(root, path, lambda _: 1)
