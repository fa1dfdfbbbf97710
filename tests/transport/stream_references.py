"""What a whole body says, read as plainly as can be: the parsers are held against it, however the bytes come."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rxlink.transport._multipart_parts import BadMultipart, MultipartParser, Part, PartTooLarge
from rxlink.transport._sse_parser import EventTooLarge, ServerSentEvent, SseParser

__all__ = ["Reading", "cut", "read_events", "read_multipart", "reference_of_events", "reference_of_multipart"]

WHITE = b" \t\r\n"
BOM = b"\xef\xbb\xbf"
LONGEST_RETRY = 2_147_483_647


@dataclass
class Reading:
    """What was given, and how it ended.

    Attributes:
        things: Parts, or events.
        end: "open", "over" behind the last delimiter, or the name of an exception.
        is_sure: Whether that is all, however the bytes come; otherwise there follows a part whose JSON object does not
            end with it. Of a reference.
        last_id: Of events.
        retry: Of events.
    """

    things: list[Part | ServerSentEvent] = field(default_factory=list)
    end: str = "open"
    is_sure: bool = True
    last_id: str = ""
    retry: int | None = None

    def agrees_with(self, reference: "Reading") -> bool:
        """Tell whether it is what it should be, as far as that is sure."""
        return self == reference if reference.is_sure else self.things[: len(reference.things)] == reference.things


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Cut bytes at some places; those behind the end are the end."""
    ends = [*sorted({min(place, len(data)) for place in places}), len(data)]
    return [data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


# ------------------------------------------------------------------------------------------- multipart


class _Doubt(Exception):
    """A JSON object that does not end where its part ends."""


def read_multipart(chunks: Sequence[bytes], boundary: str, *, limit: int | None) -> Reading:
    """Return what the parser makes of chunks; it keeps no more than it may."""
    parser, reading = MultipartParser(boundary, limit=limit), Reading()
    try:
        for chunk in chunks:
            for part in parser.feed(chunk):
                reading.things.append(part)
            kept = len(parser._buffer)
            assert limit is None or kept <= limit + len(f"\r\n\r\n--{boundary}".encode()), f"{kept} bytes are kept"
        reading.end = "over" if parser.is_over else "open"
    except (BadMultipart, PartTooLarge) as error:
        reading.end = type(error).__name__
    return reading


def reference_of_multipart(body: bytes, boundary: str, *, limit: int | None) -> Reading:
    """Return what all of a body gives."""
    reading = Reading()
    try:
        for part in _parts(body, boundary.encode(), limit, reading):
            reading.things.append(part)
    except _Doubt:
        reading.is_sure = False
    except (BadMultipart, PartTooLarge) as error:
        reading.end = type(error).__name__
    return reading


def _parts(body: bytes, boundary: bytes, limit: int | None, reading: Reading) -> Iterator[Part]:
    text = b"\n" + body  # so that a delimiter at the very beginning is one
    delimiter = re.compile(rb"(\r?\n)--" + re.escape(boundary))
    here = delimiter.search(text)
    while here is not None:
        if text.startswith(b"--", here.end()):
            reading.end = "over"
            return
        line = re.compile(rb"[ \t]*(\r?\n)").match(text, here.end())
        if line is None:
            if re.fullmatch(rb"-|[ \t]*\r?", text[here.end() :]):
                return
            raise BadMultipart
        there = delimiter.search(text, line.start(1))  # the same line break may be that of the next
        if there is None:
            yield from _open_part(text[line.end() :], boundary, limit)
        elif there.start() >= line.end():
            yield _closed_part(text[line.end() : there.start()], there[1], limit)
        here = there


def _closed_part(content: bytes, line_break: bytes, limit: int | None) -> Part:
    headers, text = _head_and_body(content + line_break)
    text = None if text is None else text.removesuffix(line_break)
    size = len(content)
    if text is not None and _is_object(headers, text):
        end = _end_of_object(text)
        if end is None or text[end:].strip(WHITE):
            raise _Doubt
        size -= len(text) - end
        text = text[:end]
    if limit is not None and size > limit:
        raise PartTooLarge(limit)
    if text is None:
        raise BadMultipart
    return Part(headers, text)


def _open_part(content: bytes, boundary: bytes, limit: int | None) -> Iterator[Part]:
    headers, text = _head_and_body(content)
    if text is not None and _is_object(headers, text) and (end := _end_of_object(text)) is not None:
        beginnings = [(b"\n--" + boundary)[:count] for count in range(len(boundary) + 3)]
        if all(text[end:].removesuffix(beginning).strip(WHITE) for beginning in beginnings):
            raise _Doubt
        if limit is not None and len(content) - len(text) + end > limit:
            raise PartTooLarge(limit)
        yield Part(headers, text[:end])
    elif limit is not None and len(content) > limit + len(b"\n--" + boundary):
        raise PartTooLarge(limit)  # even if the last bytes are a delimiter's


def _head_and_body(content: bytes) -> tuple[dict[str, str], bytes | None]:
    place, head = 0, b""
    for line in content.split(b"\n")[:-1]:
        place += len(line) + 1
        if line in {b"", b"\r"}:
            return _headers(head), content[place:]
        head += line.removesuffix(b"\r") + b"\n"
    return {}, None


def _headers(head: bytes) -> dict[str, str]:
    unfolded = re.sub(r"\r?\n[ \t]+", " ", head.decode("latin-1"))
    pairs = [line.split(":", 1) for line in unfolded.split("\n") if ":" in line]
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _is_object(headers: dict[str, str], text: bytes) -> bool:
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    return (kind == "" or re.search(r"[/+]json\Z", kind) is not None) and text.lstrip(WHITE)[:1] == b"{"


def _end_of_object(text: bytes) -> int | None:
    expected: list[str] = []
    is_in_string = is_escaped = False
    for place, letter in enumerate(text.decode("latin-1")):
        if is_in_string:
            is_in_string = is_escaped or letter != '"'
            is_escaped = letter == "\\" and not is_escaped
        elif letter == '"':
            is_in_string = True
        elif letter in "{[":
            expected.append("}" if letter == "{" else "]")
        elif letter in "}]\\":
            if not expected or expected.pop() != letter:
                raise _Doubt
            if not expected:
                return place + 1
    return None


# ------------------------------------------------------------------------------------------- events


def read_events(chunks: Sequence[bytes], *, limit: int | None, last_id: str = "") -> Reading:
    """Return what the parser makes of chunks; it keeps no more than it may."""
    parser, reading = SseParser(limit=limit, last_id=last_id), Reading()
    try:
        for chunk in chunks:
            for event in parser.feed(chunk):
                reading.things.append(event)
            kept = len(parser._line) + len(parser._data) + len(parser._type)
            assert limit is None or kept <= limit, f"{kept} bytes are kept"
    except EventTooLarge as error:
        reading.end = type(error).__name__
    reading.last_id, reading.retry = parser.last_id, parser.retry
    return reading


def reference_of_events(text: bytes, *, limit: int | None, last_id: str = "") -> Reading:
    """Return what all of a stream gives."""
    reading = Reading(last_id=last_id)
    try:
        for event in _events(text, limit, reading):
            reading.things.append(event)
    except EventTooLarge as error:
        reading.end = type(error).__name__
    return reading


def _events(text: bytes, limit: int | None, reading: Reading) -> Iterator[ServerSentEvent]:
    fields, identity, size = {"data": "", "event": ""}, reading.last_id, 0
    *lines, rest = re.split(rb"\r\n|\r|\n", text)
    for number, line in enumerate(lines):
        _check(size + len(line), limit)
        known = line.removeprefix(BOM if number == 0 else b"").decode("utf-8", "replace")
        name, value = re.fullmatch(r"([^:]*)(?:: ?(.*))?", known, re.DOTALL).groups("")
        size += len(line) if name else 0
        if not known:
            reading.last_id = identity
            if any(fields.values()):
                yield ServerSentEvent(fields["event"] or "message", fields["data"].removesuffix("\n"), identity)
            fields, size = {"data": "", "event": ""}, 0
        elif name == "id":
            identity = identity if "\0" in value else value
        elif name == "retry":
            reading.retry = _milliseconds(value, reading.retry)
        else:
            fields[name] = fields["data"] + value + "\n" if name == "data" else value
            fields = {name: fields[name] for name in ("data", "event")}
    _check(size + len(rest), limit)


def _check(size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise EventTooLarge(limit)


def _milliseconds(value: str, before: int | None) -> int | None:
    if not re.fullmatch("[0-9]+", value):
        return before
    digits = value.lstrip("0") or "0"
    return LONGEST_RETRY if len(digits) > 10 else min(int(digits), LONGEST_RETRY)
