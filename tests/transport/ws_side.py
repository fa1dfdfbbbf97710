"""The client's side of a conversation over a WebSocket, without a socket."""

import json
from typing import Any

import pytest

from rxlink.transport._response import decode_strictly
from rxlink.transport._ws_protocol import LEGACY_WS, TRANSPORT_WS, Conversation, Dialect

ACK = {"type": "connection_ack"}


BODY = '{"query":"{ a }"}'


RESULT = {"data": {"a": 1}}


ERRORS = [{"message": "no"}]


both = pytest.mark.parametrize("dialect", [TRANSPORT_WS, LEGACY_WS], ids=lambda dialect: dialect.name)


class Side:
    """The client's side of a conversation: writes down what it sends, what it hears, and what its operations get."""

    def __init__(self, dialect: Dialect = TRANSPORT_WS, decode: Any = decode_strictly) -> None:
        self.dialect = dialect
        self.sent: list[Any] = []
        self.told: list[Any] = []
        self.conversation = Conversation(dialect, self, decode)

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def violated(self, code: int, reason: str) -> None:
        self.told.append((code, reason))

    def acknowledged(self, payload: object) -> None:
        self.told.append(("ready", payload))

    def refused(self, reason: str) -> None:
        self.told.append(("refused", reason))

    def respond(self, pong: str) -> None:
        self.send(pong)

    def answered(self, payload: object) -> None:
        self.told.append(("answered", payload))

    def hear(self, *messages: object) -> None:
        for message in messages:
            self.conversation.receive(message if isinstance(message, bytes) else json.dumps(message).encode())

    def operation(self, identity: str = "1") -> "Answers":
        answers = Answers(self)
        self.conversation.subscribe(identity, BODY, answers)
        return answers

    def next_of(self, identity: str, payload: object = RESULT) -> dict[str, object]:
        return {"id": identity, "type": self.dialect.next, "payload": payload}


class Answers:
    """What one operation gets; each with the ids that are known at that moment."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.seen: list[Any] = []

    def on_next(self, result: object) -> None:
        self.seen.append(result)

    def on_error(self, errors: object) -> None:
        self.seen.append(("error", errors, [*self.side.conversation.receivers]))

    def on_completed(self) -> None:
        self.seen.append(("completed", [*self.side.conversation.receivers]))


def ready(dialect: Dialect = TRANSPORT_WS) -> Side:
    side = Side(dialect)
    side.hear(ACK)
    side.told.clear()
    return side
