"""The body of a request: its bytes, and what JSON cannot carry."""

import json
from datetime import UTC, datetime

import orjson
import pytest
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st

from rxlink.core.chain import execute, from_
from rxlink.core.documents import document_of
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import InvariantTypeError, SerializationError
from rxlink.links.client_awareness import usual_extensions
from rxlink.transport._body import BodyWriter, Parts
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.transport.scripted_server import ScriptedServer

URI = "http://localhost/graphql"
QUERY = "query Q($a: Int, $b: [Int]) { f(a: $a, b: $b) }"
PRINTED = r"query Q($a: Int, $b: [Int]) {\n  f(a: $a, b: $b)\n}"


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def error_of(link: HttpLink, request: GraphQLRequest) -> Exception:
    errors: list[Exception] = []
    execute(link, request).subscribe(on_error=errors.append)
    assert 1 == len(errors), "it arrives at once"
    return errors[0]


@pytest.mark.parametrize("encode", [None, compact])
async def test_has_apollos_parts_in_apollos_order(server: ScriptedServer, encode):
    nameless = {"transport": False}

    async with HttpLink(server.uri, encode=encode, enhanced_client_awareness=nameless) as link:
        await execute(link, GraphQLRequest(QUERY, {"a": 1}, extensions={"k": "v"}))
        await execute(link, GraphQLRequest("{ a }"))

    assert [
        f'{{"operationName":"Q","variables":{{"a":1}},"extensions":{{"k":"v"}},"query":"{PRINTED}"}}',
        r'{"variables":{},"query":"{\n  a\n}"}',
    ] == [body.decode() for body in server.bodies]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=2), values, max_size=2),
    max_leaves=5,
)


@given(
    query=st.sampled_from(["query Q($a: Int) { f(a: $a) }", "query ($a: Int) { f(a: $a) }"]),
    variables=st.none() | st.dictionaries(st.sampled_from(["a", "unused"]), JSON_VALUES),
    extensions=st.none() | st.just(usual_extensions()) | st.dictionaries(st.text(max_size=2), JSON_VALUES, max_size=2),
    include_extensions=st.booleans(),
    include_unused_variables=st.booleans(),
)
def test_is_what_one_encoder_would_write_of_all_parts(
    query, variables, extensions, include_extensions, include_unused_variables
):
    operation = Operation(GraphQLRequest(query, variables, extensions=extensions))
    parts = Parts(include_extensions=include_extensions)
    writers = [BodyWriter(None, encode, include_unused_variables, "HttpLink") for encode in (None, compact)]

    bodies = [
        writers[0].assemble(operation, parts),
        writers[0].assemble(operation, parts, None, extensions == usual_extensions()),
        *(writer.write(operation, parts) for writer in writers),
    ]

    assert [bodies[-1]] * 4 == bodies


@given(
    variables=st.none() | st.dictionaries(st.sampled_from(["a", "unused"]), JSON_VALUES),
    extensions=st.just(usual_extensions()) | st.dictionaries(st.text(max_size=2), JSON_VALUES, max_size=2),
)
def test_says_with_orjson_what_one_encoder_would_say(variables, extensions):
    operation = Operation(GraphQLRequest(QUERY, variables, extensions=extensions))
    writer = BodyWriter(None, orjson.dumps, True, "HttpLink")

    is_usual = extensions == usual_extensions()
    body = writer.assemble(operation, Parts(), None, is_usual)

    is_plain = all(not isinstance(value, (dict, list)) for value in (variables or {}).values())
    assert body is not None or not (is_plain and is_usual)
    assert body is None or json.loads(writer.write(operation, Parts())) == json.loads(body)


@pytest.mark.parametrize("value", [Upload(b"x"), [Upload(b"x")], datetime(2026, 1, 1, tzinfo=UTC), object(), 2**64])
def test_with_orjson_is_looked_at_closely_where_a_variable_is_no_plain_value(value):
    operation = Operation(GraphQLRequest(QUERY, {"a": value}))

    assert BodyWriter(None, orjson.dumps, True, "HttpLink").assemble(operation, Parts()) is None


@pytest.mark.parametrize("name", ["R", None, 'd\u00e9j\u00e0 "vu"'])
def test_has_the_name_that_a_link_gave_the_operation(name):
    operation = Operation(GraphQLRequest(QUERY, {"a": 1}))
    operation.operation_name = name

    body = json.loads(BodyWriter(None, None, False, "HttpLink").assemble(operation, Parts()))

    assert name == body.get("operationName")
    assert document_of(operation.query).text == body["query"]


@pytest.mark.parametrize("variables", [None, [], {}])
def test_has_the_variables_that_a_link_gave_the_operation(variables):
    operation = Operation(GraphQLRequest(QUERY, {"a": 1}))
    operation.variables = variables

    body = BodyWriter(None, None, False, "HttpLink").assemble(operation, Parts())
    assert variables == json.loads(body)["variables"]


async def test_of_a_name_that_is_no_json_is_not_sent(server: ScriptedServer):
    def rename(operation, forward):
        operation.operation_name = float("nan")
        return forward(operation)

    async with from_([ApolloLink(rename), HttpLink(server.uri)]) as link:
        with pytest.raises(SerializationError):
            await execute(link, GraphQLRequest(QUERY))

    assert [] == server.requests


@pytest.mark.parametrize("include_query", [True, False])
def test_has_what_a_dict_of_variables_says_when_it_is_asked(include_query):
    """Where all variables are used it is encoded as it is, so what it shows to the encoder is sent."""

    class Masked(dict):
        def items(self):
            return [("a", "***")]

    operation = Operation(GraphQLRequest(QUERY))
    operation.variables = Masked(a="secret")
    operation.extensions = Masked(usual_extensions())
    writer, parts = BodyWriter(None, None, False, "HttpLink"), Parts(include_query=include_query)

    body = json.loads(writer.assemble(operation, parts) or writer.write(operation, parts))

    assert ({"a": "***"}, {"a": "***"}) == (body["variables"], body["extensions"])


async def test_survives_every_kind_of_text(server: ScriptedServer):
    text = 'ë "quoted" \\ \n \u2028 \U0001f600'

    async with HttpLink(server.uri) as link:
        await execute(link, GraphQLRequest(QUERY, {"a": text}))
        await execute(link, GraphQLRequest(f"{{ f(a: {json.dumps(text, ensure_ascii=False)}) }}"))

    assert text == json.loads(server.bodies[0])["variables"]["a"]
    assert "\U0001f600" in json.loads(server.bodies[1])["query"]


class TestVariables:
    @pytest.mark.parametrize(
        ("query", "used"),
        [
            ("query Q($a: Int, $b: Int) { f(a: $a) }", {"a"}),
            ("query Q($a: Int, $b: Int) { f(a: [1, $a], b: {c: {d: $b}}) }", {"a", "b"}),
            ("query Q($a: Boolean!) { f @include(if: $a) }", {"a"}),
            ("query Q($a: Boolean!) @on(if: $a) { f }", {"a"}),
            ("query Q($a: Int) { ...F } fragment F on T { f(a: $a) }", {"a"}),
            ("query Q($a: Int = 1) { f }", set()),
        ],
    )
    def test_are_used_where_a_field_or_directive_has_them(self, query: str, used: set[str]):
        assert used == document_of(parse(query)).used_variables

    async def test_that_are_not_used_are_left_out(self, server: ScriptedServer):
        variables = {"a": 1, "c": object(), "b": None}

        async with HttpLink(server.uri) as link:
            await execute(link, GraphQLRequest(QUERY, variables))

        assert {"a": 1, "b": None} == server.sent["variables"]

    async def test_that_are_not_used_are_sent_where_the_link_says_so(self, server: ScriptedServer):
        async with HttpLink(server.uri, include_unused_variables=True) as link:
            await execute(link, GraphQLRequest(QUERY, {"a": 1, "c": 3}))

        assert {"a": 1, "c": 3} == server.sent["variables"]

    async def test_of_more_than_a_mebibyte_are_sent_without_a_warning(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            await execute(link, GraphQLRequest(QUERY, {"a": "x" * 2**21}))

        assert 2**21 == len(server.sent["variables"]["a"])


def holding_itself() -> list:
    values: list = [1]
    values.append({"again": values})
    return values


def nested(depth: int) -> list:
    values: list = []
    for _ in range(depth):
        values = [values]
    return values


class TestUnserializable:
    @pytest.mark.parametrize(
        ("value", "path", "kind"),
        [
            (datetime(2026, 1, 1, tzinfo=UTC), "variables.a", "datetime"),
            ({"filter": {"since": [1, {2}]}}, "variables.a.filter.since[1]", "set"),
            (({"x": 1j},), "variables.a[0].x", "complex"),
            (float("nan"), "variables.a", "float that is not finite"),
            ([float("inf")], "variables.a[0]", "float that is not finite"),
            ({"x": {(1, 2): 3}}, "variables.a.x", "dict with a tuple as a name"),
            (holding_itself(), "variables.a[1].again", "list that holds itself"),
            (nested(100_000), "variables", "value nested too deeply"),
        ],
    )
    async def test_value_is_named_by_path_and_type(self, value: object, path: str, kind: str):
        error = error_of(HttpLink(URI), GraphQLRequest(QUERY, {"a": value}))

        assert isinstance(error, SerializationError)
        assert path == error.path
        assert f"operation Q: {path} is a {kind}, which JSON cannot carry" in str(error)
        assert error.__cause__ is not None

    async def test_extension_is_named_too(self):
        request = GraphQLRequest(QUERY, {"a": 1}, extensions={"k": {1}})

        error = error_of(HttpLink(URI), request)

        assert isinstance(error, SerializationError)
        assert "extensions.k" == error.path

    async def test_value_leaves_no_task_and_sends_nothing(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            with pytest.raises(SerializationError):
                await execute(link, GraphQLRequest(QUERY, {"a": {1}}))

            assert {} == link._sender.running
        assert [] == server.requests

    async def test_value_may_be_known_to_an_own_encoder(self, server: ScriptedServer):
        def encode(body: object) -> str:
            return json.dumps(body, default=str)

        async with HttpLink(server.uri, encode=encode) as link:
            await execute(link, GraphQLRequest(QUERY, {"a": datetime(2026, 1, 1, tzinfo=UTC)}))

        assert "2026-01-01 00:00:00+00:00" == server.sent["variables"]["a"]

    async def test_value_is_found_through_an_own_encoder(self):
        def encode(body: object) -> bytes:
            if "13" in repr(body):
                raise LookupError("the encoder's own")
            return b"{}"

        error = error_of(HttpLink(URI, encode=encode), GraphQLRequest(QUERY, {"b": [1, 13]}))

        assert isinstance(error, SerializationError)
        assert "variables.b[1]" == error.path
        assert isinstance(error.__cause__, LookupError)


class TestOwnFunctions:
    async def test_print_gets_the_document_and_the_default_printer(self, server: ScriptedServer):
        document = parse(QUERY)
        got = []

        def print_short(node, printer) -> str:
            got.append(node)
            return printer(node).replace("\n", "")

        async with HttpLink(server.uri, print=print_short) as link:
            await execute(link, GraphQLRequest(document))

        assert [document] == got
        assert "query Q($a: Int, $b: [Int]) {  f(a: $a, b: $b)}" == server.sent["query"]

    async def test_print_is_not_asked_for_a_query_that_is_not_sent(self, server: ScriptedServer):
        context = {"http": {"include_query": False}}

        async with HttpLink(server.uri, print=lambda *_: 1 / 0) as link:
            await execute(link, GraphQLRequest(QUERY, context=context))

        assert "query" not in server.sent

    async def test_encode_may_return_bytes(self, server: ScriptedServer):
        async with HttpLink(server.uri, encode=lambda body: compact(body).encode()) as link:
            await execute(link, GraphQLRequest(QUERY, {"a": 1}))

        assert {"a": 1} == server.sent["variables"]

    async def test_that_return_no_text_are_named(self):
        printing = HttpLink(URI, print=lambda *_: None)
        encoding = HttpLink(URI, encode=lambda _: None)

        errors = [error_of(link, GraphQLRequest(QUERY)) for link in (printing, encoding)]

        assert [InvariantTypeError, InvariantTypeError] == list(map(type, errors))
        assert "`print`" in str(errors[0])
        assert "`encode`" in str(errors[1])
