"""What ends a conversation with 4400, and that nothing else does whatever comes: PROTOCOL.md, "Invalid message"."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rxlink.transport._ws_protocol import LEGACY_WS, TRANSPORT_WS, Dialect
from tests.transport.ws_side import ACK, ERRORS, RESULT, Side, both, ready

NEVER_SAID = [
    (b"", "a message is no JSON"),
    (b"{", "a message is no JSON"),
    (b"\xff", "a message is no JSON"),
    (b'{"type":"ping","payload":{"a":NaN}}', "a message is no JSON"),
    (b"[" * 100_000, "a message is no JSON"),
    ("ping", "a message has no type"),
    (["ping"], "a message has no type"),
    (None, "a message has no type"),
    ({}, "a message has no type"),
    ({"type": None}, "a message has no type"),
    ({"type": ["ping"]}, "a message has no type"),
    ({"type": ""}, "a message has the unknown type ''"),
    ({"type": "connection_init"}, "a message has the unknown type 'connection_init'"),
    ({"type": "Ping"}, "a message has the unknown type 'Ping'"),
    ({"type": "\ud800" + "x" * 59}, f"a message has the unknown type '\\ud800{'x' * 59}'"),
    ({"type": "x" * 61}, "a message has the unknown type of 61 characters"),
    (ACK | {"payload": []}, "the payload of 'connection_ack' is no object"),
    (ACK | {"payload": False}, "the payload of 'connection_ack' is no object"),
]


OF_BOTH = [
    (ACK, "a second 'connection_ack'"),
    ({"type": "complete"}, "a message of type 'complete' has no id"),
    ({"type": "complete", "id": 1}, "a message of type 'complete' has no id"),
    ({"type": "error", "payload": ERRORS}, "a message of type 'error' has no id"),
    ({"type": "complete", "id": ""}, "a message of type 'complete' has no id"),
    ({"type": "error", "id": "1", "payload": []}, "the payload of 'error' is no list of errors"),
    ({"type": "error", "id": "1"}, "the payload of 'error' is no list of errors"),
    ({"type": "error", "id": "1", "payload": "no"}, "the payload of 'error' is no list of errors"),
    ({"type": "error", "id": "unknown", "payload": None}, "the payload of 'error' is no list of errors"),
]


OF_THE_NEWER = [
    ({"type": "next", "payload": RESULT}, "a message of type 'next' has no id"),
    ({"type": "next", "id": None, "payload": RESULT}, "a message of type 'next' has no id"),
    ({"type": "next", "id": "1"}, "the payload of 'next' is no object"),
    ({"type": "next", "id": "1", "payload": None}, "the payload of 'next' is no object"),
    ({"type": "next", "id": "unknown", "payload": [RESULT]}, "the payload of 'next' is no object"),
    ({"type": "error", "id": "1", "payload": {"message": "no"}}, "the payload of 'error' is no list of errors"),
    ({"type": "ping", "payload": "there?"}, "the payload of 'ping' is no object"),
    ({"type": "pong", "payload": 0}, "the payload of 'pong' is no object"),
    ({"type": "ka"}, "a message has the unknown type 'ka'"),
    ({"type": "data", "id": "1", "payload": RESULT}, "a message has the unknown type 'data'"),
    ({"type": "subscribe", "id": "1", "payload": {}}, "a message has the unknown type 'subscribe'"),
]


OF_THE_OLDER = [
    ({"type": "data", "payload": RESULT}, "a message of type 'data' has no id"),
    ({"type": "data", "id": "1", "payload": 1}, "the payload of 'data' is no object"),
    ({"type": "ping"}, "a message has the unknown type 'ping'"),
    ({"type": "pong"}, "a message has the unknown type 'pong'"),
    ({"type": "next", "id": "1", "payload": RESULT}, "a message has the unknown type 'next'"),
]


class TestABrokenProtocol:
    @both
    @pytest.mark.parametrize("is_acknowledged", [False, True])
    @pytest.mark.parametrize(("message", "reason"), NEVER_SAID)
    def test_ends_with_4400_at_any_time(self, dialect: Dialect, message: object, reason: str, *, is_acknowledged: bool):
        side = ready(dialect) if is_acknowledged else Side(dialect)
        if is_acknowledged and reason.startswith("the payload of 'connection_ack'"):
            reason = "a second 'connection_ack'"

        side.hear(message)

        assert [(4400, reason)] == side.told
        assert side.conversation.is_over

    @pytest.mark.parametrize(
        ("dialect", "message", "reason"),
        [
            *((dialect, *case) for dialect in (TRANSPORT_WS, LEGACY_WS) for case in OF_BOTH),
            *((TRANSPORT_WS, *case) for case in OF_THE_NEWER),
            *((LEGACY_WS, *case) for case in OF_THE_OLDER),
        ],
    )
    def test_ends_with_4400(self, dialect: Dialect, message: object, reason: str) -> None:
        side = ready(dialect)
        answers = side.operation("1")

        side.hear(message)

        assert [(4400, reason)] == side.told
        assert [] == answers.seen

    @both
    @pytest.mark.parametrize("kind", ["complete", "error", "next or data"])
    def test_begins_with_an_answer(self, dialect: Dialect, kind: str) -> None:
        side = Side(dialect)
        kind = dialect.next if kind == "next or data" else kind

        side.hear({"type": kind, "id": "1", "payload": ERRORS if kind == "error" else RESULT})

        assert [(4400, f"the first message is '{kind}', not 'connection_ack'")] == side.told

    @both
    def test_is_the_last_that_is_heard(self, dialect: Dialect) -> None:
        side = ready(dialect)
        answers = side.operation("1")

        side.hear(
            b"no JSON", side.next_of("1"), {"id": "1", "type": "complete"}, ACK, b"again", {"type": "connection_error"}
        )

        assert [(4400, "a message is no JSON")] == side.told
        assert [] == answers.seen

    def test_shows_nothing_of_what_a_decoder_says(self) -> None:
        def decode(body: bytes) -> object:
            raise RuntimeError("s3cret")

        side = Side(decode=decode)

        side.hear(ACK)

        assert [(4400, "a message is no JSON")] == side.told


KINDS = ["connection_ack", "connection_error", "next", "data", "error", "complete", "ping", "pong", "ka", "start"]


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)


any_json = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


identities = st.sampled_from(["1", "2", "3"]) | leaves


any_message = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS) | leaves},
    optional={"id": identities, "payload": st.just(RESULT) | st.just(ERRORS) | any_json},
)


any_data = st.binary() | st.one_of(any_message, any_message, any_json).map(lambda value: json.dumps(value).encode())


def is_for(identity: str, data: bytes) -> bool:
    try:
        message = json.loads(data)
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("id") == identity


@given(
    dialect=st.sampled_from([TRANSPORT_WS, LEGACY_WS]),
    is_acknowledged=st.booleans(),
    messages=st.lists(any_data, max_size=20),
)
@example(dialect=TRANSPORT_WS, is_acknowledged=True, messages=[b'{"type":"ping","payload":{"a":1e999}}'])
@example(
    dialect=TRANSPORT_WS,
    is_acknowledged=True,
    messages=[b'{"type":"ping","payload":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"],
)
@example(dialect=LEGACY_WS, is_acknowledged=False, messages=[b'{"type":"data","id":"\\ud800","payload":{}}'])
def test_whatever_comes_is_for_its_operation_or_ignored_or_the_end(
    dialect: Dialect, is_acknowledged: bool, messages
) -> None:
    side = ready(dialect) if is_acknowledged else Side(dialect)
    operations = {identity: side.operation(identity) for identity in ("1", "2")}
    side.sent.clear()
    ended: set[str] = set()

    for data in messages:
        was_over, before = side.conversation.is_over, {name: len(answers.seen) for name, answers in operations.items()}
        side.hear(data)
        for name, answers in operations.items():
            added = answers.seen[before[name] :]
            assert len(added) <= 1
            if added:
                assert is_for(name, data)
                assert not was_over
                assert side.conversation.is_acknowledged
                assert name not in ended
                if added[0].__class__ is tuple:
                    ended.add(name)

    assert {"1", "2"} - ended == set(side.conversation.receivers)
    assert all(message["type"] == "pong" for message in side.sent)
    ends = [told for told in side.told if told[0] in (4400, "refused")]
    assert side.conversation.is_over == bool(ends)
    assert len(ends) <= 1
    assert ends == side.told[-1:] if ends else True
