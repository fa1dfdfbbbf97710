"""HttpLink and answers in pieces: what becomes of them, and when."""

import asyncio
import json
from typing import Any

import pytest

from rxlink import (
    AuthLink,
    AuthSession,
    Defer20220824Handler,
    GraphQL17Alpha9Handler,
    GraphQLRequest,
    HttpLink,
    IncrementalResult,
    InvariantTypeError,
    TokenSet,
    execute,
    from_,
    on_error,
)
from tests.recording import END as COMPLETED
from tests.transport.pieces import (
    DELIMITER,
    END,
    SUBSCRIPTION,
    TICKS,
    ResultSignal,
    answer_in_pieces,
    body_of,
    outcome_of,
    part,
    tick,
)
from tests.transport.scripted_server import ScriptedServer, answer_json

HERO = GraphQLRequest("query Hero { hero { name ... @defer { age } } }")
FIRST = {"data": {"hero": {"name": "R2-D2"}}}
WHOLE = {"data": {"hero": {"name": "R2-D2", "age": 33}}}
PENDING = [{"id": "0", "path": ["hero"]}]
FORMATS = {
    "of August 2022": [
        {**FIRST, "hasNext": True},
        {"incremental": [{"path": ["hero"], "data": {"age": 33}}], "hasNext": False},
    ],
    "v0.2": [
        {**FIRST, "pending": PENDING, "hasNext": True},
        {"incremental": [{"id": "0", "data": {"age": 33}}], "completed": [{"id": "0"}], "hasNext": False},
    ],
    "Strawberry's": [
        {**FIRST, "pending": [{**PENDING[0], "label": None}], "hasNext": True, "extensions": None},
        {
            "incremental": [
                {"id": "0", "path": ["hero"], "label": None, "data": {"age": 33}, "errors": None, "extensions": None}
            ],
            "completed": [{"id": "0", "errors": None}],
            "hasNext": False,
            "extensions": None,
        },
    ],
}


class TestSubscription:
    async def test_gives_the_payloads_of_its_parts(self, server: ScriptedServer):
        parts = [{}, {"payload": tick(1)}, {}, {"payload": tick(2)}, {"payload": None}]
        server.answer = answer_in_pieces(body_of(*parts), content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

    async def test_asks_for_parts_before_all_else(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of({"payload": None}), content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            await outcome_of(link, GraphQLRequest(TICKS.query, context={"http": {"accept": ["text/plain"]}}))

        usual = "application/graphql-response+json,application/json;q=0.9"
        assert f"{SUBSCRIPTION},text/plain,{usual}" == server.headers["accept"]

    async def test_completes_with_its_last_delimiter_too(self, server: ScriptedServer):
        steps = (body_of({"payload": tick(1)}), asyncio.Event().wait)
        server.answer = answer_in_pieces(*steps, content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link)
            await server.aborted.wait()

    async def test_that_is_ended_by_null_does_not_wait_for_more(self, server: ScriptedServer):
        steps = (DELIMITER, part({"payload": None}), asyncio.Event().wait)
        server.answer = answer_in_pieces(*steps, content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            assert [COMPLETED] == await outcome_of(link)

    async def test_gives_graphql_errors_as_results(self, server: ScriptedServer):
        stumbled = {"data": None, "errors": [{"message": "no"}]}
        server.answer = answer_in_pieces(body_of({"payload": stumbled}, {"payload": tick(2)}))

        async with HttpLink(server.uri) as link:
            assert [stumbled, tick(2), COMPLETED] == await outcome_of(link)

    async def test_that_is_refused_as_a_whole_is_one_result(self, server: ScriptedServer):
        refused = {"errors": [{"message": "no such field"}]}
        server.answer = answer_json(refused, 400, content_type="application/graphql-response+json")

        async with HttpLink(server.uri) as link:
            assert [refused, COMPLETED] == await outcome_of(link)

    async def test_may_come_without_an_envelope(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of(tick(1), tick(2)))

        async with HttpLink(server.uri) as link:
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

    async def test_goes_with_get_where_queries_do(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of({"payload": None}))

        async with HttpLink(server.uri, use_get_for_queries=True) as link:
            await outcome_of(link)

        assert ["GET"] == [request.method for request in server.requests]


class TestIncrementalDelivery:
    @pytest.mark.parametrize("pieces", FORMATS.values(), ids=FORMATS)
    async def test_gives_the_merged_result_after_each_piece(self, server: ScriptedServer, pieces: list[Any]):
        server.answer = answer_in_pieces(body_of(*pieces))

        async with HttpLink(server.uri) as link:
            first, whole, end = await outcome_of(link, HERO)

        assert [FIRST, WHOLE, COMPLETED] == [first, whole, end]
        assert [(pieces[0], True), (pieces[1], False)] == [
            (result.increment, result.has_next) for result in (first, whole)
        ]

    async def test_is_awaited_to_its_end(self, server: ScriptedServer):
        server.answer = answer_in_pieces(body_of(*FORMATS["v0.2"]))

        async with HttpLink(server.uri) as link:
            assert WHOLE == await execute(link, HERO)

    @pytest.mark.parametrize(
        ("handler", "types"),
        [
            (None, "multipart/mixed;incrementalSpec=v0.2,multipart/mixed;deferSpec=20220824"),
            (GraphQL17Alpha9Handler(), "multipart/mixed;incrementalSpec=v0.2"),
            (Defer20220824Handler(), "multipart/mixed;deferSpec=20220824"),
        ],
        ids=["any", "v0.2", "2022"],
    )
    async def test_is_asked_for_where_something_is_deferred(self, server: ScriptedServer, handler: Any, types: str):
        streamed = "query { people @stream { name } }"
        in_fragment = "query { ...F } fragment F on Query { ... @defer { a } }"
        async with HttpLink(server.uri, incremental_handler=handler) as link:
            for query in (HERO.query, streamed, in_fragment, "query { a @include(if: true) }"):
                await execute(link, GraphQLRequest(query))

        usual = "application/graphql-response+json,application/json;q=0.9"
        accepted = [request.headers["accept"] for request in server.requests]
        assert [f"{types},{usual}"] * 3 + [usual] == accepted

    @pytest.mark.parametrize(
        ("handler", "pieces", "reason"),
        [
            (Defer20220824Handler(), FORMATS["v0.2"], "it is in the format v0.2"),
            (GraphQL17Alpha9Handler(), FORMATS["of August 2022"], "the format is not v0.2"),
        ],
        ids=["v0.2", "2022"],
    )
    async def test_in_the_other_format_is_an_error_for_a_handler_of_one(
        self, server: ScriptedServer, handler: Any, pieces: list[Any], reason: str
    ):
        server.answer = answer_in_pieces(body_of(*pieces))

        async with HttpLink(server.uri, incremental_handler=handler) as link:
            error = (await outcome_of(link, HERO))[-1]

        assert reason in str(error)
        assert 200 == error.status_code

    @pytest.mark.parametrize("handler", [Defer20220824Handler, "2022", object()])
    def test_takes_only_a_handler(self, handler: Any):
        with pytest.raises(InvariantTypeError, match="`incremental_handler` of HttpLink"):
            HttpLink("http://localhost/", incremental_handler=handler)

    async def test_that_is_answered_as_a_whole_is_one_result(self, server: ScriptedServer):
        server.answer = answer_json(WHOLE)

        async with HttpLink(server.uri) as link:
            assert [WHOLE, COMPLETED] == await outcome_of(link, HERO)

    async def test_emissions_stay_as_they_were(self, server: ScriptedServer):
        pieces = [
            {"data": {"letters": ["a"]}, "pending": [{"id": "0", "path": ["letters"]}], "hasNext": True},
            *({"incremental": [{"id": "0", "items": [letter]}], "hasNext": True} for letter in "bc"),
            {"completed": [{"id": "0"}], "hasNext": False},
        ]
        server.answer = answer_in_pieces(body_of(*pieces))

        async with HttpLink(server.uri) as link:
            *results, _ = await outcome_of(link, HERO)

        assert [["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c"]] == [
            result["data"]["letters"] for result in results
        ]
        assert [True, True, True, False] == [result.has_next for result in results]


class TestCausality:
    """The server waits with each piece until the one before was received: so nothing is held back."""

    async def test_an_event_arrives_before_the_next_is_sent(self, server: ScriptedServer):
        received = ResultSignal()
        pieces = [part({"payload": tick(number)}) for number in (1, 2, 3)]
        steps = [step for piece in pieces for step in (piece, received.one_more)]
        server.answer = answer_in_pieces(DELIMITER, *steps, END, content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            execute(link, TICKS).subscribe(received)
            await received.ended.wait()

        assert [tick(1), tick(2), tick(3), COMPLETED] == received.seen

    async def test_so_it_does_where_the_delimiter_comes_only_with_the_next_part(self, server: ScriptedServer):
        received = ResultSignal()
        pieces = [part({"payload": tick(number)}) for number in (1, 2, 3)]
        steps = [step for piece in pieces for step in (DELIMITER + piece[: -len(DELIMITER)], received.one_more)]
        server.answer = answer_in_pieces(*steps, DELIMITER + END, content_type=SUBSCRIPTION)

        async with HttpLink(server.uri) as link:
            execute(link, TICKS).subscribe(received)
            await received.ended.wait()

        assert [tick(1), tick(2), tick(3), COMPLETED] == received.seen

    @pytest.mark.parametrize("pieces", FORMATS.values(), ids=FORMATS)
    async def test_an_increment_arrives_before_the_next_is_sent(self, server: ScriptedServer, pieces: list[Any]):
        received = ResultSignal()
        first, last = map(part, pieces)
        server.answer = answer_in_pieces(DELIMITER, first, received.one_more, last, received.one_more, END)

        async with HttpLink(server.uri) as link:
            execute(link, HERO).subscribe(received)
            await received.ended.wait()

        assert [FIRST, WHOLE, COMPLETED] == received.seen


class TestLinksAbove:
    async def test_an_error_link_hears_of_each_error_once(self, server: ScriptedServer):
        late = {"path": ["hero"], "data": {"age": None}, "errors": [{"message": "late"}]}
        pieces = [
            {**FIRST, "errors": [{"message": "early"}], "hasNext": True},
            {"incremental": [late], "hasNext": True},
            {"hasNext": False},
        ]
        server.answer = answer_in_pieces(body_of(*pieces))
        heard: list[Any] = []
        note = on_error(lambda response: heard.append(response.graphql_errors))

        async with HttpLink(server.uri) as link:
            *results, _ = await outcome_of(from_([note, link]), HERO)

        assert [[{"message": "early"}], [{"message": "late"}]] == heard
        assert [1, 2, 2] == [len(result["errors"]) for result in results]

    @pytest.mark.parametrize("format_", ["of August 2022", "v0.2"])
    async def test_an_auth_link_refreshes_for_a_refused_first_piece(self, server: ScriptedServer, format_: str):
        refused = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}

        async def answer(request: Any) -> Any:
            is_fresh = request.headers["authorization"] == "Bearer fresh"
            pieces = FORMATS[format_] if is_fresh else [{**refused, "hasNext": True}, {"hasNext": False}]
            return await answer_in_pieces(body_of(*pieces))(request)

        server.answer = answer
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("fresh"), tokens=TokenSet("stale"))

        async with session, HttpLink(server.uri) as link:
            seen = await outcome_of(from_([AuthLink(session), link]), HERO)

        assert [FIRST, WHOLE, COMPLETED] == seen
        assert 2 == len(server.requests)

    async def test_an_auth_link_sends_nothing_again_once_a_result_was_given(self, server: ScriptedServer):
        refused = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
        server.answer = answer_in_pieces(body_of({"payload": tick(1)}, {"payload": refused}))
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("fresh"), tokens=TokenSet("stale"))

        async with session, HttpLink(server.uri) as link:
            seen = await outcome_of(from_([AuthLink(session), link]))

        assert [tick(1), refused, COMPLETED] == seen
        assert 1 == len(server.requests)


async def test_the_log_tells_sizes_and_no_content(server: ScriptedServer, caplog: pytest.LogCaptureFixture):
    server.answer = answer_in_pieces(body_of({"payload": {"data": {"tick": "planted-secret"}}}))

    with caplog.at_level("DEBUG", "rxlink.transport.http"):
        async with HttpLink(server.uri) as link:
            await outcome_of(link)

    assert "in pieces" in caplog.text
    assert "a piece, " in caplog.text
    assert "planted-secret" not in caplog.text


def test_an_incremental_result_is_a_dict_that_knows_its_piece():
    result = IncrementalResult(FIRST, increment={"hasNext": True}, has_next=True)

    assert FIRST == result
    assert json.dumps(FIRST) == json.dumps(result)
    assert ({"hasNext": True}, True, ()) == (result.increment, result.has_next, result.new_errors)
