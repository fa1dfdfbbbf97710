"""Server-sent events out of bytes, as they come; knows no socket.

Ports: the HTML standard of the WHATWG, "Server-sent events", 9.2.5 and 9.2.6. An event is there as soon as the line
that ends it is: a CR alone ends a line, and a LF behind it belongs to it, also where it comes later.

Differs:
    - An event with a type and no data is given as well, with "" as its data: servers say ``event: complete`` so.
    - The type of an event that names none stays "message", and an event brings the last ``id`` with it.
    - An event has a limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_TYPE", "EventTooLarge", "ServerSentEvent", "SseParser"]

BOM: Final = b"\xef\xbb\xbf"
DEFAULT_TYPE: Final = "message"
END_OF_LINE: Final = re.compile(rb"\r\n?|\n")
LONGEST_RETRY: Final = 2**31 - 1  # milliseconds, about 25 days


class EventTooLarge(Exception):
    """An event is larger than is taken.

    Attributes:
        limit: In bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event is larger than {limit} bytes")
        self.limit = limit


@dataclass(slots=True)  # not frozen: that would take three times as long to make
class ServerSentEvent:
    """What a server has sent.

    Attributes:
        type: ``event``, or "message".
        data: Its lines, with line feeds between them.
        last_id: The last ``id`` that the stream has named; "" for none.
    """

    type: str
    data: str
    last_id: str


class SseParser:
    """Takes bytes and gives events.

    Args:
        limit: How many bytes the lines of an event may have together, without their ends; None for any. A comment
            counts until its line ends.
        last_id: That of a stream before, which this one goes on.

    Attributes:
        last_id: The last ``id`` of which the event has ended.
        retry: The pause in milliseconds that the server wishes before the next connection; None for none. At most
            about 25 days.
    """

    __slots__ = (
        "_data",
        "_has_begun",
        "_is_after_cr",
        "_limit",
        "_line",
        "_next_id",
        "_size",
        "_type",
        "last_id",
        "retry",
    )

    def __init__(self, *, limit: int | None, last_id: str = "") -> None:
        self._limit = limit
        self._has_begun = self._is_after_cr = False
        self._line = bytearray()  # what has come of a line that has not ended
        self._data = bytearray()  # with a line feed behind each line
        self._type = b""
        self._size = 0  # of the lines of this event that have ended
        self._next_id = last_id
        self.last_id = last_id
        self.retry: int | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take bytes; give the events that end in them. What has not ended is thrown away with the parser.

        Who leaves off between two events, or after an error, feeds no more: the rest is still to be read.

        Raises:
            EventTooLarge: An event is.
        """
        if not chunk:
            return
        begin = 1 if self._is_after_cr and chunk.startswith(b"\n") else 0
        self._is_after_cr = chunk.endswith(b"\r")
        for end in END_OF_LINE.finditer(chunk, begin):
            line, begin = chunk[begin : end.start()], end.end()
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            event = self._take_line(line)
            if event is not None:
                yield event
        self._line += chunk[begin:]
        self._check_size(self._size + len(self._line))

    def _check_size(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise EventTooLarge(self._limit)

    def _take_line(self, line: bytes) -> ServerSentEvent | None:
        size = self._size + len(line)
        self._check_size(size)
        if not self._has_begun:
            self._has_begun, line = True, line.removeprefix(BOM)
        if not line:
            return self._end_event()
        name, _, value = line.partition(b":")
        if name:
            self._size = size
            self._take_field(name, value.removeprefix(b" "))
        return None

    def _take_field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" not in value:
                self._next_id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            digits = value.lstrip(b"0")
            is_absurd = len(digits) > len(str(LONGEST_RETRY))
            self.retry = LONGEST_RETRY if is_absurd else min(int(digits or b"0"), LONGEST_RETRY)

    def _end_event(self) -> ServerSentEvent | None:
        self.last_id = self._next_id
        event = None
        if self._data or self._type:
            kind = self._type.decode("utf-8", "replace") or DEFAULT_TYPE
            event = ServerSentEvent(kind, self._data[:-1].decode("utf-8", "replace"), self.last_id)
        self._data.clear()
        self._type, self._size = b"", 0
        return event
