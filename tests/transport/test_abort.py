"""A signal that aborts: which of it and the answer comes first, and that neither leaves the other behind."""

import asyncio
from contextvars import ContextVar

import aiohttp
import pytest
import reactivex
from reactivex.subject import BehaviorSubject, Subject

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future
from rxlink.core.operation import GraphQLRequest
from rxlink.core.subscription import Subscription
from rxlink.errors import AbortError, ClientClosed, NetworkTimeout
from rxlink.testing.virtual_time import VirtualTime, virtual
from rxlink.transport._abort import Abortable
from rxlink.transport.http import HttpLink
from tests.recording import END, Recorder, subscribed
from tests.transport.scripted_server import VIEWER, ScriptedServer, answer_never, scripted_server

QUERY = "query Viewer { viewer { name } }"


def request_with(signal: object) -> GraphQLRequest:
    return GraphQLRequest(QUERY, context={"fetch_options": {"signal": signal}})


class TestSignal:
    async def test_aborts_the_request(self, server: ScriptedServer):
        server.answer = answer_never
        signal = Subject()
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, request_with(signal)))
            await server.arrived.wait()

            signal.on_next(None)

            (error,) = recorder.seen
            assert isinstance(error, AbortError)
            assert f"operation Viewer to {server.uri} was aborted by its `signal`" == str(error)
            assert [] == signal.observers
            await server.aborted.wait()

    async def test_may_be_an_event(self, server: ScriptedServer):
        server.answer = answer_never
        stop = asyncio.Event()
        async with HttpLink(server.uri, fetch_options={"signal": from_future(stop.wait)}) as link:
            waiting = asyncio.ensure_future(resolved(execute(link, GraphQLRequest(QUERY))))
            await server.arrived.wait()

            stop.set()

            with pytest.raises(AbortError):
                await waiting

    async def test_may_say_why(self, server: ScriptedServer):
        server.answer = answer_never
        why = [LookupError("as a value"), LookupError("as an error")]
        signals = [Subject(), Subject()]
        async with HttpLink(server.uri) as link:
            recorders = [subscribed(execute(link, request_with(signal))) for signal in signals]
            await server.arrived.wait()

            signals[0].on_next(why[0])
            signals[1].on_error(why[1])

            assert [[why[0]], [why[1]]] == [recorder.seen for recorder in recorders]

    @pytest.mark.parametrize(
        "signal", [BehaviorSubject(True), reactivex.of(1, 2), reactivex.throw(LookupError("gone"))]
    )
    async def test_that_has_come_before_sends_nothing(self, server: ScriptedServer, signal: object):
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, request_with(signal)))

            (error,) = recorder.seen
            assert isinstance(error, (AbortError, LookupError))
        assert [] == server.requests

    @pytest.mark.parametrize("signal", [reactivex.never(), reactivex.empty()])
    async def test_that_never_comes_changes_nothing(self, server: ScriptedServer, signal: object):
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, request_with(signal)))
            await until(lambda: END in recorder.seen)

        assert [VIEWER, END] == recorder.seen

    async def test_of_the_context_takes_the_place_of_the_links(self, server: ScriptedServer):
        of_link, of_context = Subject(), Subject()
        async with HttpLink(server.uri, fetch_options={"signal": of_link}) as link:
            subscription = execute(link, request_with(of_context)).subscribe()

            assert (0, 1) == (len(of_link.observers), len(of_context.observers))
            subscription.dispose()

    async def test_is_listened_to_anew_by_each_subscription(self, server: ScriptedServer):
        signal = Subject()
        async with HttpLink(server.uri) as link:
            results = execute(link, request_with(signal))
            first = subscribed(results)
            signal.on_next(None)

            assert VIEWER == await results

        assert [AbortError] == list(map(type, first.seen))

    async def test_reaches_each_in_its_own_context_even_if_one_raises(self, server: ScriptedServer):
        server.answer = answer_never
        tenant = ContextVar("tenant")
        signal = Subject()
        seen = []
        complaints = []

        def note(error: Exception) -> None:
            seen.append((tenant.get(), type(error)))
            raise LookupError("the subscriber's own")

        async def start(link: HttpLink, name: str) -> None:
            tenant.set(name)
            execute(link, request_with(signal)).subscribe(on_error=note)

        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, complaint: complaints.append(complaint["exception"]))
        async with HttpLink(server.uri) as link:
            for name in "ab":
                await asyncio.create_task(start(link, name))
            signal.on_next(None)
        loop.set_exception_handler(handler)

        assert [("a", AbortError), ("b", AbortError)] == seen
        assert [LookupError, LookupError] == list(map(type, complaints))


class TestEnd:
    async def test_of_the_request_leaves_the_signal(self, server: ScriptedServer):
        signal = Subject()
        seen = []

        def note(value: object) -> None:
            seen.append((value, len(signal.observers)))
            signal.on_next("too late")

        async with HttpLink(server.uri) as link:
            done = asyncio.Event()
            execute(link, request_with(signal)).subscribe(note, seen.append, done.set)
            assert 1 == len(signal.observers)
            await done.wait()

        assert [(VIEWER, 0)] == seen

    async def test_by_closing_leaves_the_signal(self, server: ScriptedServer):
        server.answer = answer_never
        signal = Subject()
        link = HttpLink(server.uri)
        recorder = subscribed(execute(link, request_with(signal)))
        await server.arrived.wait()

        await link.aclose()

        assert [ClientClosed] == list(map(type, recorder.seen))
        assert [] == signal.observers

    @virtual
    async def test_by_timeout_leaves_the_signal(self, time: VirtualTime):
        signal = Subject()
        async with scripted_server() as server, HttpLink(server.uri) as link:
            server.answer = answer_never

            with pytest.raises(NetworkTimeout):
                await execute(link, request_with(signal))

        assert [] == signal.observers

    async def test_by_leaving_stops_both(self, server: ScriptedServer):
        server.answer = answer_never
        signal = Subject()
        async with HttpLink(server.uri) as link:
            recorder = subscribed(execute(link, request_with(signal)))
            await server.arrived.wait()

            recorder.subscription.dispose()

            assert [] == signal.observers
            await server.aborted.wait()
        assert [] == recorder.seen

    @pytest.mark.parametrize("is_aborted", [True, False])
    async def test_gives_the_place_back_before_it_tells(self, server: ScriptedServer, is_aborted: bool):
        signal = Subject()
        places = []

        class Noting(ApolloLink):
            def connect(self, forward):
                def start(operation, observer, root) -> None:
                    recorder = Recorder()
                    recorder.on_next = recorder.on_error = lambda _: places.append(root.is_busy)
                    recorder.on_completed = observer.on_completed
                    forward.connect(operation, recorder, root)

                return start

        async with from_([Noting(), HttpLink(server.uri)]) as link:
            recorder = subscribed(execute(link, request_with(signal)))
            if is_aborted:
                signal.on_next(None)
            await until(lambda: places)
            recorder.subscription.dispose()

        assert [False] == places

    async def test_is_the_only_one_where_a_given_session_goes_on_in_spite_of_it(self, server: ScriptedServer):
        signal = Subject()
        is_sending = asyncio.Event()
        went_on = asyncio.Event()

        async def stubborn(request, handler):
            try:
                is_sending.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                went_on.set()
            return await handler(request)

        async with aiohttp.ClientSession(middlewares=(stubborn,)) as session:
            link = HttpLink(server.uri, session=session)
            recorder = subscribed(execute(link, request_with(signal)))
            await is_sending.wait()
            signal.on_next(None)
            await went_on.wait()
            await until(lambda: not link._sender.running[asyncio.get_running_loop()])

        assert [AbortError] == list(map(type, recorder.seen))


class TestAbortable:
    """What comes at a moment when it should not: from a task that goes on in spite of its cancellation."""

    def running(self) -> tuple[Abortable, Recorder, Subject]:
        recorder, signal = Recorder(), Subject()
        root = Subscription(print, print, print, None)
        abortable = Abortable("it", recorder, root)
        abortable.start(signal, lambda *_: None)
        return abortable, recorder, signal

    def test_is_deaf_to_a_request_that_was_aborted(self):
        abortable, recorder, signal = self.running()
        signal.on_next(None)

        abortable.on_next(VIEWER)
        abortable.on_error(LookupError())
        abortable.on_completed()

        assert [AbortError] == list(map(type, recorder.seen))

    @pytest.mark.parametrize("end", ["on_next", "on_error"])
    def test_is_deaf_to_a_signal_when_the_request_is_over(self, end: str):
        abortable, recorder, _ = self.running()
        getattr(abortable, end)(VIEWER)

        abortable.abort("late")

        assert [VIEWER] == recorder.seen

    def test_gives_everything_back_where_sending_cannot_begin(self):
        root, signal = Subscription(print, print, print, None), Subject()

        def refuse(*_: object) -> None:
            raise RuntimeError("no more tasks")

        with pytest.raises(RuntimeError):
            Abortable("it", Recorder(), root).start(signal, refuse)

        assert (False, []) == (root.is_busy, signal.observers)


async def resolved(results):
    return await results


async def until(is_true) -> None:
    while not is_true():  # noqa: ASYNC110 - nothing there tells
        await asyncio.sleep(0)
