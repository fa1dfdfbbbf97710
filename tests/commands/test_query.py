"""`rxlink query`: what is sent, what is printed where, and the exit code."""

import json
from urllib.parse import unquote

import pytest

from rxlink.testing import Fault
from tests.transport.pieces import INCREMENTAL, answer_in_pieces, body_of
from tests.transport.scripted_server import answer_json, answer_never, answer_text, drop_connection
from tests.transport.sse_server import event

PUBLIC = "{ public }"
ANSWER = {"data": {"public": "open to everybody"}}
ECHO = "query Echo($value: String!) { echo(value: $value) }"


def test_a_result_is_one_line_of_json_where_nobody_looks(run, server):
    ran = run("query", server.url, PUBLIC)

    assert (0, json.dumps(ANSWER, separators=(",", ":")) + "\n", "") == (ran.code, ran.out, ran.err)


def test_a_terminal_shows_it_indented(run, server, terminal):
    stream = terminal("stdout")

    ran = run("query", server.url, PUBLIC)

    assert (0, json.dumps(ANSWER, indent=2) + "\n") == (ran.code, stream.text)


@pytest.mark.parametrize(("form", "indent"), [("json", None), ("pretty", 2)])
def test_the_form_is_an_option(run, server, form, indent):
    ran = run("query", server.url, "--output", form, PUBLIC)

    assert json.dumps(ANSWER, indent=indent, separators=None if indent else (",", ":")) + "\n" == ran.out


def test_results_are_printed_in_utf_8_whatever_the_system_has(run, scripted, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    scripted.answer = answer_json({"data": {"name": "Ünï 漢字 🦊", "clear": "\x1b[2J\x9b2J"}})

    ran = run("query", scripted.uri, "{ name }")

    assert (0, '{"data":{"name":"Ünï 漢字 🦊","clear":"\\u001b[2J\\u009b2J"}}\n') == (ran.code, ran.out)


def test_what_has_no_utf_8_is_printed_all_the_same(run, scripted):
    scripted.answer = answer_json({"data": {"half": "\ud83e"}})

    ran = run("query", scripted.uri, "{ half }")

    assert (0, '{"data":{"half":"\\ud83e"}}\n') == (ran.code, ran.out)


def test_graphql_errors_are_printed_and_fail_the_program(run, server):
    ran = run("query", server.url, "{ viewer { name } }")

    assert 1 == ran.code
    assert "UNAUTHENTICATED" == json.loads(ran.out)["errors"][0]["extensions"]["code"]
    assert "the result has an error: Not authenticated: missing." == ran.line


def test_of_several_errors_the_first_is_told_without_what_a_terminal_obeys(run, scripted):
    scripted.answer = answer_json({"data": {}, "errors": [{"message": "bad\n\x1b[31mthing"}, {"message": "worse"}]})

    assert "the result has 2 errors, the first: bad [31mthing" == run("query", scripted.uri, PUBLIC).line


@pytest.mark.parametrize("errors", [None, []])
def test_no_errors_are_none(run, scripted, errors):
    scripted.answer = answer_json({"data": {}, "errors": errors})

    assert 0 == run("query", scripted.uri, PUBLIC).code


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"errors": None}, "the answer is none: it has neither data nor errors"),
        ({"errors": []}, "the answer is none: it has neither data nor errors"),
        ({"data": [1]}, "the answer is none: its data is no object"),
        ({"data": "", "errors": []}, "the answer is none: its data is no object"),
    ],
)
def test_an_answer_without_a_result_in_it_fails_the_program(run, scripted, answer, told):
    scripted.answer = answer_json(answer)

    ran = run("query", scripted.uri, PUBLIC)

    assert (1, answer, told) == (ran.code, json.loads(ran.out), ran.line)


def test_an_answer_that_ends_before_its_result_fails_the_program(run, scripted):
    scripted.answer = answer_text(event(kind="complete"), content_type="text/event-stream")

    ran = run("query", scripted.uri, PUBLIC, "--protocol", "sse")

    assert (1, "", "the answer has no result in it") == (ran.code, ran.out, ran.line)


def test_null_is_data(run, scripted):
    scripted.answer = answer_json({"data": None})

    ran = run("query", scripted.uri, PUBLIC)

    assert (0, '{"data":null}\n', "") == (ran.code, ran.out, ran.err)


def test_a_socket_answers_queries_too(run, server, here):
    (here / "token").write_text(server.sign_in("ada").access_token + "\n")

    good = run("query", server.ws_url, "{ viewer { name } }", "--access-token-file", "token")
    bad = run("query", server.ws_url, "{ nobody }", "--access-token-file", "token")

    assert (0, '{"data":{"viewer":{"name":"ada"}}}\n', "") == (good.code, good.out, good.err)
    assert 1 == bad.code
    assert "Cannot query field" in json.loads(bad.out)["errors"][0]["message"]
    assert bad.line.startswith("Cannot query field")


def test_the_older_protocol_is_spoken_where_it_is_asked_for(run, server, here):
    (here / "params.json").write_text(json.dumps({"authorization": f"Bearer {server.sign_in('ada').access_token}"}))

    ran = run(
        "query", server.ws_url, "{ viewer { name } }", "--protocol", "graphql-ws", "--connection-params", "@params.json"
    )  # fmt: skip

    assert (0, '{"data":{"viewer":{"name":"ada"}}}\n', "") == (ran.code, ran.out, ran.err)
    assert ["graphql-ws"] == [socket.protocol for socket in server.ledger.sockets]


def test_what_a_query_defers_is_printed_when_all_of_it_is_there(run, scripted):
    pieces = [
        {"data": {"a": 1}, "hasNext": True},
        {"incremental": [{"path": [], "data": {"b": 2}}], "hasNext": False},
    ]
    scripted.answer = answer_in_pieces(body_of(*pieces), content_type=INCREMENTAL)

    assert '{"data":{"a":1,"b":2}}\n' == run("query", scripted.uri, "{ a ... @defer { b } }").out


def test_get_is_for_queries(run, scripted):
    run("query", scripted.uri, "--get", "query Name { viewer { name } }")

    (request,) = scripted.requests
    assert ("GET", "Name") == (request.method, request.query["operationName"])


def test_the_operation_is_chosen_by_name(run, scripted):
    run("query", scripted.uri, "query A { a } query B { b }", "--operation-name", "B")

    assert "B" == scripted.sent["operationName"]


# -- where the query and the variables come from ------------------------------------------------------------------


def test_a_query_comes_from_a_file_or_from_standard_input(run, server, here, typed):
    (here / "public.graphql").write_text(f"\ufeff{PUBLIC}")
    typed(PUBLIC)

    assert 0 == run("query", server.url, "--file", "public.graphql").code
    assert 0 == run("query", server.url, "-").code


def test_variables_go_over_one_another(run, scripted, here, monkeypatch):
    (here / "all.json").write_text('\ufeff{"file": 1, "option": 1, "one": 1}')
    (here / "text").write_text(" 17\n\n")
    monkeypatch.setenv("PASSWORD", "12345")

    run(
        "query", scripted.uri,
        "query($file: Int $option: Int $one: [Int] $text: ID $secret: ID $plain: ID $none: Int $empty: ID) "
        "{ f(a: [$file $option $one $text $secret $plain $none $empty]) }",
        "--variables", '{"option": 2, "one": 2}', "--variables-file", "all.json",
        "--variable", "one=[3]", "--variable", "text=@text", "--variable", "secret=env:PASSWORD",
        "--variable", "plain=a=b", "--variable", "none=null", "--variable", "empty=",
    )  # fmt: skip

    expected = {"file": 1, "option": 2, "one": [3], "text": " 17\n", "secret": "12345"}
    assert expected | {"plain": "a=b", "none": None, "empty": ""} == scripted.sent["variables"]


def test_variables_come_from_standard_input_beside_a_query(run, server, typed, here):
    (here / "token").write_text(server.sign_in("ada").access_token)
    typed('{"value": "Grüße"}')

    ran = run("query", server.url, ECHO, "--variables-file", "-", "--access-token-file", "token")

    assert '{"data":{"echo":"Grüße"}}\n' == ran.out


@pytest.mark.parametrize(
    "given",
    [
        ["--variable", "valeu=s3cret"],
        ["--variables", '{"valeu": "s3cret"}'],
        ["--variables-file", "all.json"],
    ],
)
def test_a_variable_that_the_operation_does_not_have_is_told(run, scripted, here, given):
    (here / "all.json").write_text('{"valeu": "s3cret"}')

    ran = run("query", scripted.uri, f"{ECHO} query Other($valeu: ID) {{ echo(value: $valeu) }}", *given,
              "--operation-name", "Echo")  # fmt: skip

    assert (0, "warning: the operation has no variable $valeu; it has $value") == (ran.code, ran.line)


def test_of_several_variables_that_are_not_there_one_line_tells(run, scripted):
    ran = run("query", scripted.uri, PUBLIC, "--variable", "a=1", "--variable", "\x1bb=2")

    assert "warning: the operation has no variable $a, $ b; it has none" == ran.line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{ public"], "the query is no GraphQL: Syntax Error: Expected Name, found <EOF>. at line 1, column 9"),
        (["query A { a } query B { b }"], "exactly one is needed, or --operation-name to choose among them"),
        (["query A { a }", "--operation-name", "C"], "no operation named 'C'"),
        (["subscription { s }"], "the operation is a subscription; run it with `rxlink subscribe`"),
        ([], "no query was given"),
        ([PUBLIC, "--file", "x"], "given twice"),
        (["--file", "nothing"], "argument --file: the file 'nothing' cannot be read: No such file or directory"),
        (["--file", "."], "argument --file: the file '.' cannot be read: Is a directory"),
        (["--file", "latin"], "argument --file: what was read is no text in UTF-8"),
        (["-", "--variables-file", "-"], "argument --variables-file: standard input is read for QUERY already"),
        ([PUBLIC, "--variables", "{s3cret"], "the variables are no JSON: Expecting property name"),
        ([PUBLIC, "--variables", '["s3cret"]'], "the variables are no JSON object"),
        ([PUBLIC, "--variables", '{"s3cret": NaN}'], "the variables are no JSON: NaN is no number in JSON"),
        ([PUBLIC, "--variables", '{"a": 1e999}'], "argument --variables: a number is too large"),
        ([PUBLIC, "--variable", "a=-1e999"], "argument --variable: a number is too large"),
        ([PUBLIC, "--variables", "[" * 100_000], "the variables are no JSON: it is nested too deeply"),
        ([PUBLIC, "--variables-file", "latin"], "argument --variables-file: what was read is no text in UTF-8"),
        ([PUBLIC, "--variable", "s3cret"], "argument --variable: it has no '='"),
        ([PUBLIC, "--variable", "=s3cret"], "argument --variable: it has no '='"),
        ([PUBLIC, "--variable", "a=@nothing"], "argument --variable: the file 'nothing' cannot be read"),
        ([PUBLIC, "--variable", "a=env:NO_SUCH"], "argument --variable: the environment has no variable 'NO_SUCH'"),
        ([PUBLIC, "--header", "s3cret"], "argument --header: it has no name and colon"),
        ([PUBLIC, "--header", "two words: s3cret"], "'two words' of HttpLink cannot be the name of a header"),
        ([PUBLIC, "--header", "x-key: caf\udce9s3cret"], "argument --header: what was given is no text in UTF-8"),
        ([PUBLIC, "--variable", "a=\udcff"], "argument --variable: what was given is no text in UTF-8"),
        ([PUBLIC, "--variables", '{"a": "\udcff"}'], "argument --variables: what was given is no text in UTF-8"),
        (['{ f(a: "\udcff") }'], "argument QUERY: what was given is no text in UTF-8"),
        ([PUBLIC, "--header-file", "lines"], "argument --header-file: line 3: it has no name and colon"),
        ([PUBLIC, "--protocol", "graphql-ws"], "graphql-ws is not spoken at http://; choose from multipart, sse"),
        ([PUBLIC, "--protocol", "sse", "--get"], "argument --get: it does not go with sse"),
        ([PUBLIC, "--connection-params", "{}"], "argument --connection-params: it is for ws:// and wss:// only"),
        ([PUBLIC, "--ca-file", "latin"], "argument --ca-file: what was read is no text in UTF-8"),
        ([PUBLIC, "--ca-file", "nothing"], "argument --ca-file: the file 'nothing' cannot be read"),
        ([PUBLIC, "--ca-file", "lines"], "argument --ca-file: there are no certificates in it"),
        ([PUBLIC, "--ca-file", "-"], "argument --ca-file: there are no certificates in it"),
        ([PUBLIC, "--ca-file", "latin", "--insecure"], "argument --insecure: not together with --ca-file"),
    ],
)
def test_what_cannot_work_is_told_in_one_line_and_nothing_is_sent(run, scripted, here, typed, arguments, told):
    (here / "latin").write_bytes(b"\xff")
    (here / "lines").write_text("# none\nx-good: 1\ns3cret\n")
    typed(PUBLIC)

    ran = run("query", scripted.uri, *arguments)

    assert (2, "", []) == (ran.code, ran.out, scripted.requests)
    assert told in ran.line
    assert "s3cret" not in ran.err


def test_a_variable_of_the_environment_has_to_be_text(run, scripted, monkeypatch):
    monkeypatch.setenv("KEY", "s3cret\udcff")

    ran = run("query", scripted.uri, PUBLIC, "--header", "x-key: env:KEY")

    assert (2, []) == (ran.code, scripted.requests)
    assert "argument --header: what was given is no text in UTF-8" == ran.line


@pytest.mark.parametrize("url", ["localhost:4000/graphql", "ftp://host/", "http://", "/graphql", ""])
def test_an_address_of_no_use_is_refused(run, url):
    ran = run("query", url, PUBLIC)

    assert 2 == ran.code
    assert "argument URL: give an address that starts with http://, https://, ws:// or wss://" == ran.line


def test_an_address_that_came_as_bytes_that_are_no_text_is_refused(run):
    ran = run("query", "http://localhost/\udcff", PUBLIC)

    assert (2, "argument URL: what was given is no text in UTF-8") == (ran.code, ran.line)


@pytest.mark.parametrize("url", ["http://h:x/?token=s3cret", "ws://h:x/?token=s3cret", "http://["])
def test_an_address_that_is_none_is_shown_without_its_secrets(run, url):
    ran = run("query", url, PUBLIC)

    assert 2 == ran.code
    assert ran.err.splitlines()[-1].startswith("rxlink: the URL is ")
    assert "s3cret" not in ran.err


@pytest.mark.parametrize("option", [["--timeout", "soon"], ["--timeout", "-1"], ["--retry", "many"], ["--retry", "-1"]])
def test_numbers_are_checked(run, option):
    ran = run("query", "http://localhost/", PUBLIC, *option)

    assert 2 == ran.code
    assert f"argument {option[0]}: {option[1]!r} is no" in ran.err


# -- headers ------------------------------------------------------------------------------------------------------


def test_headers_come_from_options_files_and_the_environment(run, scripted, here, monkeypatch):
    (here / "headers").write_text("# of the team\n\nAuthorization: Bearer a\nx-tenant:  nine \nx-both: file\n")
    (here / "key").write_text("k-1\n")
    monkeypatch.setenv("TRACE", "on")

    ran = run(
        "query", scripted.uri, PUBLIC, "--header-file", "headers",
        "--header", "X-Both: option", "--header", "x-api-key: @key", "--header", "x-trace: env:TRACE",
    )  # fmt: skip

    sent = {name: scripted.headers[name] for name in ("authorization", "x-tenant", "x-both", "x-api-key", "x-trace")}
    assert ["Bearer a", "nine", "option", "k-1", "on"] == list(sent.values())
    assert (0, "") == (ran.code, ran.err)


@pytest.mark.parametrize(
    "name", ["Authorization", "cookie", "X-Api-Key", "x-session-id", "X-Auth", "x-hasura-admin-secret"]
)
def test_a_secret_on_the_command_line_is_sent_with_a_warning(run, scripted, name):
    ran = run("query", scripted.uri, PUBLIC, "--header", f"{name}: s3cret")

    assert 0 == ran.code
    assert "s3cret" == scripted.headers[name.lower()]
    assert "is on the command line" in ran.line
    assert "s3cret" not in ran.err


@pytest.mark.parametrize("header", ["x-tenant: nine", "accept-language: de", "x-author: ada", "authorization: env:KEY"])
def test_other_headers_need_no_warning(run, scripted, monkeypatch, header):
    monkeypatch.setenv("KEY", "s3cret")

    assert "" == run("query", scripted.uri, PUBLIC, "--header", header).err


def test_a_password_in_the_address_is_sent_with_a_warning(run, scripted):
    ran = run("query", scripted.uri.replace("//", "//ada:s3cret@"), PUBLIC)

    assert 0 == ran.code
    assert scripted.headers["authorization"].startswith("Basic ")
    assert "are on the command line" in ran.line
    assert "s3cret" not in ran.err


@pytest.mark.parametrize("name", ["access_token", "apiKey", "key", "X-Amz-Signature", "%70assword"])
def test_a_secret_in_the_query_of_the_address_is_sent_with_a_warning(run, scripted, name):
    ran = run("query", f"{scripted.uri}?page=2&{name}=s3cret", PUBLIC)

    (request,) = scripted.requests
    assert (0, "s3cret") == (ran.code, request.query[unquote(name)])
    assert f"the value of {unquote(name)!r} in the URL is on the command line" in ran.line
    assert "s3cret" not in ran.err


@pytest.mark.parametrize("query", ["page=2", "token=", "monkey=1", "keyword=a", "#token=1"])
def test_other_addresses_need_no_warning(run, scripted, query):
    assert "" == run("query", f"{scripted.uri}?{query}", PUBLIC).err


# -- failures -----------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_one_line(run):
    http = run("query", "http://127.0.0.1:1/?token=s3cret", PUBLIC)
    socket = run("query", "ws://127.0.0.1:1/?token=s3cret", PUBLIC)

    for ran in (http, socket):
        assert (1, "") == (ran.code, ran.out)
        assert "got no answer (ClientConnectorError: Connect call failed" in ran.err.splitlines()[-1]
        assert "s3cret" not in ran.err


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answer_text("<h1>s3cret</h1>", 500, "text/html"), "Received status code 500"),
        (answer_text("<h1>s3cret</h1>", 200, "text/html"), "is no JSON"),
        (answer_text("s3cret"), "is no JSON"),
        (answer_json(["s3cret"]), "malformed"),
    ],
)
def test_an_answer_of_no_use_is_one_line_without_the_answer(run, scripted, answer, told):
    scripted.answer = answer

    ran = run("query", scripted.uri, PUBLIC)

    assert (1, "") == (ran.code, ran.out)
    assert told in ran.line
    assert "s3cret" not in ran.err


def test_a_refusal_that_says_why_is_printed(run, scripted):
    scripted.answer = answer_json({"errors": [{"message": "too deep"}]}, 400)

    ran = run("query", scripted.uri, PUBLIC)

    assert (1, '{"errors":[{"message":"too deep"}]}\n') == (ran.code, ran.out)
    assert ran.line.endswith("Received status code 400 (operation (anonymous)): the result has an error: too deep")


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_the_time_for_an_answer_has_an_end(run, scripted, scheme):
    scripted.answer = answer_never

    ran = run("query", scripted.uri.replace("http", scheme), PUBLIC, "--timeout", "0.05")

    assert (1, "") == (ran.code, ran.out)
    assert "no answer within 0.05 s; raise --timeout if the server needs longer" in ran.line


def test_a_socket_that_does_not_answer_a_query_is_given_up_too(run, server, here):
    (here / "token").write_text(server.sign_in("ada").access_token)
    server.faults.add(Fault.hang(), on="graphql")

    ran = run("query", server.ws_url, PUBLIC, "--access-token-file", "token", "--timeout", "0.2")

    assert (1, "") == (ran.code, ran.out)
    assert "within 0.2 s" in ran.line


def test_a_failure_that_may_pass_is_tried_again_if_wanted(run, server):
    server.faults.add(Fault.status(503), on="graphql")

    once = run("query", server.url, PUBLIC)
    server.faults.add(Fault.status(503), on="graphql")
    again = run("query", server.url, PUBLIC, "--retry", "2")

    assert (1, 0) == (once.code, again.code)
    assert again.line.endswith("; trying again")


@pytest.mark.parametrize(("document", "sent"), [("{ viewer { name } }", 2), ("mutation { signOut }", 1)])
def test_a_mutation_that_may_have_arrived_is_not_sent_again(run, scripted, document, sent):
    scripted.answer = answer_text("busy", 503)

    assert 1 == run("query", scripted.uri, document, "--retry", "1").code

    assert sent == len(scripted.requests)


def test_a_mutation_is_sent_again_only_where_it_cannot_have_arrived(run, scripted):
    scripted.answer = drop_connection

    dropped = run("query", scripted.uri, "mutation { signOut }", "--retry", "1")
    refused = run("query", "http://127.0.0.1:1/", "mutation { signOut }", "--retry", "1")

    assert (1, 1, 1) == (dropped.code, refused.code, len(scripted.requests))
    assert "trying again" not in dropped.err
    assert "trying again" in refused.err


def test_what_will_not_pass_is_not_tried_again(run, scripted):
    scripted.answer = answer_text("no", 404)

    run("query", scripted.uri, PUBLIC, "--retry", "2")

    assert 1 == len(scripted.requests)


def test_what_is_told_in_between_has_a_line_of_its_own(run, scripted, terminal, monkeypatch):
    monkeypatch.setattr("rxlink.commands.waiting.PATIENCE", 0.0)
    scripted.answer = answer_text("busy", 503)
    stream = terminal("stderr")

    run("query", scripted.uri, PUBLIC, "--retry", "1")

    waiting = "\r\x1b[Krxlink: waiting for an answer, 0 s"
    busy = "rxlink: Response not successful: Received status code 503 (operation (anonymous))"
    assert f"{waiting}\r\x1b[K{busy}; trying again\n\r\x1b[K{busy}\n" == stream.text


def test_a_long_wait_is_told_on_a_terminal_only(run, scripted, terminal, monkeypatch):
    monkeypatch.setattr("rxlink.commands.waiting.PATIENCE", 0.02)
    monkeypatch.setattr("rxlink.commands.waiting.STEP", 0.02)
    scripted.answer = answer_never

    quiet = run("query", scripted.uri, PUBLIC, "--timeout", "0.1")
    stream = terminal("stderr")
    run("query", scripted.uri, PUBLIC, "--timeout", "0.1")

    assert "waiting" not in quiet.err
    shown, _, last = stream.text.rpartition("\r\x1b[K")
    assert "rxlink: waiting for an answer" in shown
    assert last.startswith("rxlink: the operation: no answer within 0.1 s")
