"""The headers of requests, from options and from a file, and which of them should not be on a command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Final

from rxlink.commands.failures import Misuse
from rxlink.commands.sources import Sources, valid_text

__all__ = ["LOOKS_SECRET", "headers_of"]

LOOKS_SECRET: Final = re.compile(
    r"authorization|cookie|token|secret|passw|credential|session|signature|(^|[-_])(auth|key|sid|jwt)([-_]|$)|api-?key",
    re.IGNORECASE,
)
"""Names of headers, and of other parameters, whose value is mostly a secret."""


def headers_of(options: argparse.Namespace, sources: Sources, warn: Callable[[str], None]) -> dict[str, str]:
    """Return the headers by name; those of ``--header`` go over those of ``--header-file``.

    Args:
        options: What was given.
        sources: Reads what they name.
        warn: Is told of a secret on the command line, which other users of the machine can see.

    Raises:
        Misuse: A header cannot be read; the message shows no value.
    """
    headers: dict[str, str] = {}
    if options.header_file is not None:
        lines = sources.content("--header-file", options.header_file).splitlines()
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                name, value = _split(f"--header-file: line {number}", line)
                headers[name] = value
    for given in options.header:
        name, value = _split("--header", valid_text("--header", given))
        if LOOKS_SECRET.search(name) and value and not sources.is_elsewhere(value):
            warn(
                f"warning: the value of the header {name!r} is on the command line, where other users of this machine "
                f"and the shell's history have it; give --header-file FILE, '{name}: @FILE' or '{name}: env:NAME'"
            )
        headers[name] = sources.value("--header", value)
    return headers


def _split(where: str, line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise Misuse(f"argument {where}: it has no name and colon; give it as 'Name: value'")
    return name.strip().lower(), value.strip()
