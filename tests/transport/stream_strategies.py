"""Valid streams, what is nearly one, and places to cut them."""

import json

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["EVENT_TOKENS", "MULTIPART_TOKENS", "damaged", "event_streams", "multipart_bodies", "places", "soups"]

LINE_BREAKS = st.sampled_from([b"\r\n", b"\n"])
HEADERS = st.sampled_from(
    [
        (),
        (b"Content-Type: application/json",),
        (b"content-type:application/json; charset=utf-8", b"Content-Length: 5"),
        (b"CONTENT-TYPE: application/graphql-response+json",),
        (b"Content-Type: application/json;", b" charset=utf-8"),
        (b"X-A: b",),
    ]
)
VALUES: SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "\\", '}"', "{[", "\\\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def json_bodies(draw: st.DrawFn) -> bytes:
    """An object, small or spread over lines, with white space around."""
    value = draw(st.dictionaries(st.text(max_size=4), VALUES, max_size=3))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    around = st.sampled_from(["", "\n", " ", "\r\n\t"])
    return (draw(around) + text + draw(around)).encode("utf-8", "replace")


@st.composite
def multipart_bodies(draw: st.DrawFn) -> bytes:
    """A body of JSON objects and of other text, with the boundary "graphql", whole or cut off at its end."""
    text = draw(st.sampled_from([b"", b"\r\n", b"\n", b"preamble\r\n"]))
    for _ in range(draw(st.integers(0, 4))):
        line, padding = draw(LINE_BREAKS), draw(st.sampled_from([b"", b"", b" ", b"\t "]))
        text += b"--graphql" + padding + line
        if draw(st.booleans()):
            text += line.join((*draw(HEADERS), b"", draw(json_bodies())))
        else:
            text += b"Content-Type: text/plain" + line * 2 + draw(st.binary(max_size=8)).replace(b"--", b"")
        text += draw(LINE_BREAKS)
    return text + draw(st.sampled_from([b"--graphql--", b"--graphql--\r\nepilogue", b"--graphql", b""]))


LINES = st.sampled_from(
    [
        "data: a",
        "data:",
        "data",
        "data:  b",
        "event: next",
        "event",
        ": c",
        "id: 1",
        "id",
        "id: \0",
        "retry: 10",
        "x: y",
    ]
)


@st.composite
def event_streams(draw: st.DrawFn) -> bytes:
    """Fields known and unknown, with each end of a line, and text of all planes."""
    text = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for _ in range(draw(st.integers(0, 12))):
        words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=6)
        line = draw(LINES | st.just("") | words.map("data: {}".format))
        text += (line + draw(st.sampled_from(["\n", "\r", "\r\n"]))).encode()
    return text


MULTIPART_TOKENS = [
    *[b"\r\n--graphql", b"--graphql", b"--", b"-", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":"],
    *[b"Content-Type: application/json", b"Content-Type: text/plain", b"{", b"}", b"[", b"]", b'"', b"\\", b"{}"],
    *[b'{"a":1}', b'{"a":"}"}', b'{"a":"\\""}', b"graphql", b"graph", b"--graphql--", b"\xff", b"\0"],
]
EVENT_TOKENS = [
    *[b"data", b"event", b"id", b"retry", b":", b" ", b": ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xef\xbb\xbf"],
    *[b"\xef", b"\xbb", b"\xc3", b"\xa9", b"\xf0\x9f\x98\x80", b"\xff", b"1", b"0", b"9" * 11, b"x", b"data: a\n\n"],
]


def soups(tokens: list[bytes], *, most: int) -> SearchStrategy[bytes]:
    """What the words of a format make in any order, with other bytes between them."""
    return st.lists(st.sampled_from(tokens) | st.binary(max_size=2), max_size=most).map(b"".join)


def places(most: int = 400) -> SearchStrategy[list[int]]:
    return st.lists(st.integers(0, most), max_size=8)


@st.composite
def damaged(draw: st.DrawFn, streams: SearchStrategy[bytes], tokens: list[bytes]) -> bytes:
    """A valid stream, of which some bytes are lost, come twice, or are others."""
    text = draw(streams)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 12)))
        piece = draw(st.sampled_from(tokens) | st.binary(max_size=2) | st.just(text[begin:end] * 2))
        text = text[:begin] + piece + text[end:]
    return text
