"""GraphQLWsLink and WebSocketLink: what the functions among their options return is checked when it is needed."""

import asyncio
import gc
import threading
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
import reactivex

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import ClientClosed, InvariantError, InvariantTypeError, SerializationError
from rxlink.testing.virtual_time import virtual
from rxlink.transport.websocket import GraphQLWsLink
from tests.recording import subscribed
from tests.transport.websocket_server import ScriptedWebSocketServer
from tests.transport.websocket_stories import TICKS, Make, both, serving

MAPPING = "give a mapping that JSON can carry, or None"


async def later(*_: object) -> str:
    return ""


async def ended(make: Make, request: GraphQLRequest = TICKS, **options: Any) -> Exception:
    """Run an operation on a link whose functions return something odd; return with what it ended."""
    async with serving(make) as server, make(**{"url": server.url, **options}) as link:
        recorder = subscribed(execute(link, request))
        await asyncio.sleep(0.01)
        (error,) = recorder.seen
        assert [] == server.connections or server.connections[0].is_closed
    gc.collect()  # a warning "was never awaited" would fail the test
    return error


class TestWhatFunctionsReturn:
    @both
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"url": lambda: 5}, "what `url` of LINK returned is an int; give a ws(s) address as text"),
            ({"url": lambda: "http://a/"}, "what `url` of LINK returned is 'http://a/'; give an absolute address that"),
            ({"url": lambda: None}, "what `url` of LINK returned is None; give a ws(s) address as text"),
            ({"connection_params": lambda: "s3cret"}, f"what `connection_params` of LINK returned is a str; {MAPPING}"),
            (
                {"connection_params": lambda: [("a", 1)]},
                f"what `connection_params` of LINK returned is a list; {MAPPING}",
            ),
            (
                {"connection_params": lambda: reactivex.of(5)},
                f"what `connection_params` of LINK returned is an int; {MAPPING}",
            ),
            (
                {"connection_params": lambda: {"at": object()}},
                "connection_params.at of LINK is a object, which JSON cannot carry; convert it to text, a number, a",
            ),
            (
                {"connection_params": reactivex.empty},
                "what `connection_params` of LINK returned ended without a value; let it send one",
            ),
            ({"url": reactivex.empty}, "what `url` of LINK returned ended without a value; let it send one"),
            (
                {"connection_params": {"s": ["s3cret", {5}]}},
                "connection_params.s[1] of LINK is a set, which JSON cannot car",
            ),
            (
                {"connection_params": {"a": float("nan")}},
                "connection_params.a of LINK is a float that is not finite, which",
            ),
            (
                {"generate_id": lambda payload: 5},
                "`generate_id` returned an int for <Operation subscription Ticks>; let it",
            ),
            (
                {"generate_id": lambda payload: later()},
                "`generate_id` returned a coroutine for <Operation subscription",
            ),
            (
                {"generate_id": lambda payload: ""},
                "`generate_id` returned no text for <Operation subscription Ticks>; let it",
            ),
            ({"print": lambda *_: later()}, "`print` of LINK returned a coroutine instead of GraphQL text"),
            ({"encode": lambda body: None}, "`encode` of LINK returned None; return JSON as bytes or text"),
        ],
    )
    def test_is_checked_when_it_is_needed(self, make: Make, options: dict[str, Any], message: str) -> None:
        @virtual
        async def test() -> None:
            error = await ended(make, **options)

            assert isinstance(error, InvariantError)
            assert message.replace("LINK", make.__name__) in str(error)
            assert "s3cret" not in str(error)

        test()

    @both
    @pytest.mark.parametrize(
        ("wait", "message"),
        [("5", "`retry_wait` is '5'; give seconds or a timedelta"), (-1, "`retry_wait` is -1; give 0")],
    )
    def test_is_checked_before_another_try(self, make: Make, wait: object, message: str) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server:
                url = server.url
            error = await ended(make, url=url, retry_wait=lambda retries: wait)

            assert isinstance(error, InvariantError)
            assert message in str(error)

        test()

    @both
    def test_of_auth_params_is_checked(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet("s3cret"))
            async with session:
                error = await ended(make, auth=session, auth_params=lambda token: token)

            assert isinstance(error, InvariantTypeError)
            assert "`auth_params` returned a str; let it return a mapping" == str(error)

        test()

    @both
    def test_of_connection_params_may_hold_a_coroutine_by_mistake(self, make: Make) -> None:
        token = later()

        @virtual
        async def test() -> None:
            error = await ended(make, connection_params=lambda: {"token": token})

            message = f"connection_params.token of {make.__name__} is a coroutine, which JSON cannot carry; await it"
            assert message == str(error)

        test()
        token.close()

    @both
    def test_of_connection_params_may_come_from_another_thread(self, make: Make) -> None:
        def block() -> dict[str, Any]:
            return {"blocks": threading.current_thread() is threading.main_thread()}

        async def test() -> None:
            params = lambda: asyncio.to_thread(block)  # noqa: E731 - the line of the guide
            async with serving(make) as server, make(server.url, connection_params=params) as link:
                subscribed(execute(link, TICKS))
                connection = await server.connection()
                message = await connection.acknowledge()

            assert {"blocks": False} == message["payload"]

        asyncio.run(test())

    @both
    def test_may_be_nested_too_deeply(self, make: Make) -> None:
        deep: dict[str, Any] = {}
        for _ in range(100_000):
            deep = {"a": deep}

        @virtual
        async def test() -> None:
            error = await ended(make, connection_params=deep)

            assert isinstance(error, InvariantTypeError)
            assert "connection_params of" in str(error)
            assert "nested too deeply" in str(error)

        test()

    @both
    def test_may_raise(self, make: Make) -> None:
        class Broken(Exception):
            pass

        def fail(*_: object) -> Any:
            raise Broken

        async def fail_later(*_: object) -> Any:
            raise Broken

        @virtual
        async def test() -> None:
            for name in ("url", "connection_params", "generate_id", "print"):
                assert isinstance(await ended(make, **{name: fail}), Broken), name
            for name in ("url", "connection_params"):
                assert isinstance(await ended(make, **{name: fail_later}), Broken), name
            assert isinstance(await ended(make, connection_params=lambda: reactivex.throw(Broken())), Broken)
            assert isinstance(await ended(make, encode=fail), SerializationError)

        test()

    @both
    def test_ends_the_operation_whose_id_is_taken_and_no_other(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, generate_id=lambda payload: "1") as link:
                first, second = subscribed(execute(link, TICKS)), subscribed(execute(link, TICKS))
                connection = await server.connection()
                await connection.acknowledge()
                assert "1" == await connection.begin()
                await connection.complete("1")
                await connection.closed()
                assert "1" == (await again(server, link))

            (error,) = second.seen
            assert isinstance(error, InvariantError)
            taken = "`generate_id` returned '1' for <Operation subscription Ticks>, while another one runs with it"
            assert taken == str(error)
            assert ["completed"] == first.seen

        async def again(server: ScriptedWebSocketServer, link: GraphQLWsLink) -> str:
            subscribed(execute(link, TICKS))
            connection = await server.connection()
            await connection.acknowledge()
            return await connection.begin()

        test()

    def test_of_generate_id_is_made_of_what_is_sent(self) -> None:
        def identity_of(payload: Mapping[str, Any]) -> str:
            return f"{payload['operationName']} {payload['variables']}"

        @virtual
        async def test() -> None:
            request = GraphQLRequest("query Q($a: Int) { f(a: $a) }", {"a": 1})
            async with ScriptedWebSocketServer() as server, GraphQLWsLink(server.url, generate_id=identity_of) as link:
                subscribed(execute(link, request))
                connection = await server.connection()
                await connection.acknowledge()

                assert "Q {'a': 1}" == await connection.begin()

        test()


class TestAGivenSession:
    @both
    def test_stays_open(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, aiohttp.ClientSession(headers={"X-From": "it"}) as session:
                async with make(server.url, session=session) as link:
                    subscribed(execute(link, TICKS))
                    handshake = await server.handshake()
                assert not session.closed

            assert "it" == handshake.headers["X-From"]

        test()

    @both
    def test_that_is_closed_is_named(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with aiohttp.ClientSession() as session:
                pass
            error = await ended(make, session=session)

            assert isinstance(error, ClientClosed)
            assert f"the aiohttp session given to {make.__name__} is closed" in str(error)

        test()
