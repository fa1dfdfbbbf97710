"""Documents that are checked against a schema: one that is given, of a file, or of the server."""

import asyncio
import json
import traceback

import pytest
import reactivex
from graphql import build_schema, introspection_from_schema, parse

from rxlink import (
    INTROSPECT,
    Client,
    CombinedGraphQLErrors,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    SchemaLink,
    gql,
)
from rxlink.client import schema as module
from rxlink.core.link import ApolloLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.testing.virtual_time import virtual
from tests.recording import seen_of, subscribed

SDL = "type Query { answer: Int name: Name } type Name { first: String }"
SCHEMA = build_schema(SDL)
INTROSPECTION = {"data": introspection_from_schema(SCHEMA)}
WRONG = "query Wrong {\n  answer\n  nothing\n}"
ANSWER = {"data": {"answer": 42}}
IS_WRONG = r"does not fit the schema: Cannot query field 'nothing' on type 'Query'\. \(line 3, column 3\)"


def server(*introspections, delay=None):
    """One that answers each request for its schema with the next of these, and all else with data."""
    asked = [MockedResponse(operation_name="IntrospectionQuery", delay=delay, **answer) for answer in introspections]
    return MockLink([*asked, MockedResponse(result=ANSWER, max_usage=None)])


def introspections(link):
    return sum(operation.operation_name == "IntrospectionQuery" for operation in link.operations)


class TestGiven:
    @pytest.mark.parametrize("document", [WRONG, gql(WRONG)])
    def test_refuses_at_once_what_does_not_fit(self, document):
        link = server()

        with pytest.raises(InvariantError, match=IS_WRONG):
            Client(link, schema=SCHEMA).query(document)

        assert [] == link.operations

    def test_lets_pass_what_fits(self):
        assert 42 == seen_of(Client(server(), schema=SCHEMA).query("{ answer }"))[0].data["answer"]

    def test_tells_places_of_documents_that_were_parsed_without(self):
        with pytest.raises(InvariantError, match=IS_WRONG):
            Client(server(), schema=SCHEMA).query(parse(WRONG.replace("\n", " "), no_location=True))

    def test_tells_all_reasons(self):
        with pytest.raises(InvariantError, match=r"'one' on type .*; Cannot query field 'two' on type"):
            Client(server(), schema=SCHEMA).query("{ one two }")

    def test_looks_at_each_document_once(self, monkeypatch):
        looked = []
        validate = module.validate
        monkeypatch.setattr(module, "validate", lambda *args: looked.append(args) or validate(*args))
        client = Client(server(), schema=SCHEMA)

        for _ in range(3):
            client.query("{ answer }")
            with pytest.raises(InvariantError):
                client.query(WRONG)

        assert 2 == len(looked)

    def test_has_to_be_valid(self):
        with pytest.raises(InvariantError, match="`schema` is not valid: Query root type must be provided"):
            Client(server(), schema=build_schema("type A { a: Int }"))

    def test_has_to_be_one(self):
        with pytest.raises(InvariantTypeError, match="`schema` is an int; give a GraphQLSchema, the path of a file"):
            Client(server(), schema=42)


class TestFile:
    @pytest.mark.parametrize("text", [SDL, json.dumps(INTROSPECTION), json.dumps(INTROSPECTION["data"])])
    def test_has_sdl_or_an_introspection(self, tmp_path, text):
        path = tmp_path / "schema"
        path.write_text(text)

        for given in (path, str(path)):
            with pytest.raises(InvariantError, match=IS_WRONG):
                Client(server(), schema=given).query(WRONG)

    @pytest.mark.parametrize("text", [SDL, json.dumps(INTROSPECTION)])
    def test_may_begin_with_a_byte_order_mark(self, tmp_path, text):
        path = tmp_path / "schema"
        path.write_text(text, encoding="utf-8-sig")

        assert 42 == seen_of(Client(server(), schema=path).query("{ answer }"))[0].data["answer"]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("type Query {", "is no GraphQL: Syntax Error: .* .line 1, column"),
            ("type Query { a: Nothing }", "is no schema: Unknown type 'Nothing'"),
            ("{", "is no schema: Expecting property name"),
            ('{"data": {}}', "is no schema: Invalid or incomplete introspection result"),
            ("type A { a: Int }", "is not valid: Query root type"),
        ],
    )
    def test_without_a_schema_is_refused(self, tmp_path, text, reason):
        path = tmp_path / "schema"
        path.write_text(text)

        with pytest.raises(InvariantError, match=f"the schema in {path} {reason}"):
            Client(server(), schema=path)

    def test_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(InvariantError, match="cannot be read: No such file"):
            Client(server(), schema=tmp_path / "nothing")


class TestIntrospected:
    async def test_is_asked_for_once(self):
        link = server({"result": INTROSPECTION}, delay=0.001)
        client = Client(link, schema=INTROSPECT)
        before = len(link.operations)

        results = await asyncio.gather(*[_awaited(client.query("{ answer }")) for _ in range(5)])
        await client.query("{ answer }")

        assert (0, 1, 7) == (before, introspections(link), len(link.operations))
        assert [ANSWER["data"]] * 5 == [result.data for result in results]

    async def test_refuses_what_does_not_fit_before_it_is_sent_whatever_the_policy(self):
        link = server({"result": INTROSPECTION})

        with pytest.raises(InvariantError, match=IS_WRONG):
            await Client(link, schema=INTROSPECT).query(WRONG, error_policy="ignore")

        assert 1 == len(link.operations)

    async def test_is_asked_for_again_after_a_failure_which_each_gets(self):
        link = server({"error": NetworkError("down")}, {"result": INTROSPECTION}, delay=0.001)
        client = Client(link, schema=INTROSPECT)

        failures = await asyncio.gather(
            *[_awaited(client.query("{ answer }")) for _ in range(3)], return_exceptions=True
        )
        result = await client.query("{ answer }")

        assert ["down"] * 3 == [str(failure) for failure in failures]
        assert 3 == len({id(failure) for failure in failures})
        assert (2, ANSWER["data"]) == (introspections(link), result.data)

    async def test_failing_obeys_the_policy(self):
        link = server({"error": NetworkError("down")})

        result = await Client(link, schema=INTROSPECT).query("{ answer }", error_policy="all")

        assert "down" == str(result.error)

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            ({"errors": [{"message": "not allowed"}]}, "does not tell its schema .not allowed.; give `schema` a file"),
            ({"data": {"__schema": {}}}, "the introspection is no schema"),
            ({"data": None}, "the introspection is no schema: its data are None"),
            ({}, "the introspection is no schema: its data are None"),
        ],
    )
    async def test_that_is_none_is_an_error(self, answer, reason):
        client = Client(server({"result": answer}, {"result": INTROSPECTION}), schema=INTROSPECT)

        with pytest.raises(InvariantError, match=reason) as caught:
            await client.query("{ answer }", error_policy="all")
        await client.query("{ answer }")

        assert caught.value.__cause__ is not None
        assert isinstance(caught.value.__cause__, CombinedGraphQLErrors) == ("errors" in answer)

    @pytest.mark.parametrize("data", [{"__schema": {"s3cret": 1}}, {"s3cret": 1}, ["s3cret"], "s3cret"])
    async def test_that_is_none_is_quoted_nowhere(self, data):
        with pytest.raises(InvariantError, match="the introspection is no schema") as caught:
            await Client(server({"result": {"data": data}}), schema=INTROSPECT).query("{ answer }")

        assert "s3cret" not in "".join(traceback.format_exception(caught.value))

    @pytest.mark.parametrize("answer", [[1], "text", 5])
    async def test_that_is_no_result_is_an_error(self, answer):
        chain = ApolloLink(lambda operation, forward: reactivex.of(answer))

        with pytest.raises(InvariantTypeError, match=r"the chain brought an? \w+ for the schema; a result is a dict"):
            await Client(chain, schema=INTROSPECT).query("{ answer }")

    async def test_without_an_answer_is_an_error(self):
        silent = ApolloLink(lambda operation, forward: reactivex.empty())

        with pytest.raises(InvariantError, match=r"does not tell its schema \(no answer\); give `schema` a file"):
            await Client(silent, schema=INTROSPECT).query("{ answer }")

    @virtual
    async def test_counts_for_the_timeout(self):
        with pytest.raises(NetworkTimeout):
            await Client(server({"result": INTROSPECTION}, delay=5), schema=INTROSPECT).query("{ answer }", timeout=2)

    @virtual
    async def test_goes_on_for_the_others_when_one_leaves(self):
        link = server({"result": INTROSPECTION}, delay=1)
        client = Client(link, schema=INTROSPECT)
        first, second = (subscribed(client.query("{ answer }")) for _ in range(2))

        first.subscription.dispose()
        await asyncio.sleep(2)

        assert ([], 2) == (first.seen, len(second.seen))

    @virtual
    async def test_is_aborted_when_all_have_left(self):
        link = server({"result": INTROSPECTION}, delay=1)
        recorder = subscribed(Client(link, schema=INTROSPECT).query("{ answer }"))

        recorder.subscription.dispose()

        assert 1 == len(link.unsubscribed)

    def test_takes_what_the_client_sends_with_each_query(self):
        link = server({"result": INTROSPECTION})

        defaults = {"query": {"variables": {"b": 2}, "headers": {"c": "3"}}}

        seen_of(Client(link, schema=INTROSPECT, default_context={"a": 1}, default_options=defaults).query("{ answer }"))

        assert [{"a": 1, "headers": {"c": "3"}}] * 2 == [dict(operation.get_context()) for operation in link.operations]
        assert [{}, {"b": 2}] == [operation.variables for operation in link.operations]

    async def test_is_that_of_a_real_one(self):
        client = Client(SchemaLink(SCHEMA, root_value={"answer": 42}), schema=INTROSPECT)

        assert {"answer": 42} == (await client.query("{ answer }")).data


async def _awaited(call):
    return await call
