"""Which session sends a request, and when it is closed."""

import asyncio

import aiohttp
import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport._sessions import Credentials, OwnSessions
from rxlink.transport.http import HttpLink
from tests.transport.scripted_server import VIEWER, ScriptedServer

QUERY = GraphQLRequest("{ a }")


async def _get(sessions: OwnSessions, credentials: Credentials | None) -> aiohttp.ClientSession:
    """Get a session as a request does."""
    return sessions.opened(credentials) or await sessions.open(credentials)


async def test_is_opened_once_for_all():
    sessions = OwnSessions()

    opened = await asyncio.gather(*(_get(sessions, None) for _ in range(10)))

    assert 1 == len(set(map(id, opened)))
    await sessions.aclose()
    assert opened[0].closed


async def test_differs_by_whether_cookies_are_kept():
    sessions = OwnSessions()

    words = [None, "omit", "include", "same-origin"]
    opened = [await _get(sessions, word) for word in words]

    assert opened[0] is opened[1]
    assert opened[2] is opened[3]
    assert opened[0] is not opened[2]
    await sessions.aclose()
    assert all(session.closed for session in opened)


async def test_of_answers_without_an_end_has_as_many_connections_as_it_takes():
    sessions = OwnSessions()

    kinds = [("include", False), ("include", True), (None, True), ("include", True)]
    opened = [sessions.opened(*kind) or await sessions.open(*kind) for kind in kinds]

    assert [100, 0, 0, 0] == [session.connector.limit for session in opened]
    assert opened[1] is opened[3]
    assert opened[0].cookie_jar is opened[1].cookie_jar
    assert opened[1].cookie_jar is not opened[2].cookie_jar
    await sessions.aclose()
    assert all(session.closed for session in opened)


async def test_is_opened_anew_after_somebody_closed_it():
    sessions = OwnSessions()
    first = await _get(sessions, None)
    await first.close()

    second = await _get(sessions, None)

    assert not second.closed
    await sessions.aclose()


def test_closes_with_its_loop_and_the_next_loop_gets_another():
    sessions = OwnSessions()

    async def get() -> aiohttp.ClientSession:
        return await _get(sessions, None)

    first = asyncio.run(get())
    assert first.closed
    second = asyncio.run(get())
    assert second.closed
    assert first is not second
    assert 1 == len(sessions._open), "what belongs to a closed loop is forgotten"


def test_closes_with_its_loop_when_the_link_is_forgotten_before():
    async def get() -> aiohttp.ClientSession:
        return await _get(OwnSessions(), None)

    assert asyncio.run(get()).closed


class TestGivenSession:
    async def test_sends_its_own_headers_under_the_links(self, server: ScriptedServer):
        headers = {"x-one": "1", "x-two": "2"}
        async with aiohttp.ClientSession(headers=headers) as session:
            link = HttpLink(server.uri, headers={"x-two": "3"}, session=session)
            await execute(link, QUERY)

        assert ("1", "3") == (server.headers["x-one"], server.headers["x-two"])

    async def test_does_not_impose_its_timeout(self, server: ScriptedServer):
        impatient = aiohttp.ClientTimeout(total=1e-9)
        async with aiohttp.ClientSession(timeout=impatient) as session:
            assert VIEWER == await execute(HttpLink(server.uri, session=session), QUERY)

    async def test_sends_its_cookies(self, server: ScriptedServer):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookies={"id": "7"}, cookie_jar=jar) as session:
            await execute(HttpLink(server.uri, session=session), QUERY)

        assert "id=7" == server.requests[0].headers["cookie"]

    async def test_that_keeps_cookies_cannot_omit_them(self, server: ScriptedServer):
        omitting = GraphQLRequest("{ a }", context={"credentials": "omit"})
        async with aiohttp.ClientSession() as session:
            with pytest.raises(InvariantError, match="DummyCookieJar"):
                HttpLink(server.uri, session=session, credentials="omit")
            with pytest.raises(InvariantError, match="DummyCookieJar"):
                await execute(HttpLink(server.uri, session=session), omitting)

        assert [] == server.requests

    async def test_without_a_jar_can(self, server: ScriptedServer):
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            link = HttpLink(server.uri, session=session, credentials="omit")
            assert VIEWER == await execute(link, QUERY)

    def test_is_a_session_of_aiohttp(self):
        with pytest.raises(InvariantTypeError, match="`session` of HttpLink is a dict"):
            HttpLink("http://localhost/", session={})
