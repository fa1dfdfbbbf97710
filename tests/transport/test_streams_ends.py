"""How answers in pieces end: completely, in the middle, or because they are wrong."""

import asyncio
from typing import Any

import pytest

from rxlink import (
    AttemptsOptions,
    CombinedProtocolErrors,
    DelayOptions,
    GraphQLRequest,
    HttpLink,
    InvariantError,
    NetworkError,
    ResponseTooLarge,
    RetryLink,
    ServerError,
    ServerParseError,
    from_,
)
from tests.recording import END as COMPLETED
from tests.transport.pieces import (
    DELIMITER,
    END,
    SUBSCRIPTION,
    answer_in_pieces,
    body_of,
    outcome_of,
    part,
    tick,
)
from tests.transport.scripted_server import ScriptedServer

HERO = GraphQLRequest("query Hero { hero { name ... @defer { age } } }")
FIRST = {"data": {"hero": {"name": "R2-D2"}}}
PIECES = [{**FIRST, "hasNext": True}, {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False}]


class TestCut:
    @pytest.mark.parametrize("ends", [True, False], ids=["the body ends", "the connection breaks"])
    async def test_at_any_byte_keeps_what_came_and_is_an_error(self, server: ScriptedServer, ends: bool):
        body = body_of({}, {"payload": tick(1)}, {"payload": {"data": {"tick": "é"}}})
        wholes = [body.index(b"}}}") + 3, body.rindex(b"}}}") + 3]  # where an event is complete
        async with HttpLink(server.uri) as link:
            for place in range(len(body)):
                server.answer = answer_in_pieces(body[:place], content_type=SUBSCRIPTION, ends=ends)

                *results, end = await outcome_of(link)

                expected = [tick(1), {"data": {"tick": "é"}}][: sum(place >= whole for whole in wholes)]
                is_complete = place >= len(body) - len(b"\r\n")  # the last delimiter is there
                assert expected == results
                assert (COMPLETED if is_complete else NetworkError) == (end if is_complete else type(end))
                if not is_complete:
                    assert ("what has come of it was delivered" in str(end), True) == (True, end.retryable)

    async def test_before_the_piece_that_says_it_is_the_last_is_an_error(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER + part(PIECES[0]))

        async with HttpLink(server.uri) as link:
            first, error = await outcome_of(link, HERO)

        assert (FIRST, NetworkError) == (first, type(error))

    async def test_behind_the_piece_that_says_it_is_the_last_is_none(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER + b"".join(map(part, PIECES)))

        async with HttpLink(server.uri) as link:
            assert COMPLETED == (await outcome_of(link, HERO))[-1]

    async def test_is_an_error_where_more_was_announced_although_it_looks_like_an_end(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of(PIECES[0]))

        async with HttpLink(server.uri) as link:
            first, error = await outcome_of(link, HERO)

        assert (FIRST, ServerError) == (first, type(error))
        assert "it ended although the server had announced more" in str(error)

    async def test_is_tried_again_by_a_retry_link(self, server: ScriptedServer):
        broken = answer_in_pieces(DELIMITER, part({"payload": tick(1)}), content_type=SUBSCRIPTION, ends=False)
        whole = answer_in_pieces(body_of({"payload": tick(2)}), content_type=SUBSCRIPTION)

        async def answer(request: Any) -> Any:
            return await (broken if len(server.requests) == 1 else whole)(request)

        server.answer = answer
        retry = RetryLink(delay=DelayOptions(initial=0), attempts=AttemptsOptions(max=2))
        async with HttpLink(server.uri) as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(from_([retry, link]))


class TestWrong:
    @pytest.mark.parametrize(
        ("error", "message"),
        [
            ({"message": "the subgraph is gone"}, "the subgraph is gone"),
            ([{"message": "the subgraph is gone"}], "the subgraph is gone"),
        ],
        ids=["no list", "a list"],
    )
    @pytest.mark.parametrize("payload", [None, tick(2)], ids=["alone", "beside a payload"])
    async def test_fatal_errors_end_a_subscription(
        self, server: ScriptedServer, payload: Any, error: Any, message: str
    ):
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}, {"payload": payload, "errors": error}))

        async with HttpLink(server.uri) as link:
            *results, end = await outcome_of(link)

        assert [tick(1), *([] if payload is None else [payload])] == results
        assert (CombinedProtocolErrors, message) == (type(end), str(end))

    @pytest.mark.parametrize(
        ("piece", "kind", "message"),
        [
            (b"{", ServerParseError, "is no JSON"),
            (b"[]", ServerError, "malformed for query 'Ticks'"),
            (b"null", ServerError, "malformed for query 'Ticks'"),
            (b'{"payload": 1}', ServerError, "malformed for query 'Ticks'"),
            (b'{"payload": {"a": 1}}', ServerError, "malformed for query 'Ticks'"),
            (b'{"a": 1}', ServerError, "malformed for query 'Ticks'"),
            (b'{"data": {}, "hasNext": 1}', ServerError, "its `hasNext` is neither true nor false"),
            (b'{"hasNext": true, "incremental": {}}', ServerError, "its `incremental` is no list of objects"),
            (b'{"hasNext": true, "incremental": [{"path": "a"}]}', ServerError, "the `path` of an entry"),
            (
                b'{"hasNext": true, "incremental": [{"items": [], "path": []}]}',
                ServerError,
                "does not end with an index",
            ),
        ],
    )
    async def test_pieces_are_an_error_that_says_what_is_wrong(
        self, server: ScriptedServer, piece: bytes, kind: type[Exception], message: str
    ):
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}, piece))

        async with HttpLink(server.uri) as link:
            first, error = await outcome_of(link)

        assert (tick(1), kind) == (first, type(error))
        assert message in str(error)
        assert (200, "Ticks", False) == (error.status_code, error.operation_name, error.retryable)
        assert piece.decode() == error.body_text

    async def test_types_of_parts_are_an_error(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER, part(b"<p>", content_type="text/html"), END)

        async with HttpLink(server.uri) as link:
            (error,) = await outcome_of(link)

        assert "a part is no JSON by its content-type. Unexpected part content-type: text/html" in str(error)

    async def test_statuses_are_an_error(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of({"errors": [{"message": "no"}]}), status=503)

        async with HttpLink(server.uri) as link:
            (error,) = await outcome_of(link)

        assert (ServerError, 503, True) == (type(error), error.status_code, error.retryable)

    async def test_delimiters_are_an_error_that_shows_nothing_of_the_body(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER + b"planted-secret", END)

        async with HttpLink(server.uri) as link:
            (error,) = await outcome_of(link)

        assert "the parts are damaged: behind a delimiter its line goes on" in str(error)
        assert "planted-secret" not in str(error)

    @pytest.mark.parametrize("name", ["idle_timeout", "timeout"])
    def test_spans_of_time_are_refused(self, name: str):
        with pytest.raises(InvariantError, match=f"`{name}` is 0; give more than 0 seconds, or None for ever"):
            HttpLink("http://localhost/", **{name: 0})


class TestDamagedParts:
    @pytest.mark.parametrize(
        "damaged",
        [b"{", b"", b"  ", b"\xff\xfe", b"[]", b"null", b'{"a": 1}', b'{"payload": 1}', b'{"payload": {"a": 1}}'],
    )
    async def test_are_left_out_of_a_subscription_with_a_warning(
        self, server: ScriptedServer, damaged: bytes, caplog: pytest.LogCaptureFixture
    ):
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}, damaged, {"payload": tick(2)}))

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

        (record,) = [record for record in caplog.records if record.name == "rxlink.transport.http"]
        assert record.getMessage().startswith("a part was left out, which may have been a result: ")
        assert "Ticks" in record.getMessage()

    async def test_are_quoted_in_no_log(self, server: ScriptedServer, caplog: pytest.LogCaptureFixture):
        server.answer = answer_in_pieces(body_of(b"planted", {"planted": 1}))

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            assert [COMPLETED] == await outcome_of(link)

        assert "a part was left out" in caplog.text
        assert "planted" not in caplog.text

    @pytest.mark.parametrize("payload", [1, {"a": 1}, None])
    async def test_with_fatal_errors_end_it(self, server: ScriptedServer, payload: Any):
        server.answer = answer_in_pieces(body_of({"payload": payload, "errors": [{"message": "gone"}]}))

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            (end,) = await outcome_of(link)

        assert (CombinedProtocolErrors, "gone") == (type(end), str(end))

    async def test_of_another_type_are_an_error(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER, part(b"<p>", content_type="text/html"), END)

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            (error,) = await outcome_of(link)

        assert ServerError is type(error)

    async def test_of_a_result_in_pieces_are_an_error(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of(PIECES[0], b"{", PIECES[1]))

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            _, of_a_query = await outcome_of(link, HERO)
            _, of_a_subscription = await outcome_of(link)

        assert [ServerParseError] * 2 == [type(of_a_query), type(of_a_subscription)]

    @pytest.mark.parametrize(
        "damaged",
        [
            {"incremental": [{"id": "0", "data": {}}], "hasNext": False},
            {"data": {"tick": 1}, "hasNext": "x"},
            {"data": {"tick": 1}, "pending": 5, "hasNext": True},
        ],
    )
    async def test_that_begin_a_result_in_pieces_are_left_out(self, server: ScriptedServer, damaged: dict[str, Any]):
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}, {"payload": damaged}, {"payload": tick(2)}))

        async with HttpLink(server.uri, damaged_parts="skip") as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

    def test_are_handled_in_one_of_two_ways(self):
        with pytest.raises(InvariantError, match="`damaged_parts` is 'keep'; give one of 'error', 'skip'"):
            HttpLink("http://localhost/", damaged_parts="keep")  # pyright: ignore[reportArgumentType]


class TestSize:
    async def test_is_limited_for_each_part_of_a_subscription(self, server: ScriptedServer):
        long, short = {"payload": {"data": {"tick": "x" * 1000}}}, {"payload": tick(1)}
        server.answer = answer_in_pieces(body_of(*[short] * 100, long, short), content_type=SUBSCRIPTION)

        async with HttpLink(server.uri, max_response_size=1000) as link:
            *results, error = await outcome_of(link)

        assert ([tick(1)] * 100, ResponseTooLarge, 1000) == (results, type(error), error.limit)

    async def test_is_limited_before_a_part_is_complete(self, server: ScriptedServer):
        server.answer = answer_in_pieces(DELIMITER, b"\r\n\r\n" + b" " * 2000, asyncio.Event().wait)

        async with HttpLink(server.uri, max_response_size=1000) as link:
            (error,) = await outcome_of(link)
            await server.aborted.wait()

        assert ResponseTooLarge is type(error)

    async def test_is_limited_for_the_whole_of_other_answers(self, server: ScriptedServer):
        more = {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": True}
        server.answer = answer_in_pieces(body_of(PIECES[0], *[more] * 100))

        async with HttpLink(server.uri, max_response_size=1000) as link:
            *_, error = await outcome_of(link, HERO)

        assert ResponseTooLarge is type(error)
