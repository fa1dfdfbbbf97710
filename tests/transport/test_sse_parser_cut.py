"""However the bytes of a stream of events come, the events are the same, and each is there with its empty line."""

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.transport._sse_parser import SseParser
from tests.transport.stream_references import cut, read_events, reference_of_events
from tests.transport.stream_strategies import EVENT_TOKENS, event_streams, places, soups

LIMITS = st.none() | st.integers(0, 30)


class TestCut:
    @given(event_streams(), LIMITS)
    def test_in_two_at_any_byte_it_is_the_same(self, text: bytes, limit: int | None) -> None:
        reference = reference_of_events(text, limit=limit)

        for place in range(len(text) + 1):
            assert reference == read_events([text[:place], text[place:]], limit=limit)

    @given(event_streams(), places(200), LIMITS, st.sampled_from(["", "0"]))
    def test_in_any_pieces_it_is_the_same(self, text: bytes, where: list[int], limit: int | None, last_id: str) -> None:
        reference = reference_of_events(text, limit=limit, last_id=last_id)

        assert reference == read_events(cut(text, where), limit=limit, last_id=last_id)
        assert reference == read_events(cut(text, range(len(text))), limit=limit, last_id=last_id)

    @given(st.lists(event_streams(), max_size=5), places(800))
    def test_joined_streams_are_the_same_in_any_pieces(self, texts: list[bytes], where: list[int]) -> None:
        text = b"".join(texts)

        assert reference_of_events(text, limit=None) == read_events(cut(text, where), limit=None)

    @given(soups(EVENT_TOKENS, most=30), places(100), LIMITS)
    def test_arbitrary_bytes_are_the_same_in_any_pieces(self, text: bytes, where: list[int], limit: int | None) -> None:
        reference = reference_of_events(text, limit=limit)

        assert reference == read_events([text], limit=limit)
        assert reference == read_events(cut(text, where), limit=limit)
        assert reference == read_events(cut(text, range(len(text))), limit=limit)


class TestAtOnce:
    @given(event_streams())
    def test_of_what_has_come_all_is_given_that_can_be(self, text: bytes) -> None:
        parser, given_so_far = SseParser(limit=None), []

        for place in range(len(text)):
            given_so_far += parser.feed(text[place : place + 1])

            reference = reference_of_events(text[: place + 1], limit=None)
            assert reference.things == given_so_far
            assert (reference.last_id, reference.retry) == (parser.last_id, parser.retry)


HOSTILE = {
    "one long line": lambda size: b"data: " + b"x" * size + b"\n\n",
    "one long comment": lambda size: b":" + b"x" * size + b"\n\n",
    "a line that does not end": lambda size: b"data: a\n\n" + b"x" * size,
    "digits": lambda size: b"retry: " + b"9" * size + b"\n",
    "many lines": lambda size: b"data\n" * (size // 40) + b"\n",
    "many events": lambda size: b"data: {}\r\n\r\n" * (size // 100),
    "line ends": lambda size: b"\r\n" * (size // 40),
}


def seconds(text: bytes, size: int) -> float:
    """Return how long a text takes in pieces of a size, on this processor's clock."""
    parser = SseParser(limit=None)
    began = time.process_time()
    for begin in range(0, len(text), size):
        for _ in parser.feed(text[begin : begin + size]):
            pass
    return time.process_time() - began


class TestTime:
    """With a look back at each piece, or each line, what is 8 times as long would take 64 times as long."""

    @pytest.mark.parametrize("size", [100, 10_000_000])
    @pytest.mark.parametrize("name", HOSTILE)
    def test_grows_with_the_bytes_and_not_with_their_square(self, name: str, size: int) -> None:
        short = seconds(HOSTILE[name](500_000), size)

        long = seconds(HOSTILE[name](4_000_000), size)

        assert long < 24 * max(short, 0.02)


class TestMemory:
    @pytest.mark.parametrize(
        "text", [b": comment" * 400_000 + b"\n", b"data: a\n\n" * 400_000, b"data: " + b"a" * 4_000_000 + b"\n\n"]
    )
    def test_what_has_been_read_is_not_kept(self, text: bytes) -> None:
        parser = SseParser(limit=None)

        for _ in parser.feed(text):
            pass

        assert 1_000 > sys.getsizeof(parser._line) + sys.getsizeof(parser._data)
