"""Where a JSON object ends whose bytes come piece by piece; reads each of them once, and none before it has to."""

from __future__ import annotations

from typing import Final

__all__ = ["WHITE", "JsonEnd"]

WHITE: Final = b" \t\r\n"
"""What JSON takes for white space."""
AT_A_TIME: Final = 1 << 16  # bytes; what lies between the quotes of so many is held for a moment


class JsonEnd:
    """Follows the quotes and the brackets of an object; whether it is JSON, its reader will see.

    Args:
        begin: Where it begins in the buffer, or the white space before it.
    """

    __slots__ = ("_depth", "_has_begun", "_is_in_string", "_is_object", "_position")

    def __init__(self, begin: int) -> None:
        self._position = begin
        self._depth = 0
        self._has_begun = self._is_in_string = False
        self._is_object = True

    def is_at(self, buffer: bytearray, end: int) -> bool:
        """Tell whether the object ends with the closing bracket before that place.

        Asked again, it must be of a place further on.
        """
        while self._is_object and self._position < end:
            piece = bytes(buffer[self._position : min(end, self._position + AT_A_TIME)])
            backslashes = len(piece) - len(piece.rstrip(b"\\"))
            piece = piece[: len(piece) - backslashes % 2]  # what is escaped comes with its backslash
            self._position += len(piece)
            self._follow(piece)
        return self._is_object and not self._is_in_string and self._depth == 0

    def _follow(self, piece: bytes) -> None:
        if not self._has_begun:
            piece = piece.lstrip(WHITE)
            if not piece:
                return
            self._has_begun = True
            self._is_object = piece.startswith(b"{")
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        between_quotes = piece.split(b'"')
        outside = b"".join(between_quotes[self._is_in_string :: 2])
        self._is_in_string ^= len(between_quotes) % 2 == 0
        self._depth += outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")
