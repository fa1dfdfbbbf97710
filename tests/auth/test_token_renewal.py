"""Gets a new access token through an application's own callbacks, once for all who wait."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import reactivex
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable

from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.core.observables import from_future
from rxlink.errors import (
    InvariantError,
    InvariantTypeError,
    OperationCancelled,
    ServerError,
    SessionEnded,
    TokenRefreshError,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import good, never
from tests.auth.token_desk import Answer, Desk, later

SECRET = "planted-secret"


async def read_later(operation: Any, field: str) -> Any: ...


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"fetch_access_token": "/token"}, InvariantTypeError, "`fetch_access_token` is a str; give a function wi"),
            ({"fetch_access_token": lambda operation: ""}, InvariantTypeError, "other arguments; give a function with"),
            ({"handle_fetch": None}, InvariantTypeError, r"`handle_fetch` is None; give .* of \(token, operation\)$"),
            ({"handle_fetch": lambda token: None}, InvariantTypeError, "`handle_fetch` is .*, which takes other argum"),
            ({"handle_response": ""}, InvariantTypeError, "`handle_response` is a str; give a function of .*, or None"),
            ({"handle_response": lambda operation: None}, InvariantTypeError, r"\(operation, access_token_field\), or"),
            ({"handle_response": read_later}, InvariantTypeError, "`handle_response` is the coroutine function read_l"),
            ({"handle_error": 0}, InvariantTypeError, r"`handle_error` is 0; give .* of \(error, operation\), or None"),
            ({"handle_error": lambda error: None}, InvariantTypeError, "`handle_error` is .*, which takes other argum"),
            ({"access_token_field": None}, InvariantTypeError, "`access_token_field` is None; give the name of a f"),
            ({"access_token_field": 5}, InvariantTypeError, "`access_token_field` is an int; give the name of a field"),
            ({"scheduler": 5}, InvariantTypeError, "`scheduler` is 5; give a scheduler of RxPY, or None"),
            ({"scheduler": asyncio}, InvariantTypeError, "`scheduler` is a module; give a scheduler of RxPY"),
            ({"access_token_field": ""}, InvariantError, "`access_token_field` is ''; give the name"),
            ({"refresh_timeout": 0}, InvariantError, "`refresh_timeout` is 0; give more than 0 seconds"),
            ({"refresh_timeout": -1.5}, InvariantError, "`refresh_timeout` is -1.5"),
            ({"refresh_timeout": "30"}, InvariantTypeError, "`refresh_timeout` is .30.; give seconds"),
        ],
    )
    def test_that_cannot_work_are_refused_at_once(self, options: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            Desk(**options)

    def test_that_are_needed_must_be_given(self) -> None:
        make: Any = TokenRefreshLink

        with pytest.raises(TypeError, match="fetch_access_token"):
            make(is_token_valid_or_undefined=bool, handle_fetch=print)


class TestFetching:
    @pytest.mark.parametrize(
        "fetch",
        [
            lambda: {"access_token": "A1"},
            lambda: "A1",
            later({"access_token": "A1"}),
            later("A1"),
            lambda: from_future(later("A1")),
            lambda: reactivex.of("A5", {"data": {"access_token": "A1"}}),
            lambda: Answer(200, '{"access_token": "A1"}'),
            later(Answer(200, '{"access_token": "A1"}')),
            lambda: asyncio.ensure_future(later("A1")()),
        ],
    )
    @virtual
    async def test_returns_what_it_likes(self, fetch: Any) -> None:
        desk = Desk(fetch_access_token=fetch)

        result = await desk.run()

        assert (good()[0], [("A1", "Q")]) == (result, desk.stored)

    @pytest.mark.parametrize("nothing", [None, "", {}, reactivex.empty()])
    @virtual
    async def test_that_returns_nothing_is_a_clear_error(self, nothing: Any) -> None:
        """S21."""
        desk = Desk(fetch_access_token=lambda: nothing)

        with pytest.raises(TokenRefreshError, match=r"operation Q: the answer to the token refresh.*no 'access_token'"):
            await desk.run()

        assert ([], "A0") == (desk.server.sends, desk.token)

    @virtual
    async def test_may_name_the_field_and_read_for_itself(self) -> None:
        asked = []

        def handle_response(operation: Any, field: str) -> Any:
            asked.append((operation.operation_name, field))
            return lambda answer: later({field: answer["auth"]})()

        desk = Desk({"auth": "A1"}, handle_response=handle_response, access_token_field="jwt")

        await desk.run()

        assert ([("Q", "jwt")], [("A1", "Q")]) == (asked, desk.stored)

    @virtual
    async def test_a_reader_that_returns_no_function_is_named(self) -> None:
        def handle_response(operation: Any, field: str) -> Any:
            return {field: "A1"}

        desk = Desk(handle_response=handle_response)

        with pytest.raises(TokenRefreshError) as raised:
            await desk.run()

        assert "handle_response returned a dict; `handle_response` returns a function" in str(desk.errors[0][0])
        assert raised.value.__cause__ is not None

    async def test_may_hand_over_the_request_of_aiohttp_itself(self) -> None:
        async def issue(_: web.Request) -> web.Response:
            return web.json_response({"access_token": "A1"})

        app = web.Application()
        app.router.add_post("/token", issue)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            desk = Desk(fetch_access_token=lambda: session.post(server.make_url("/token")))

            result = await desk.run()

        assert (good()[0], [("A1", "Q")]) == (result, desk.stored)


class TestStoring:
    @pytest.mark.parametrize("is_observable", [False, True])
    @virtual
    async def test_is_awaited_before_anyone_goes_on(self, is_observable: bool, time: VirtualTime) -> None:
        """S05, S20, E70."""

        async def save(token: str, operation: Any) -> None:
            await asyncio.sleep(2)
            desk.token = token

        def as_observable(token: str, operation: Any) -> Observable[None]:
            return from_future(lambda: save(token, operation)).ignore_elements()

        desk = Desk(handle_fetch=as_observable if is_observable else save)
        recorders = desk.start_many(3)

        await asyncio.sleep(5)

        assert [good(f"Q{number}") for number in range(3)] == [recorder.seen for recorder in recorders]
        assert [(3.0, "Bearer A1")] * 3 == [(send.time, send.token) for send in desk.server.sends]

    @pytest.mark.parametrize("failing", [later(OSError("disk full")), lambda *_: (_ for _ in ()).throw(OSError())])
    @virtual
    async def test_that_fails_fails_the_refresh(self, failing: Any) -> None:
        desk = Desk(handle_fetch=failing)

        with pytest.raises(TokenRefreshError) as raised:
            await desk.run()

        assert (OSError, []) == (type(desk.errors[0][0]), desk.server.sends)
        assert raised.value.retryable


class TestFailures:
    @virtual
    async def test_reach_the_application_first_and_then_each_who_waits_with_an_error_of_its_own(self) -> None:
        """S10, E14, E24."""
        cause = OSError("offline")
        order: list[Any] = []
        desk = Desk(cause, handle_error=lambda error, operation: order.append((error, operation.operation_name)))
        for name in ("a", "b", "c"):
            desk.run(name).subscribe(on_error=order.append)

        await asyncio.sleep(2)

        assert (cause, "a") == order[0]
        assert [TokenRefreshError] * 3 == list(map(type, order[1:]))
        assert ["a", "b", "c"] == [error.operation_name for error in order[1:]]
        assert 4 == len({id(error) for error in [order[0][0], *order[1:]]})
        assert all(error.__cause__ is not None and error.retryable for error in order[1:])
        assert (1, []) == (desk.fetches, desk.server.sends)

    @virtual
    async def test_do_not_last(self) -> None:
        desk = Desk(OSError("offline"))
        first = desk.start("a")
        await asyncio.sleep(2)

        second = desk.start("b")
        await asyncio.sleep(2)

        assert ([TokenRefreshError], good("b"), 2) == (list(map(type, first.seen)), second.seen, desk.fetches)

    @pytest.mark.parametrize("fetch", [lambda: {}["token"], None, lambda: Answer(401, '{"error": "invalid_grant"}')])
    @virtual
    async def test_that_nobody_handles_are_silent_but_for_the_operations(
        self, fetch: Any, capsys: Any, time: VirtualTime
    ) -> None:
        complaints: list[Any] = []
        time.loop.set_exception_handler(lambda _, told: complaints.append(told))
        desk = Desk(fetch_access_token=fetch or later(ValueError("x")), handle_error=None)

        with pytest.raises(TokenRefreshError) as raised:
            await desk.run()

        assert (("", ""), [], False) == (capsys.readouterr(), complaints, raised.value.retryable)

    @virtual
    async def test_hand_over_the_servers_answer(self) -> None:
        desk = Desk(Answer(401, '{"error": "invalid_grant"}'))

        with pytest.raises(TokenRefreshError):
            await desk.run()

        [(error, name)] = desk.errors
        assert isinstance(error, ServerError)
        assert (401, {"error": "invalid_grant"}, "Q") == (error.status_code, error.result, name)

    @virtual
    async def test_of_auth_stay_what_they_are(self) -> None:
        ended = SessionEnded("refresh token rejected")
        ended.__cause__ = OSError("invalid_grant")
        desk = Desk(ended)

        with pytest.raises(SessionEnded, match="operation Q: the session has ended"):
            await desk.run()

        assert [(ended, "Q")] == desk.errors

    @virtual
    async def test_quote_no_secret(self) -> None:
        """P7."""
        desk = Desk(ValueError(f"refused: {SECRET}"))
        recorder = desk.start()
        await asyncio.sleep(2)

        assert SECRET not in f"{recorder.seen[0]}{recorder.seen[0]!r}{recorder.seen[0].args}"

    @virtual
    async def test_from_outside_end_the_operations(self) -> None:
        """E49."""
        before = asyncio.all_tasks()
        desk = Desk(never)
        recorder = desk.start()
        await asyncio.sleep(2)
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await asyncio.sleep(1)

        assert [TokenRefreshError] == list(map(type, recorder.seen))
        assert [OperationCancelled] == [type(error) for error, _ in desk.errors]
