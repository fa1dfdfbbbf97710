"""How the parts of a multipart body are told apart: RFC 2046, section 5.1.1, and what servers make of it."""

import json

import pytest

from rxlink.transport._multipart_parts import BadMultipart, MultipartParser, Part, PartTooLarge, boundary_of

JSON = {"content-type": "application/json"}
HEAD = b"\r\n--graphql\r\nContent-Type: application/json\r\n\r\n"
END = b"\r\n--graphql--\r\n"


class Fed:
    """A parser, and what it has given."""

    def __init__(self, *chunks: bytes, boundary: str = "graphql", limit: int | None = None) -> None:
        self.parser = MultipartParser(boundary, limit=limit)
        self.parts: list[Part] = []
        self.feed(*chunks)

    def feed(self, *chunks: bytes) -> "Fed":
        for chunk in chunks:
            self.parts += self.parser.feed(chunk)
        return self

    @property
    def bodies(self) -> list[bytes]:
        return [part.body for part in self.parts]

    @property
    def is_over(self) -> bool:
        return self.parser.is_over


class TestParts:
    def test_come_with_their_headers_in_small_letters(self) -> None:
        fed = Fed(b"--graphql\r\ncontent-TYPE:  text/plain \r\nX-A:b:c\r\n\r\none\r\n--graphql--")

        assert [Part({"content-type": "text/plain", "x-a": "b:c"}, b"one")] == fed.parts
        assert fed.is_over

    def test_come_without_headers(self) -> None:
        fed = Fed(b"--graphql\r\n\r\none\r\n--graphql\r\n\r\ntwo" + END)

        assert [Part({}, b"one"), Part({}, b"two")] == fed.parts

    def test_come_between_what_is_before_the_first_delimiter_and_behind_the_last(self) -> None:
        fed = Fed(b"preamble\r\n--graph\r\n" + HEAD + b"{}" + END + b"epilogue" + HEAD + b"{}\r\n--graphql", b"more")

        assert [Part(JSON, b"{}")] == fed.parts
        assert fed.is_over

    def test_may_have_blanks_behind_their_delimiters(self) -> None:
        fed = Fed(b"--graphql \t", b" \r", b"\n\r\none\r\n--graphql--")

        assert [b"one"] == fed.bodies

    def test_may_be_empty(self) -> None:
        fed = Fed(b"--graphql\r\n\r\n\r\n--graphql\r\n\r\n--graphql\n\n--graphql\r\nA: b\r\n\r\n--graphql--")

        assert [Part({}, b""), Part({}, b""), Part({}, b""), Part({"a": "b"}, b"")] == fed.parts

    def test_are_not_between_two_delimiters_one_behind_the_other(self) -> None:
        fed = Fed(b"--graphql\r\n--graphql\n--graphql\r\n\r\none\r\n--graphql\r\n--graphql--")

        assert [b"one"] == fed.bodies
        assert fed.is_over

    def test_have_lines_that_end_with_a_line_feed_alone(self) -> None:
        fed = Fed(b"\n--graphql\nContent-Type: application/json\nA: b\n\n[]\n--graphql--\n")

        assert [Part(JSON | {"a": "b"}, b"[]")] == fed.parts
        assert fed.is_over

    def test_have_folded_headers_and_lines_that_are_none(self) -> None:
        fed = Fed(b"--graphql\r\nno header\r\nA: b\r\n\tc\r\n d\r\n\r\none\r\n--graphql--")

        assert [Part({"a": "b c d"}, b"one")] == fed.parts

    def test_may_contain_what_is_like_a_delimiter(self) -> None:
        text = b"one --graphql\r\n--graph\r\n-graphql \r\n --graphql"

        fed = Fed(b"--graphql\r\nContent-Type: text/plain\r\n\r\n" + text + END)

        assert [text] == fed.bodies


class TestAtOnce:
    """A part is given with the last byte that it needs."""

    @pytest.mark.parametrize("line_break", [b"\r\n", b"\n"])
    def test_it_comes_with_its_delimiter_and_not_with_what_follows_that(self, line_break: bytes) -> None:
        fed = Fed(b"--graphql", line_break * 2, b"one", line_break, b"--graphq")
        assert [] == fed.bodies

        fed.feed(b"l")
        assert [b"one"] == fed.bodies

        fed.feed(b"-", b"-")
        assert [b"one"] == fed.bodies
        assert fed.is_over

    def test_the_end_is_there_with_its_second_dash(self) -> None:
        fed = Fed(b"--graphql-")
        assert not fed.is_over

        assert fed.feed(b"-").is_over

    def test_a_json_object_comes_with_its_last_bracket(self) -> None:
        fed = Fed(HEAD, b'{"a": ["}", "\\"}", {"b": "\\\\"}]')
        assert [] == fed.bodies

        fed.feed(b"}")
        assert [b'{"a": ["}", "\\"}", {"b": "\\\\"}]}'] == fed.bodies

        fed.feed(b"\n", b" ", HEAD, b"{}", END)
        assert 2 == len(fed.bodies)
        assert fed.is_over

    def test_a_delimiter_may_have_begun_with_the_object(self) -> None:
        fed = Fed(HEAD + b"{}\r\n--gr")
        assert [b"{}"] == fed.bodies

        assert fed.feed(b"aphql--").is_over

    @pytest.mark.parametrize("before", [65_530, 65_531, 65_532, 65_533])
    def test_a_long_object_is_followed_in_steps_that_part_no_escape(self, before: int) -> None:
        text = b'{"a":"' + b"X" * (before - 6) + b'\\\\\\"}", "b": 1}'

        fed = Fed(HEAD, text[:-1])
        assert [] == fed.bodies

        assert [text] == fed.feed(b"}").bodies

    def test_as_strawberry_sends_it(self) -> None:
        fed = Fed()
        for number in range(3):
            event = json.dumps({"payload": {"data": {"count": number}}}).encode()
            fed.feed(HEAD + event + b"\n")
            assert [event] == fed.bodies[number:]

        assert fed.feed(END).is_over

    @pytest.mark.parametrize(
        ("content_type", "bodies"),
        [
            ("application/json", [b"{}"]),
            ("Application/JSON ; charset=utf-8", [b"{}"]),
            ("application/graphql-response+json", [b"{}"]),
            ("text/plain", []),
            ("application/jsonl", []),
        ],
    )
    def test_nothing_else_has_a_last_bracket(self, content_type: str, bodies: list[bytes]) -> None:
        fed = Fed(b"--graphql\r\nContent-Type: " + content_type.encode() + b"\r\n\r\n{}")

        assert bodies == fed.bodies
        assert [b"{}"] == fed.feed(END).bodies

    @pytest.mark.parametrize("text", [b"[{}]", b'"{}"', b"1", b"}", b"x{}", b"{}}", b'{}"', b"{} {", b"x{} ", b'{"a" '])
    def test_what_is_no_object_waits_for_its_delimiter(self, text: bytes) -> None:
        fed = Fed(HEAD, text)
        assert [] == fed.bodies

        assert [text] == fed.feed(END).bodies


class TestBroken:
    @pytest.mark.parametrize(
        ("chunks", "reason"),
        [
            ((b"--graphqlx",), "behind a delimiter its line goes on (at byte 9)"),
            ((b"--graphql \rx",), "behind a delimiter its line goes on (at byte 10)"),
            ((b"--graphql --",), "behind a delimiter its line goes on (at byte 10)"),
            ((b"--graphql ", b"--"), "behind a delimiter its line goes on (at byte 10)"),
            ((b"--graphql-x",), "what follows a delimiter is no end (at byte 9)"),
            ((b"--graphql-", b"secret"), "what follows a delimiter is no end (at byte 9)"),
            ((b"preamble\r\n--graphql\r\nA: secret\r\n--graphql",), "the headers of a part have no end (at byte 21)"),
            ((HEAD + b"{}", b"X"), "a part goes on behind its JSON object"),
            ((HEAD + b"{}", b"\n", b"secret"), "a part goes on behind its JSON object"),
            ((HEAD + b"{}", b"\n", b"--graph", b"secret"), "a part goes on behind its JSON object"),
            ((HEAD + b"{}", b"\n--graph\n--graphql"), "a part goes on behind its JSON object"),
        ],
    )
    def test_a_body_is_refused_with_the_place_and_nothing_of_it(self, chunks: tuple[bytes, ...], reason: str) -> None:
        with pytest.raises(BadMultipart) as raised:
            Fed(*chunks)

        assert str(raised.value).startswith(reason)
        assert "secret" not in str(raised.value)


class TestLimit:
    def test_a_part_may_be_as_large_as_the_limit(self) -> None:
        fed = Fed(b"--graphql\r\nA: b\r\n\r\n" + b"x" * 12 + END, limit=20)

        assert [b"x" * 12] == fed.bodies

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_a_part_that_is_larger_is_refused(self, size: int) -> None:
        body = b"--graphql\r\nA: b\r\n\r\n" + b"x" * 13 + END
        with pytest.raises(PartTooLarge, match="a part of the answer is larger than 20 bytes") as raised:
            Fed(*(body[begin : begin + size] for begin in range(0, len(body), size)), limit=20)

        assert 20 == raised.value.limit

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_an_object_that_is_given_before_its_delimiter_has_the_same(self, size: int) -> None:
        body = b"--graphql\r\nA: b\r\n\r\n" + b'{"a": 1}' + b" " * 30
        chunks = [body[begin : begin + size] for begin in range(0, len(body), size)]

        assert [b'{"a": 1}'] == Fed(*chunks, limit=16).bodies
        with pytest.raises(PartTooLarge):
            Fed(*chunks, limit=15)

    @pytest.mark.parametrize("size", [1, 7, 100])
    def test_headers_that_are_larger_are_that_before_they_are_damaged(self, size: int) -> None:
        body = b"preamble\r\n--graphql\r\nA: " + b"x" * 18 + END
        chunks = [body[begin : begin + size] for begin in range(0, len(body), size)]

        with pytest.raises(PartTooLarge):
            Fed(*chunks, limit=20)
        with pytest.raises(BadMultipart):
            Fed(*chunks, limit=21)


class TestBoundary:
    @pytest.mark.parametrize(
        ("content_type", "boundary"),
        [
            ("multipart/mixed", "-"),
            ("multipart/mixed;boundary=graphql", "graphql"),
            ('multipart/mixed; boundary="graphql"; deferSpec=20220824', "graphql"),
            ("multipart/mixed; deferSpec=20220824; Boundary='a;b' ; x=y", "a;b"),
            ("multipart/mixed; boundary=a b ;subscriptionSpec=1.0", "a b"),
            ("multipart/mixed; boundary=x; y=z", "x"),
            ("multipart/mixed; boundary=-", "-"),
            ('multipart/mixed; boundary="-"', "-"),
            ("multipart/mixed; boundary=", "-"),
            ('multipart/mixed; boundary="a"b', "-"),
            ("multipart/mixed; boundary='a\"", "-"),
        ],
    )
    def test_it_is_what_the_content_type_says(self, content_type: str, boundary: str) -> None:
        assert boundary == boundary_of(content_type)

    def test_it_may_have_any_letters(self) -> None:
        as_it_is_read = b"\xff\xc3\xa9".decode("utf-8", "surrogateescape")

        fed = Fed(b"--\xff\xc3\xa9\r\n\r\none\r\n--\xff\xc3\xa9--", boundary=as_it_is_read)

        assert [b"one"] == fed.bodies
        assert fed.is_over

    @pytest.mark.parametrize(("boundary", "bodies"), [("X", [b"{}"]), ("(", [b"{}"]), ("}", []), ("x]", [])])
    def test_with_a_closing_bracket_no_object_comes_before_its_delimiter(
        self, boundary: str, bodies: list[bytes]
    ) -> None:
        assert bodies == Fed(f"--{boundary}\r\n\r\n".encode(), b"{}", boundary=boundary).bodies
