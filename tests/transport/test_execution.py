"""Executing with graphql-core: what is closed, and what a result looks like on the wire."""

import asyncio
import gc

import pytest
from graphql import ExecutionResult, GraphQLError, build_schema

from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.transport._execution import Execution, response_of

SCHEMA = build_schema("type Query { a: Int b: Int must: Int! }")


async def one(info):
    return 1


def begun(query, **root):
    execution = Execution()
    return execution, execution.begin(SCHEMA, Operation(GraphQLRequest(query)), root, None)


class TestExecution:
    def test_gives_at_once_what_waits_for_nothing(self):
        _, outcome = begun("{ a }", a=1)

        assert {"a": 1} == outcome.data

    async def test_gives_later_what_waits_and_can_be_awaited_like_a_coroutine(self):
        execution, outcome = begun("{ a b }", a=one, b=2)

        assert asyncio.iscoroutine(execution)
        assert (None, {"a": 1, "b": 2}) == (outcome, (await execution).data)

    async def test_can_be_a_task(self):
        execution, _ = begun("{ a }", a=one)

        assert {"a": 1} == (await asyncio.create_task(execution)).data

    def test_takes_an_exception_like_a_coroutine(self):
        execution, _ = begun("{ a }", a=one)

        with pytest.raises(OSError, match="no"):
            execution.throw(OSError("no"))
        execution.close()

    @pytest.mark.parametrize("query", ["{ a }", "{ a b }", "{ must }"])
    def test_closes_the_coroutines_that_nobody_started(self, query):
        execution, _ = begun(query, a=one, b=one, must=one)

        execution.close()
        execution.close()
        gc.collect()  # a warning "was never awaited" would fail the test

    def test_closes_them_where_graphql_core_raises(self, monkeypatch):
        def begin_and_fail(*args, is_awaitable):
            is_awaitable(one(None))
            raise TypeError("no")

        monkeypatch.setattr("graphql.execute", begin_and_fail)

        with pytest.raises(TypeError, match="no"):
            begun("{ a }")
        gc.collect()  # as above

    async def test_leaves_those_alone_that_run(self):
        gate = asyncio.Event()

        async def waiting(info):
            await gate.wait()
            return 1

        execution, _ = begun("{ a }", a=waiting)
        task = asyncio.create_task(execution)
        for _ in range(4):
            await asyncio.sleep(0)

        execution.close()
        gate.set()

        assert {"a": 1} == (await task).data

    @pytest.mark.parametrize("query", ["{ inner { later must } }", "{ inner { must later } }"])
    async def test_closes_what_a_failure_further_in_has_left_behind(self, query):
        """A field was awaited and brought others, of which one fails before the next has started."""
        schema = build_schema("type Query { inner: Inner } type Inner { later: Int! must: Int! }")

        async def inner(info):
            return {"later": one, "must": lambda info: 1 / 0}

        execution = Execution()
        execution.begin(schema, Operation(GraphQLRequest(query)), {"inner": inner}, None)

        outcome = await execution
        gc.collect()  # as above

        assert ({"inner": None}, 1) == (outcome.data, len(outcome.errors))


class TestResponse:
    @pytest.mark.parametrize(
        ("outcome", "expected"),
        [
            (ExecutionResult({"a": 1}, None), {"data": {"a": 1}}),
            (ExecutionResult({"a": 1}, None, {"cost": 2}), {"data": {"a": 1}, "extensions": {"cost": 2}}),
            (ExecutionResult(None, [GraphQLError("no")]), {"errors": [{"message": "no"}]}),
            (
                ExecutionResult(None, [GraphQLError("no", path=["a", 0])]),
                {"data": None, "errors": [{"message": "no", "path": ["a", 0]}]},
            ),
            (
                ExecutionResult({"a": None}, [GraphQLError("no")]),
                {"data": {"a": None}, "errors": [{"message": "no"}]},
            ),
        ],
    )
    def test_has_no_data_after_an_error_of_the_request(self, outcome, expected):
        assert expected == response_of(outcome)
