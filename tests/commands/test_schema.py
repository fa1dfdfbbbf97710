"""`rxlink schema`: the schema of an endpoint, as SDL or as JSON."""

import json

import pytest
from graphql import build_client_schema, build_schema, graphql_sync, print_schema
from graphql.utilities import find_breaking_changes

from tests.transport.scripted_server import answer_json

SDL = '''\
"""Who."""
directive @mark(as: String) repeatable on FIELD

type Query {
  """A greeting."""
  hello(name: String = "world", old: Int @deprecated(reason: "no use")): String!
}

scalar Day @specifiedBy(url: "https://example.com/day")'''


def test_the_schema_is_printed_as_sdl(run, server):
    ran = run("schema", server.url)

    assert (0, "") == (ran.code, ran.err)
    schema = build_schema(ran.out)
    assert {"viewer", "echo", "public"} == set(schema.query_type.fields)
    assert '"""Any user with any password that is not empty."""' in ran.out


def test_the_answer_is_printed_as_json(run, server):
    sdl = run("schema", server.url)
    ran = run("schema", server.url, "--json")

    assert (0, 1) == (ran.code, ran.out.count("\n"))
    assert sdl.out == print_schema(build_client_schema(json.loads(ran.out))) + "\n"


def test_a_socket_is_asked_in_the_same_way(run, server, here):
    (here / "token").write_text(server.sign_in("ada").access_token)

    ran = run("schema", server.ws_url, "--access-token-file", "token")

    assert run("schema", server.url).out == ran.out


def schema_server(is_old):
    """Answer introspection, as a server that does not know the newer questions does, or as one that does."""
    schema = build_schema(SDL)

    async def answer(request):
        query = (await request.json())["query"]
        if is_old and "specifiedByURL" in query:
            return await answer_json({"errors": [{"message": "Cannot query field 'specifiedByURL'"}]}, 400)(request)
        return await answer_json(graphql_sync(schema, query).formatted)(request)

    return answer


def test_all_that_there_is_to_know_is_asked_for(run, scripted):
    scripted.answer = schema_server(is_old=False)

    ran = run("schema", scripted.uri)

    assert 1 == len(scripted.requests)
    assert [] == find_breaking_changes(build_schema(SDL), build_schema(ran.out))
    assert print_schema(build_schema(SDL)) + "\n" == ran.out


def test_an_older_server_is_asked_for_less(run, scripted):
    scripted.answer = schema_server(is_old=True)

    ran = run("schema", scripted.uri)

    assert (0, 2) == (ran.code, len(scripted.requests))
    assert "hello(name: String" in ran.out


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"errors": [{"message": "introspection is off"}]}, "the result has an error: introspection is off"),
        ({"data": None}, "the answer has no schema in it"),
    ],
)
def test_no_schema_is_a_failure_and_the_answer_is_printed(run, scripted, answer, told):
    scripted.answer = answer_json(answer)

    ran = run("schema", scripted.uri)

    assert (1, answer, told) == (ran.code, json.loads(ran.out), ran.line)


def test_an_answer_that_is_no_schema_is_one_line_without_it(run, scripted):
    scripted.answer = answer_json({"data": {"hello": "s3cret"}})

    ran = run("schema", scripted.uri)

    assert (1, "") == (ran.code, ran.out)
    assert ran.line.startswith("the answer is no schema: Invalid or incomplete introspection result.")
    assert "s3cret" not in ran.err


def test_a_terminal_gets_no_control_characters_of_a_description(run, scripted, terminal):
    evil = json.loads(json.dumps(graphql_sync(build_schema(SDL), "{ __typename }").formatted)) and schema_server(False)

    async def answer(request):
        response = await evil(request)
        text = response.body.decode().replace("A greeting.", "A \\u009b2J greeting.")
        return await answer_json(json.loads(text))(request)

    scripted.answer = answer
    stream = terminal("stdout")

    run("schema", scripted.uri)

    assert "A \ufffd2J greeting." in stream.text
