"""The messages of the two protocols that GraphQL is spoken in over WebSocket, as a server reads and writes them.

`graphql-transport-ws` is that of the package graphql-ws (its PROTOCOL.md), `graphql-ws` that of
subscriptions-transport-ws, which came before it: each is called by its subprotocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

__all__ = ["DIALECTS", "LEGACY", "TRANSPORT", "BadMessage", "Dialect", "Message"]

MessageKind = Literal["init", "subscribe", "stop", "ping", "pong", "terminate"]

_WITH_ID = frozenset({"subscribe", "stop"})
_WITHOUT_PAYLOAD = frozenset({"stop", "terminate"})


class BadMessage(Exception):
    """A frame that is no message of the protocol.

    Attributes:
        id: Of the operation it speaks of, as far as that could be read.
    """

    def __init__(self, problem: str, id: str | None = None) -> None:
        """Make the error; `problem` quotes nothing of the frame."""
        super().__init__(problem)
        self.id = id


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a client says, under the same name in both protocols.

    Attributes:
        kind: What it asks for.
        id: Of the operation it speaks of; empty if it speaks of none.
        payload: `None` if it has none. It may hold secrets.
    """

    kind: MessageKind
    id: str = ""
    payload: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One of the protocols.

    Attributes:
        name: Its subprotocol.
        kinds: What the types of a client's messages mean.
        next_type: The type of a message with a result.
        is_legacy: Whether it is the older one.
    """

    name: str
    kinds: Mapping[str, MessageKind]
    next_type: str
    is_legacy: bool = False

    def read(self, text: str) -> Message:
        """Return the message of a frame.

        Raises:
            BadMessage: It is none of this protocol.
        """
        try:
            frame: object = json.loads(text)
        except ValueError:
            raise BadMessage("The frame is not JSON.") from None
        if not isinstance(frame, dict):
            raise BadMessage("The frame is no JSON object.")
        members = cast("dict[str, object]", frame)
        id, kind = members.get("id"), self._kind(members.get("type"))
        known_id = id if isinstance(id, str) and id else None
        if kind is None:
            raise BadMessage("The message has no type that a client may send.", known_id)
        if kind in _WITH_ID and known_id is None:
            raise BadMessage("The message has no id, which is a text that is not empty.")
        payload = None if kind in _WITHOUT_PAYLOAD else members.get("payload")
        if payload is not None and not isinstance(payload, dict):
            raise BadMessage("The payload is neither an object nor null.", known_id)
        return Message(kind=kind, id=known_id or "", payload=cast("dict[str, Any] | None", payload))

    def next(self, id: str, result: Mapping[str, Any]) -> dict[str, Any]:
        """Return a message with a result."""
        return {"id": id, "type": self.next_type, "payload": result}

    def error(self, id: str, errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return the message that ends an operation for these reasons; the older protocol tells the first."""
        return {"id": id, "type": "error", "payload": errors[0] if self.is_legacy else errors}

    def complete(self, id: str) -> dict[str, Any]:
        """Return the message that ends an operation."""
        return {"id": id, "type": "complete"}

    def _kind(self, type: object) -> MessageKind | None:
        return self.kinds.get(type) if isinstance(type, str) else None


TRANSPORT = Dialect(
    name="graphql-transport-ws",
    kinds={
        "connection_init": "init",
        "subscribe": "subscribe",
        "complete": "stop",
        "ping": "ping",
        "pong": "pong",
    },
    next_type="next",
)
LEGACY = Dialect(
    name="graphql-ws",
    kinds={
        "connection_init": "init",
        "start": "subscribe",
        "stop": "stop",
        "connection_terminate": "terminate",
    },
    next_type="data",
    is_legacy=True,
)
DIALECTS = {dialect.name: dialect for dialect in (TRANSPORT, LEGACY)}
