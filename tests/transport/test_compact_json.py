"""What writes the variables of an operation writes what the standard library writes."""

import json
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.transport._compact_json import encode_compactly, encode_quickly, quick_encoder


class Level(IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.builds(Text, st.text())
    | st.just(Level.HIGH)
)
keys = st.text() | st.integers() | st.none() | st.booleans() | st.floats(allow_nan=False)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(keys, inner), max_leaves=20
)


def outcome(encode: Any, value: object) -> object:
    try:
        return encode(value)
    except (TypeError, ValueError) as error:
        return type(error)


@given(values | st.sets(st.integers(), min_size=1) | st.binary())
def test_is_the_same(value: object):
    assert outcome(encode_compactly, value) == outcome(encode_quickly, value)


def test_has_no_white_space_and_no_constants_that_are_no_json():
    assert '{"a":[1,2]}' == encode_quickly({"a": [1, 2]})
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_quickly({"a": float("nan")})


def test_of_what_holds_itself_is_an_error():
    value: list[object] = []
    value.append(value)

    with pytest.raises(RecursionError):
        encode_quickly(value)


_make: Any = json.encoder.c_make_encoder


def _other(markers: object, *options: object) -> Any:
    return _make(markers, *options) if markers is not None else lambda value, level: ["null"]


@pytest.mark.parametrize(
    "maker", [None, _other, lambda: None], ids=["none", "writes something else", "is called otherwise"]
)
def test_without_the_encoder_in_c_is_the_plain_one(monkeypatch: pytest.MonkeyPatch, maker: Any):
    monkeypatch.setattr(json.encoder, "c_make_encoder", maker)

    assert encode_compactly is quick_encoder()


def test_of_cpython_is_kept():
    assert encode_quickly is not encode_compactly
