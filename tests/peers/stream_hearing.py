"""What is heard of an operation that is answered in pieces, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rxlink import CombinedGraphQLErrors, RxlinkError, ServerError
from tests.peers.peer import until
from tests.peers.streams import Line
from tests.recording import END, Recorder

__all__ = ["codes_of", "hear", "is_over", "plain", "replaced", "states", "told", "word"]

BAD_STATUS = 300


def word(heard: Any) -> str:
    """Say what an observer heard; a value without what is around it."""
    match heard:
        case {"errors": [*_]}:
            return "a result with errors"
        case {"data": value}:
            while isinstance(value, dict) and len(value) == 1:
                (value,) = value.values()
            return str(value)
        case CombinedGraphQLErrors():
            return "an error"
        case ServerError():
            return "an error" if heard.status_code < BAD_STATUS else f"an error, {heard.status_code}"
        case RxlinkError():
            return f"a {type(heard).__name__}"
        case _:
            return "the end" if heard == END else repr(heard)


def is_over(recorder: Recorder) -> bool:
    return bool(recorder.seen) and not isinstance(recorder.seen[-1], dict)


def told(recorder: Recorder) -> str:
    return ", ".join(map(word, recorder.seen))


def codes_of(result: Mapping[str, Any]) -> set[str | None]:
    return {error.get("extensions", {}).get("code") for error in result.get("errors", ())}


def states(recorder: Recorder) -> list[Any]:
    """Return the data of each result that has other data than the one before."""
    every = [heard["data"] for heard in recorder.seen if isinstance(heard, dict) and "data" in heard]
    return [data for before, data in zip([None, *every], every, strict=False) if data != before]


async def hear(line: Line, document: str, **variables: Any) -> Recorder:
    """Return all of what an operation gives."""
    operation = line.hear(document, **variables)
    await until(lambda: is_over(operation))
    return operation


def plain(document: str) -> str:
    """Return a document without what defers or streams something."""
    return re.sub(r" @(defer|stream)(\([^)]*\))?", "", document)


def replaced(value: Any, old: str, new: str) -> Any:
    match value:
        case dict():
            return {name: replaced(part, old, new) for name, part in value.items()}
        case list():
            return [replaced(part, old, new) for part in value]
        case _:
            return new if value == old else value
