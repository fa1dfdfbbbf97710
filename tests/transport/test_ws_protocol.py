"""What is said on one socket, message by message, without a socket: PROTOCOL.md of graphql-ws, and of the older one."""

import json

import pytest

from rxlink.transport._ws_protocol import LEGACY_WS, TRANSPORT_WS, Dialect
from tests.transport.ws_side import ACK, BODY, ERRORS, RESULT, Answers, Side, both, ready


class TestTheClient:
    @both
    @pytest.mark.parametrize(
        ("params", "rest"), [(None, {}), ("{}", {"payload": {}}), ('{"a":1}', {"payload": {"a": 1}})]
    )
    def test_asks_for_the_connection(self, dialect: Dialect, params: str | None, rest: dict[str, object]) -> None:
        side = Side(dialect)

        side.conversation.initialise(params)

        assert [{"type": "connection_init", **rest}] == side.sent

    @pytest.mark.parametrize(
        ("dialect", "begin", "end"), [(TRANSPORT_WS, "subscribe", "complete"), (LEGACY_WS, "start", "stop")]
    )
    def test_begins_and_ends_operations_in_the_words_of_its_protocol(self, dialect, begin: str, end: str) -> None:
        side = ready(dialect)

        side.operation('an "id" of their own')
        side.conversation.unsubscribe('an "id" of their own')

        assert [
            {"id": 'an "id" of their own', "type": begin, "payload": {"query": "{ a }"}},
            {"id": 'an "id" of their own', "type": end},
        ] == side.sent

    def test_ends_no_operation_twice_nor_one_that_the_server_has_ended(self) -> None:
        side = ready()
        side.operation("1")
        side.operation("2")
        side.operation("3")
        side.hear({"id": "1", "type": "complete"}, {"id": "2", "type": "error", "payload": ERRORS})
        side.sent.clear()

        for identity in "1233":
            side.conversation.unsubscribe(identity)

        assert [{"id": "3", "type": "complete"}] == side.sent

    def test_asks_whether_the_server_is_there(self) -> None:
        side = ready()

        side.conversation.ping()
        side.conversation.ping({"n": 1})
        side.hear({"type": "pong"}, {"type": "pong", "payload": {"load": 1}}, {"type": "pong", "payload": None})

        assert [{"type": "ping"}, {"type": "ping", "payload": {"n": 1}}] == side.sent
        assert [("answered", None), ("answered", {"load": 1}), ("answered", None)] == side.told


class TestTheServer:
    @both
    @pytest.mark.parametrize(
        ("rest", "payload"), [({}, None), ({"payload": None}, None), ({"payload": {"a": 1}}, {"a": 1})]
    )
    def test_acknowledges_the_connection(self, dialect: Dialect, rest: dict[str, object], payload: object) -> None:
        side = Side(dialect)

        before = side.conversation.is_acknowledged
        side.hear(ACK | rest)

        assert (False, True) == (before, side.conversation.is_acknowledged)
        assert [("ready", payload)] == side.told

    @both
    def test_answers_each_operation_for_itself(self, dialect: Dialect) -> None:
        side = ready(dialect)
        first, second = side.operation("1"), side.operation("2")

        side.hear(
            side.next_of("2"), side.next_of("1", {"data": None, "errors": ERRORS}), {"id": "2", "type": "complete"}
        )
        side.hear(side.next_of("1", {}))

        assert [{"data": None, "errors": ERRORS}, {}] == first.seen
        assert [RESULT, ("completed", ["1"])] == second.seen
        assert [] == side.told

    @both
    def test_ends_an_operation_with_errors(self, dialect: Dialect) -> None:
        side = ready(dialect)
        first, second = side.operation("1"), side.operation("2")

        side.hear({"id": "1", "type": "error", "payload": ERRORS}, side.next_of("1"), {"id": "1", "type": "complete"})

        assert [("error", ERRORS, ["2"])] == first.seen
        assert [] == second.seen
        assert [] == side.told

    def test_of_the_older_protocol_has_one_error_that_is_no_list(self) -> None:
        side = ready(LEGACY_WS)
        answers = side.operation("1")

        side.hear({"id": "1", "type": "error", "payload": {"message": "no"}})

        assert [("error", ERRORS, [])] == answers.seen

    def test_of_the_older_protocol_gives_signs_of_life_also_before_the_acknowledgement(self) -> None:
        side = Side(LEGACY_WS)

        side.hear({"type": "ka"}, ACK, {"type": "ka"}, {"type": "ka", "payload": "whatever"})

        assert [("ready", None)] == side.told
        assert [] == side.sent

    @pytest.mark.parametrize("is_acknowledged", [False, True])
    @pytest.mark.parametrize(
        ("rest", "echo"),
        [({}, {}), ({"payload": None}, {}), *[({"payload": it}, {"payload": it}) for it in ({}, {"a": ["ü"]})]],
    )
    def test_is_told_that_the_client_is_there(self, rest: object, echo: object, *, is_acknowledged: bool) -> None:
        side = ready() if is_acknowledged else Side()

        side.hear({"type": "ping", **rest})

        assert [{"type": "pong", **echo}] == side.sent
        assert [] == side.told

    def test_gets_a_plain_pong_where_its_ping_cannot_be_written_again(self) -> None:
        side = Side(decode=lambda body: {"type": "ping", "payload": {"since": object()}})

        side.hear(b"")

        assert [{"type": "pong"}] == side.sent
        assert [] == side.told

    @both
    @pytest.mark.parametrize("is_acknowledged", [False, True])
    @pytest.mark.parametrize(
        ("rest", "reason"),
        [
            ({"payload": {"message": "who are you?"}}, "who are you?"),
            ({"payload": "who are you?"}, "who are you?"),
            ({"payload": {"message": 5}}, ""),
            ({"payload": None}, ""),
            ({}, ""),
        ],
    )
    def test_may_say_why_it_does_not_want_the_connection(
        self, dialect: Dialect, rest: object, reason: str, *, is_acknowledged: bool
    ) -> None:
        side = ready(dialect) if is_acknowledged else Side(dialect)
        answers = side.operation("1")

        side.hear({"type": "connection_error", **rest}, ACK, side.next_of("1"))

        assert [("refused", reason)] == side.told
        assert [] == answers.seen

    @both
    @pytest.mark.parametrize("kind", ["error", "complete", "next or data"])
    def test_may_answer_what_has_ended_meanwhile_or_was_never_asked(self, dialect: Dialect, kind: str) -> None:
        """PROTOCOL.md: both sides ignore unknown ids."""
        side = ready(dialect)
        left, stays = side.operation("left"), side.operation("stays")
        side.conversation.unsubscribe("left")
        kind = dialect.next if kind == "next or data" else kind
        payload = ERRORS if kind == "error" else RESULT

        for identity in ("left", "unknown"):
            side.hear({"id": identity, "type": kind, "payload": payload})

        assert [] == side.told + left.seen + stays.seen
        assert ["stays"] == [*side.conversation.receivers]

    def test_may_be_read_with_dicts_of_another_kind(self) -> None:
        class Row(dict[str, object]):
            pass

        side = Side(decode=lambda body: json.loads(body, object_pairs_hook=Row))
        answers = side.operation("1")

        side.hear(ACK | {"payload": {}}, side.next_of("1"), {"type": "ping", "payload": {}})

        assert [RESULT] == answers.seen
        assert [("ready", {})] == side.told

    def test_may_be_answered_by_what_its_answer_sets_off(self) -> None:
        side = ready()

        class Again(Answers):
            def on_completed(self) -> None:
                super().on_completed()
                side.operation("1")

        side.conversation.subscribe("1", BODY, Again(side))
        side.hear({"id": "1", "type": "complete"})

        assert ["subscribe", "subscribe"] == [message["type"] for message in side.sent]
        assert ["1"] == [*side.conversation.receivers]
