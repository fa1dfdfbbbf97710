"""Answers that come in pieces, as a server writes them: over loopback all at once, or inside the process one by one.

A request says in its variables how many pieces it wants, and by its path in which format.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks.canned_server import BODY, serve_answers
from benchmarks.four_links import ANSWER
from benchmarks.second_process import second_process

__all__ = [
    "INCREMENTS",
    "INCREMENTS_IN_AN_ANSWER",
    "MULTIPART",
    "SSE",
    "CannedStream",
    "answer_to",
    "canned_streams",
    "variables",
]

SUBSCRIPTION = "subscription Viewers($count: Int!) { viewer(count: $count) { id name } }"
LIST_IN_PIECES = "query Viewers($count: Int!) { viewers(count: $count) @stream { id ... @defer { name } } }"
INCREMENTS_IN_AN_ANSWER = 50
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Server: canned\r\n"
    b"Date: Sat, 21 Nov 2026 19:37:33 GMT\r\n"
    b"Content-Type: %b\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
)
PART = b"\r\nContent-Type: application/json\r\n\r\n%b\r\n--graphql"
EVENT = b"event: next\ndata: %b\n\n"


@dataclass(frozen=True, slots=True)
class CannedStream:
    """How an answer comes in pieces.

    Attributes:
        path: Where it is asked for.
        query: By what.
        content_type: Of the answer.
        frame: What stands around each piece.
        begin: What comes before the first.
        end: What comes after the last.
        payloads: Makes the pieces of an answer, given how many are wanted.
        last: The last result.
    """

    path: str
    query: str
    content_type: bytes
    frame: bytes
    begin: bytes
    end: bytes
    payloads: Callable[[int], Iterable[bytes]]
    last: object

    def writes(self, count: int) -> Iterator[bytes]:
        """Give an answer with so many pieces, in the parts in which a server writes it."""
        yield HEAD % self.content_type + _chunk(self.begin)
        for payload in self.payloads(count):
            yield _chunk(self.frame % payload)
        yield _chunk(self.end) + _chunk(b"")


def variables(count: int) -> dict[str, int]:
    """Return the variables of a request for so many pieces."""
    return {"count": count}


def _increments(count: int) -> Iterator[bytes]:
    """Give a list, its items, and of each item a field that comes later (the format v0.2)."""
    yield _json({"data": {"viewers": []}, "pending": [{"id": "list", "path": ["viewers"]}], "hasNext": True})
    for number in range(count // 2):
        name = str(number)
        item = {"id": "list", "items": [{"id": name}]}
        yield _json({"pending": [{"id": name, "path": ["viewers", number]}], "incremental": [item], "hasNext": True})
        field = {"id": name, "data": {"name": "Ada"}}
        yield _json({"incremental": [field], "completed": [{"id": name}], "hasNext": True})
    yield _json({"completed": [{"id": "list"}], "hasNext": False})


def _json(payload: dict[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


MULTIPART = CannedStream(
    path="/multipart",
    query=SUBSCRIPTION,
    content_type=b"multipart/mixed; boundary=graphql; subscriptionSpec=1.0",
    frame=PART,
    begin=b"--graphql",
    end=b"--\r\n",
    payloads=lambda count: [b'{"payload":%b}' % BODY] * count,
    last=ANSWER,
)
SSE = CannedStream(
    path="/sse",
    query=SUBSCRIPTION,
    content_type=b"text/event-stream; charset=utf-8",
    frame=EVENT,
    begin=b":\n\n",
    end=b"event: complete\ndata:\n\n",
    payloads=lambda count: [BODY] * count,
    last=ANSWER,
)
INCREMENTS = CannedStream(
    path="/increments",
    query=LIST_IN_PIECES,
    content_type=b"multipart/mixed; boundary=graphql; incrementalSpec=v0.2",
    frame=PART,
    begin=b"--graphql",
    end=b"--\r\n",
    payloads=_increments,
    last={"data": {"viewers": [{"id": str(n), "name": "Ada"} for n in range(INCREMENTS_IN_AN_ANSWER // 2)]}},
)
STREAMS = {stream.path: stream for stream in (MULTIPART, SSE, INCREMENTS)}


@cache
def _writes(path: str, count: int) -> tuple[bytes, ...]:
    return tuple(STREAMS[path].writes(count))


def answer_to(request: bytes) -> tuple[bytes, ...]:
    """Return the answer to a request, in the parts in which a server writes it."""
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ", 2)[1].decode()
    return _writes(path, json.loads(body)["variables"]["count"])


@contextlib.asynccontextmanager
async def canned_streams() -> AsyncGenerator[str]:
    """Run the server in a second process, and give its address."""
    async with second_process("benchmarks.canned_streams") as place:
        yield f"http://{place}"


if __name__ == "__main__":
    asyncio.run(serve_answers(lambda request: b"".join(answer_to(request))))
