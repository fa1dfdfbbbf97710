"""What is fuzzed, and how a mistake is seen: the parsers of streams, and what makes results of their parts.

Whatever comes, in whatever pieces: nothing is raised that is not declared, no more is kept than the limit allows, and
what is given is what the plain readers of whole bodies find.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

from multidict import CIMultiDict

from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.result import IncrementalResult
from rxlink.errors import RxlinkError
from rxlink.incremental.detecting import DetectingHandler
from rxlink.transport._multipart_answer import MultipartPieces
from rxlink.transport._pieces import Answer, Pieces
from rxlink.transport._response import decode_strictly
from rxlink.transport._sse_answer import SsePieces
from rxlink.transport._sse_operation import StreamedOperation
from tests.transport.stream_references import (
    cut,
    read_events,
    read_multipart,
    reference_of_events,
    reference_of_multipart,
)
from tests.transport.stream_strategies import EVENT_TOKENS, MULTIPART_TOKENS

__all__ = ["TARGETS", "Case", "Target", "body_of_payloads", "check_events", "check_multipart", "check_results",
           "check_sse_results", "events_of_payloads"]  # fmt: skip

BOUNDARY = "graphql"
QUERY = GraphQLRequest("query Q { a ... @defer { b } }")
SUBSCRIPTION = GraphQLRequest("subscription S { a }")


@dataclass(frozen=True)
class Case:
    """Bytes, and how they come.

    Attributes:
        data: All of them.
        where: The places between the pieces.
        limit: In bytes, None for any.
    """

    data: bytes
    where: tuple[int, ...] = ()
    limit: int | None = None

    def dumps(self) -> str:
        return json.dumps([self.data.decode("latin-1"), self.where, self.limit])

    @classmethod
    def loads(cls, text: str) -> Case:
        data, where, limit = json.loads(text)
        return cls(data.encode("latin-1"), tuple(where), limit)

    @property
    def pieces(self) -> list[bytes]:
        return cut(self.data, self.where)


def check_multipart(case: Case) -> None:
    """Compare pieces of a multipart body with the whole.

    Raises:
        AssertionError: They differ, or too much was kept.
    """
    reference = reference_of_multipart(case.data, BOUNDARY, limit=case.limit)
    for chunks in ([case.data], case.pieces):
        reading = read_multipart(chunks, BOUNDARY, limit=case.limit)
        assert reading.agrees_with(reference), f"{reading} is not {reference}"


def check_events(case: Case) -> None:
    """Compare pieces of a stream of events with the whole.

    Raises:
        AssertionError: They differ, or too much was kept.
    """
    reference = reference_of_events(case.data, limit=case.limit, last_id="0")
    for chunks in ([case.data], case.pieces):
        reading = read_events(chunks, limit=case.limit, last_id="0")
        assert reading.agrees_with(reference), f"{reading} is not {reference}"


def check_results(case: Case) -> None:
    """Compare what the pieces of a multipart answer make with what the whole makes.

    Raises:
        AssertionError: They differ, or a result was changed after it was given.
    """
    _compare(case, _multipart, is_sure=reference_of_multipart(case.data, BOUNDARY, limit=case.limit).is_sure)


def check_sse_results(case: Case) -> None:
    """Compare what the pieces of an event stream make with what the whole makes.

    Raises:
        AssertionError: They differ, or a result was changed after it was given.
    """
    _compare(case, _sse, is_sure=True)


def _compare(case: Case, format: Callable[[Answer], Pieces], *, is_sure: bool) -> None:  # noqa: A002 - of an answer
    request = QUERY if case.limit is None else SUBSCRIPTION  # of which only the pieces have the limit
    whole, other = (_results(format, chunks, request, case.limit) for chunks in ([case.data], case.pieces))
    if is_sure:
        assert whole == other, f"{other} is not {whole}"
    _results(format, [case.data], QUERY, case.limit)


def _multipart(answer: Answer) -> Pieces:
    return MultipartPieces(answer)


def _sse(answer: Answer) -> Pieces:
    return SsePieces(answer, StreamedOperation(answer.operation))


def _results(
    format: Callable[[Answer], Pieces],  # noqa: A002 - of an answer
    chunks: Sequence[bytes],
    request: GraphQLRequest,
    limit: int | None,
) -> list[str]:
    """Return what a subscriber sees; what is not the business of an application comes through."""
    response: Any = SimpleNamespace(
        status=200, headers=CIMultiDict({"content-type": f"multipart/mixed; boundary={BOUNDARY}"}), charset=None
    )
    pieces = format(Answer(response, Operation(request), "Q", decode_strictly, limit, DetectingHandler()))
    seen: list[str] = []
    results: list[Any] = []
    try:
        for chunk in chunks:
            for result in pieces.feed(chunk):
                results.append(result)
                seen.append(_shown(result))
            if pieces.is_over:
                break
        else:
            pieces.finish()
    except RxlinkError as error:
        seen.append(f"{type(error).__name__} {len(str(error)) > 0}")
    assert seen[: len(results)] == [_shown(result) for result in results], "a result is not what it was"
    return seen


def _shown(result: Any) -> str:
    extra = [result.has_next, result.new_errors, result.increment] if isinstance(result, IncrementalResult) else []
    return json.dumps([result, *extra])


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        check: Raises if an input shows a mistake.
        read: Reads an input once.
        modules: Whose lines are watched, below `rxlink`.
        word: Gives something that the format knows.
        seeds: To begin with.
    """

    check: Callable[[Case], None]
    read: Callable[[Case], object]
    modules: tuple[str, ...]
    word: Callable[[Random], bytes]
    seeds: tuple[bytes, ...]


def body_of_payloads(dice: Random) -> bytes:
    """Return a body of payloads that have much in common with what servers send."""
    parts = [_part(dice) for _ in range(dice.randint(1, 5))]
    return b"".join(parts) + f"\r\n--{BOUNDARY}--".encode()


def events_of_payloads(dice: Random) -> bytes:
    """Return events with such payloads."""
    return b"".join(_event(dice) for _ in range(dice.randint(1, 6)))


def _part(dice: Random) -> bytes:
    return f"\r\n--{BOUNDARY}\r\n\r\n{json.dumps(_payload(dice))}".encode()


def _event(dice: Random) -> bytes:
    if dice.random() < 0.2:
        return b"event: complete\ndata:\n\n"
    return f"event: next\ndata: {json.dumps(_payload(dice))}\n\n".encode()


def _payload(dice: Random) -> Any:
    payload = _some_of(dice, data=_tree, errors=_tree, extensions=_tree)
    if dice.random() < 0.8:
        payload["hasNext"] = dice.random() < 0.8
    for name in ("incremental", "pending", "completed"):
        if dice.random() < 0.4:
            payload[name] = [_entry(dice) for _ in range(dice.randint(0, 3))]
    if dice.random() < 0.2:
        payload = {"payload": payload} | _some_of(dice, errors=_tree)
    return dice.choice([payload, payload, payload, payload, payload, _tree(dice)])


def _entry(dice: Random) -> dict[str, Any]:
    entry = _some_of(dice, data=_tree, items=_tree, errors=_tree, label=_tree)
    if dice.random() < 0.5:
        entry["id"] = dice.choice(["0", "0", "1", 0, None])
    for name in ("path", "subPath"):
        if dice.random() < 0.5:
            path = [dice.choice(["a", "b", 0, 1]) for _ in range(dice.randint(0, 3))]
            entry[name] = dice.choice([path, path, path, path, None, [None], "a", [-1], [True], [10**20]])
    return entry


def _some_of(dice: Random, **makers: Callable[[Random], Any]) -> dict[str, Any]:
    return {name: make(dice) for name, make in makers.items() if dice.random() < 0.5}


def _tree(dice: Random, depth: int = 0) -> Any:
    kind = dice.randrange(8 if depth < 3 else 4)
    if kind < 4:
        return [None, 1, "x", True][kind]
    if kind < 6:
        return [_tree(dice, depth + 1) for _ in range(dice.randint(0, 2))]
    return {name: _tree(dice, depth + 1) for name in ("a", "b") if dice.random() < 0.7}


PART = b'\r\n--graphql\r\nContent-Type: application/json\r\n\r\n{"a":"\\"}"}'
BY_ID: list[Any] = [
    {"data": {"a": [1]}, "pending": [{"id": "0", "path": ["a"]}], "hasNext": True},
    {"incremental": [{"id": "0", "items": [2]}], "completed": [{"id": "0"}], "hasNext": False},
]
BY_PATH: list[Any] = [
    {"data": {"a": [1]}, "hasNext": True},
    {"incremental": [{"path": ["a", 1], "items": [2]}], "hasNext": False},
]
EVENTS: list[Any] = [{"payload": {"data": 1}}, {}, {"payload": None, "errors": [{"message": "no"}]}]

INCREMENTAL = (
    *("transport/_pieces.py", "incremental/merging.py", "incremental/handlers.py", "incremental/detecting.py"),
    *("incremental/defer20220824.py", "incremental/graphql17_alpha9.py"),
)

TARGETS = {
    "multipart": Target(
        check_multipart,
        lambda case: read_multipart(case.pieces, BOUNDARY, limit=case.limit),
        ("transport/_multipart_parts.py", "transport/_json_end.py"),
        lambda dice: dice.choice(MULTIPART_TOKENS),
        (b"", PART + PART + b"\r\n--graphql--", b"--graphql\nA: b\n c\n\ntext\n--graphql \n--graphql--\nepilogue"),
    ),
    "sse": Target(
        check_events,
        lambda case: read_events(case.pieces, limit=case.limit),
        ("transport/_sse_parser.py",),
        lambda dice: dice.choice(EVENT_TOKENS),
        (b"", b"\xef\xbb\xbfid: 1\nretry: 10\nevent: next\ndata: a\ndata\n\n", b": c\r\ndata:b\r\revent: complete\n\n"),
    ),
    "multipart results": Target(
        check_results,
        lambda case: _results(_multipart, case.pieces, QUERY, case.limit),
        ("transport/_multipart_answer.py", *INCREMENTAL),
        lambda dice: _part(dice) if dice.random() < 0.7 else dice.choice(MULTIPART_TOKENS),
        tuple(
            b"".join(f"\r\n--graphql\r\n\r\n{json.dumps(payload)}".encode() for payload in payloads)
            + b"\r\n--graphql--"
            for payloads in (BY_ID, BY_PATH, EVENTS)
        ),
    ),
    "sse results": Target(
        check_sse_results,
        lambda case: _results(_sse, case.pieces, QUERY, case.limit),
        ("transport/_sse_answer.py", *INCREMENTAL),
        lambda dice: _event(dice) if dice.random() < 0.7 else dice.choice(EVENT_TOKENS),
        tuple(
            b"".join(f"event: next\ndata: {json.dumps(payload)}\n\n".encode() for payload in payloads)
            + b"event: complete\ndata\n\n"
            for payloads in (BY_ID, BY_PATH, EVENTS)
        ),
    ),
}
