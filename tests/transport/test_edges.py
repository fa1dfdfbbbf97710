"""HttpLink where things end at an awkward moment: before the first step, in no task at all, in a loop that is gone."""

import asyncio
import gc
import sys
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
import reactivex
from reactivex import operators as ops

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import (
    ClientClosed,
    InvariantTypeError,
    ResponseTooLarge,
    RxlinkError,
    SerializationError,
    ServerError,
    UploadError,
)
from rxlink.links.error import ErrorLink
from rxlink.transport._headers import KNOWN_NAMES, with_headers
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.upload import Upload
from tests.recording import Recorder
from tests.transport.scripted_server import (
    VIEWER,
    ScriptedServer,
    answer_in_chunks,
    answer_json,
    answer_never,
    answer_text,
    scripted_server,
)

QUERY = GraphQLRequest("query Viewer { viewer { name } }")
REFUSED = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}


def is_ours(coroutine) -> bool:
    """Tell whether it is the coroutine of a request."""
    return Path(coroutine.cr_code.co_filename).parts[-3:-1] == ("rxlink", "transport")


class TestClosing:
    async def test_before_the_first_step_sends_nothing(self, server: ScriptedServer):
        recorder = Recorder()
        link = HttpLink(server.uri)

        execute(link, QUERY).subscribe(recorder)
        await link.aclose()
        await asyncio.sleep(0.01)

        assert [ClientClosed] == [type(seen) for seen in recorder.seen]
        assert [] == server.requests


class TestATaskThatCannotStart:
    async def test_ends_the_operation_with_the_error_also_after_a_refresh(self, server: ScriptedServer):
        is_armed = False

        def factory(loop, coroutine, **options):
            if is_armed and is_ours(coroutine):
                raise RuntimeError("no more tasks")
            return asyncio.Task(coroutine, loop=loop, **options)

        def refresh(tokens, reason):
            nonlocal is_armed
            is_armed = True
            return TokenSet("new")

        server.answer = answer_json(REFUSED)
        asyncio.get_running_loop().set_task_factory(factory)
        session = AuthSession(refresh=refresh, tokens=TokenSet("old"))

        async with session, from_([AuthLink(session), HttpLink(server.uri)]) as link:
            with pytest.raises(RuntimeError, match="no more tasks"):
                await asyncio.wait_for(execute(link, QUERY), 5)

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
    async def test_an_eager_one_that_fails_at_once_can_be_answered(self, server: ScriptedServer):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        session = aiohttp.ClientSession()
        await session.close()
        async with HttpLink(server.uri) as other:
            link = from_([ErrorLink(lambda _: execute(other, QUERY)), HttpLink(server.uri, session=session)])

            assert "data" in await execute(link, QUERY)


class TestAnExit:
    async def test_of_a_callback_is_not_reported_as_an_error(self):
        program = """if True:
            import asyncio, sys
            from rxlink import GraphQLRequest, HttpLink, execute
            from rxlink.testing import AuthServer

            async def main():
                async with AuthServer() as server, HttpLink(server.url) as link:
                    execute(link, GraphQLRequest("{ public }")).subscribe(lambda _: sys.exit(7))
                    await asyncio.sleep(60)

            asyncio.run(main())
        """

        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

        assert ((b"", b""), 7) == (await process.communicate(), process.returncode)

    async def test_while_a_request_that_took_too_long_ends_is_passed_on(self, server: ScriptedServer):
        server.answer = answer_never

        class Exit(BaseException):
            pass

        async def leave(request, handler):
            try:
                return await handler(request)
            except asyncio.CancelledError:
                raise Exit from None

        recorder = Recorder()
        async with aiohttp.ClientSession(middlewares=[leave]) as session:
            execute(HttpLink(server.uri, session=session, timeout=0.01), QUERY).subscribe(recorder)
            (task,) = [task for task in asyncio.all_tasks() if is_ours(task.get_coro())]
            with pytest.raises(Exit):
                await task

        assert [Exit] == [type(error.__cause__) for error in recorder.seen]


def test_a_request_that_a_loop_left_behind_is_collected_in_silence() -> None:
    recorder = Recorder()
    loop = asyncio.new_event_loop()

    async def begin() -> None:
        async with scripted_server() as server:
            server.answer = answer_never
            session = aiohttp.ClientSession()
            execute(HttpLink(server.uri, session=session), QUERY).subscribe(recorder)
            await server.arrived.wait()
            (task,) = [task for task in asyncio.all_tasks() if is_ours(task.get_coro())]
            coroutine = task.get_coro()
            loop.call_soon(loop.stop)
            kept.append((coroutine, session))
            await asyncio.sleep(0)

    kept: list = []
    main = loop.create_task(begin())
    loop.run_forever()
    (coroutine, session), *_ = kept
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False
    loop.run_until_complete(session.close())
    main.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(main)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    before = list(recorder.seen)
    coroutine.close()
    gc.collect()

    assert before == recorder.seen


class TestAnswers:
    @pytest.mark.parametrize("comes_with_its_head", [True, False])
    async def test_in_parts_to_a_batch_are_refused_however_they_arrive(
        self, server: ScriptedServer, comes_with_its_head: bool
    ):
        content_type = "multipart/mixed; boundary=-"
        body = b'{"data": {"a": 1}}'
        whole = answer_text(body, content_type=content_type)
        server.answer = whole if comes_with_its_head else answer_in_chunks(body, content_type=content_type)

        async with BatchHttpLink(server.uri, batch_max=1) as link:
            with pytest.raises(ServerError, match=r"to http://.* was answered in parts"):
                await execute(link, QUERY)

    async def test_may_have_any_size_where_there_is_no_limit(self, server: ScriptedServer):
        async with HttpLink(server.uri, max_response_size=None) as link:
            assert VIEWER == await execute(link, QUERY)

    async def test_that_come_with_their_head_are_held_to_the_limit_too(self, server: ScriptedServer):
        async with HttpLink(server.uri, max_response_size=9) as link:
            with pytest.raises(ResponseTooLarge, match="longer than 9 bytes"):
                await execute(link, QUERY)

    async def test_are_read_in_the_charset_parameter_not_in_one_that_ends_like_it(self, server: ScriptedServer):
        content_type = "application/json; charset=latin-1; x-charset=utf-8"
        server.answer = answer_text('{"data": {"a": "é"}}'.encode("latin-1"), content_type=content_type)

        async with HttpLink(server.uri) as link:
            assert {"data": {"a": "é"}} == await execute(link, QUERY)


class TestHeaders:
    def test_a_text_with_a_lower_of_its_own_changes_nobody_elses(self):
        class Name(str):
            __slots__ = ()

            def lower(self) -> str:
                return "x-other"

        with_headers({}, {Name("X-Tenant"): "1"}, "the context")

        assert {"x-tenant": "blue"} == with_headers({}, {"X-Tenant": "blue"}, "the context")

    def test_what_equals_a_known_name_is_no_name(self):
        class Like:
            def __hash__(self) -> int:
                return hash("X-Known")

            def __eq__(self, other: object) -> bool:
                return other == "X-Known"

        with_headers({}, {"X-Known": "1"}, "the context")

        for _ in range(2):
            with pytest.raises(InvariantTypeError, match="names and values of headers are text"):
                with_headers({}, {Like(): "1"}, "the context")

    def test_more_names_than_are_remembered_are_as_good(self):
        for number in range(2 * KNOWN_NAMES + 1):
            assert {f"x-{number}": "1"} == with_headers({}, {f"X-{number}": "1"}, "the context")


async def test_a_query_replaced_by_text_is_printed_by_ones_own_printer(server: ScriptedServer):
    def replace(operation, forward):
        operation.query = "{ mine }"
        return forward(operation)

    async with from_([ApolloLink(replace), HttpLink(server.uri, print=lambda query, _: str(query))]) as link:
        await execute(link, QUERY)

    assert "{ mine }" == server.sent["query"]


async def test_variables_that_are_no_json_stay_an_error(server: ScriptedServer):
    async with HttpLink(server.uri) as link:
        with pytest.raises(SerializationError):
            await execute(link, GraphQLRequest("query($a: String) { b(a: $a) }", {"a": object()}))


async def test_a_file_that_is_closed_is_an_upload_error_with_its_place(server: ScriptedServer, tmp_path: Path):
    path = tmp_path / "closed"
    path.write_bytes(b"1")
    with path.open("rb") as file:
        pass

    async with HttpLink(server.uri) as link:
        with pytest.raises(UploadError, match=r"Put: the file variables\.f could not be read \(ValueError\)"):
            await execute(link, GraphQLRequest("mutation Put($f: Upload) { put(f: $f) }", {"f": file}))

    assert [] == server.requests


async def test_a_file_in_a_batch_is_told_where_it_goes(server: ScriptedServer):
    async with BatchHttpLink(server.uri) as link:
        with pytest.raises(SerializationError, match="files do not go in batches: `split` them off to an HttpLink"):
            await execute(link, GraphQLRequest("mutation Put($f: Upload) { put(f: $f) }", {"f": Upload(b"1")}))


async def test_the_key_of_a_batch_shows_no_secret(server: ScriptedServer):
    async with BatchHttpLink(server.uri, batch_interval=0.01) as link:
        request = GraphQLRequest("{ a }", context={"headers": {"authorization": "Bearer s3cret"}})
        subscription = execute(link, request).subscribe()
        held = [repr(value) for value in gc.get_objects() if type(value) is str and "s3cret" in value]
        subscription.dispose()

    assert not [text for text in held if "http" in text]


@pytest.mark.parametrize("answer", [answer_text("", 500), answer_text("<html>"), answer_text("no", 401)])
async def test_an_answer_that_is_no_json_leaves_no_cycles(server: ScriptedServer, answer):
    server.answer = answer
    async with HttpLink(server.uri) as link:
        for _ in range(2):
            gc.collect()
            gc.disable()
            try:
                with suppress(Exception):
                    await execute(link, QUERY)
                left = [thing for thing in _collected() if isinstance(thing, RxlinkError)]
            finally:
                gc.enable()

    assert [] == left


def _collected() -> list[object]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


async def test_a_foreign_observable_leaves_no_cycles(server: ScriptedServer):
    handler = ApolloLink(lambda operation, forward: forward(operation).pipe(ops.map(lambda result: result)))
    async with from_([handler, ApolloLink(lambda operation, forward: reactivex.of({"data": {}}))]) as link:
        await execute(link, QUERY)
        gc.collect()
        gc.disable()
        try:
            await execute(link, QUERY)
            left = gc.collect()
        finally:
            gc.enable()

    assert 0 == left


async def test_a_stream_that_another_operation_has_read_is_not_sent_empty(server: ScriptedServer):
    class Rows:
        def __init__(self) -> None:
            self.left = [b"a", b"b"]

        def __aiter__(self):
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    request = GraphQLRequest("mutation Put($f: Upload) { put(f: $f) }", {"f": Rows()})
    async with HttpLink(server.uri) as link:
        await execute(link, request)
        with pytest.raises(UploadError, match="used up"):
            await execute(link, request)

    assert 1 == len(server.requests)
