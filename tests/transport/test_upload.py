"""What an Upload says about its file."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport import _body
from rxlink.transport._body import BodyWriter, Parts
from rxlink.transport._files import find_files
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload, has_files


async def rows():
    yield b"a,b"


class TestNameAndType:
    @pytest.mark.parametrize(
        ("upload", "expected"),
        [
            (Upload(Path("/home/Ada.png")), ("Ada.png", "image/png")),
            (Upload(Path("/")), ("blob", "application/octet-stream")),
            (Upload(b"x"), ("blob", "application/octet-stream")),
            (Upload(rows), ("blob", "application/octet-stream")),
            (Upload(b"x", filename="a.json"), ("a.json", "application/json")),
            (Upload(b"x", filename="a.json", content_type="text/x"), ("a.json", "text/x")),
            (Upload(Path("a.csv"), filename="b.unknown"), ("b.unknown", "application/octet-stream")),
        ],
    )
    def test_come_from_what_is_known(self, upload: Upload, expected: tuple[str, str]):
        assert expected == (upload.filename, upload.content_type)

    def test_come_from_an_open_file(self, tmp_path: Path):
        (tmp_path / "a.txt").write_bytes(b"x")

        with (tmp_path / "a.txt").open("rb") as file:
            assert "<Upload 'a.txt' text/plain>" == repr(Upload(file))
            nameless = Upload(io.FileIO(file.fileno(), closefd=False))

        assert "blob" == nameless.filename


class TestSource:
    @pytest.mark.parametrize("source", ["a.txt", 1, None, [b"x"]])
    def test_that_is_no_file_is_refused(self, source: object):
        with pytest.raises(InvariantTypeError, match=f"Upload got {kind_of(source)}; give a pathlib.Path"):
            Upload(source)

    @pytest.mark.parametrize("source", [b"", bytearray(), memoryview(b""), Path(), io.BytesIO(), rows])
    def test_may_be_of_many_kinds(self, source: object):
        assert source is Upload(source).source

    def test_opened_as_text_is_refused(self, tmp_path: Path):
        (tmp_path / "a.txt").write_text("x")

        with (
            (tmp_path / "a.txt").open() as file,
            pytest.raises(InvariantTypeError, match=r"'a\.txt' is opened as text; open it with 'rb'"),
        ):
            Upload(file)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"filename": 1}, InvariantTypeError, "`filename` of Upload is an int"),
        ({"content_type": b"x"}, InvariantTypeError, "`content_type` of Upload is bytes"),
        ({"content_type": "a\r\nb"}, InvariantError, "`content_type`"),
        ({"content_type": "ä/b"}, InvariantError, "`content_type`"),
    ],
)
def test_options_are_checked(options: dict, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        Upload(b"x", **options)


def holding(variables: dict[str, object], query: str = "mutation Put($a: A) { put(a: $a) }") -> Operation:
    return Operation(GraphQLRequest(query, variables))


class Untouchable(io.RawIOBase):
    """An open file that must not be touched."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("read")

    def seek(self, *_: object) -> int:
        raise AssertionError("moved")

    def tell(self) -> int:
        raise AssertionError("asked where it stands")

    def seekable(self) -> bool:
        raise AssertionError("asked whether it can seek")


class Missing(type(Path())):
    """A path that must not be looked up."""

    def open(self, *_: object, **__: object) -> None:
        raise AssertionError("opened")

    def stat(self, **_: object) -> None:
        raise AssertionError("looked up")


FILES = [Path("not-there.txt"), b"", bytearray(b"x"), memoryview(b"x"), io.BytesIO(), Upload(b"x"), Upload(rows)]
NO_FILES = [None, True, 5, 1.5, "a.txt", rows, {}, [], (), object()]

variables = st.recursive(
    st.sampled_from([*FILES, *NO_FILES]),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class TestHasFiles:
    @pytest.mark.parametrize("wrapped", [lambda x: x, lambda x: [1, x], lambda x: {"a": ({"b": [x]}, 2)}])
    @pytest.mark.parametrize(
        ("values", "expected"), [(FILES, True), ([Untouchable(), Missing("a")], True), (NO_FILES, False)]
    )
    def test_finds_them_at_any_depth_and_touches_none(self, wrapped, values, expected: bool):
        assert [expected] * len(values) == [has_files(holding({"a": wrapped(value)})) for value in values]

    def test_is_false_without_variables(self):
        assert not has_files(holding({}))

    def test_is_true_for_a_stream_and_leaves_it_unread(self):
        stream: AsyncIterator[bytes] = rows()

        assert has_files(holding({"a": [stream]}))

        async def read() -> list[bytes]:
            return [chunk async for chunk in stream]

        assert [b"a,b"] == asyncio.run(read())

    @given(variables)
    def test_says_what_http_link_finds(self, value: object):
        _, found = find_files({"a": value}, {}, only_marked=False)

        assert bool(found) == has_files(holding({"a": value}))

    def test_leaves_the_operation_as_it_was(self):
        given = {"a": [Upload(b"x")]}
        operation = holding(given)

        has_files(operation)

        assert (given, {}, False) == (dict(operation.variables), dict(operation.get_context()), operation.is_spent)

    def test_looks_at_variables_that_the_document_does_not_use(self):
        assert has_files(holding({"a": 1, "unused": b"x"}))

    @pytest.mark.parametrize("file", [None, b"x"])
    def test_ends_where_values_hold_themselves(self, file: object):
        circle: dict[str, object] = {"list": [file]}
        circle["self"] = [circle, circle]

        assert (file is not None) == has_files(holding({"a": circle}))

    def test_takes_no_longer_for_what_stands_in_many_places(self):
        value: object = []
        for _ in range(100):
            value = [value, value]

        assert not has_files(holding({"a": value}))

    @pytest.mark.parametrize(("file", "is_sent_as_one"), [(b"x", False), (Upload(b"x"), True)])
    def test_is_true_for_what_an_encoder_of_the_links_own_writes_itself(self, file: object, is_sent_as_one: bool):
        operation = holding({"a": file})
        body = BodyWriter(None, str, False, "HttpLink")

        _, found = body.write_with_files(operation, {}, Parts())

        assert (True, is_sent_as_one) == (has_files(operation), bool(found))


def test_is_not_searched_for_among_what_does_not_encode(monkeypatch: pytest.MonkeyPatch):
    """Each value of each row would be encoded by itself, which takes a second for some thousands."""
    monkeypatch.setattr(_body, "culprit", lambda *_: pytest.fail("it looked for a place"))
    link = HttpLink("http://localhost/graphql")

    request = link._requests.build(holding({"a": {"file": b"x", "rows": [{"n": n} for n in range(9)]}}))

    assert request.files is not None
