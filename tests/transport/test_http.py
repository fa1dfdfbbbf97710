"""HttpLink over a real loopback server: one operation from subscription to its end."""

import asyncio
from contextvars import ContextVar
from importlib.metadata import version

import aiohttp
import pytest
from aiohttp import web

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    ClientClosed,
    InvariantError,
    NetworkError,
    NetworkTimeout,
    ServerError,
)
from rxlink.links.context import SetContextLink
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport.http import HttpLink, HttpResponse
from tests.transport.scripted_server import (
    VIEWER,
    ScriptedServer,
    answer_in_chunks,
    answer_json,
    answer_never,
    drop_connection,
    scripted_server,
)

QUERY = GraphQLRequest("query Viewer { viewer { name } }")


class Spy:
    """An observer that notes what it gets and can be waited for."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.ended = asyncio.Event()

    def on_next(self, value: object) -> None:
        self.events.append(value)

    def on_error(self, error: Exception) -> None:
        self.events.append(error)
        self.ended.set()

    def on_completed(self) -> None:
        self.events.append("completed")
        self.ended.set()


def acquired_connections(session: aiohttp.ClientSession) -> int:
    return len(session.connector._acquired)


def pooled_connections(session: aiohttp.ClientSession) -> int:
    return sum(map(len, session.connector._conns.values()))


async def until(is_true) -> None:
    while not is_true():  # noqa: ASYNC110 - nothing there tells
        await asyncio.sleep(0)


class TestOneOperation:
    async def test_is_one_post_and_one_result(self, server: ScriptedServer):
        spy = Spy()

        async with HttpLink(server.uri) as link:
            execute(link, QUERY).subscribe(spy)
            await spy.ended.wait()

        assert [VIEWER, "completed"] == spy.events
        assert ["POST"] == [request.method for request in server.requests]
        assert {
            "operationName": "Viewer",
            "variables": {},
            "extensions": {"clientLibrary": {"name": "rxlink", "version": version("rxlink")}},
            "query": "query Viewer {\n  viewer {\n    name\n  }\n}",
        } == server.sent

    async def test_sends_nothing_before_it_is_subscribed_and_anew_each_time(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            results = execute(link, QUERY)
            assert [] == server.requests
            await results
            await results

        assert 2 == len(server.requests)

    async def test_leaves_graphql_errors_in_the_result(self, server: ScriptedServer):
        failed = {"data": None, "errors": [{"message": "no"}]}
        server.answer = answer_json(failed)

        async with HttpLink(server.uri) as link:
            assert failed == await execute(link, QUERY)

    async def test_puts_the_head_of_the_answer_into_the_context(self, server: ScriptedServer):
        server.answer = answer_json(VIEWER, x_trace="7", set_cookie="id=s3cret")
        operations = []

        def watch(operation, forward):
            operations.append(operation)
            return forward(operation)

        async with from_([ApolloLink(watch), HttpLink(server.uri)]) as link:
            await execute(link, QUERY)

        response = operations[0].get_context()["response"]
        assert isinstance(response, HttpResponse)
        assert (200, "7") == (response.status, response.headers["X-Trace"])
        assert "s3cret" not in repr(response)

    async def test_lets_who_watches_aiohttp_add_a_header_to_one_request(self, server: ScriptedServer, monkeypatch):
        request = aiohttp.ClientSession._request

        async def traced(self, *args, **options):  # as tracers do it
            options["headers"]["traceparent"] = "7"
            return await request(self, *args, **options)

        own = {"headers": {"x-tenant": "blue"}}
        operations = [GraphQLRequest(QUERY.query, context=context) for context in (None, None, own, own)]

        async with HttpLink(server.uri) as link:
            with monkeypatch.context() as watched:
                watched.setattr(aiohttp.ClientSession, "_request", traced)
                for operation in operations:
                    await execute(link, operation)
            for operation in operations:
                await execute(link, operation)

        assert ["7"] * 4 + [None] * 4 == [request.headers.get("traceparent") for request in server.requests]

    async def test_runs_beside_a_hundred_others_and_each_gets_its_own(self, server: ScriptedServer):
        async def echo(request: web.Request) -> web.StreamResponse:
            return web.json_response({"data": (await request.json())["variables"]})

        server.answer = echo
        query = "query Q($n: Int) { f(n: $n) }"

        async with HttpLink(server.uri) as link:
            operations = [execute(link, GraphQLRequest(query, {"n": n})) for n in range(100)]
            results = await asyncio.gather(*map(resolved, operations))

        assert [{"data": {"n": n}} for n in range(100)] == results

    async def test_completes_when_its_observer_raises_and_sends_no_network_error(self, server: ScriptedServer):
        events = []
        complaints = []
        completed = asyncio.Event()

        def fail(_: object) -> None:
            raise OSError("the consumer's own")

        def complete() -> None:
            events.append("completed")
            completed.set()

        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint))
        async with HttpLink(server.uri) as link:
            execute(link, QUERY).subscribe(fail, events.append, complete)
            await completed.wait()
            await until(lambda: complaints)
        loop.set_exception_handler(handler)

        assert ["completed"] == events
        assert ["the consumer's own"] == [str(complaint["exception"]) for complaint in complaints]

    async def test_gives_its_place_back_before_it_tells(self, server: ScriptedServer):
        below = Below()
        async with from_([below, HttpLink(server.uri)]) as link:
            await execute(link, QUERY)
            server.answer = answer_json({}, 500)
            with pytest.raises(ServerError):
                await execute(link, QUERY)

        assert ["on_next", "on_completed", "on_error"] == below.events

    async def test_lets_its_observer_start_the_next_one_from_on_next(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            both = execute(link, QUERY).flat_map(lambda _: execute(link, QUERY))
            assert VIEWER == await resolved(both)

        assert 2 == len(server.requests)

    async def test_shows_uri_function_and_observer_the_context_variables_of_its_subscriber(
        self, server: ScriptedServer
    ):
        tenant = ContextVar("tenant")
        seen = []

        def uri(_: object) -> str:
            seen.append(tenant.get())
            return server.uri

        async def run(link: HttpLink, name: str) -> None:
            tenant.set(name)
            spy = Spy()
            spy.on_next = lambda _: seen.append(tenant.get())
            execute(link, QUERY).subscribe(spy)
            await spy.ended.wait()

        async with HttpLink(uri) as link:
            await asyncio.gather(*(run(link, name) for name in "abc"))

        assert ["a", "a", "b", "b", "c", "c"] == sorted(seen)

    def test_needs_a_loop_and_says_so(self):
        errors = []

        execute(HttpLink("http://localhost/"), QUERY).subscribe(on_error=errors.append)

        assert [InvariantError] == list(map(type, errors))
        assert "no event loop" in str(errors[0])


class TestLeaving:
    async def test_while_connecting_stops_the_attempt(self):
        resolver = StuckResolver()
        connector = aiohttp.TCPConnector(resolver=resolver)
        spy = Spy()
        async with aiohttp.ClientSession(connector=connector) as session:
            link = HttpLink("http://graphql.test/", session=session)
            subscription = execute(link, QUERY).subscribe(spy)
            await resolver.asked.wait()

            subscription.dispose()

            await until(lambda: not link._sender.running[asyncio.get_running_loop()])
            assert 0 == acquired_connections(session)
            resolver.go_on.set()
        assert [] == spy.events

    async def test_while_the_head_is_awaited_aborts_the_request(self, server: ScriptedServer):
        server.answer = answer_never
        spy = Spy()
        async with aiohttp.ClientSession() as session:
            subscription = execute(HttpLink(server.uri, session=session), QUERY).subscribe(spy)
            await server.arrived.wait()

            subscription.dispose()

            await server.aborted.wait()
            assert (0, 0) == (acquired_connections(session), pooled_connections(session))
        assert [] == spy.events

    async def test_while_the_body_is_read_aborts_the_request(self, server: ScriptedServer):
        server.answer = answer_in_chunks(b'{"data":', then=asyncio.Event())
        spy = Spy()
        seen = []

        def watch(operation, forward):
            seen.append(operation)
            return forward(operation)

        async with aiohttp.ClientSession() as session:
            link = from_([ApolloLink(watch), HttpLink(server.uri, session=session)])
            subscription = execute(link, QUERY).subscribe(spy)
            await until(lambda: seen and "response" in seen[0].get_context())

            subscription.dispose()

            await server.aborted.wait()
            assert (0, 0) == (acquired_connections(session), pooled_connections(session))
        assert [] == spy.events

    async def test_by_cancelling_the_await_aborts_the_request(self, server: ScriptedServer):
        server.answer = answer_never
        async with HttpLink(server.uri) as link:
            waiting = asyncio.create_task(resolved(execute(link, QUERY)))
            await server.arrived.wait()

            waiting.cancel()

            await server.aborted.wait()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    async def test_before_anything_was_sent_sends_nothing(self, server: ScriptedServer):
        async with HttpLink(server.uri) as link:
            execute(link, QUERY).subscribe(Spy()).dispose()
            await execute(link, QUERY)

        assert 1 == len(server.requests)

    async def test_at_the_end_returns_the_connection_to_the_pool(self, server: ScriptedServer):
        async with aiohttp.ClientSession() as session:
            link = HttpLink(server.uri, session=session)
            await execute(link, QUERY)
            await execute(link, QUERY)

            assert (0, 1) == (acquired_connections(session), pooled_connections(session))


class TestTimeout:
    @virtual
    async def test_covers_the_wait_for_the_head(self, time: VirtualTime):
        async with scripted_server() as server, HttpLink(server.uri) as link:
            server.answer = answer_never

            with pytest.raises(NetworkTimeout, match=r"operation Viewer to .*30 s") as caught:
                await execute(link, QUERY)

            assert (30.0, 30.0, True) == (
                caught.value.seconds,
                time.monotonic(),
                caught.value.retryable,
            )
            await server.aborted.wait()

    @virtual
    async def test_covers_the_body_as_well(self, time: VirtualTime):
        async with scripted_server() as server, HttpLink(server.uri, timeout=5) as link:
            server.answer = answer_in_chunks(b"{", then=asyncio.Event())

            with pytest.raises(NetworkTimeout):
                await execute(link, QUERY)

            assert 5.0 == time.monotonic()
            await server.aborted.wait()

    @virtual
    async def test_of_none_waits_for_as_long_as_it_takes(self, time: VirtualTime):
        async def answer_tomorrow(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(86_400)
            return web.json_response(VIEWER)

        async with scripted_server() as server, HttpLink(server.uri, timeout=None) as link:
            server.answer = answer_tomorrow
            assert VIEWER == await execute(link, QUERY)

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
    def test_that_is_no_span_of_time_is_refused(self, timeout: float):
        with pytest.raises(InvariantError, match="timeout"):
            HttpLink("http://localhost/", timeout=timeout)


class TestClosing:
    async def test_ends_running_operations_and_later_ones(self, server: ScriptedServer):
        server.answer = answer_never
        link = HttpLink(server.uri)
        running, later = Spy(), Spy()
        execute(link, QUERY).subscribe(running)
        await server.arrived.wait()

        await link.aclose()
        await link.aclose()

        execute(link, QUERY).subscribe(later)
        assert [ClientClosed, ClientClosed] == [type(event) for event in running.events + later.events]

    async def test_ends_operations_that_still_connect(self):
        resolver = StuckResolver()
        connector = aiohttp.TCPConnector(resolver=resolver)
        async with aiohttp.ClientSession(connector=connector) as session:
            link = HttpLink("http://graphql.test/", session=session)
            spy = Spy()
            execute(link, QUERY).subscribe(spy)
            await resolver.asked.wait()

            await link.aclose()

            assert [ClientClosed] == list(map(type, spy.events))
            resolver.go_on.set()

    async def test_says_nothing_to_one_that_was_left_in_the_same_moment(self, server: ScriptedServer):
        server.answer = answer_never
        below = Below()
        chain = from_([below, HttpLink(server.uri)])
        subscription = execute(chain, QUERY).subscribe(Spy())
        await server.arrived.wait()

        closing = asyncio.create_task(chain.aclose())
        await asyncio.sleep(0)
        subscription.dispose()
        await closing

        assert [] == below.events

    async def test_leaves_a_given_session_open(self, server: ScriptedServer):
        async with aiohttp.ClientSession() as session:
            async with HttpLink(server.uri, session=session) as link:
                await execute(link, QUERY)

            assert not session.closed

    async def test_of_a_given_session_by_its_owner_is_told(self, server: ScriptedServer):
        session = aiohttp.ClientSession()
        await session.close()

        with pytest.raises(ClientClosed, match="given to HttpLink"):
            await execute(HttpLink(server.uri, session=session), QUERY)

    async def test_reaches_the_link_through_its_chain(self, server: ScriptedServer):
        chain = from_([SetContextLink(lambda *_: None), HttpLink(server.uri)])
        async with chain:
            await execute(chain, QUERY)

        with pytest.raises(ClientClosed):
            await execute(chain, QUERY)


class TestFailing:
    async def test_to_connect_is_a_network_error(self, unused_tcp_port: int):
        async with HttpLink(f"http://127.0.0.1:{unused_tcp_port}/graphql") as link:
            with pytest.raises(NetworkError, match=r"operation Viewer to .*/graphql") as caught:
                await execute(link, QUERY)

        assert isinstance(caught.value.__cause__, aiohttp.ClientConnectorError)
        assert caught.value.retryable

    async def test_connection_is_a_network_error(self, server: ScriptedServer):
        server.answer = drop_connection

        async with HttpLink(server.uri) as link:
            with pytest.raises(NetworkError, match="ServerDisconnectedError"):
                await execute(link, QUERY)

    async def test_setter_of_a_given_session_travels_as_it_is(self, server: ScriptedServer):
        async def refuse(*_: object) -> aiohttp.ClientResponse:
            raise LookupError("the middleware's own")

        async with aiohttp.ClientSession(middlewares=(refuse,)) as session:
            with pytest.raises(LookupError, match="the middleware's own"):
                await execute(HttpLink(server.uri, session=session), QUERY)

    async def test_by_a_timeout_that_is_not_the_links_is_a_network_error(self, server: ScriptedServer):
        async def give_up(*_: object) -> aiohttp.ClientResponse:
            raise TimeoutError

        async with aiohttp.ClientSession(middlewares=(give_up,)) as session:
            with pytest.raises(NetworkError, match="TimeoutError") as caught:
                await execute(HttpLink(server.uri, session=session), QUERY)

        assert not isinstance(caught.value, NetworkTimeout)


class TestRedirect:
    @pytest.mark.parametrize("size", [1, 2**21])
    async def test_307_sends_the_request_again(self, server: ScriptedServer, size: int):
        async def redirect(request: web.Request) -> web.StreamResponse:
            if request.path == "/graphql":
                return web.Response(status=307, headers={"location": "/other"})
            return web.json_response(VIEWER)

        server.answer = redirect
        request = GraphQLRequest("query Q($a: String) { f(a: $a) }", {"a": "x" * size})

        async with HttpLink(server.uri) as link:
            assert VIEWER == await execute(link, request)

        assert ["/graphql", "/other"] == [request.path for request in server.requests]
        assert server.bodies[0] == server.bodies[1]

    async def test_to_another_origin_leaves_the_authorization_behind(self, server: ScriptedServer):
        async with scripted_server() as other:

            async def redirect(_: web.Request) -> web.StreamResponse:
                return web.Response(status=308, headers={"location": other.uri})

            server.answer = redirect
            headers = {"authorization": "Bearer s3cret", "cookie": "id=s3cret"}
            async with HttpLink(server.uri, headers=headers) as link:
                assert VIEWER == await execute(link, QUERY)

            assert "s3cret" in str(server.headers)
            assert "s3cret" not in str(other.headers)

    async def test_in_circles_is_a_network_error_without_the_address(self, server: ScriptedServer):
        async def redirect(request: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"location": "/graphql?token=s3cret"})

        server.answer = redirect

        async with HttpLink(server.uri) as link:
            with pytest.raises(NetworkError, match="TooManyRedirects") as caught:
                await execute(link, QUERY)

        assert not caught.value.retryable
        assert caught.value.__cause__ is None


def test_serves_one_loop_after_another():
    link = None

    async def run() -> object:
        nonlocal link
        async with scripted_server() as server:
            link = link or HttpLink(lambda operation: operation.get_context()["address"])
            request = GraphQLRequest("{ a }", context={"address": server.uri})
            return await execute(link, request)

    assert [VIEWER, VIEWER] == [asyncio.run(run()), asyncio.run(run())]
    assert 1 == len(link._sender.running), "what belongs to a closed loop is forgotten"


async def test_a_session_that_keeps_cookies_is_refused_with_credentials_omit(server: ScriptedServer):
    omitting = GraphQLRequest("{ a }", context={"credentials": "omit"})
    async with aiohttp.ClientSession() as session:
        with pytest.raises(InvariantError, match="keeps cookies"):
            HttpLink(server.uri, session=session, credentials="omit")
        with pytest.raises(InvariantError, match="keeps cookies"):
            await execute(HttpLink(server.uri, session=session), omitting)

    assert [] == server.requests


def test_is_terminating():
    with pytest.raises(InvariantError, match="transport last"):
        from_([HttpLink("http://localhost/"), SetContextLink(lambda *_: None)])


class Below(ApolloLink):
    """A link that notes what comes from below, and that nothing is in the slot by then."""

    def __init__(self) -> None:
        super().__init__()
        self.events = []

    def connect(self, forward):
        def start(operation, observer, root) -> None:
            forward.connect(operation, Noting(self.events, observer, root), root)

        return start


class Noting:
    def __init__(self, events: list, observer, root) -> None:
        self.events = events
        self.observer = observer
        self.root = root

    def __getattr__(self, name: str):
        assert not self.root.is_busy
        self.events.append(name)
        return getattr(self.observer, name)


class StuckResolver(aiohttp.abc.AbstractResolver):
    """A name server that answers when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list:
        self.asked.set()
        await self.go_on.wait()
        return []

    async def close(self) -> None:
        pass


async def resolved(results):
    return await results
