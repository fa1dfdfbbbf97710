"""However the bytes of a multipart body come, the parts are the same, and each is there as soon as it can be."""

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.transport._multipart_parts import MultipartParser
from tests.transport.stream_references import cut, read_multipart, reference_of_multipart
from tests.transport.stream_strategies import MULTIPART_TOKENS, multipart_bodies, places, soups

LIMITS = st.none() | st.integers(0, 60)
HEAD = b"--graphql\r\nContent-Type: application/json\r\n\r\n"
END = b"\r\n--graphql--"


class TestCut:
    @given(multipart_bodies())
    def test_a_whole_body_is_read_as_the_plain_reader_reads_it(self, body: bytes) -> None:
        reference = reference_of_multipart(body, "graphql", limit=None)

        assert reference.is_sure
        assert reference == read_multipart([body], "graphql", limit=None)

    @given(multipart_bodies(), LIMITS)
    def test_in_two_at_any_byte_it_is_the_same(self, body: bytes, limit: int | None) -> None:
        reference = reference_of_multipart(body, "graphql", limit=limit)

        for place in range(len(body) + 1):
            assert reference == read_multipart([body[:place], body[place:]], "graphql", limit=limit)

    @given(multipart_bodies(), places(), LIMITS)
    def test_in_any_pieces_it_is_the_same(self, body: bytes, where: list[int], limit: int | None) -> None:
        reference = reference_of_multipart(body, "graphql", limit=limit)

        assert reference == read_multipart(cut(body, where), "graphql", limit=limit)
        assert reference == read_multipart(cut(body, range(len(body))), "graphql", limit=limit)

    @given(st.lists(multipart_bodies().map(lambda body: body.partition(b"--graphql--")[0]), max_size=4), places())
    def test_joined_bodies_are_the_same_in_any_pieces(self, bodies: list[bytes], where: list[int]) -> None:
        body = b"".join(bodies)
        reference = reference_of_multipart(body, "graphql", limit=None)

        assert read_multipart([body], "graphql", limit=None).agrees_with(reference)
        assert read_multipart(cut(body, where), "graphql", limit=None).agrees_with(reference)

    @given(soups(MULTIPART_TOKENS, most=30), places(100), LIMITS)
    def test_what_is_no_body_is_the_same_in_any_pieces(self, body: bytes, where: list[int], limit: int | None) -> None:
        reference = reference_of_multipart(body, "graphql", limit=limit)

        assert read_multipart([body], "graphql", limit=limit).agrees_with(reference)
        assert read_multipart(cut(body, where), "graphql", limit=limit).agrees_with(reference)
        assert read_multipart(cut(body, range(len(body))), "graphql", limit=limit).agrees_with(reference)


class TestAtOnce:
    @given(multipart_bodies())
    def test_of_what_has_come_all_is_given_that_can_be(self, body: bytes) -> None:
        parser, given_so_far = MultipartParser("graphql", limit=None), []

        for place in range(len(body)):
            given_so_far += parser.feed(body[place : place + 1])

            reference = reference_of_multipart(body[: place + 1], "graphql", limit=None)
            assert reference.things == given_so_far
            assert ("over" == reference.end) == parser.is_over


class TestBrackets:
    @given(st.sampled_from(["}", "x}y", "]"]), places(80))
    def test_of_a_boundary_are_none_of_an_object(self, boundary: str, where: list[int]) -> None:
        delimiter = f"\r\n--{boundary}".encode()
        body = delimiter + b'\r\n\r\n{"a": {\n--' + delimiter + b"\r\n\r\n{} \n" + delimiter + b"--"

        reading = read_multipart(cut(body, where), boundary, limit=None)

        assert [b'{"a": {\n--', b"{} \n"] == [part.body for part in reading.things]
        assert "over" == reading.end


HOSTILE = {
    "one long text": lambda size: b"--graphql\r\nContent-Type: text/plain\r\n\r\n" + b"x" * size + END,
    "one long object": lambda size: HEAD + b'{"a": [' + b'{"b": "}\\"}"}, ' * (size // 16) + b"1]}" + END,
    "nested": lambda size: HEAD + b'{"a":' * (size // 5),
    "brackets": lambda size: HEAD + b"{" * (size // 2) + b"}" * (size // 2 - 1),
    "backslashes": lambda size: HEAD + b'{"' + b"\\" * (size // 2) + b"}" * (size // 2),
    "white space in an object": lambda size: HEAD + b'{"a": 1' + b" " * size + b"}" + END,
    "white space before an object": lambda size: HEAD + b"\n" * size + b"{}" + END,
    "white space behind an object": lambda size: HEAD + b"{}" + b"\n" * size + END,
    "brackets that close nothing": lambda size: HEAD + b" " * (size // 2) + b"x" + b"} " * (size // 4),
    "headers": lambda size: b"--graphql\r\n" + b"a: b\r\n" * (size // 6),
    "a preamble": lambda size: b"\r\n--graphq" * (size // 10),
    "padding": lambda size: b"--graphql" + b" " * size,
    "beginnings of delimiters": lambda size: HEAD + b'{"a": 1' + b"\r\n--graphq" * (size // 10),
    "small parts": lambda size: (HEAD + b"{}\r\n") * (size // 200),
    "delimiters alone": lambda size: b"--graphql\n" * (size // 100),
}


def seconds(body: bytes, size: int) -> float:
    """Return how long a body takes in pieces of a size, on this processor's clock."""
    parser = MultipartParser("graphql", limit=None)
    began = time.process_time()
    for begin in range(0, len(body), size):
        for _ in parser.feed(body[begin : begin + size]):
            pass
    return time.process_time() - began


class TestTime:
    """With a look back at each piece, or each part, what is 8 times as long would take 64 times as long."""

    @pytest.mark.parametrize("size", [100, 10_000_000])
    @pytest.mark.parametrize("name", HOSTILE)
    def test_grows_with_the_bytes_and_not_with_their_square(self, name: str, size: int) -> None:
        short = seconds(HOSTILE[name](500_000), size)

        long = seconds(HOSTILE[name](4_000_000), size)

        assert long < 24 * max(short, 0.02)


class TestMemory:
    @pytest.mark.parametrize(
        ("before", "chunk"),
        [
            (b"", b"a preamble\r\n" * 300_000),
            (HEAD + b"{}" + END, b"an epilogue" * 300_000),
            (b"", HEAD + b"{}" + END + b"an epilogue" * 300_000),
            (HEAD + b"{}", b"\r\n" * 2_000_000),
            (b"--graphql", b" " * 4_000_000),
            (b"", HEAD + b"x" * 4_000_000 + END),
            (b"", (HEAD + b"{}\r\n") * 80_000),
        ],
    )
    def test_what_has_been_read_is_not_kept(self, before: bytes, chunk: bytes) -> None:
        parser = MultipartParser("graphql", limit=None)

        for piece in (before, chunk):
            for _ in parser.feed(piece):
                pass

        assert 1_000 > sys.getsizeof(parser._buffer)
