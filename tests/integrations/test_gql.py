"""gql's client over a chain of links, against real servers on loopback."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Self

import gql
import pytest
from aiohttp import web
from gql.transport.exceptions import (
    TransportAlreadyConnected,
    TransportClosed,
    TransportConnectionFailed,
    TransportProtocolError,
    TransportQueryError,
    TransportServerError,
)
from graphql import parse, print_ast
from reactivex import Observable, from_iterable, never
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rxlink import (
    ApolloLink,
    AuthLink,
    AuthSession,
    BatchHttpLink,
    ClientClosed,
    GraphQLRequest,
    GraphQLWsLink,
    HttpLink,
    InvariantError,
    InvariantTypeError,
    Operation,
    OperationType,
    SessionEnded,
    TokenSet,
    execute,
    from_,
    split,
)
from rxlink.core.async_iteration import ObservableIterator
from rxlink.integrations.gql import BATCH, LinkTransport
from rxlink.testing import AuthServer, MockedResponse, MockLink, MockSubscriptionLink

ECHO = "query Echo($value: String!) { echo(value: $value) }"
REFRESH = "mutation($token: String) { refreshToken(refreshToken: $token) { accessToken refreshToken expiresIn } }"
TICKS = "subscription { ticks(every: 0.005) }"
STORM = 50


def echo(value: object) -> gql.GraphQLRequest:
    return gql.GraphQLRequest(ECHO, variable_values={"value": str(value)})


def session_of(server: AuthServer, http: HttpLink) -> AuthSession:
    """The session of somebody whose access token is no longer accepted."""

    async def refresh(tokens: TokenSet, reason: object) -> TokenSet:
        result = await execute(http, GraphQLRequest(REFRESH, {"token": tokens.refresh_token}))
        pair = result["data"]["refreshToken"]
        return TokenSet(pair["accessToken"], pair["refreshToken"], expires_in=pair["expiresIn"])

    pair = server.sign_in("ada")
    server.revoke_access("ada")
    return AuthSession(refresh=refresh, tokens=TokenSet(pair.access_token, pair.refresh_token))


@pytest.fixture
async def server(guarded_loop: None) -> AsyncIterator[AuthServer]:
    async with AuthServer(token_life=60) as server:
        yield server


@asynccontextmanager
async def answering(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """The address of a server that answers every POST so."""
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def echoes(request: web.Request) -> web.Response:
    """Answers with the variables of each operation, alone or in a batch."""
    sent = await request.json()
    answers = [{"data": one["variables"]} for one in sent] if isinstance(sent, list) else {"data": sent["variables"]}
    return web.json_response(answers, headers={"x-requests": str(len(sent)) if isinstance(sent, list) else "alone"})


class Waiting(ApolloLink):
    """Operations that never end; it counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.running = 0
        self.began = asyncio.Event()

    def request(self, operation: Operation, forward: object) -> Observable[Any]:
        def subscribe(observer: object, scheduler: object = None) -> Disposable:
            self.running += 1
            self.began.set()
            return Disposable(self._left)

        return Observable(subscribe)

    def _left(self) -> None:
        self.running -= 1


class TestRefresh:
    async def test_a_storm_on_a_dead_token_is_answered_after_one_refresh(self, server: AuthServer) -> None:
        async with HttpLink(server.url) as http:
            chain = from_([AuthLink(session_of(server, http)), http])

            async with gql.Client(transport=LinkTransport(chain)) as session:
                results = await asyncio.gather(*(session.execute(echo(number)) for number in range(STORM)))

        assert [{"echo": str(number)} for number in range(STORM)] == results
        assert 1 == server.ledger.refreshes
        assert [] == server.ledger.violations()

    async def test_a_subscription_begins_with_the_token_that_a_refresh_has_brought(self, server: AuthServer) -> None:
        async with HttpLink(server.url) as http:
            tokens = session_of(server, http)
            chain = split(
                lambda operation: operation.operation_type == OperationType.SUBSCRIPTION,
                GraphQLWsLink(server.ws_url, auth=tokens),
                from_([AuthLink(tokens), http]),
            )
            async with chain, gql.Client(transport=LinkTransport(chain)) as session:
                first = await session.execute(echo(1))
                ticks = session.subscribe(gql.gql(TICKS))
                seen = [await anext(ticks), await anext(ticks)]
                await ticks.aclose()
            await tokens.aclose()

        assert {"echo": "1"} == first
        assert [["ticks"], ["ticks"]] == [list(tick) for tick in seen]
        assert 1 == server.ledger.refreshes

    async def test_a_session_that_is_over_is_an_unauthorized_error_for_each(self, server: AuthServer) -> None:
        async def refuse(tokens: TokenSet, reason: object) -> TokenSet:
            raise SessionEnded

        server.sign_in("ada")
        async with HttpLink(server.url) as http:
            chain = from_([AuthLink(AuthSession(refresh=refuse, tokens=TokenSet("dead", "dead"))), http])
            async with gql.Client(transport=LinkTransport(chain)) as session:
                outcomes = await asyncio.gather(*(session.execute(echo(1)) for _ in range(5)), return_exceptions=True)

        assert [401] * 5 == [outcome.code for outcome in outcomes if isinstance(outcome, TransportServerError)]
        assert {SessionEnded} == {type(outcome.__cause__) for outcome in outcomes if isinstance(outcome, Exception)}


class TestLeaving:
    async def test_a_cancelled_call_leaves_its_operation(self) -> None:
        link = Waiting()
        async with gql.Client(transport=LinkTransport(link)) as session:
            call = asyncio.create_task(session.execute(echo(1)))
            await link.began.wait()

            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

            assert 0 == link.running

    async def test_a_call_that_takes_too_long_leaves_its_operation(self) -> None:
        link = Waiting()
        async with gql.Client(transport=LinkTransport(link), execute_timeout=0.01) as session:
            with pytest.raises(TimeoutError):
                await session.execute(echo(1))

            assert 0 == link.running

    async def test_a_cancelled_batch_leaves_all_its_operations(self) -> None:
        link = Waiting()
        async with gql.Client(transport=LinkTransport(link)) as session:
            call = asyncio.create_task(session.execute_batch([echo(1), echo(2)]))
            await link.began.wait()
            await asyncio.sleep(0)
            assert 2 == link.running

            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

            assert 0 == link.running

    async def test_a_loop_that_is_left_leaves_the_subscription(self) -> None:
        link = MockSubscriptionLink()
        async with gql.Client(transport=LinkTransport(link)) as session:
            ticks = session.subscribe(gql.gql(TICKS))
            first = asyncio.create_task(anext(ticks))
            await asyncio.sleep(0)
            link.simulate_result({"data": {"ticks": 7}})
            assert {"ticks": 7} == await first
            assert 1 == link.subscribers

            await ticks.aclose()

            assert 0 == link.subscribers

    async def test_a_cancelled_loop_leaves_the_subscription(self) -> None:
        link = Waiting()
        async with gql.Client(transport=LinkTransport(link)) as session:
            step = asyncio.create_task(anext(session.subscribe(gql.gql(TICKS))))
            await link.began.wait()

            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step

            assert 0 == link.running

    async def test_a_subscription_that_is_executed_gives_its_first_result_and_is_left(self) -> None:
        link = MockSubscriptionLink()
        async with gql.Client(transport=LinkTransport(link)) as session:
            call = asyncio.create_task(session.execute(gql.gql(TICKS)))
            await asyncio.sleep(0)

            link.simulate_result({"data": {"ticks": 7}})

            assert {"ticks": 7} == await call
            assert 0 == link.subscribers


class TestClosing:
    async def test_a_given_chain_stays_open_and_can_be_connected_again(self, server: AuthServer) -> None:
        async with HttpLink(server.url) as link:
            client = gql.Client(transport=LinkTransport(link))
            for _ in range(2):
                async with client as session:
                    assert "public" in await session.execute(gql.gql("{ public }"))

            assert "public" in (await execute(link, GraphQLRequest("{ public }")))["data"]

    async def test_a_chain_of_its_own_is_made_at_each_connect_and_closed(self, server: AuthServer) -> None:
        made: list[HttpLink] = []

        def make() -> ApolloLink:
            made.append(HttpLink(server.url))
            return made[-1]

        client = gql.Client(transport=LinkTransport(make))
        for _ in range(2):
            async with client as session:
                await session.execute(gql.gql("{ public }"))

        assert 2 == len(made)
        for link in made:
            with pytest.raises(ClientClosed):
                await execute(link, GraphQLRequest("{ public }"))

    async def test_a_given_chain_that_it_owns_is_closed_for_good(self, server: AuthServer) -> None:
        link = HttpLink(server.url)
        transport = LinkTransport(link, owns_link=True)
        async with gql.Client(transport=transport) as session:
            await session.execute(gql.gql("{ public }"))

        with pytest.raises(ClientClosed):
            await execute(link, GraphQLRequest("{ public }"))
        with pytest.raises(TransportClosed, match="give it a function that makes a chain at each connect"):
            await transport.connect()

    async def test_loops_end_with_the_connection(self) -> None:
        link = MockSubscriptionLink()
        transport = LinkTransport(link)
        async with gql.Client(transport=transport) as session:
            ticks = session.subscribe(gql.gql(TICKS))
            step = asyncio.create_task(anext(ticks, "the end"))
            await asyncio.sleep(0)
            assert 1 == link.subscribers

            await transport.close()

            assert "the end" == await step
            assert 0 == link.subscribers

    async def test_an_operation_that_waits_is_told_that_its_chain_was_closed(self, server: AuthServer) -> None:
        async def never_answers(request: web.Request) -> web.Response:
            began.set()
            await asyncio.Event().wait()
            raise AssertionError

        began = asyncio.Event()
        async with answering(never_answers) as url:
            transport = LinkTransport(lambda: HttpLink(url))
            await transport.connect()
            call = asyncio.create_task(transport.execute(echo(1)))
            await began.wait()

            await transport.close()

            with pytest.raises(TransportClosed) as caught:
                await call
        assert isinstance(caught.value.__cause__, ClientClosed)

    async def test_it_connects_once_and_sends_nothing_before_and_after(self) -> None:
        transport = LinkTransport(MockLink())
        calls = [
            lambda: transport.execute(echo(1)),
            lambda: transport.execute_batch([]),
            lambda: anext(transport.subscribe(echo(1))),
        ]
        for call in calls:
            with pytest.raises(TransportClosed, match="is not connected"):
                await call()
        await transport.connect()
        with pytest.raises(TransportAlreadyConnected):
            await transport.connect()
        await transport.close()
        await transport.close()
        for call in calls:
            with pytest.raises(TransportClosed):
                await call()

    async def test_a_chain_that_cannot_be_entered_is_closed_and_can_be_tried_again(self) -> None:
        class Refusing(MockLink):
            is_closed = False

            async def __aenter__(self) -> Self:
                if len(made) == 1:
                    raise ClientClosed("the socket")
                return self

            async def aclose(self) -> None:
                self.is_closed = True

        def make() -> Refusing:
            made.append(Refusing([MockedResponse(result={"data": {"echo": "1"}})]))
            return made[-1]

        made: list[Refusing] = []
        transport = LinkTransport(make)

        with pytest.raises(TransportClosed):
            await transport.connect()
        assert [True] == [link.is_closed for link in made]
        async with gql.Client(transport=transport) as session:
            result = await session.execute(echo(1))

        assert {"echo": "1"} == result
        assert [True, True] == [link.is_closed for link in made]

    async def test_a_chain_that_can_be_neither_entered_nor_closed_tells_the_first(self) -> None:
        class Refusing(MockLink):
            async def __aenter__(self) -> Self:
                raise ClientClosed("the socket")

            async def aclose(self) -> None:
                raise ValueError("close")

        with pytest.raises(TransportClosed, match="the socket is closed"):
            await LinkTransport(Refusing).connect()

    async def test_nothing_is_sent_before_the_chain_is_entered(self) -> None:
        class Entering(MockLink):
            async def __aenter__(self) -> Self:
                began.set()
                await entered.wait()
                return self

        began, entered = asyncio.Event(), asyncio.Event()
        transport = LinkTransport(lambda: Entering([MockedResponse(result={"data": {"echo": "1"}})]))
        connecting = asyncio.create_task(transport.connect())
        await began.wait()

        with pytest.raises(TransportClosed, match="is not connected"):
            await transport.execute(echo(1))
        entered.set()
        await connecting

        assert {"echo": "1"} == (await transport.execute(echo(1))).data
        await transport.close()

    async def test_a_loop_that_has_ended_is_held_no_longer(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"echo": "1"}})])
        async with gql.Client(transport=LinkTransport(link)) as session:
            assert [{"echo": "1"}] == [result async for result in session.subscribe(echo(1))]
            gc.collect()

            assert [] == [thing for thing in gc.get_objects() if type(thing) is ObservableIterator]


class TestBatches:
    async def test_a_batch_is_one_request_where_the_chain_ends_with_a_batch_link(self) -> None:
        async with answering(echoes) as url:
            transport = LinkTransport(lambda: BatchHttpLink(url))
            async with gql.Client(transport=transport) as session:
                results = await session.execute_batch([echo(number) for number in range(5)])

        assert [{"value": str(number)} for number in range(5)] == results
        assert transport.response_headers is not None
        assert "5" == transport.response_headers["X-Requests"]

    async def test_the_context_says_what_came_as_a_batch(self) -> None:
        def is_batched(operation: Operation) -> bool:
            return BATCH in operation.get_context()

        async with answering(echoes) as url:
            transport = LinkTransport(lambda: split(is_batched, BatchHttpLink(url), HttpLink(url)))
            async with gql.Client(transport=transport) as session:
                seen = []
                for call in (session.execute_batch([echo(1)]), session.execute(echo(1))):
                    await call
                    seen.append(transport.response_headers["x-requests"])

        assert ["1", "alone"] == seen

    async def test_gqls_own_batching_goes_through_the_chain(self) -> None:
        async with answering(echoes) as url:
            transport = LinkTransport(lambda: BatchHttpLink(url))
            async with gql.Client(transport=transport, batch_interval=0.001) as session:
                results = await asyncio.gather(*(session.execute(echo(number)) for number in range(3)))

        assert [{"value": str(number)} for number in range(3)] == results
        assert "3" == transport.response_headers["x-requests"]

    async def test_side_by_side_the_first_failure_ends_the_others(self) -> None:
        waiting = Waiting()
        link = split(lambda operation: operation.variables["value"] == "1", MockLink(), waiting)
        async with gql.Client(transport=LinkTransport(link)) as session:
            with pytest.raises(InvariantError):
                await session.execute_batch([echo(0), echo(1), echo(2)])

        assert 0 == waiting.running

    async def test_a_batch_of_nothing_is_no_request(self) -> None:
        async with gql.Client(transport=LinkTransport(MockLink())) as session:
            assert [] == await session.execute_batch([])


class TestArguments:
    async def test_headers_and_context_are_for_one_call(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"echo": "1"}}, max_usage=6)])
        async with gql.Client(transport=LinkTransport(link)) as session:
            await session.execute(echo(1), extra_args={"headers": {"x-request": "7"}})
            await session.execute(
                echo(1),
                context={"headers": {"x-other": "8"}, "auth": "none"},
                extra_args={"headers": [("x-request", "9")]},
            )
            async for _ in session.subscribe(echo(1)):
                pass

            await session.execute(
                echo(1), context={"headers": {"X-Other": "8", "x-kept": "0"}}, extra_args={"headers": {"x-other": "9"}}
            )

            await session.execute(echo(1), extra_args={"headers": None})
            await session.execute(echo(1), extra_args={"headers": {}})

        contexts = [dict(operation.get_context()) for operation in link.operations]
        assert [
            {"headers": {"x-request": "7"}},
            {"headers": {"x-other": "8", "x-request": "9"}, "auth": "none"},
            {},
            {"headers": {"x-kept": "0", "x-other": "9"}},
            {},
            {"headers": {}},
        ] == contexts

    async def test_what_a_chain_would_not_do_is_refused(self) -> None:
        async with gql.Client(transport=LinkTransport(MockLink())) as session:
            with pytest.raises(InvariantError, match="`extra_args` holds ssl, timeout; "):
                await session.execute(echo(1), extra_args={"timeout": 3, "headers": {}, "ssl": False})
            with pytest.raises(InvariantError, match="`extra_args` holds 1, x; "):
                await session.execute(echo(1), extra_args={1: 2, "x": 3})  # pyright: ignore[reportArgumentType]
            with pytest.raises(TypeError):
                await session.execute(echo(1), retries=3)
        transport = LinkTransport(MockLink())
        await transport.connect()
        with pytest.raises(InvariantTypeError, match="the request is a str; give a GraphQLRequest of gql"):
            await transport.execute(ECHO)

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ({"extra_args": 5}, "`extra_args` is an int; give a mapping"),
            ({"extra_args": {"headers": "x"}}, "`headers` of `extra_args` is a str; give a mapping"),
            ({"extra_args": {"headers": 5}}, "`headers` of `extra_args` is an int; give a mapping"),
            ({"extra_args": {"allow_redirects": 0}}, "`allow_redirects` is 0; give True or False"),
            ({"context": 5}, "`context` is an int; give a mapping"),
            ({"context": 5, "extra_args": {"headers": {"a": "1"}}}, "`context` is an int; give a mapping"),
            ({"context": {"headers": 5}, "extra_args": {"headers": {"a": "1"}}}, "`headers` is an int; give a mapping"),
        ],
    )
    async def test_those_of_a_wrong_type_are_refused(self, arguments: dict[str, Any], reason: str) -> None:
        async with gql.Client(transport=LinkTransport(MockLink())) as session:
            for call in (session.execute, lambda request, **given: session.execute_batch([request], **given)):
                with pytest.raises(InvariantTypeError, match=reason):
                    await call(echo(1), **arguments)

    async def test_an_operation_is_chosen_by_its_name_and_has_its_extensions(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"b": 1}})])
        request = gql.GraphQLRequest("query A { a } query B { b }", operation_name="B", extensions={"key": 1})
        async with gql.Client(transport=LinkTransport(link)) as session:
            assert {"b": 1} == await session.execute(request)

        assert [("B", {"key": 1})] == [(one.operation_name, one.extensions) for one in link.operations]

    async def test_an_operation_without_a_name_takes_the_one_beside_it(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"a": 1}}, max_usage=2)])
        for name in ("Ask", "no name", None):
            request = gql.GraphQLRequest("query ($b: Int) { a(b: $b) }", operation_name=name)
            async with gql.Client(transport=LinkTransport(link)) as session:
                if name == "no name":
                    with pytest.raises(InvariantError, match="has no operation named 'no name'"):
                        await session.execute(request)
                else:
                    assert {"a": 1} == await session.execute(request)

        async with gql.Client(transport=LinkTransport(link)) as session:
            with pytest.raises(InvariantTypeError, match="`operation_name` is an int"):
                await session.execute(gql.GraphQLRequest("{ a }", operation_name=5))  # pyright: ignore[reportArgumentType]

        asked, unasked = link.operations
        assert ("Ask", None) == (asked.operation_name, unasked.operation_name)
        assert print_ast(parse("query Ask($b: Int) { a(b: $b) }")) == print_ast(asked.query)

    async def test_a_document_that_is_named_again_is_the_same(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"a": 1}}, max_usage=3)])
        document = gql.gql("{ a }").document
        async with gql.Client(transport=LinkTransport(link)) as session:
            for name in ("One", "One", "Two"):
                await session.execute(gql.GraphQLRequest(document, operation_name=name))

        first, again, other = (operation.query for operation in link.operations)
        assert first is again
        assert "query Two {\n  a\n}" == print_ast(other).strip()
        assert "{\n  a\n}" == print_ast(document).strip(), "the one that was given stays as it is"

    async def test_a_name_that_is_not_the_documents_is_refused(self) -> None:
        for document in ("query Own { a }", "{ a } query B { b }"):
            async with gql.Client(transport=LinkTransport(MockLink())) as session:
                with pytest.raises(InvariantError, match="the document has no operation named 'Other'"):
                    await session.execute(gql.GraphQLRequest(document, operation_name="Other"))

    @pytest.mark.parametrize("make", [HttpLink, BatchHttpLink])
    async def test_a_redirect_is_followed_or_is_an_error(self, make: Callable[[str], ApolloLink]) -> None:
        asked: list[str] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            asked.append(request.path_qs)
            if request.path_qs == "/":
                # Whatever its body says.
                raise web.HTTPTemporaryRedirect("/?there", text='{"data": {}}', content_type="application/json")
            results = {"data": {"echo": "1"}}
            return web.json_response([results] if make is BatchHttpLink else results)

        async with answering(answer) as url, make(url) as link, gql.Client(transport=LinkTransport(link)) as session:
            for arguments in (None, {"allow_redirects": True}):
                assert {"echo": "1"} == await session.execute(echo(1), extra_args=arguments)
            with pytest.raises(TransportProtocolError, match=r"status 307., which was not followed: `redirect` in"):
                await session.execute(echo(1), extra_args={"allow_redirects": False})

        assert ["/", "/?there", "/", "/?there", "/"] == asked

    async def test_other_options_for_fetch_stay_beside_redirects(self) -> None:
        link = MockLink([MockedResponse(result={"data": {"echo": "1"}})])
        options = {"fetch_options": {"method": "GET"}}
        async with gql.Client(transport=LinkTransport(link)) as session:
            await session.execute(echo(1), context=options, extra_args={"allow_redirects": False})

        (operation,) = link.operations
        assert {"fetch_options": {"method": "GET", "redirect": "error"}} == dict(operation.get_context())

    @pytest.mark.parametrize("link", ["http://localhost", None, HttpLink, 7])
    def test_what_is_no_chain_is_refused(self, link: Any) -> None:
        with pytest.raises(InvariantTypeError, match=r"`link` of LinkTransport is .*give a function without arguments"):
            LinkTransport(link)

    async def test_a_function_that_makes_no_chain_is_refused(self) -> None:
        async def make() -> ApolloLink:
            return MockLink()

        with pytest.raises(InvariantTypeError, match="is the coroutine function"):
            LinkTransport(make)
        with pytest.raises(InvariantTypeError, match=r"returned a str; return a chain"):
            await LinkTransport(lambda: "a chain").connect()

    def test_it_shows_its_chain_without_secrets(self) -> None:
        shown = repr(LinkTransport(HttpLink("http://ada:s3cret@localhost/graphql?token=s3cret")))

        assert shown.startswith("<LinkTransport <HttpLink http://")
        assert "s3cret" not in shown


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "kind", "words"),
        [
            ("{}", "application/json", 'No "data" or "errors" keys in answer: {}'),
            ('{"planted": 1}', "application/json", 'No "data" or "errors" keys in answer: {"planted": 1}'),
            ("planted", "application/json", "Not a JSON answer: planted"),
            ("planted", "text/html", "Unexpected content-type: text/html; charset=utf-8: Not a JSON answer: planted"),
            ("[1]", "application/json", "Server response was malformed for query 'Echo': [1]"),
        ],
    )
    async def test_that_are_no_graphql_are_quoted_where_asked(self, answer: str, kind: str, words: str) -> None:
        async def respond(_: web.Request) -> web.StreamResponse:
            return web.Response(text=answer, content_type=kind)

        async with answering(respond) as url, HttpLink(url) as link:
            async with gql.Client(transport=LinkTransport(link, quotes_answers=True)) as session:
                with pytest.raises(TransportProtocolError) as quoted:
                    await session.execute(echo(1))
            async with gql.Client(transport=LinkTransport(link)) as session:
                with pytest.raises(TransportProtocolError) as plain:
                    await session.execute(echo(1))

        assert f"Server did not return a valid GraphQL result: {words}" == str(quoted.value)
        assert quoted.value.__cause__ is not None
        assert answer == plain.value.__cause__.body_text
        assert "planted" not in str(plain.value)

    async def test_that_fail_otherwise_are_quoted_nowhere(self) -> None:
        async def respond(_: web.Request) -> web.StreamResponse:
            return web.Response(text="planted", status=500)

        async with answering(respond) as url, HttpLink(url) as link:
            async with gql.Client(transport=LinkTransport(link, quotes_answers=True)) as session:
                with pytest.raises(TransportServerError) as caught:
                    await session.execute(echo(1))

        assert "planted" not in str(caught.value)

    def test_are_quoted_by_a_switch(self) -> None:
        with pytest.raises(InvariantTypeError, match="`quotes_answers` is 'no'; give True or False"):
            LinkTransport(MockLink(), quotes_answers="no")  # pyright: ignore[reportArgumentType]

    async def test_errors_and_extensions_are_where_gql_looks_for_them(self) -> None:
        answer = {"data": {"echo": None}, "errors": [{"message": "no", "path": ["echo"]}], "extensions": {"cost": 1}}
        link = MockLink([MockedResponse(result=answer, max_usage=2)])
        async with gql.Client(transport=LinkTransport(link)) as session:
            with pytest.raises(TransportQueryError) as caught:
                await session.execute(echo(1))
            with pytest.raises(TransportQueryError):
                await anext(session.subscribe(echo(1)))

        error = caught.value
        assert (answer["errors"], answer["data"], answer["extensions"]) == (error.errors, error.data, error.extensions)

    async def test_a_graphql_response_is_one_whatever_its_status(self) -> None:
        async def refuse(request: web.Request) -> web.Response:
            return web.json_response({"errors": [{"message": "no such field"}]}, status=400)

        async with answering(refuse) as url:
            async with gql.Client(transport=LinkTransport(lambda: HttpLink(url))) as session:
                with pytest.raises(TransportQueryError) as caught:
                    await session.execute(echo(1))

        assert [{"message": "no such field"}] == caught.value.errors

    async def test_a_status_stands_in_the_error(self) -> None:
        async def refuse(request: web.Request) -> web.Response:
            return web.Response(status=503, text="s3cret", headers={"Retry-After": "7"})

        async with answering(refuse) as url:
            transport = LinkTransport(lambda: HttpLink(url))
            async with gql.Client(transport=transport) as session:
                with pytest.raises(TransportServerError, match=r"^503, message='Service Unavailable': ") as caught:
                    await session.execute(echo(1))

        assert 503 == caught.value.code
        assert "s3cret" not in str(caught.value)
        assert "7" == transport.response_headers["retry-after"]

    @pytest.mark.parametrize("results", [[{"data": {"echo": "1"}}], []], ids=["at a result", "at the end"])
    async def test_the_headers_are_known_as_soon_as_something_is(self, results: list[Any]) -> None:
        def answer(operation: Operation, forward: object) -> Observable[Any]:
            operation.set_context({"response": SimpleNamespace(headers={"x-answer": "7"})})
            return from_iterable(results).pipe(ops.concat(never())) if results else from_iterable([])

        transport = LinkTransport(ApolloLink(answer))
        async with gql.Client(transport=transport) as session:
            assert transport.response_headers is None
            stream = session.subscribe(echo(1))
            await anext(stream, None)
            assert {"x-answer": "7"} == transport.response_headers
            await stream.aclose()

    async def test_a_server_that_is_not_there_is_a_connection_that_failed(self) -> None:
        async with answering(echoes) as url:
            pass
        async with gql.Client(transport=LinkTransport(lambda: HttpLink(url))) as session:
            with pytest.raises(TransportConnectionFailed):
                await session.execute(echo(1))
            with pytest.raises(TransportConnectionFailed):
                await anext(session.subscribe(echo(1)))

    @pytest.mark.parametrize("status", [200, 700])
    async def test_an_answer_that_is_no_json_says_what_it_is(self, status: int) -> None:
        async def nonsense(request: web.Request) -> web.Response:
            return web.Response(status=status, text="nonsense")

        async with answering(nonsense) as url:
            async with gql.Client(transport=LinkTransport(lambda: HttpLink(url))) as session:
                with pytest.raises(TransportProtocolError if status == 200 else TransportServerError):
                    await session.execute(echo(1))

    async def test_a_result_without_data_and_errors_is_against_the_protocol(self) -> None:
        link = MockLink([MockedResponse(result={"extensions": {}}, max_usage=2)])
        async with gql.Client(transport=LinkTransport(link)) as session:
            with pytest.raises(TransportProtocolError, match="neither data nor errors"):
                await session.execute(echo(1))
            with pytest.raises(TransportProtocolError, match="neither data nor errors"):
                await anext(session.subscribe(echo(1)))

    @pytest.mark.parametrize("result", [None, ["data"], "data", 5])
    async def test_what_is_no_result_is_against_the_protocol(self, result: Any) -> None:
        async with gql.Client(transport=LinkTransport(ApolloLink(lambda *_: from_iterable([result])))) as session:
            with pytest.raises(TransportProtocolError, match="neither data nor errors"):
                await session.execute(echo(1))
            with pytest.raises(TransportProtocolError, match="neither data nor errors"):
                await anext(session.subscribe(echo(1)))

    async def test_an_operation_without_a_result_is_an_error(self) -> None:
        async with gql.Client(transport=LinkTransport(ApolloLink.empty())) as session:
            with pytest.raises(TransportQueryError, match="completed without a result"):
                await session.execute(echo(1))
            with pytest.raises(TransportQueryError, match="completed without a result"):
                await session.execute(gql.gql(TICKS))
            assert [] == [result async for result in session.subscribe(gql.gql(TICKS))]

    async def test_what_a_users_link_raises_stays_what_it_is(self) -> None:
        def refuse(operation: Operation, forward: object) -> Observable[Any]:
            raise LookupError("no tenant")

        async with gql.Client(transport=LinkTransport(from_([ApolloLink(refuse), MockLink()]))) as session:
            with pytest.raises(LookupError, match="no tenant"):
                await session.execute(echo(1))


def test_calls_without_asyncio_connect_and_close_each_time() -> None:
    made = []

    def make() -> ApolloLink:
        made.append(MockLink([MockedResponse(result={"data": {"echo": "1"}})]))
        return made[-1]

    client = gql.Client(transport=LinkTransport(make))

    assert {"echo": "1"} == client.execute(echo(1))
    assert [{"echo": "1"}] == client.execute_batch([echo(1)])
    assert [{"echo": "1"}] == list(client.subscribe(echo(1)))
    assert 3 == len(made)
