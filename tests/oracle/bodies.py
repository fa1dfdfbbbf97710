"""The bodies of scripted answers: whole, or in pieces; `js/bodies.mjs` says the same for Apollo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from tests.oracle.world import Owner

__all__ = ["Answer", "Pieces", "body_at_once", "headers_of", "pieces_of"]

Answer: TypeAlias = Mapping[str, Any]
Pieces: TypeAlias = list[tuple[float, bytes]]
"""Milliseconds after what came before, and what comes then."""

BOUNDARY = "graphql"
JSON = {"content-type": "application/json"}
MULTIPART = {"content-type": f"multipart/mixed; boundary={BOUNDARY}"}


def headers_of(answer: Answer, owners: list[Owner], *, is_batch: bool) -> dict[str, str]:
    """Return the headers of an answer, with what tells where its body ends."""
    if "pieces" in answer or "parts" in answer:
        return {**answer.get("headers", MULTIPART), "transfer-encoding": "chunked"}
    length = len(body_at_once(answer, owners, is_batch=is_batch))
    return {**answer.get("headers", JSON), "content-length": str(length)}


def pieces_of(answer: Answer, owners: list[Owner], *, is_batch: bool) -> Pieces | None:
    """Return the pieces of a body; None for one that comes at once, together with its head."""
    is_cut = answer.get("cut", False)
    if "pieces" in answer:
        return [(after, _bytes(piece)) for after, piece in answer["pieces"]]
    if "parts" in answer:
        last = len(answer["parts"]) - 1
        return [
            (after, _part(value, is_first=index == 0, is_last=index == last and not is_cut))
            for index, (after, value) in enumerate(answer["parts"])
        ]
    if answer.get("bodyAfter"):
        return [(answer["bodyAfter"], b"" if is_cut else body_at_once(answer, owners, is_batch=is_batch))]
    return None


def body_at_once(answer: Answer, owners: list[Owner], *, is_batch: bool) -> bytes:
    """Return a whole body."""
    if "text" in answer:
        return answer["text"].encode()
    if "body" in answer:
        return _json(answer["body"])
    echoes = [{"data": {"echo": owner.operation}} for owner in owners]
    return _json(echoes if is_batch else echoes[0])


def _bytes(piece: str | Mapping[str, str]) -> bytes:
    """Return a text's bytes, or those of `bytes`, a character for each, with which a character is cut in two."""
    return piece.encode() if isinstance(piece, str) else piece["bytes"].encode("latin-1")


def _part(value: Any, *, is_first: bool, is_last: bool) -> bytes:
    """Return one part, closed by its delimiter; the first one has a delimiter before it too."""
    start = f"\r\n--{BOUNDARY}" if is_first else ""
    end = f"\r\n--{BOUNDARY}" + ("--\r\n" if is_last else "")
    return f"{start}\r\ncontent-type: application/json\r\n\r\n".encode() + _json(value) + end.encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
