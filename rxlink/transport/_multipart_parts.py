"""The parts of a multipart body out of bytes, as they come; knows no socket.

RFC 2046, section 5.1.1. A part is there as soon as the delimiter behind it is: whether that is the last one is seen
with the next bytes, which may come much later. Some servers send even the delimiter only with the next part: a JSON
object is there as soon as its last bracket is.

Ports: ``src/link/http/parseAndCheckHttpResponse.ts`` of Apollo Client 4.3.8, as far as it takes a body apart.

Differs:
    - Apollo waits for the delimiter behind a JSON object too, and gets it one event late from such servers.
    - A line may end with LF alone, also before a delimiter, and a delimiter may be the first of the body.
    - What follows a delimiter is checked, and so is the size of a part. Apollo reads on, and keeps what comes.
    - A boundary of one letter need not be quoted. With Apollo all that follows it belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rxlink.transport._json_end import WHITE, JsonEnd

__all__ = ["BadMultipart", "MultipartParser", "Part", "PartTooLarge", "boundary_of"]

CR: Final = ord("\r")
PADDING: Final = re.compile(rb"[ \t]*")
HEADERS_END: Final = re.compile(rb"\n\r?\n")
FOLD: Final = re.compile(r"\r?\n[ \t]+")
BRACKETS: Final = frozenset("}]")
BOUNDARY: Final = re.compile(
    r";\s*boundary=(?:'([^']+)'\s*(?:;|$)|\"([^\"]+)\"\s*(?:;|$)|([^\"';\s][^;]*))", re.IGNORECASE
)
DEFAULT_BOUNDARY: Final = "-"


class BadMultipart(Exception):
    """The body is no multipart body. The message shows nothing of it."""


class PartTooLarge(Exception):
    """A part is larger than is taken.

    Attributes:
        limit: In bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"a part of the answer is larger than {limit} bytes")
        self.limit = limit


@dataclass(slots=True)  # not frozen: that would take three times as long to make
class Part:
    """One part.

    Attributes:
        headers: By name, in small letters.
        body: Its bytes; of a JSON object without white space behind it.
    """

    headers: Mapping[str, str]
    body: bytes


class _At(Enum):
    PREAMBLE = auto()  # before the first delimiter
    DELIMITER = auto()  # behind one
    PART = auto()  # in a part that has not been given
    REST = auto()  # behind a JSON object that has
    EPILOGUE = auto()  # behind the last delimiter


class MultipartParser:
    """Takes bytes and gives parts.

    Of the body no more is kept than the part that has not ended.

    Args:
        boundary: What the content type says.
        limit: How many bytes a part may have, its headers among them; None for any.
    """

    # Of a part, from its delimiter on:
    _body: int  # where its body begins, 0 as long as that has not come
    _looked: int  # how much of it was looked through for the end of its headers, and then for that of an object
    _object: JsonEnd | None

    __slots__ = (
        "_at",
        "_begin",
        "_body",
        "_buffer",
        "_delimiter",
        "_dropped",
        "_head",
        "_headers",
        "_is_object",
        "_limit",
        "_looked",
        "_object",
        "_searched",
        "_takes_objects",
    )

    def __init__(self, boundary: str, *, limit: int | None) -> None:
        self._delimiter = b"\n--" + boundary.encode("utf-8", "surrogateescape")  # as aiohttp has decoded it
        # The last bracket of an object could be one of the delimiter's.
        self._takes_objects = BRACKETS.isdisjoint(boundary)
        self._limit = limit
        # What was read last as headers, which most parts have in common:
        self._head: bytes = b""
        self._headers: dict[str, str] = {}
        self._is_object = self._takes_objects
        self._buffer = bytearray(b"\n")  # so that a delimiter at the very beginning is one
        self._dropped = -1  # bytes of the body that are not in the buffer any more
        self._begin = self._searched = 0  # what has not been read, and where a delimiter may still begin
        self._at = _At.PREAMBLE

    @property
    def is_over(self) -> bool:
        """Whether the last delimiter has come; what follows is dropped."""
        return self._at is _At.EPILOGUE

    def feed(self, chunk: bytes) -> Iterator[Part]:
        """Take bytes; give the parts that end in them.

        Who leaves off between two parts, or after an error, feeds no more: the rest is still to be read.
        A part that goes on behind its JSON object is an error in any case. Whether the object is given before that
        depends on how the bytes come.

        Raises:
            BadMultipart: The bytes are no multipart body.
            PartTooLarge: A part is.
        """
        if self.is_over:
            return
        self._buffer += chunk
        while (part := self._next()) is not None:
            yield part

    def _next(self) -> Part | None:
        """Return the next part, None where more has to come."""
        while self._at is not _At.EPILOGUE:
            if self._at is _At.DELIMITER:
                if not self._pass_delimiter():
                    self._drop()
                    return None
                continue
            end = self._buffer.find(self._delimiter, self._searched)
            if end < 0:
                self._drop()
                return self._wait()
            part = self._take(end)
            self._begin = self._searched = end + len(self._delimiter)
            if part is not None:
                return part
        self._buffer.clear()
        return None

    def _drop(self) -> None:
        """Forget what was read."""
        del self._buffer[: self._begin]
        self._dropped += self._begin
        self._searched -= self._begin
        self._begin = 0

    def _pass_delimiter(self) -> bool:
        """Tell whether enough has come to know what follows a delimiter."""
        buffer, begin = self._buffer, self._begin
        if buffer.startswith(b"-", begin):
            if buffer.startswith(b"--", begin):
                self._at = _At.EPILOGUE
            elif len(buffer) > begin + 1:
                raise self._bad("what follows a delimiter is no end", begin)
            return self.is_over
        found = PADDING.match(buffer, begin)
        end = begin if found is None else found.end()
        if buffer.startswith((b"\n", b"\r\n"), end):
            self._begin = self._searched = end  # the line break stays: it may be that of the next delimiter
            self._at = _At.PART
            self._body, self._looked, self._object = 0, 0, None
            return True
        if bytes(buffer[end:]) not in {b"", b"\r"}:
            raise self._bad("behind a delimiter its line goes on", end)
        self._begin = max(begin, end - 1)  # a blank stays, behind which two dashes are no end
        return False

    def _take(self, end: int) -> Part | None:
        """Go on behind a delimiter; return the part before it, if that is one and was not given."""
        at, self._at = self._at, _At.DELIMITER
        if at is _At.REST:
            self._check_white(end)
        return self._part_before(end) if at is _At.PART else None

    def _part_before(self, delimiter: int) -> Part | None:
        begin = self._content()
        if delimiter < begin:
            return None  # a delimiter right behind another, as Apollo sees it
        end = delimiter - (self._buffer[delimiter - 1] == CR)
        if not self._has_headers(delimiter + 1):
            self._check_size(end - begin)
            raise self._bad("the headers of a part have no end", begin)
        body = bytes(self._buffer[self._body : end])
        if self._is_object:
            body = _without_white_end(body)
            end = max(begin, min(end, self._body + len(body)))
        self._check_size(end - begin)
        return Part(self._headers, body)

    def _wait(self) -> Part | None:
        """Look at what has come of something whose delimiter has not."""
        size = len(self._buffer)
        self._searched = max(self._searched, size - len(self._delimiter) + 1)
        if self._at is _At.PART:
            part = self._object_part()
            if part is None:
                self._check_size(size - self._content() - len(self._delimiter))  # which has a CR before it
            return part
        if self._at is _At.REST:
            self._check_white(size)
        self._begin = self._searched
        self._drop()
        return None

    def _object_part(self) -> Part | None:
        """Return the part if its body is a JSON object that has ended."""
        size = len(self._buffer)
        if not self._has_headers(size) or not self._is_object:
            return None
        if self._object is None:
            self._object = JsonEnd(self._body)
        end = self._buffer.rfind(b"}", self._looked) + 1
        self._looked = size
        if not end or not self._is_white(end, size) or not self._object.is_at(self._buffer, end):
            return None
        self._check_size(end - self._content())
        self._at = _At.REST
        self._begin, self._searched = end, max(end, self._searched)
        return Part(self._headers, bytes(self._buffer[self._body : end]))

    def _has_headers(self, end: int) -> bool:
        """Tell whether all headers have come before that place."""
        if self._body:
            return True
        found = HEADERS_END.search(self._buffer, self._begin + self._looked, end)
        if found is None:
            self._looked = max(self._looked, end - 2)
            return False
        self._body = self._looked = found.end()
        head = bytes(self._buffer[self._content() : found.start()])
        if head != self._head:
            self._head, self._headers = head, _headers_of(head)
            self._is_object = self._takes_objects and _is_json(self._headers.get("content-type", ""))
        return True

    def _content(self) -> int:
        """Return where the part begins, which is behind the line of its delimiter."""
        return self._begin + (2 if self._buffer[self._begin] == CR else 1)

    def _check_size(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise PartTooLarge(self._limit)

    def _check_white(self, end: int) -> None:
        if not self._is_white(self._begin, end):
            raise self._bad("a part goes on behind its JSON object", self._begin)

    def _is_white(self, begin: int, end: int) -> bool:
        """Tell whether nothing is there but white space, and perhaps the beginning of a delimiter."""
        rest = self._buffer[begin:end]
        if not rest.strip(WHITE):
            return True
        before, _, after = rest.rpartition(b"\n")
        is_last = end == len(self._buffer)
        return is_last and not before.strip(WHITE) and self._delimiter.startswith(b"\n" + after)

    def _bad(self, what: str, place: int) -> BadMultipart:
        return BadMultipart(f"{what} (at byte {self._dropped + place})")


def boundary_of(content_type: str) -> str:
    """Return the boundary that a content type says, "-" if it says none."""
    found = BOUNDARY.search(content_type)
    return DEFAULT_BOUNDARY if found is None else next(filter(None, found.groups())).rstrip()


def _headers_of(head: bytes) -> dict[str, str]:
    """Return headers by name; a line without a name says nothing, as with Apollo."""
    lines = FOLD.sub(" ", head.decode("latin-1")).split("\n")
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in pairs if colon}


def _is_json(content_type: str) -> bool:
    """Tell whether a part is JSON; without a content type it is."""
    media_type = content_type.partition(";")[0].strip().lower()
    return not media_type or media_type.endswith(("/json", "+json"))


def _without_white_end(body: bytes) -> bytes:
    if body.endswith(b"}"):  # as most do
        return body
    shorter = body.rstrip(WHITE)
    is_object = shorter.endswith(b"}") and shorter.lstrip(WHITE).startswith(b"{")
    return shorter if is_object else body
