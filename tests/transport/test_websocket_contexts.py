"""P11 over a shared socket: whatever it brings goes on in the context of the subscription that it is for."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.links.context import SetContextLink
from rxlink.links.retry import RetryLink
from rxlink.testing.virtual_time import virtual
from tests.recording import Recorder
from tests.transport.websocket_server import Connection
from tests.transport.websocket_stories import TICKS, Make, both, serving

USER: ContextVar[str] = ContextVar("USER", default="nobody")


USERS = ("ada", "bob", "eve")


class InContext(Recorder):
    """Writes down in whose context it is told of what."""

    def on_next(self, value: Any) -> None:
        self.seen.append((USER.get(), "next"))

    def on_error(self, error: Exception) -> None:
        self.seen.append((USER.get(), type(error).__name__))

    def on_completed(self) -> None:
        self.seen.append((USER.get(), "completed"))


def each_in_its_own(link: ApolloLink, request: GraphQLRequest = TICKS) -> list[InContext]:
    recorders = []
    for user in USERS:
        token = USER.set(user)
        recorders.append(InContext())
        recorders[-1].subscription = execute(link, request).subscribe(recorders[-1])
        USER.reset(token)
    return recorders


async def accepted(connection: Connection) -> list[str]:
    await connection.acknowledge()
    return [await connection.begin() for _ in USERS]


class TestInItsOwnContext:
    @both
    def test_comes_each_result_error_and_completion(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as link:
                recorders = each_in_its_own(link)
                connection = await server.connection()
                ada, bob, eve = await accepted(connection)
                for identity in (eve, ada, bob):
                    await connection.deliver(identity, ticks=1)
                await connection.send({"id": bob, "type": "error", "payload": [{"message": "no"}]})
                await connection.complete(eve)
                await connection.close(4500)
                await asyncio.sleep(0.01)

            assert [("ada", "next"), ("ada", "SocketClosed")] == recorders[0].seen
            assert [("bob", "next"), ("bob", "CombinedGraphQLErrors")] == recorders[1].seen
            assert [("eve", "next"), ("eve", "completed")] == recorders[2].seen

        test()

    @both
    @pytest.mark.parametrize("end", ["handshake", "params", "aclose", "violation", "silence"])
    def test_comes_what_ends_them_all(self, make: Make, end: str) -> None:
        @virtual
        async def test() -> None:
            options: dict[str, Any] = {"connection_params": lambda: 1 / 0} if end == "params" else {}
            async with serving(make) as server, make(server.url, retry_attempts=0, **options) as link:
                server.refusal = 500 if end == "handshake" else None
                recorders = each_in_its_own(link)
                if end in ("violation", "silence"):
                    connection = await server.connection()
                    await accepted(connection)
                    await connection.send("no JSON") if end == "violation" else connection.stall()
                    await asyncio.sleep(60)
                await link.aclose() if end == "aclose" else await asyncio.sleep(0.01)

            error = {"handshake": "ServerError", "params": "ZeroDivisionError", "aclose": "ClientClosed"}.get(
                end, "SocketClosed"
            )
            assert [[(user, error)] for user in USERS] == [recorder.seen for recorder in recorders]

        test()

    @both
    def test_go_on_after_a_reconnect_what_stands_above_and_below(self, make: Make) -> None:
        asked: list[str] = []

        def note(previous: Any, operation: Any) -> dict[str, Any]:
            asked.append(USER.get())
            return {}

        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_attempts=0) as socket_link:
                link = from_([RetryLink(), SetContextLink(note), socket_link])
                recorders = each_in_its_own(link)
                connection = await server.connection()
                await accepted(connection)
                await connection.close(4403)
                again = await server.connection()
                for identity in await accepted(again):
                    await again.deliver(identity, ticks=1)
                await asyncio.sleep(0.01)

            assert [[(user, "next")] for user in USERS] == [recorder.seen[:1] for recorder in recorders]
            assert list(USERS) * 2 == [*asked[:3], *sorted(asked[3:])]

        test()

    @both
    def test_go_on_results_after_a_reconnect_of_the_link(self, make: Make) -> None:
        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, retry_wait=lambda _: 1.0) as link:
                recorders = each_in_its_own(link)
                connection = await server.connection()
                await accepted(connection)
                connection.abort()
                again = await server.connection()
                for identity in await accepted(again):
                    await again.deliver(identity, ticks=1)
                await asyncio.sleep(0.01)

            assert [[(user, "next")] for user in USERS] == [recorder.seen[:1] for recorder in recorders]

        test()

    @both
    def test_come_results_after_a_new_token(self, make: Make) -> None:
        """E87: the same observables, on another socket."""

        @virtual
        async def test() -> None:
            session = AuthSession(
                refresh=lambda tokens, reason: TokenSet("two"), tokens=TokenSet("one", refresh_token="r")
            )
            async with serving(make) as server, session, make(server.url, auth=session, overlap=1.0) as link:
                server.answers_pings = True
                recorders = each_in_its_own(link)
                connection = await server.connection()
                await accepted(connection)
                USER.set("whoever brings the token")
                await session.refresh(force=True)
                again = await server.connection()
                for identity in await accepted(again):
                    await again.deliver(identity, ticks=1)
                await connection.closed()

            assert [[(user, "next")] for user in USERS] == [recorder.seen[:1] for recorder in recorders]

        test()

    @both
    def test_are_functions_of_the_link_called_in_nobodys(self, make: Make) -> None:
        """What opens the socket is asked for all that wait, so no subscriber's context is right."""
        called: list[tuple[str, str]] = []

        def noting(name: str, answer: Any) -> Any:
            def function(*_: object) -> Any:
                called.append((name, USER.get()))
                return answer() if callable(answer) else answer

            return function

        @virtual
        async def test() -> None:
            async with serving(make) as server:
                options = {
                    "url": noting("url", server.url),
                    "connection_params": noting("connection_params", dict),
                    "retry_wait": noting("retry_wait", 1.0),
                }
                async with make(**options) as link:
                    each_in_its_own(link)
                    connection = await server.connection()
                    await accepted(connection)
                    connection.abort()
                    await accepted(await server.connection())

        test()

        connecting = [("connection_params", "nobody"), ("url", "nobody")]
        assert [*connecting, ("retry_wait", "nobody"), *connecting] == called

    @both
    def test_is_an_id_generated_and_a_document_printed(self, make: Make) -> None:
        called: list[str] = []

        def generate_id(payload: Any) -> str:
            called.append(USER.get())
            return str(len(called))

        @virtual
        async def test() -> None:
            async with serving(make) as server, make(server.url, generate_id=generate_id) as link:
                each_in_its_own(link)
                connection = await server.connection()
                assert ["1", "2", "3"] == await accepted(connection)

        test()

        assert list(USERS) == called
