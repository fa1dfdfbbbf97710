"""SchemaLink: what a schema answers, when an event loop is needed, and what leaving stops."""

import asyncio
import gc
from contextvars import ContextVar, copy_context

import pytest
import reactivex
from graphql import GraphQLError, GraphQLSchema, build_schema
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.options import kind_of
from rxlink.errors import InvariantError, InvariantTypeError, OperationCancelled
from rxlink.links.error import ErrorLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._execution import Execution
from rxlink.transport.schema import SchemaLink
from tests.recording import END, answering, garbage_of, seen_of, subscribed

SCHEMA = build_schema("""
    type Query {
      plain: String
      slow: String
      must: String!
      number(id: Int = 3): Int
      people: [Person]
      later: String!
    }
    type Person { name: String friend: Person }
    type Mutation { first: String second: String }
    type Subscription { tick: Int }
""")
PLAIN = GraphQLRequest("{ plain }")
SLOW = GraphQLRequest("{ slow }")
PEOPLE = GraphQLRequest("{ slow people { name friend { name } } later }")
FOUND = {
    "slow": "slow",
    "people": [{"name": "Ada", "friend": {"name": "Ada"}}, {"name": "Ada", "friend": {"name": "Ada"}}],
    "later": "slow",
}


async def slow(info):
    await asyncio.sleep(0)
    return "slow"


class Person:
    async def name(self, info):
        await asyncio.sleep(0)
        return "Ada"

    async def friend(self, info):
        await asyncio.sleep(0)
        return Person()


async def people(info):
    await asyncio.sleep(0)
    return [Person(), Person()]


def boom(info):
    raise GraphQLError("boom", extensions={"code": "UNAUTHENTICATED"})


ROOT = {"plain": lambda info: "plain", "slow": slow, "later": slow, "people": people, "must": boom}


def link_of(**root):
    return SchemaLink(SCHEMA, root_value={**ROOT, **root})


async def turns(count=30):
    for _ in range(count):
        await asyncio.sleep(0)


class SpyLink(ApolloLink):
    """Notes the results that arrive, whether or not somebody still wants them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def connect(self, forward):
        def start(operation, observer, root):
            forward.connect(operation, SpyWorker(self.seen, observer), root)

        return start


class SpyWorker:
    def __init__(self, seen, observer):
        self.seen = seen
        self.on_error = observer.on_error
        self.on_completed = observer.on_completed

    def on_next(self, result):
        self.seen.append(result)


class TestAnswers:
    def test_come_at_once_and_without_a_loop_where_nothing_waits(self):
        assert [{"data": {"plain": "plain"}}, END] == seen_of(execute(link_of(), PLAIN))

    async def test_come_at_once_on_a_loop_too(self):
        assert [{"data": {"plain": "plain"}}, END] == seen_of(execute(link_of(), PLAIN))

    async def test_wait_for_resolvers_that_are_coroutine_functions(self):
        assert {"data": FOUND} == await execute(link_of(), PEOPLE)

    async def test_wait_for_a_resolver_that_returns_an_observable(self):
        link = link_of(slow=lambda info: reactivex.of("first", "last"))

        assert {"data": {"slow": "last"}} == await execute(link, SLOW)

    @virtual
    async def test_let_resolvers_of_a_query_run_side_by_side(self, time: VirtualTime):
        async def sleep(info):
            await asyncio.sleep(5)
            return "slept"

        result = await execute(link_of(slow=sleep, later=sleep), GraphQLRequest("{ slow later }"))

        assert ({"data": {"slow": "slept", "later": "slept"}}, 5.0) == (result, time.monotonic())

    @virtual
    async def test_let_those_of_a_mutation_wait_for_one_another(self, time: VirtualTime):
        order = []

        def field(name):
            async def resolve(info):
                await asyncio.sleep(1)
                order.append((name, time.monotonic()))

            return resolve

        await execute(link_of(first=field("first"), second=field("second")), GraphQLRequest("mutation {first second}"))

        assert [("first", 1.0), ("second", 2.0)] == order

    def test_get_the_variables_and_the_defaults_of_the_schema(self):
        link = link_of(number=lambda info, id: id)

        given = seen_of(execute(link, GraphQLRequest("query ($id: Int) { number(id: $id) }", {"id": 7})))
        absent = seen_of(execute(link, GraphQLRequest("query ($id: Int) { number(id: $id) }")))

        assert ([{"data": {"number": 7}}, END], [{"data": {"number": 3}}, END]) == (given, absent)

    def test_are_of_the_operation_that_was_named(self):
        request = GraphQLRequest("query A { plain } query B { other: plain }", operation_name="B")

        assert [{"data": {"other": "plain"}}, END] == seen_of(execute(link_of(), request))

    async def test_are_made_anew_for_each_subscription(self):
        calls = []
        results = execute(link_of(slow=lambda info: calls.append(1) or slow(info)), SLOW)

        assert [await results, await results] == [{"data": {"slow": "slow"}}] * 2
        assert [1, 1] == calls

    def test_are_not_made_before_somebody_subscribes(self):
        calls = []

        execute(link_of(plain=lambda info: calls.append(1)), PLAIN)

        assert [] == calls

    @given(st.dictionaries(st.sampled_from(["plain", "number", "must"]), st.none() | st.just(1), min_size=1))
    def test_name_what_the_resolvers_return(self, values):
        link = SchemaLink(SCHEMA, root_value={name: value and str(value) for name, value in values.items()})

        result, end = seen_of(execute(link, GraphQLRequest(f"{{ {' '.join(values)} }}")))

        is_nulled = "must" in values and values["must"] is None
        expected = {name: value and (value if name == "number" else str(value)) for name, value in values.items()}
        assert (END, None if is_nulled else expected) == (end, result["data"])
        assert is_nulled == ("errors" in result)

    def test_leave_no_garbage_but_that_of_graphql_core(self):
        link, operation = link_of(), Operation(PLAIN)

        bare = garbage_of(lambda: Execution().begin(SCHEMA, operation, ROOT, None), times=5)
        ours = garbage_of(lambda: execute(link, PLAIN).subscribe(), times=5)

        assert bare == ours


class TestErrors:
    def test_of_resolvers_are_in_the_result_as_on_the_wire(self):
        [result, end] = seen_of(execute(link_of(), GraphQLRequest("{ plain must }")))

        expected = {"message": "boom", "path": ["must"], "extensions": {"code": "UNAUTHENTICATED"}}
        assert ({"data": None, "errors": [expected]}, END) == (result, end)

    async def test_of_one_field_leave_the_others_as_they_are(self):
        async def failing(info):
            raise OSError("no")

        result = await execute(link_of(slow=failing), GraphQLRequest("{ plain slow }"))

        expected = [{"message": "no", "path": ["slow"]}]
        assert {"data": {"plain": "plain", "slow": None}, "errors": expected} == result

    def test_reach_an_error_link(self):
        codes = []
        link = from_([ErrorLink(lambda r: codes.append(r.graphql_errors[0]["extensions"]["code"])), link_of()])

        seen_of(execute(link, GraphQLRequest("{ must }")))

        assert ["UNAUTHENTICATED"] == codes

    @pytest.mark.parametrize(
        ("query", "variables"),
        [
            ("query ($id: Int!) { number(id: $id) }", {}),
            ("query ($id: Int) { number(id: $id) }", {"id": "no"}),
        ],
    )
    def test_of_the_request_come_without_data(self, query, variables):
        [result, end] = seen_of(execute(link_of(), GraphQLRequest(query, variables)))

        assert (["errors"], END) == (list(result), end)
        assert "Variable '$id'" in result["errors"][0]["message"]

    def test_of_an_operation_type_that_the_schema_lacks_come_without_data(self):
        link = SchemaLink(build_schema("type Query { a: Int }"))

        [result, _] = seen_of(execute(link, GraphQLRequest("mutation { a }")))

        assert {"errors": [{"message": "Schema is not configured to execute mutation operation."}]} == result

    def test_of_validation_are_only_looked_for_when_asked(self):
        request = GraphQLRequest("{ plain unknown }")

        unchecked = seen_of(execute(SchemaLink(SCHEMA, root_value=ROOT), request))
        checked = seen_of(execute(SchemaLink(SCHEMA, root_value=ROOT, validate=True), request))

        message = "Cannot query field 'unknown' on type 'Query'."
        assert [{"data": {"plain": "plain"}}, END] == unchecked
        assert [{"errors": [{"message": message}]}, END] == checked

    def test_of_a_valid_operation_are_none(self):
        link = SchemaLink(SCHEMA, root_value=ROOT, validate=True)

        assert [{"data": {"plain": "plain"}}, END] == seen_of(execute(link, PLAIN))

    @pytest.mark.parametrize("query", ["{ slow later }", "{ later must }", "mutation { first }", "{ people { name } }"])
    def test_of_a_missing_loop_say_what_to_do_and_close_the_coroutines(self, query):
        [*_, error] = seen_of(execute(link_of(first=slow), GraphQLRequest(query)))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert error == END or "no event loop runs" in str(error)
        assert (error == END) == ("must" in query)

    def test_of_the_consumer_are_its_own(self):
        asked, completed = [], []
        link = from_([ErrorLink(asked.append), link_of()])

        with pytest.raises(ZeroDivisionError):
            execute(link, PLAIN).subscribe(lambda _: 1 / 0, on_completed=lambda: completed.append(1))

        assert ([], [1]) == (asked, completed)

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_of_graphql_core_itself_are_the_operations(self, asynchronous, monkeypatch):
        def refuse(*args, **options):
            raise TypeError("no")

        async def refuse_later():
            raise TypeError("no")

        monkeypatch.setattr("graphql.execute", (lambda *args, **options: refuse_later()) if asynchronous else refuse)
        recorder = subscribed(execute(link_of(), PLAIN))
        await turns()

        assert [TypeError] == list(map(type, recorder.seen))


class TestContext:
    @pytest.mark.parametrize("value", [None, {"user": "Ada"}, "text", 0])
    def test_is_a_value_for_all(self, value):
        seen = []
        link = SchemaLink(SCHEMA, root_value={"plain": lambda info: seen.append(info.context)}, context=value)

        seen_of(execute(link, PLAIN))

        assert [value] == seen

    @pytest.mark.parametrize("kind", ["plain", "coroutine", "future", "observable"])
    async def test_is_what_a_function_makes_of_the_operation_at_once_or_later(self, kind):
        async def coroutine(operation):
            await asyncio.sleep(0)
            return operation.get_context()["user"]

        functions = {
            "plain": lambda operation: operation.get_context()["user"],
            "coroutine": coroutine,
            "future": lambda operation: asyncio.ensure_future(coroutine(operation)),
            "observable": lambda operation: reactivex.of(operation.get_context()["user"]),
        }
        link = SchemaLink(SCHEMA, root_value={"plain": lambda info: info.context}, context=functions[kind])

        assert {"data": {"plain": "Ada"}} == await execute(link, GraphQLRequest("{ plain }", context={"user": "Ada"}))

    def test_is_made_for_each_attempt(self):
        made = iter("ab")
        link = SchemaLink(SCHEMA, root_value={"plain": lambda info: info.context}, context=lambda operation: next(made))
        results = execute(link, PLAIN)

        assert ["a", "b"] == [seen_of(results)[0]["data"]["plain"] for _ in range(2)]

    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_that_fails_is_the_operations_error_and_nothing_is_executed(self, asynchronous):
        def raising(operation):
            raise OSError("no")

        async def raising_later(operation):
            await asyncio.sleep(0)
            raise OSError("no")

        calls = []
        link = SchemaLink(
            SCHEMA,
            root_value={"plain": lambda info: calls.append(1)},
            context=raising_later if asynchronous else raising,
        )
        recorder = subscribed(execute(link, PLAIN))
        await turns()

        assert ([OSError], []) == (list(map(type, recorder.seen)), calls)

    async def test_that_waits_can_be_left(self):
        calls = []

        async def stubborn(operation):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                calls.append("cancelled")

        link = SchemaLink(SCHEMA, root_value={"plain": lambda info: calls.append("executed")}, context=stubborn)
        recorder = subscribed(execute(link, PLAIN))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert (["cancelled"], []) == (calls, recorder.seen)

    async def test_that_is_one_future_for_all_is_not_cancelled_by_one_who_leaves(self):
        shared = asyncio.get_running_loop().create_future()
        link = SchemaLink(SCHEMA, root_value={"plain": lambda info: info.context}, context=lambda operation: shared)
        leaver, stayer = [subscribed(execute(link, PLAIN)) for _ in range(2)]
        await turns()

        leaver.subscription.dispose()
        await turns()
        shared.set_result("shared")
        await turns()

        assert ([], [{"data": {"plain": "shared"}}, END]) == (leaver.seen, stayer.seen)

    def test_that_waits_where_no_loop_runs_is_closed_and_says_what_to_do(self):
        async def waiting(operation):
            return None

        [error] = seen_of(execute(SchemaLink(SCHEMA, context=waiting), PLAIN))
        gc.collect()  # a warning "was never awaited" would fail the test

        assert InvariantError is type(error)


class TestLeaving:
    @pytest.mark.parametrize("count", range(16))
    async def test_at_any_turn_stops_the_resolvers_and_leaves_nothing(self, count):
        before = asyncio.all_tasks()
        recorder = subscribed(execute(link_of(), PEOPLE))
        await turns(count)
        is_over = bool(recorder.seen)

        recorder.subscription.dispose()
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert (set(), [{"data": FOUND}, END] if is_over else []) == (asyncio.all_tasks() - before, recorder.seen)

    @pytest.mark.parametrize("query", ["{ later must }", "{ must later }", "mutation { first second }"])
    async def test_is_not_needed_where_a_field_has_failed_before_others_have_started(self, query):
        before = asyncio.all_tasks()

        await execute(link_of(first=slow, second=boom), GraphQLRequest(query))
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert set() == asyncio.all_tasks() - before

    async def test_cancels_the_resolvers_of_this_operation_only(self):
        cancelled, gate = [], asyncio.Event()

        async def waiting(info):
            try:
                await gate.wait()
            except asyncio.CancelledError:
                cancelled.append(info.context)
                raise
            return info.context

        link = SchemaLink(
            SCHEMA, root_value={"slow": waiting}, context=lambda operation: operation.get_context()["user"]
        )
        leaver, stayer = [
            subscribed(execute(link, GraphQLRequest("{ slow }", context={"user": user}))) for user in ("Ada", "Bob")
        ]
        await turns()

        leaver.subscription.dispose()
        await turns()
        gate.set()
        await turns()

        assert (["Ada"], [], [{"data": {"slow": "Bob"}}, END]) == (cancelled, leaver.seen, stayer.seen)

    async def test_delivers_nothing_where_a_resolver_swallows_its_cancellation(self):
        async def stubborn(info):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "late"

        spy = SpyLink()
        recorder = subscribed(execute(from_([spy, link_of(slow=stubborn)]), GraphQLRequest("{ slow plain }")))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert ([], []) == (spy.seen, recorder.seen)

    async def test_inside_a_resolver_delivers_nothing(self):
        recorder = None

        async def leaving(info):
            await asyncio.sleep(0)
            recorder.subscription.dispose()
            return "left"

        recorder = subscribed(execute(link_of(slow=leaving), SLOW))
        await turns()

        assert [] == recorder.seen

    async def test_by_somebody_else_cancelling_a_resolver_is_a_defined_error(self):
        async def cancelled(info):
            raise asyncio.CancelledError

        recorder = subscribed(execute(link_of(slow=cancelled), SLOW))
        await turns()

        assert [OperationCancelled] == list(map(type, recorder.seen))


class TestContextVariables:
    async def test_of_a_hundred_operations_stay_apart(self):
        """P11: the context function, resolvers, iterators and observers see the values of their own subscription."""
        variable, gate, seen = ContextVar("variable"), asyncio.Event(), {}

        async def waiting(info):
            await gate.wait()
            return f"{info.context} {variable.get()}"

        async def ticks(info):
            await gate.wait()
            yield {"tick": variable.get()}

        link = SchemaLink(SCHEMA, root_value={"slow": waiting, "tick": ticks}, context=lambda operation: variable.get())

        def start(number, query):
            variable.set(number)
            execute(link, GraphQLRequest(query)).subscribe(
                lambda result: seen.setdefault((number, query), (variable.get(), list(result["data"].values())))
            )

        for number in range(100):
            copy_context().run(start, number, "{ slow }")
            copy_context().run(start, number, "subscription { tick }")
        await turns()
        gate.set()
        await turns()

        queries = {(number, "{ slow }"): (number, [f"{number} {number}"]) for number in range(100)}
        streams = {(number, "subscription { tick }"): (number, [number]) for number in range(100)}
        assert {**queries, **streams} == seen


class TestOptions:
    @pytest.mark.parametrize("schema", [None, "type Query { a: Int }", {}])
    def test_refuse_what_is_no_schema(self, schema):
        with pytest.raises(InvariantTypeError, match=f"`schema` is {kind_of(schema)}; give a GraphQLSchema"):
            SchemaLink(schema)

    def test_refuse_a_schema_that_is_not_valid(self):
        with pytest.raises(InvariantError, match="`schema` is not valid: Query root type must be provided"):
            SchemaLink(GraphQLSchema())

    @pytest.mark.parametrize("value", [None, 1, "yes"])
    def test_refuse_a_validate_that_is_no_bool(self, value):
        with pytest.raises(InvariantTypeError, match=f"`validate` is {value!r}; give True or False"):
            SchemaLink(SCHEMA, validate=value)

    def test_stay_readable(self):
        link = SchemaLink(SCHEMA, root_value=1, context=2, validate=True)

        assert (SCHEMA, 1, 2, True) == (link.schema, link.root_value, link.context, link.validate)

    def test_let_nothing_stand_behind_the_link(self):
        with pytest.raises(InvariantError, match="never forwards"):
            from_([link_of(), answering()])
