"""How a stream of server-sent events is read: the HTML standard of the WHATWG, 9.2.5 and 9.2.6."""

import pytest

from rxlink.transport._sse_parser import EventTooLarge, ServerSentEvent, SseParser


def events_of(*chunks: bytes, limit: int | None = None) -> list[ServerSentEvent]:
    parser = SseParser(limit=limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def message(data: str, *, type: str = "message", last_id: str = "") -> ServerSentEvent:
    return ServerSentEvent(type, data, last_id)


class TestEvents:
    @pytest.mark.parametrize(
        ("text", "events"),
        [
            ("data: YHOO\ndata: +2\ndata: 10\n\n", [message("YHOO\n+2\n10")]),
            (
                ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
                [message("first event", last_id="1"), message("second event"), message(" third event")],
            ),
            ("data\n\ndata\ndata\n\ndata:", [message(""), message("\n")]),
            ("data:test\n\ndata: test\n\n", [message("test"), message("test")]),
        ],
    )
    def test_are_as_in_the_examples_of_the_standard(self, text: str, events: list[ServerSentEvent]) -> None:
        assert events == events_of(text.encode())

    @pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
    def test_end_with_an_empty_line(self, end: str) -> None:
        text = f"event: next{end}data: a{end}data: b{end}{end}data: c{end}{end}"

        assert [message("a\nb", type="next"), message("c")] == events_of(text.encode())

    def test_without_data_are_given_if_they_have_a_type(self) -> None:
        assert [message("", type="complete")] == events_of(b"event: complete\n\n: comment\n\nid: 1\n\nevent\n\n")

    def test_lose_what_the_stream_has_not_ended(self) -> None:
        assert [] == events_of(b"data: a\n")

    def test_have_fields_that_nobody_knows(self) -> None:
        assert [message("a")] == events_of(b"x: y\nDATA: b\n data: c\ndata : d\ndata: a\ntime\n\n")


class TestBytes:
    def test_that_mark_the_order_are_no_text_at_the_beginning_only(self) -> None:
        bom = b"\xef\xbb\xbf"

        assert [message("a")] == events_of(bom + b"data: a\n\n" + bom + b"data: b\n\n")
        assert [message("a")] == events_of(bom[:1], bom[1:2], bom[2:] + b"data: a\n\n")
        assert [] == events_of(bom + bom + b"data: a\n\n")

    def test_of_one_character_come_one_by_one(self) -> None:
        chunks = [bytes([byte]) for byte in "data: é€😀\n\n".encode()]

        assert [message("é€😀")] == events_of(*chunks)

    def test_that_are_no_text_are_replaced(self) -> None:
        assert [message("a\ufffdb\n\ufffd", type="\ufffd", last_id="\ufffd")] == events_of(
            b"data: a\xffb\ndata: \xf0\x9f\x98\nevent: \xc3\nid: \xe2\x82\n\n"
        )


class TestAtOnce:
    def test_a_carriage_return_alone_ends_a_line(self) -> None:
        parser = SseParser(limit=None)

        assert [message("a")] == list(parser.feed(b"data: a\r\r"))
        assert [] == list(parser.feed(b"\n"))
        assert [] == list(parser.feed(b"data: b\r"))
        assert [] == list(parser.feed(b""))
        assert [] == list(parser.feed(b"\n"))
        assert [message("b")] == list(parser.feed(b"\n"))


class TestIds:
    def test_hold_until_another_is_named(self) -> None:
        parser = SseParser(limit=None, last_id="0")

        events = list(parser.feed(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid\ndata: d\n\n"))

        assert ["0", "1", "1", ""] == [event.last_id for event in events]

    def test_are_the_parsers_when_their_event_has_ended(self) -> None:
        parser = SseParser(limit=None, last_id="0")

        assert [] == list(parser.feed(b"id: 1\n"))
        assert "0" == parser.last_id
        assert [] == list(parser.feed(b"\n"))
        assert "1" == parser.last_id

    def test_with_a_null_are_none(self) -> None:
        assert [message("a", last_id="1")] == events_of(b"id: 1\nid: 2\x003\ndata: a\n\n")


class TestRetry:
    @pytest.mark.parametrize(
        ("value", "retry"),
        [
            (b"1500", 1500),
            (b"0", 0),
            (b"0010", 10),
            (b"0" * 5_000 + b"7", 7),
            (b"1500000000", 1_500_000_000),
            (b"2147483647", 2_147_483_647),
            (b"2147483648", 2_147_483_647),
            (b"9" * 400, 2_147_483_647),
            (b"9" * 5_000, 2_147_483_647),
            (b"", None),
            (b"-1", None),
            (b"1.5", None),
            (b"1s", None),
            (b" 1", None),
            ("१".encode(), None),
        ],
    )
    def test_is_a_number_of_milliseconds(self, value: bytes, retry: int | None) -> None:
        parser = SseParser(limit=None)

        assert [] == list(parser.feed(b"retry: " + value + b"\n"))

        assert retry == parser.retry

    def test_holds_until_another_is_named(self) -> None:
        parser = SseParser(limit=None)

        events = list(parser.feed(b"retry: 10\n\nretry: x\ndata: a\n\n"))

        assert 1 == len(events)
        assert 10 == parser.retry


class TestLimit:
    EVENT = b"event: x\r\ndata: a\r\ndata: b\r\n\r\n"  # 22 bytes without the ends of the lines

    @pytest.mark.parametrize("size", [1, 5, 100])
    def test_is_that_of_the_lines_of_an_event(self, size: int) -> None:
        text = self.EVENT * 3
        chunks = [text[begin : begin + size] for begin in range(0, len(text), size)]

        assert [message("a\nb", type="x")] * 3 == events_of(*chunks, limit=22)
        with pytest.raises(EventTooLarge, match="an event is larger than 21 bytes") as raised:
            events_of(*chunks, limit=21)
        assert 21 == raised.value.limit

    def test_counts_a_comment_until_its_line_ends(self) -> None:
        assert [message("a")] == events_of(b": 345678\n" * 10 + b"data: a\n\n", limit=8)
        with pytest.raises(EventTooLarge):
            events_of(b": 3456789", limit=8)
        with pytest.raises(EventTooLarge):
            events_of(b": 3456789\n", limit=8)
