"""Where the text of an option comes from: the command line, a file, standard input, or the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from rxlink.commands.failures import Misuse

__all__ = ["Sources", "valid_text"]

STANDARD_INPUT: Final = "-"
FROM_ENVIRONMENT: Final = "env:"
FROM_FILE: Final = "@"


class Sources:
    """Reads what options name. Standard input can be read for one of them only."""

    def __init__(self) -> None:
        self._reader: str | None = None

    def content(self, option: str, source: str) -> str:
        """Return what is in a file.

        Args:
            option: Whose, for messages.
            source: The file's path; ``-`` is standard input, and ``env:NAME`` a variable of the environment.

        Raises:
            Misuse: It cannot be read.
        """
        if source == STANDARD_INPUT:
            return self._standard_input(option)
        if source.startswith(FROM_ENVIRONMENT):
            return _variable(option, source.removeprefix(FROM_ENVIRONMENT))
        return _decoded(option, _file(option, source))

    def secret(self, option: str, source: str) -> str:
        """Return a secret that is all there is in a file, without the white space around it.

        Raises:
            Misuse: It cannot be read, or there is none.
        """
        secret = self.content(option, source).strip()
        if not secret:
            raise Misuse(f"argument {option}: there is nothing in {_named(source)}")
        return secret

    def value(self, option: str, text: str) -> str:
        """Return the value that is meant: of ``@FILE`` and ``env:NAME`` what is there, else the text itself.

        A line break at the end of what is there is left out.

        Raises:
            Misuse: It cannot be read, or is no text.
        """
        if self.is_elsewhere(text):
            return self.content(option, text.removeprefix(FROM_FILE)).removesuffix("\n").removesuffix("\r")
        return valid_text(option, text)

    @staticmethod
    def is_elsewhere(text: str) -> bool:
        """Tell whether a text names where the value is."""
        return text.startswith((FROM_FILE, FROM_ENVIRONMENT))

    def _standard_input(self, option: str) -> str:
        if self._reader is not None:
            raise Misuse(f"argument {option}: standard input is read for {self._reader} already; give a file")
        self._reader = option
        if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where it was closed
            raise Misuse(f"argument {option}: standard input is closed")
        return _decoded(option, sys.stdin.buffer.read())


def valid_text(option: str, text: str) -> str:
    """Return a text that came as bytes, such as an argument.

    Args:
        option: Whose, for messages.
        text: What Python made of the bytes: halves of surrogate pairs of those that are no UTF-8.

    Raises:
        Misuse: Some are none; they could not be sent, or would be left out.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Misuse(f"argument {option}: what was given is no text in UTF-8") from None
    return text


def _named(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else repr(source)


def _variable(option: str, name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise Misuse(f"argument {option}: the environment has no variable {name!r}")
    return valid_text(option, value)


def _file(option: str, path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Misuse(f"argument {option}: the file {path!r} cannot be read: {reason}") from error


def _decoded(option: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Misuse(f"argument {option}: what was read is no text in UTF-8") from None
