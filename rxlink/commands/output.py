"""Standard output gets the data, in UTF-8; standard error gets everything else."""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import Any, Final, Literal, TextIO, TypeAlias

from rxlink.commands.failures import CommandFailed, one_line

__all__ = ["Form", "Output", "ReaderLeft", "say"]

Form: TypeAlias = Literal["json", "pretty"]

UNSHOWABLE: Final = re.compile("[\x7f-\x9f]")
"""Control characters that JSON need not escape, and that terminals obey."""
UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class ReaderLeft(Exception):
    """Whoever read standard output has gone: nobody wants the rest."""


def say(line: str) -> None:
    """Write a line to standard error, with the program's name before it."""
    with suppress(OSError, AttributeError):  # nobody may read it, or it was closed
        print(f"rxlink: {line}", file=sys.stderr, flush=True)


class Output:
    """Writes results to standard output, each of them at once.

    Args:
        form: How JSON looks; None for ``pretty`` on a terminal, and one line for each result elsewhere.
    """

    def __init__(self, form: Form | None) -> None:
        self._stream: TextIO | None = sys.stdout
        self._is_terminal = self._stream is not None and self._stream.isatty()  # pyright: ignore[reportUnnecessaryComparison] - None where it was closed
        self._is_pretty = self._is_terminal if form is None else form == "pretty"

    def write_json(self, value: Any) -> None:
        """Write a value as JSON.

        Raises:
            ReaderLeft: Nobody reads it.
            CommandFailed: It could not be written.
        """
        self._write(self._encoded(value))

    def write_text(self, text: str) -> None:
        """Write text; on a terminal, without what that would obey.

        Raises:
            ReaderLeft: Nobody reads it.
            CommandFailed: It could not be written.
        """
        shown = UNPRINTABLE.sub("\ufffd", text) if self._is_terminal else text
        self._write(shown.encode(errors="replace"))

    def _encoded(self, value: Any) -> bytes:
        indent, separators = (2, None) if self._is_pretty else (None, (",", ":"))
        text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
        try:
            return UNSHOWABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which is JSON, but no UTF-8
            return json.dumps(value, indent=indent, separators=separators).encode()

    def _write(self, data: bytes) -> None:
        stream = self._stream
        if stream is None:
            raise CommandFailed("standard output is closed")
        try:
            stream.flush()
            stream.buffer.write(data + b"\n")
            stream.buffer.flush()
        except BrokenPipeError:
            raise ReaderLeft from None
        except OSError as error:
            raise CommandFailed(
                f"standard output cannot be written: {one_line(error.strerror or str(error))}"
            ) from None
