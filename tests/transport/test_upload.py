"""What an Upload says about its file."""

import io
from pathlib import Path

import pytest

from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport.upload import Upload


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
        with pytest.raises(InvariantTypeError, match=f"Upload got a {type(source).__name__}; give a pathlib.Path"):
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
        ({"filename": 1}, InvariantTypeError, "`filename` of Upload is a int"),
        ({"content_type": b"x"}, InvariantTypeError, "`content_type` of Upload is a bytes"),
        ({"content_type": "a\r\nb"}, InvariantError, "`content_type`"),
        ({"content_type": "ä/b"}, InvariantError, "`content_type`"),
    ],
)
def test_options_are_checked(options: dict, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        Upload(b"x", **options)
