"""SchemaLink: results that come in pieces, and when they do."""

import asyncio
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.result import IncrementalResult
from rxlink.errors import InvariantError, OperationCancelled
from rxlink.links.error import ErrorLink
from rxlink.transport._execution import HAS_PIECES
from tests.recording import END, seen_of, subscribed
from tests.sending_twice import TwiceLink
from tests.transport.schema_world import DECLARED, NEEDS_PIECES, SCHEMA, World, link_of, pieces, request, turns

DEFERRED = request("{ plain ... @defer { slow } }")
WHOLE = {"data": {"plain": "plain", "slow": "slow"}}
SHAPES = {
    "{ ... @defer { plain } }": [{}, {"plain": "plain"}],
    "{ hero { name ... @defer { slow } } }": [
        {"hero": {"name": "Luke"}},
        {"hero": {"name": "Luke", "slow": "slow"}},
    ],
    '{ hero { ...F @defer(label: "F") } } fragment F on Hero { name }': [{"hero": {}}, {"hero": {"name": "Luke"}}],
    "{ ... @defer { plain hero { name ... @defer { slow } } } }": [
        {},
        {"plain": "plain", "hero": {"name": "Luke"}},
        {"plain": "plain", "hero": {"name": "Luke", "slow": "slow"}},
    ],
    "{ ... @defer { hero { name } } ... @defer { hero { name slow } } }": [
        {},
        {"hero": {"name": "Luke"}},
        {"hero": {"name": "Luke", "slow": "slow"}},
    ],
    "{ ready @stream(initialCount: 1) }": [{"ready": [0]}, {"ready": [0, 1, 2]}],
    "{ ready @stream }": [{"ready": []}, {"ready": [0, 1, 2]}],
    "{ heroes @stream(initialCount: 1) { name ... @defer { slow } } }": None,
    "{ heroes { name ... @defer { slow } } }": None,
    "{ hero { ... @defer { friends @stream(initialCount: 2) { name } } } }": None,
    '{ numbers @stream(initialCount: 1, label: "N") ... @defer(label: "D") { slow heroes { slow } } }': None,
    "mutation { first ... @defer { second } }": [{"first": "slow"}, {"first": "slow", "second": "slow"}],
}


def without_directives(query):
    words = (word for word in query.replace("@stream(", "@stream (").replace("@defer(", "@defer (").split())
    kept, is_inside = [], False
    for word in words:
        is_inside = is_inside or word.startswith("(")
        if not word.startswith("@") and not is_inside:
            kept.append(word)
        is_inside = is_inside and ")" not in word
    return " ".join(kept)


class TestPieces:
    @NEEDS_PIECES
    async def test_are_the_result_so_far_with_what_came_last_and_whether_more_is_to_come(self):
        recorder = subscribed(execute(link_of(), DEFERRED))
        await turns()

        first, last, _ = recorder.seen
        assert [({"data": {"plain": "plain"}}, True), (WHOLE, False), END] == pieces(recorder.seen)
        assert {"data": {"plain": "plain"}, "pending": [{"id": "0", "path": []}], "hasNext": True} == first.increment
        assert [{"id": "0", "data": {"slow": "slow"}}] == last.increment["incremental"]
        assert (IncrementalResult, IncrementalResult) == (type(first), type(last))

    @pytest.mark.parametrize("schema", [SCHEMA, DECLARED], ids=["not declared", "declared"])
    @pytest.mark.parametrize("query", SHAPES)
    async def test_end_with_what_comes_without_the_directives(self, query, schema):
        recorder = subscribed(execute(link_of(schema=schema), request(query)))
        await turns()

        *seen, end = recorder.seen
        assert END == end
        assert await execute(link_of(), request(without_directives(query))) == seen[-1]
        assert (SHAPES[query] or [])[:-1] == [result["data"] for result in seen[:-1]] or not (
            HAS_PIECES and SHAPES[query]
        )
        assert (len(seen) > 1) == HAS_PIECES

    async def test_are_the_last_one_to_who_awaits(self):
        assert await execute(link_of(), DEFERRED) == WHOLE

    @NEEDS_PIECES
    async def test_arrive_while_a_deferred_resolver_still_waits(self):
        """By causality: the resolver goes on when the subscriber has the piece before."""
        received = asyncio.Event()

        async def slow(info):
            await received.wait()
            return "slow"

        recorder = subscribed(execute(link_of(World(slow=slow)), DEFERRED).do_action(lambda _: received.set()))
        await turns()

        assert [({"data": {"plain": "plain"}}, True), (WHOLE, False), END] == pieces(recorder.seen)

    @NEEDS_PIECES
    async def test_of_a_stream_arrive_one_by_one(self):
        """By causality: each item is made when the subscriber has the one before."""
        received = asyncio.Queue()

        async def numbers(info):
            for number in range(3):
                yield number
                await received.get()

        results = execute(link_of(World(numbers=numbers)), request("{ numbers @stream }"))
        recorder = subscribed(results.do_action(lambda result: result["data"]["numbers"] and received.put_nowait(1)))
        await turns()

        lists = [result["data"]["numbers"] for result in recorder.seen[:-1]]
        assert [[], [0], [0, 1], [0, 1, 2]] == lists[:4]

    @NEEDS_PIECES
    async def test_leave_those_before_as_they_were(self):
        recorder = subscribed(execute(link_of(), request("{ numbers @stream hero { ... @defer { slow } } }")))
        await turns()

        assert {"numbers": [], "hero": {}} == recorder.seen[0]["data"]
        assert {"numbers": [0, 1, 2], "hero": {"slow": "slow"}} == recorder.seen[-2]["data"]

    @pytest.mark.parametrize("query", ["{ plain ... @defer(if: false) { number } }", "{ ready @stream(if: false) }"])
    async def test_are_one_whole_result_where_nothing_is_deferred_after_all(self, query):
        [result, end] = seen_of(execute(link_of(), request(query)))

        assert (dict, END) == (type(result), end)

    async def test_are_one_whole_result_there_with_resolvers_that_wait(self):
        recorder = subscribed(execute(link_of(), request("{ plain ... @defer(if: false) { slow } }")))
        await turns()

        assert ([WHOLE, END], dict) == (recorder.seen, type(recorder.seen[0]))

    async def test_are_of_the_operation_that_was_named(self):
        query = "query A { ... @defer { slow } } query B { plain }"

        assert [{"data": {"plain": "plain"}}, END] == seen_of(execute(link_of(), request(query, operation_name="B")))

    async def test_are_made_anew_for_each_subscription(self):
        results = execute(link_of(), DEFERRED)

        assert [WHOLE, WHOLE] == [await results, await results]

    @NEEDS_PIECES
    async def test_come_with_a_context_that_was_waited_for(self):
        async def context(operation):
            await asyncio.sleep(0)
            return "Ada"

        async def slow(info):
            return info.context

        link = link_of(World(slow=slow), context=context)
        recorder = subscribed(execute(link, DEFERRED))
        await turns()

        assert ([True, False], "Ada") == (
            [result.has_next for result in recorder.seen[:-1]],
            recorder.seen[1]["data"]["slow"],
        )

    async def test_a_link_above_may_send_again_where_it_hears_of_the_end(self):
        recorder = subscribed(execute(from_([TwiceLink(), link_of()]), DEFERRED))
        await turns()

        half = recorder.seen[: len(recorder.seen) // 2]
        assert [*half, *half, END] == recorder.seen
        assert half[-1] == WHOLE

    @NEEDS_PIECES
    async def test_of_a_hundred_operations_stay_apart(self):
        """P11: deferred resolvers, generators and observers see the values of their own subscription."""
        variable, gate, seen = ContextVar("variable"), asyncio.Event(), {}

        async def slow(info):
            await gate.wait()
            return variable.get()

        async def numbers(info):
            yield variable.get()
            await gate.wait()
            yield variable.get()

        link = link_of(World(slow=slow, numbers=numbers))

        def start(number):
            variable.set(number)
            execute(link, request("{ ... @defer { slow } numbers @stream }")).subscribe(
                lambda result: seen.setdefault(number, []).append((variable.get(), result["data"]))
            )

        for number in range(100):
            copy_context().run(start, number)
        await turns()
        gate.set()
        await turns()

        lasts = {number: (number, {"slow": str(number), "numbers": [number, number]}) for number in range(100)}
        assert lasts == {number: results[-1] for number, results in seen.items()}
        assert {number: {number} for number in range(100)} == {
            number: {told for told, _ in results} for number, results in seen.items()
        }


class TestWithoutALoop:
    def test_the_result_is_whole_and_comes_at_once(self):
        query = "{ plain ... @defer { number } ready @stream }"

        [result, end] = seen_of(execute(link_of(), request(query)))

        assert ({"data": {"plain": "plain", "number": None, "ready": [0, 1, 2]}}, END) == (result, end)

    def test_a_resolver_that_waits_says_what_to_do(self):
        [error] = seen_of(execute(link_of(), DEFERRED))

        assert InvariantError is type(error)
        assert "no event loop runs" in str(error)

    @NEEDS_PIECES
    def test_that_of_the_scheduler_is_as_good(self):
        loop = asyncio.new_event_loop()

        recorder = subscribed(execute(link_of(), DEFERRED), AsyncIOScheduler(loop))
        before = list(recorder.seen)
        loop.run_until_complete(turns())
        loop.close()

        assert [] == before
        assert [({"data": {"plain": "plain"}}, True), (WHOLE, False), END] == pieces(recorder.seen)

    @NEEDS_PIECES
    def test_or_when_it_closes_the_operation_ends_and_its_generators_are_closed(self):
        world = World()

        async def main():
            endless = World(numbers=world.numbers, slow=lambda info: asyncio.Event().wait())
            link = link_of(endless)
            recorder = subscribed(execute(link, request("{ numbers @stream(initialCount: 1) ... @defer { slow } }")))
            await turns()
            return recorder

        recorder = asyncio.run(main())

        *results, end = recorder.seen
        assert (OperationCancelled, []) == (type(end), world.open)
        assert {"numbers": [0, 1, 2]} == results[-1]["data"]


@NEEDS_PIECES
class TestErrors:
    async def test_of_a_deferred_field_come_with_its_piece(self):
        recorder = subscribed(execute(link_of(), request("{ plain ... @defer { boom slow } }")))
        await turns()

        error = {"message": "boom", "path": ["boom"]}
        first, last, _ = recorder.seen
        assert [] == list(first.new_errors)
        assert {"data": {"plain": "plain", "boom": None, "slow": "slow"}, "errors": [error]} == last
        assert [error] == list(last.new_errors)

    async def test_that_may_not_be_null_leave_the_fragment_out(self):
        recorder = subscribed(execute(link_of(), request("{ plain ... @defer { hero { name } must slow } }")))
        await turns()

        error = {"message": "boom", "path": ["must"]}
        assert ({"data": {"plain": "plain"}, "errors": [error]}, False) == pieces(recorder.seen)[-2]

    async def test_that_may_not_be_null_end_a_stream(self):
        async def heroes(info):
            yield World()
            yield World(name=None)
            raise OSError("gone")

        recorder = subscribed(execute(link_of(World(heroes=heroes)), request("{ heroes @stream { plain: name } }")))
        await turns()

        *_, last, end = recorder.seen
        assert ([{"message": "gone", "path": ["heroes"]}], END) == (last["errors"], end)
        assert [{"plain": None}, {"plain": None}] == last["data"]["heroes"]

    async def test_of_the_first_piece_are_kept_in_those_after_it(self):
        recorder = subscribed(execute(link_of(), request("{ boom ... @defer { slow } }")))
        await turns()

        assert [1, 1] == [len(result["errors"]) for result in recorder.seen[:-1]]
        assert [1, 0] == [len(result.new_errors) for result in recorder.seen[:-1]]

    async def test_reach_an_error_link_once(self):
        asked = []
        link = from_([ErrorLink(lambda response: asked.append(response.graphql_errors)), link_of()])
        subscribed(execute(link, request("{ boom ... @defer { plain hero { ... @defer { boom } } } }")))
        await turns()

        assert [["boom"], ["hero", "boom"]] == [error["path"] for errors in asked for error in errors]

    @pytest.mark.parametrize(
        "query",
        [
            "{ boom ... @defer { slow } }",
            "{ plain ... @defer { boom } }",
            "{ boom slow ... @defer(if: false) { plain } }",
        ],
    )
    async def test_let_a_link_above_turn_to_something_else(self, query):
        """At the first piece, at the last, and at a result that comes as a whole."""
        left = []
        other = reactivex.create(lambda observer, scheduler: observer.on_next(7) or Disposable(lambda: left.append(1)))
        link = from_([ErrorLink(lambda response: other), link_of()])
        recorder = subscribed(execute(link, request(query)))
        await turns()
        before = list(left)

        recorder.subscription.dispose()

        assert ([], [1], 7) == (before, left, recorder.seen[-1])

    async def test_of_the_request_come_without_data_and_at_once(self):
        query = "query ($id: Int!) { plain ... @defer { slow } ready(id: $id) }"

        [result, end] = seen_of(execute(link_of(), request(query)))

        assert (["errors"], END) == (list(result), end)

    async def test_of_a_resolver_that_cancels_are_those_of_its_fragment(self):
        async def cancelled(info):
            raise asyncio.CancelledError

        recorder = subscribed(execute(link_of(World(slow=cancelled)), DEFERRED))
        await turns()

        assert [{"plain": "plain"}, {"plain": "plain"}] == [result["data"] for result in recorder.seen[:-1]]
        assert 1 == len(recorder.seen[1].new_errors)

    async def test_of_a_resolver_that_cancels_the_first_piece_are_defined(self):
        async def cancelled(info):
            raise asyncio.CancelledError

        recorder = subscribed(execute(link_of(World(slow=cancelled)), request("{ slow ... @defer { plain } }")))
        await turns()

        assert [OperationCancelled] == list(map(type, recorder.seen))

    @pytest.mark.parametrize("is_asynchronous", [False, True])
    async def test_of_graphql_core_itself_are_the_operations(self, is_asynchronous, monkeypatch):
        def refuse(*args, **options):
            raise TypeError("no")

        async def refuse_later(*args, **options):
            raise TypeError("no")

        function = "graphql.experimental_execute_incrementally"
        monkeypatch.setattr(function, refuse_later if is_asynchronous else refuse)
        recorder = subscribed(execute(from_([TwiceLink(), link_of()]), DEFERRED))
        await turns()

        assert [TypeError, TypeError] == list(map(type, recorder.seen))

    async def test_of_the_consumer_are_its_own_and_end_the_execution(self):
        errors, asked, world = [], [], World()

        link = from_([ErrorLink(asked.append), link_of(world)])
        query = "{ numbers @stream(initialCount: 1) ready @stream ... @defer { slow } }"
        execute(link, request(query)).subscribe(lambda _: 1 / 0, errors.append)
        await turns()

        assert ([ZeroDivisionError], [], []) == (list(map(type, errors)), asked, world.open)

    async def test_of_the_consumer_at_the_last_piece_come_after_the_end(self):
        completed, complaints = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        def take(result):
            assert result.has_next

        execute(link_of(), DEFERRED).subscribe(take, on_completed=lambda: completed.append(1))
        await turns()

        assert ([1], ["AssertionError"]) == (completed, [type(each["exception"]).__name__ for each in complaints])


class TestDeclaring:
    def test_the_directives_changes_nothing_where_they_are_not_used(self):
        link = link_of(schema=DECLARED)

        assert [{"data": {"plain": "plain"}}, END] == seen_of(execute(link, request("{ plain }")))

    async def test_the_directives_changes_nothing_for_resolvers_that_wait(self):
        assert await execute(link_of(schema=DECLARED), request("{ plain slow }")) == WHOLE

    @pytest.mark.parametrize("schema", [SCHEMA, DECLARED], ids=["not declared", "declared"])
    async def test_the_directives_is_asked_for_by_validation_only(self, schema):
        link = link_of(schema=schema, validate=True)
        recorder = subscribed(execute(link, DEFERRED))
        await turns()

        refused = [{"errors": [{"message": "Unknown directive '@defer'."}]}, END]
        accepted = [({"data": {"plain": "plain"}}, True), (WHOLE, False), END] if HAS_PIECES else [WHOLE, END]
        assert (accepted if schema is DECLARED else refused) == pieces(recorder.seen)


@pytest.mark.parametrize("schema", [SCHEMA, DECLARED], ids=["not declared", "declared"])
class TestSubscriptions:
    async def events(self, query, schema):
        async def hero(info):
            yield {"hero": {"name": "Luke"}}
            yield {"hero": {"name": "Leia"}}

        recorder = subscribed(execute(link_of(World(hero=hero), schema), request(query)))
        await turns()
        return recorder.seen

    async def test_that_defer_nothing_are_as_they_were(self, schema):
        seen = await self.events("subscription { hero { ... @defer(if: false) { name } } }", schema)

        assert [*({"data": {"hero": {"name": name}}} for name in ("Luke", "Leia")), END] == seen

    @pytest.mark.parametrize("query", ["subscription { hero { ... @defer { name } } }"])
    async def test_that_defer_something_are_told_so_with_each_event(self, query, schema):
        [*results, end] = await self.events(query, schema)

        message = "`@defer` directive not supported on subscription operations"
        assert (2, END) == (len(results), end)
        assert [HAS_PIECES] * 2 == [message in str(result.get("errors")) for result in results]
        assert [None if HAS_PIECES else {"name": "Luke"}] == [result["data"]["hero"] for result in results[:1]]
