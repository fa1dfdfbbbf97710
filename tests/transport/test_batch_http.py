"""BatchHttpLink over a real loopback server: what shares a request, what it says, and who gets which part of it."""

import asyncio
import json
import logging
from contextvars import ContextVar

import aiohttp
import pytest
import reactivex
from aiohttp import web
from reactivex import Subject
from reactivex.testing import TestScheduler as Scheduler

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.refreshes import enter_refresh
from rxlink.errors import (
    AbortError,
    ClientClosed,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    ResponseTooLarge,
    SerializationError,
    ServerError,
    ServerParseError,
)
from rxlink.links.error import ErrorLink
from rxlink.testing.virtual_time import virtual
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink, HttpResponse
from tests.recording import END, subscribed
from tests.transport.scripted_server import (
    ScriptedServer,
    answer_in_chunks,
    answer_json,
    answer_never,
    answer_text,
    drop_connection,
    scripted_server,
)

TENANT = ContextVar("tenant", default="nobody")
PLAIN = {"enhanced_client_awareness": {"transport": False}}
TWO = {"batch_max": 2, "batch_interval": 60}
"""For two operations that do not start in the same turn of the loop, however long a turn takes."""


async def answer_each(request: web.Request) -> web.StreamResponse:
    """Answer each operation of a batch with its own name and variables."""
    sent = json.loads(await request.text())
    return web.json_response([{"data": {sent_one.get("operationName"): sent_one["variables"]}} for sent_one in sent])


@pytest.fixture(autouse=True)
def batching(server: ScriptedServer) -> None:
    server.answer = answer_each


def query(name: str, variables=None, **context) -> GraphQLRequest:
    return GraphQLRequest(f"query {name}($n: Int) {{ a(n: $n) }}", variables or {}, context=context)


async def outcomes(link: ApolloLink, *requests: GraphQLRequest) -> list[object]:
    async def one(request: GraphQLRequest) -> object:
        return await execute(link, request)

    return await asyncio.gather(*map(one, requests), return_exceptions=True)


def names(server: ScriptedServer) -> list[list[str]]:
    """The names of the operations of each request; requests at the same moment come in any order."""
    return sorted([sent["operationName"] for sent in json.loads(body)] for body in server.bodies)


def data(name: str, **variables: object) -> dict[str, object]:
    return {"data": {name: variables}}


class TestARequest:
    async def test_is_one_post_of_a_list_and_answers_each_operation_with_its_part(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, **PLAIN) as link:
            results = await outcomes(link, query("A", {"n": 1}), query("B", {"n": 2}))

        assert [data("A", n=1), data("B", n=2)] == results
        assert ["POST"] == [request.method for request in server.requests]
        text = "query {}($n: Int) {{\n  a(n: $n)\n}}"
        assert [
            {"operationName": "A", "variables": {"n": 1}, "query": text.format("A")},
            {"operationName": "B", "variables": {"n": 2}, "query": text.format("B")},
        ] == server.sent

    async def test_is_a_list_for_one_operation_too_and_anonymous_ones_have_no_name(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, **PLAIN) as link:
            [result] = await outcomes(link, GraphQLRequest("{ a }"))

        assert {"data": {"null": {}}} == json.loads(json.dumps(result))
        assert [{"variables": {}, "query": "{\n  a\n}"}] == server.sent

    async def test_completes_each_operation(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri) as link:
            recorders = [subscribed(execute(link, query(name))) for name in "AB"]
            await outcomes(link, query("C"))

        assert [[data("A"), END], [data("B"), END]] == [recorder.seen for recorder in recorders]

    async def test_carries_ten_operations_at_most_unless_it_is_told_otherwise(self, server: ScriptedServer):
        requests = [query(f"Q{number}") for number in range(25)]

        async with BatchHttpLink(server.uri) as link, BatchHttpLink(server.uri, batch_max=0) as unlimited:
            results = await outcomes(link, *requests)
            sizes = sorted(len(json.loads(body)) for body in server.bodies)
            await outcomes(unlimited, *requests)

        assert [data(f"Q{number}") for number in range(25)] == results
        assert ([5, 10, 10], 25) == (sizes, len(server.sent))

    @virtual
    async def test_waits_ten_milliseconds_unless_it_is_told_otherwise(self, time):
        sent_at = []

        async def note(request: web.Request) -> web.StreamResponse:
            sent_at.append(time.monotonic())
            return await answer_each(request)

        async with scripted_server() as server:
            server.answer = note
            async with BatchHttpLink(server.uri) as usual, BatchHttpLink(server.uri, batch_interval=3) as patient:
                await outcomes(usual, query("A"))
                await outcomes(patient, query("A"))

        assert [0.01, 3.01] == [pytest.approx(at) for at in sent_at]

    @virtual
    async def test_waits_for_a_pause_if_it_is_debounced(self):
        async with scripted_server() as server:
            server.answer = answer_each
            async with BatchHttpLink(server.uri, batch_interval=1, batch_debounce=True) as link:
                first = subscribed(execute(link, query("A")))
                await asyncio.sleep(0.8)
                await outcomes(link, query("B"))

            assert ([["A", "B"]], [data("A"), END]) == (names(server), first.seen)

    async def test_puts_the_head_of_the_answer_into_the_context_of_each(self, server: ScriptedServer):
        operations = []
        watch = ApolloLink(lambda operation, forward: operations.append(operation) or forward(operation))

        async with from_([watch, BatchHttpLink(server.uri)]) as link:
            await outcomes(link, query("A"), query("B"))

        heads = [operation.get_context()["response"] for operation in operations]
        assert [HttpResponse] * 2 == list(map(type, heads))
        assert [200] * 2 == [head.status for head in heads]

    async def test_is_sent_with_the_options_of_the_link(self, server: ScriptedServer):
        printed = []

        def own_print(document, printer):
            printed.append(printer(document))
            return "{ printed }"

        async with BatchHttpLink(
            lambda operation: server.uri,
            headers={"X-One": "1"},
            preserve_header_case=True,
            include_extensions=False,
            include_unused_variables=True,
            print=own_print,
            encode=lambda body: json.dumps({**body, "encoded": True}),
            decode=lambda body: [{"data": len(json.loads(body))}],
            client_awareness={"name": "billing"},
        ) as link:
            [result] = await outcomes(link, GraphQLRequest("query A { a }", {"other": 1}, extensions={"x": 1}))

        assert {"data": 1} == result
        assert [
            {"operationName": "A", "variables": {"other": 1}, "query": "{ printed }", "encoded": True}
        ] == server.sent
        assert (["query A {\n  a\n}"], "1") == (printed, server.headers["X-One"])
        assert "billing" == server.headers["apollographql-client-name"]

    @pytest.mark.parametrize("kind", [HttpLink, BatchHttpLink])
    async def test_sends_the_extensions_that_the_function_for_the_address_adds(self, server: ScriptedServer, kind):
        def uri(operation):
            operation.extensions["tenant"] = "blue"
            return server.uri

        server.answer = answer_json({"data": {}}) if kind is HttpLink else answer_each
        async with kind(uri) as link:
            await execute(link, query("A"))

        sent = json.loads(server.bodies[0])
        assert "blue" == (sent if kind is HttpLink else sent[0])["extensions"]["tenant"]

    async def test_gives_the_others_their_results_when_one_callback_is_cancelled(self, server: ScriptedServer):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

        def give_up(_):
            raise asyncio.CancelledError

        async with BatchHttpLink(server.uri) as link:
            execute(link, query("A")).subscribe(give_up)
            results = await outcomes(link, query("B"), query("C"))

        assert ["data", "data"] == [next(iter(result)) for result in results]
        assert 1 == len(complaints)

    async def test_names_the_library_in_the_extensions_of_each_operation(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri) as link:
            await outcomes(link, query("A"), query("B"))

        assert ["rxlink"] * 2 == [sent["extensions"]["clientLibrary"]["name"] for sent in server.sent]

    async def test_uses_a_given_session_and_leaves_it_open(self, server: ScriptedServer):
        async with aiohttp.ClientSession(headers={"x-session": "yes"}) as session:
            async with BatchHttpLink(server.uri, session=session) as link:
                await outcomes(link, query("A"))

            assert ("yes", False) == (server.headers["x-session"], session.closed)

    def test_serves_one_loop_after_another(self):
        link_of = {}

        async def once():
            async with scripted_server() as server:
                server.answer = answer_each
                link = link_of.setdefault("link", BatchHttpLink(lambda _: link_of["uri"]))
                link_of["uri"] = server.uri
                return await outcomes(link, query("A"))

        assert [[data("A")]] * 2 == [asyncio.run(once()) for _ in range(2)]

    def test_needs_a_loop_and_says_so(self):
        scheduler = Scheduler()
        recorder = subscribed(execute(BatchHttpLink("http://127.0.0.1:9/"), query("A")), scheduler)

        scheduler.start()

        assert "no event loop runs" in str(recorder.seen[0])

    async def test_is_told_to_the_log_without_secrets(self, server: ScriptedServer, caplog: pytest.LogCaptureFixture):
        with caplog.at_level(logging.DEBUG, "rxlink"):
            async with BatchHttpLink(server.uri + "?key=s3cret", headers={"authorization": "s3cret"}) as link:
                await outcomes(link, query("A", {"n": 31337}), query("B"))

        text = "\n".join(record.getMessage() for record in caplog.records)
        assert f">>> batch of A, B to {server.uri}: POST" in text
        assert "s3cret" not in text
        assert "31337" not in text


class Masked(str):
    """Text that keeps its value out of logs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class Alike(str):
    """Text that is equal to any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


class AlikeHeaders(dict[str, str]):
    """Headers that are equal to any others."""

    __slots__ = ()
    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return True


def carried(server: ScriptedServer) -> list[tuple[web.Request, list[str]]]:
    """Each request, with the names of its operations."""
    bodies = [[sent["operationName"] for sent in json.loads(body)] for body in server.bodies]
    return list(zip(server.requests, bodies, strict=True))


class TestSharing:
    """What may go in one request; P8 for every `batch_key`."""

    @pytest.mark.parametrize(
        "context",
        [
            {"headers": {"x-tenant": "blue"}},
            {"headers": {"authorization": "Bearer other"}},
            {"credentials": "include"},
            {"uri": "/other"},
            {"http": {"include_query": False}},
            {"http": {"include_extensions": False}},
            {"http": {"accept": ["text/plain"]}},
            {"http": {"preserve_header_case": True}, "headers": {"X-A": "1"}},
        ],
    )
    async def test_is_for_operations_that_make_the_same_request(self, server: ScriptedServer, context):
        if "uri" in context:
            context = {"uri": server.origin + context["uri"]}

        async with BatchHttpLink(server.uri) as link:
            results = await outcomes(link, query("A"), query("B", **context), query("C"), query("D", **context))

        assert [data(name) for name in "ABCD"] == results
        assert [["A", "C"], ["B", "D"]] == names(server)

    async def test_asks_the_key_of_your_own_for_each_operation_that_makes_the_same_request(
        self, server: ScriptedServer
    ):
        async with BatchHttpLink(server.uri, batch_key=lambda operation: operation.variables["part"]) as link:
            parts = zip("ABCD", "1212", strict=True)
            requests = [
                GraphQLRequest(f"query {name}($part: ID) {{ a(part: $part) }}", {"part": p}) for name, p in parts
            ]
            await asyncio.gather(*(execute(link, request) for request in requests))

        assert [["A", "C"], ["B", "D"]] == names(server)

    @pytest.mark.parametrize("transport", ["headers", "extensions", False])
    async def test_names_the_application_for_each_operation(self, server: ScriptedServer, transport):
        """Also where the one before made the same request, and where the operation says it otherwise."""
        contexts = []

        def note(operation, forward):
            return forward(operation).do_action(lambda _: contexts.append(operation))

        options = {"client_awareness": {"name": "billing"}, "enhanced_client_awareness": {"transport": transport}}
        async with BatchHttpLink(server.uri, **options) as link:
            other = {"client_awareness": {"name": "other"}}
            chain = from_([ApolloLink(note), link])
            await outcomes(chain, query("A"), query("B"), query("C", **other), query("D"), query("E", **other))

        assert [["A", "B", "D"], ["C", "E"]] == names(server)
        said = {
            operation.operation_name: operation.get_context()["headers"]["apollographql-client-name"]
            for operation in contexts
        }
        assert {"A": "billing", "B": "billing", "C": "other", "D": "billing", "E": "other"} == said
        library = [operation.get_context()["headers"].get("apollographql-library-name") for operation in contexts]
        assert ["rxlink" if transport == "headers" else None] * 5 == library
        named = ["clientLibrary" in operation.extensions for operation in contexts]
        assert [transport == "extensions"] * 5 == named

    async def test_does_not_mind_how_the_same_headers_are_written(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri) as link:
            await outcomes(
                link, query("A", headers={"X-A": "1", "x-b": "2"}), query("B", headers={"x-b": "2", "x-a": "1"})
            )

        assert [["A", "B"]] == names(server)

    async def test_of_differently_shaped_bodies_is_an_option(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, batch_hybrid_requests=True, **PLAIN) as link:
            await outcomes(
                link,
                query("A"),
                query("B", http={"include_query": False}),
                query("C", http={"include_extensions": False}),
                query("D", headers={"x-other": "1"}),
            )

        assert [["A", "B", "C"], ["D"]] == names(server)
        [body] = [body for body in map(json.loads, server.bodies) if len(body) == 3]
        assert [True, False, True] == ["query" in sent for sent in body]

    async def test_is_decided_by_a_key_of_your_own_and_the_first_ones_headers_go_with_all(self, server: ScriptedServer):
        asked = []

        def key(operation):
            asked.append(operation)
            return "priority" if operation.operation_name in "AB" else ""

        seen = []
        watch = ApolloLink(lambda operation, forward: seen.append(operation) or forward(operation))
        async with from_([watch, BatchHttpLink(server.uri, batch_key=key)]) as link:
            await outcomes(link, query("A", headers={"x-trace": "1"}), query("B", headers={"x-trace": "2"}), query("C"))

        assert [["A", "B"], ["C"]] == names(server)
        assert ["1"] == [request.headers["x-trace"] for request in server.requests if "x-trace" in request.headers]
        assert seen == asked

    @pytest.mark.parametrize(
        "context",
        [
            {"headers": {"Authorization": "Bearer other"}},
            {"headers": {"cookie": "id=7"}},
            {"headers": {"Proxy-Authorization": "Basic x"}},
            {"credentials": "include"},
            {"uri": "/other"},
        ],
    )
    async def test_is_never_for_operations_of_different_users_whatever_the_key(self, server: ScriptedServer, context):
        if "uri" in context:
            context = {"uri": server.origin + context["uri"]}

        async with BatchHttpLink(server.uri, batch_key=lambda _: "all", preserve_header_case=True) as link:
            third = query("C", headers={"Authorization": "Bearer third"})
            await outcomes(link, query("A"), query("B", **context), third)

        assert [["A"], ["B"], ["C"]] == names(server)

    @pytest.mark.parametrize("options", [{}, {"batch_key": lambda operation: "all"}])
    @pytest.mark.parametrize("kinds", [(Masked, Masked), (Alike, Alike), (Alike, str), (str, Alike)])
    async def test_is_never_for_different_users_whose_tokens_look_alike(self, server: ScriptedServer, options, kinds):
        requests = [
            query(name, headers={"authorization": kind(f"Bearer {name}")})
            for name, kind in zip("AB", kinds, strict=True)
        ]

        async with BatchHttpLink(server.uri, **options) as link:
            await outcomes(link, *requests)

        sent = {request.headers["authorization"]: body for request, body in carried(server)}
        assert {"Bearer A": ["A"], "Bearer B": ["B"]} == sent

    async def test_is_never_for_different_users_whose_headers_look_alike(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri) as link:
            await outcomes(link, *(query(name, headers=AlikeHeaders(authorization=f"Bearer {name}")) for name in "AB"))

        sent = {request.headers["authorization"]: body for request, body in carried(server)}
        assert {"Bearer A": ["A"], "Bearer B": ["B"]} == sent

    async def test_is_never_for_users_one_after_another_whose_headers_are_the_same_dict(self, server: ScriptedServer):
        headers = {"authorization": "Bearer A"}
        link = BatchHttpLink(server.uri)
        async with link:
            first = asyncio.ensure_future(outcomes(link, query("A", headers=headers)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            headers["authorization"] = "Bearer B"
            await outcomes(link, query("B", headers=headers))
            await first

        sent = {request.headers["authorization"]: body for request, body in carried(server)}
        assert {"Bearer A": ["A"], "Bearer B": ["B"]} == sent

    async def test_is_for_operations_whose_address_a_function_tells_to_be_the_same(self, server: ScriptedServer):
        async with BatchHttpLink(lambda operation: f"{server.origin}/{operation.operation_name < 'C'}") as link:
            await outcomes(link, query("A"), query("B"), query("C"))

        assert [("/False", ["C"]), ("/True", ["A", "B"])] == sorted(
            (request.path, sent) for request, sent in carried(server)
        )

    async def test_is_none_with_those_before_for_what_a_refresh_sends(self, server: ScriptedServer):
        """Its body may hold a refresh token, and goes to no other address."""

        async def lead_away(request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect("/elsewhere")

        async with BatchHttpLink(server.uri) as link:
            await outcomes(link, query("A"))
            server.answer = lead_away
            enter_refresh(Subject())

            [outcome] = await outcomes(link, query("B"))

        assert isinstance(outcome, ServerError)
        assert (307, 2) == (outcome.status_code, len(server.requests))

    async def test_goes_on_through_a_refresh_with_the_new_token_for_all(self, server: ScriptedServer):
        refreshes = []

        def refresh(tokens, reason):
            refreshes.append(reason)
            return TokenSet("new")

        async def only_new(request: web.Request) -> web.StreamResponse:
            if request.headers["authorization"] != "Bearer new":
                return web.json_response({"errors": [{"message": "who?"}]}, status=401)
            return await answer_each(request)

        server.answer = only_new
        async with AuthSession(refresh=refresh, tokens=TokenSet("old")) as session:
            async with from_([AuthLink(session), BatchHttpLink(server.uri)]) as link:
                results = await outcomes(link, query("A"), query("B"))

        assert [data("A"), data("B")] == results
        assert ([["A", "B"]] * 2, 1) == (names(server), len(refreshes))


class TestResults:
    """Each operation is told its result and its end at once, and what one does leaves the others alone."""

    async def test_come_with_the_end_of_their_operation(self, server: ScriptedServer):
        seen = []

        async with BatchHttpLink(server.uri, batch_max=3, batch_interval=60) as link:
            for name in "AB":
                execute(link, query(name)).subscribe(seen.append, on_completed=lambda name=name: seen.append(name))
            await execute(link, query("C"))

        assert [data("A"), "A", data("B"), "B"] == seen

    async def test_that_make_a_link_above_send_again_are_over_for_what_it_sends(self, server: ScriptedServer):
        """The operation that was sent again waits for its batch, and may leave it."""

        async def fail_a(request: web.Request) -> web.StreamResponse:
            sent = json.loads(await request.text())
            return web.json_response([{"errors" if one["operationName"] == "A" else "data": []} for one in sent])

        server.answer = fail_a
        again = ErrorLink(lambda response: response.forward(response.operation))
        async with from_([again, BatchHttpLink(server.uri, batch_max=2, batch_interval=60)]) as link:
            subscription = execute(link, query("A")).subscribe()
            await execute(link, query("B"))

            subscription.dispose()
            await outcomes(link, query("C"), query("D"))

        assert [["A", "B"], ["C", "D"]] == names(server)

    async def test_come_to_the_others_when_one_observer_raises_which_hears_the_end_too(self, server: ScriptedServer):
        reported, seen = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        failure = RuntimeError("mine")

        def fail(result: object) -> None:
            raise failure

        async with BatchHttpLink(server.uri, **TWO) as link:
            execute(link, query("A")).subscribe(fail, on_completed=lambda: seen.append("the end of A"))
            assert data("B") == await execute(link, query("B"))

        assert ([failure], ["the end of A"]) == (reported, seen)

    @pytest.mark.parametrize("leaver", [0, 1])
    async def test_at_whose_word_a_subscriber_leaves_are_its_last_word(self, server: ScriptedServer, leaver: int):
        seen, subscriptions = [], []
        ended = asyncio.get_running_loop().create_future()

        def take(result: object) -> None:
            seen.append(result)
            subscriptions[leaver].dispose()

        async with BatchHttpLink(server.uri, batch_max=3, batch_interval=60) as link:
            for name in "AB":
                observed = execute(link, query(name))
                subscriptions.append(observed.subscribe(take, on_completed=lambda name=name: seen.append(name)))
            execute(link, query("C")).subscribe(ended.set_result)
            await ended

        assert [[data("A"), data("B"), "B"], [data("A"), "A"]][leaver] == seen


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (drop_connection, NetworkError),
            (answer_text("no", 500), ServerError),
            (answer_json([{"data": 1}, {"data": 2}], 500), ServerError),
            (answer_json({"errors": []}, 401), ServerError),
            (answer_text("<html>"), ServerParseError),
            (answer_json({"neither": 1}), ServerError),
            (answer_json(None), ServerError),
            (answer_json([{"data": 1}]), ServerError),
            (answer_json([{"data": 1}] * 3), ServerError),
            (answer_json({"errors": [{"message": "no batches here"}]}), ServerError),
        ],
    )
    async def test_of_the_request_come_to_each_operation_as_an_error_of_its_own(
        self, server: ScriptedServer, answer, kind
    ):
        server.answer = answer

        async with BatchHttpLink(server.uri) as link:
            first, second = await outcomes(link, query("A"), query("B"))

        assert (kind, kind) == (type(first), type(second))
        assert first is not second
        assert "A, B" in str(first)

    async def test_of_the_network_may_be_retried(self, server: ScriptedServer):
        server.answer = drop_connection

        async with BatchHttpLink(server.uri) as link:
            errors = await outcomes(link, query("A"), query("B"))

        assert [True, True] == [error.retryable for error in errors]

    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize(
        ("value", "result"), [([{"data": 1}], None), ({"errors": ["x"]}, {"errors": ["x"]}), (7, None)]
    )
    async def test_carry_the_answer(self, server: ScriptedServer, value, result, status):
        server.answer = answer_json(value, status, X_Trace="7")

        async with BatchHttpLink(server.uri) as link:
            [error, _] = await outcomes(link, query("A"), query("B"))

        assert (status, "7", json.dumps(value), result) == (
            error.status_code,
            error.headers["x-trace"],
            error.body_text,
            error.result,
        )
        assert "A, B" == error.operation_name

    @pytest.mark.parametrize(("count", "value"), [(1, [{"data": 1}]), (3, [{"data": 1}] * 3), (1, {"errors": []})])
    async def test_of_a_wrong_number_of_results_say_the_numbers(self, server: ScriptedServer, count, value):
        server.answer = answer_json(value)

        async with BatchHttpLink(server.uri) as link:
            [error, _] = await outcomes(link, query("A"), query("B"))

        assert f"server returned results with length {count}, expected length of 2" in str(error)

    @pytest.mark.parametrize("value", [{"neither": 1}, None, 7])
    async def test_of_an_answer_that_is_no_response_name_all_operations(self, server: ScriptedServer, value):
        server.answer = answer_json(value)

        async with BatchHttpLink(server.uri) as link:
            errors = await outcomes(link, query("A"), query("B"))

        assert ["Server response was malformed for query 'A, B'."] * 2 == list(map(str, errors))

    async def test_join_headers_that_come_twice(self, server: ScriptedServer):
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.json_response({"neither": 1})
            response.headers.add("x-a", "1")
            response.headers.add("X-A", "2")
            return response

        server.answer = answer
        async with BatchHttpLink(server.uri) as link:
            [error] = await outcomes(link, query("A"))

        assert "1, 2" == error.headers["x-a"]

    async def test_of_an_answer_to_one_are_none_if_it_is_no_list(self, server: ScriptedServer):
        server.answer = answer_json({"data": 7})

        async with BatchHttpLink(server.uri) as link:
            assert [{"data": 7}] == await outcomes(link, query("A"))

    async def test_of_a_graphql_response_are_results_at_any_status(self, server: ScriptedServer):
        server.answer = answer_text(b'[{"errors":[]},{"data":1}]', 400, "application/graphql-response+json")

        async with BatchHttpLink(server.uri) as link:
            assert [{"errors": []}, {"data": 1}] == await outcomes(link, query("A"), query("B"))

    async def test_of_one_result_without_a_name_have_none(self, server: ScriptedServer):
        server.answer = answer_json([{"data": 1}, None])

        async with BatchHttpLink(server.uri) as link:
            _, error = await outcomes(link, query("A"), GraphQLRequest("{ a }"))

        assert (ServerError, None) == (type(error), error.operation_name)

    @pytest.mark.parametrize("bad", [None, 7, [], {"neither": 1}])
    async def test_of_one_result_end_its_operation_alone(self, server: ScriptedServer, bad):
        server.answer = answer_json([{"data": 1}, bad, {"data": 3}])

        async with BatchHttpLink(server.uri) as link:
            first, error, third = await outcomes(link, query("A"), query("B"), query("C"))

        assert ({"data": 1}, {"data": 3}) == (first, third)
        assert (ServerError, "B", "Server response was malformed for query 'B'.") == (
            type(error),
            error.operation_name,
            str(error),
        )

    async def test_of_an_operation_that_cannot_be_sent_end_it_alone_and_at_once(self, server: ScriptedServer):
        """In Apollo they end the whole batch."""
        bad = [
            (query("B", {"n": object()}), SerializationError),
            (query("C", headers={"x": 7}), InvariantTypeError),
            (query("D", uri="ftp://x"), InvariantError),
            (query("E", fetch_options={"method": "GET"}), InvariantError),
            (GraphQLRequest("subscription F { a }"), InvariantError),
        ]
        asked = []
        async with from_(
            [ErrorLink(lambda response: asked.append(type(response.error))), BatchHttpLink(server.uri)]
        ) as link:
            first = subscribed(execute(link, query("A")))
            recorders = [subscribed(execute(link, request)) for request, _ in bad]
            at_once = [list(map(type, recorder.seen)) for recorder in recorders]
            await outcomes(link, query("G"))

        assert ([[kind] for _, kind in bad], [kind for _, kind in bad]) == (at_once, asked)
        assert ([["A", "G"]], [data("A"), END]) == (names(server), first.seen)

    @virtual
    async def test_by_the_timeout_come_to_each(self, time):
        async with scripted_server() as server:
            server.answer = answer_never
            async with BatchHttpLink(server.uri, timeout=5) as link:
                errors = await outcomes(link, query("A"), query("B"))
            await server.aborted.wait()

        assert [NetworkTimeout] * 2 == list(map(type, errors))
        assert "batch of A, B to" in str(errors[0])
        assert 5.01 == pytest.approx(time.monotonic(), abs=0.1)

    async def test_by_a_large_answer_come_to_each(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, max_response_size=20) as link:
            errors = await outcomes(link, query("A"), query("B"))

        assert [ResponseTooLarge] * 2 == list(map(type, errors))

    async def test_name_ten_operations_at_most(self, server: ScriptedServer):
        server.answer = answer_text("no", 500)

        async with BatchHttpLink(server.uri, batch_max=0) as link:
            [error, *_] = await outcomes(link, *[query(f"Q{number}") for number in range(12)])

        assert "(operation Q0, Q1, Q2, Q3, Q4, Q5, Q6, Q7, Q8, Q9, 2 more)" in str(error)


class TestLeaving:
    async def test_before_the_request_is_no_part_of_it(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri) as link:
            subscribed(execute(link, query("A"))).subscription.dispose()
            await outcomes(link, query("B"))

        assert [["B"]] == names(server)

    async def test_of_all_before_the_request_sends_none(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, batch_interval=0.001) as link:
            for name in "AB":
                subscribed(execute(link, query(name))).subscription.dispose()
            await asyncio.sleep(0.01)

        assert [] == server.requests

    async def test_during_the_request_leaves_the_others_alone(self, server: ScriptedServer):
        go_on = asyncio.Event()
        server.answer = answer_in_chunks(b'[{"data":1},', b'{"data":2}]', then=go_on)

        async with BatchHttpLink(server.uri, **TWO) as link:
            recorder = subscribed(execute(link, query("A")))
            other = asyncio.create_task(outcomes(link, query("B")))
            await server.arrived.wait()
            recorder.subscription.dispose()
            go_on.set()

            assert [{"data": 2}] == await other
        assert ([], False) == (recorder.seen, server.aborted.is_set())

    async def test_of_the_last_one_aborts_the_request(self, server: ScriptedServer):
        server.answer = answer_never

        async with BatchHttpLink(server.uri) as link:
            recorders = [subscribed(execute(link, query(name))) for name in "AB"]
            await server.arrived.wait()
            for recorder in recorders:
                recorder.subscription.dispose()
            await server.aborted.wait()

        assert [[], []] == [recorder.seen for recorder in recorders]

    @pytest.mark.parametrize("moment", ["before", "during"])
    async def test_by_a_signal_is_an_error_of_that_operation_alone(self, server: ScriptedServer, moment):
        """In Apollo the first one's signal aborts all, and the others' are ignored."""
        go_on, signal = asyncio.Event(), Subject()
        server.answer = answer_in_chunks(b'[{"data":0}', b',{"data":1}]' if moment == "during" else b"]", then=go_on)

        async with BatchHttpLink(server.uri, **(TWO if moment == "during" else {})) as link:
            aborted = subscribed(execute(link, query("A", fetch_options={"signal": signal})))
            other = asyncio.create_task(outcomes(link, query("B")))
            if moment == "during":
                await server.arrived.wait()
            signal.on_next(None)
            go_on.set()

            assert [{"data": 1 if moment == "during" else 0}] == await other
        assert [AbortError] == list(map(type, aborted.seen))
        assert [] == signal.observers

    async def test_by_a_signal_that_never_comes_is_no_leaving(self, server: ScriptedServer):
        signal = Subject()

        async with BatchHttpLink(server.uri, fetch_options={"signal": signal}) as link:
            recorder = subscribed(execute(link, query("A")))
            results = await outcomes(link, query("B"), query("C"))
            server.answer = answer_text("no", 500)
            [error] = await outcomes(link, query("D"))

        assert ([data("A"), END], [data("B"), data("C")]) == (recorder.seen, results)
        assert (ServerError, []) == (type(error), signal.observers)

    async def test_by_a_signal_that_has_come_already_sends_nothing(self, server: ScriptedServer):
        async with BatchHttpLink(server.uri, fetch_options={"signal": reactivex.of(1)}) as link:
            [error] = await outcomes(link, query("A"))

        assert (AbortError, []) == (type(error), server.requests)


class TestClosing:
    async def test_ends_those_who_wait_who_run_and_who_come_later(self, server: ScriptedServer):
        server.answer = answer_never
        link = BatchHttpLink(server.uri)
        running = subscribed(execute(link, query("A")))
        await server.arrived.wait()
        waiting = subscribed(execute(link, query("B")))

        await link.aclose()
        late = subscribed(execute(link, query("C")))
        await link.aclose()

        errors = [error for recorder in (running, waiting, late) for error in recorder.seen]
        assert [ClientClosed] * 3 == list(map(type, errors))
        assert {f"{link!r} is closed; make a new one, or close it later"} == set(map(str, errors))
        assert 1 == len(server.requests)


class TestContexts:
    async def test_of_each_observer_is_that_of_its_subscription(self, server: ScriptedServer):
        """P11."""
        seen, ended = [], asyncio.Event()

        async def run(link, tenant):
            TENANT.set(tenant)
            execute(link, query("A")).subscribe(
                lambda _: seen.append((tenant, TENANT.get())),
                on_completed=lambda: seen.append((tenant, TENANT.get())) or len(seen) < 4 or ended.set(),
            )

        async with BatchHttpLink(server.uri, **TWO) as link:
            for tenant in ("red", "blue"):
                await asyncio.create_task(run(link, tenant))
            await ended.wait()

        assert [("blue", "blue")] * 2 + [("red", "red")] * 2 == sorted(seen)
        assert 1 == len(server.requests)


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_interval": -1}, "`batch_interval` is -1"),
            ({"batch_max": -1}, "`batch_max` is -1"),
            ({"batch_key": 7}, "`batch_key` is 7"),
            ({"batch_key": answer_never}, "`batch_key` is the coroutine function answer_never"),
            ({"fetch_options": {"method": "GET"}}, "`method` in `fetch_options` is 'GET'"),
            ({"fetch_options": {"mode": "cors"}}, "`fetch_options` of BatchHttpLink has no option 'mode'"),
            ({"timeout": 0}, "`timeout` is 0"),
            ({"max_response_size": 0}, "`max_response_size` is 0"),
            ({"credentials": "all"}, "'all'"),
            ({"print": 7}, "`print`"),
            ({"encode": 7}, "`encode`"),
            ({"decode": 7}, "`decode`"),
            ({"session": 7}, "`session`"),
            ({"uri": "ftp://x"}, "'ftp://x'"),
        ],
    )
    def test_are_refused_at_construction(self, options, message):
        with pytest.raises(InvariantError) as caught:
            BatchHttpLink(**{"uri": "http://x/graphql", **options})

        assert message in str(caught.value)

    async def test_a_session_that_keeps_cookies_is_refused_with_credentials_omit(self):
        async with aiohttp.ClientSession() as session:
            with pytest.raises(InvariantError, match="keeps cookies"):
                BatchHttpLink("http://x/graphql", session=session, credentials="omit")

            recorder = subscribed(
                execute(BatchHttpLink("http://x/graphql", session=session), query("A", credentials="omit"))
            )

        assert [InvariantError] == list(map(type, recorder.seen))

    async def test_a_key_of_a_wrong_type_is_the_error_of_its_operation(self):
        def own_key(operation):
            return 7

        recorder = subscribed(execute(BatchHttpLink("http://x/graphql", batch_key=own_key), query("A")))

        assert "own_key returned an int; return text" in str(recorder.seen[0])

    def test_the_link_shows_where_it_sends_without_secrets(self):
        assert "<BatchHttpLink http://x/graphql>" == repr(BatchHttpLink("http://me:s3cret@x/graphql?key=s3cret"))
