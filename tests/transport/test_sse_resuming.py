"""Subscriptions over server-sent events outlive their streams: when they are sent again, how, and what is told."""

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from reactivex.subject import Subject

from rxlink import (
    AbortError,
    AuthSession,
    ClientClosed,
    GraphQLRequest,
    InvariantTypeError,
    NetworkError,
    ServerError,
    SseLink,
    SseResumed,
    SseRetrying,
    TokenSet,
    execute,
)
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.recording import END as COMPLETED
from tests.recording import Recorder, subscribed
from tests.transport.pieces import TICKS, ResultSignal, answer_in_pieces, outcome_of, tick
from tests.transport.scripted_server import Answer, ScriptedServer, answer_json, drop_connection, scripted_server
from tests.transport.sse_server import event

STREAM = "text/event-stream"
COMPLETE = event(kind="complete")


def answer_events(*steps: Any, **options: Any) -> Answer:
    return answer_in_pieces(*steps, content_type=STREAM, **options)


def answer_in_turn(*answers: Answer) -> Answer:
    """Answer each request in its own way, and all that follow as the last."""
    turns: Iterator[Answer] = iter(answers)
    last = answers[-1]

    async def answer(request: Any) -> Any:
        return await next(turns, last)(request)

    return answer


def ids_of(server: ScriptedServer) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.requests]


def at_once(retries: int) -> float:
    return 0


class TestSentAgain:
    @pytest.mark.parametrize("ends", [True, False], ids=["the body ends", "the connection breaks"])
    async def test_where_its_stream_is_lost(self, server: ScriptedServer, ends: bool):
        server.answer = answer_in_turn(
            answer_events(event(tick(1)), ends=ends), answer_events(event(tick(2)), COMPLETE)
        )

        async with SseLink(server.uri, retry_wait=at_once) as link:
            told = subscribed(link.events)
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

        retrying, resumed, end = told.seen
        assert (SseRetrying, 0, 0.0, NetworkError) == (
            type(retrying),
            retrying.retries,
            retrying.wait,
            type(retrying.error),
        )
        assert (SseResumed, None, True) == (type(resumed), resumed.last_event_id, resumed.may_have_gap)
        assert "Ticks" == resumed.operation.operation_name
        assert ([None, None], COMPLETED) == (ids_of(server), end)

    async def test_behind_the_last_event_where_events_have_ids(self, server: ScriptedServer):
        server.answer = answer_in_turn(
            answer_events(event(tick(1), id="a-1"), event(tick(2), id="a-2") + b"id: a-3\ndata: cut", ends=False),
            answer_events(event(tick(3))),
            answer_events(event(tick(4), id="ü"), COMPLETE),
        )

        async with SseLink(server.uri, retry_wait=at_once) as link:
            told = subscribed(link.events)
            assert [tick(1), tick(2), tick(3), tick(4), COMPLETED] == await outcome_of(link)

        assert [None, "a-2", "a-2"] == ids_of(server)
        resumed = [(seen.last_event_id, seen.may_have_gap) for seen in told.seen if isinstance(seen, SseResumed)]
        assert [("a-2", False), ("a-2", False)] == resumed

    async def test_and_told_of_the_stream_that_is_not_refused(self, server: ScriptedServer):
        """A refusal in the first result comes over a stream that is open; the one after the refresh counts."""
        refused = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
        server.answer = answer_in_turn(
            answer_events(event(tick(1)), ends=False),
            answer_events(event(refused), COMPLETE),
            answer_events(event(tick(2)), COMPLETE),
        )
        order: list[str] = []
        session = AuthSession(
            refresh=lambda tokens, reason: order.append("refresh") or TokenSet("fresh"), tokens=TokenSet("stale")
        )

        async with session, SseLink(server.uri, auth=session, retry_wait=at_once) as link:
            link.events.subscribe(lambda told: order.append(type(told).__name__))
            assert [tick(1), tick(2), COMPLETED] == await outcome_of(link)

        assert ["SseRetrying", "SseResumed", "refresh", "SseResumed"] == order

    async def test_with_what_its_context_says_by_then(self, server: ScriptedServer):
        server.answer = answer_in_turn(answer_events(event(tick(1)), ends=False), answer_events(COMPLETE))

        def change(told: object) -> None:
            if isinstance(told, SseRetrying):
                told.operation.set_context({"headers": {"x-tenant": "red"}, "client_awareness": {"name": "later"}})

        async with SseLink(server.uri, retry_wait=at_once) as link:
            link.events.subscribe(change)
            assert [tick(1), COMPLETED] == await outcome_of(link)

        said = [
            (sent.headers.get("x-tenant"), sent.headers.get("apollographql-client-name")) for sent in server.requests
        ]
        assert [(None, None), ("red", "later")] == said

    async def test_without_an_id_that_no_header_can_hold(self, server: ScriptedServer):
        server.answer = answer_in_turn(answer_events(event(tick(1), id="a\x01"), ends=False), answer_events(COMPLETE))

        async with SseLink(server.uri, retry_wait=at_once) as link:
            told = subscribed(link.events)
            assert [tick(1), COMPLETED] == await outcome_of(link)

        assert [None, None] == ids_of(server)
        assert [None] == [seen.last_event_id for seen in told.seen if isinstance(seen, SseResumed)]

    @virtual
    async def test_after_the_pause_that_the_server_wishes(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=at_once) as link:
            server.answer = answer_in_turn(
                answer_events(b"retry: 2500\n\n", event(tick(1)), ends=False), answer_events(COMPLETE)
            )

            assert [tick(1), COMPLETED] == await outcome_of(link)
            assert 2.5 == time.monotonic()

    @virtual
    async def test_after_that_pause_also_where_a_later_stream_names_none(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=at_once) as link:
            server.answer = answer_in_turn(
                answer_events(b"retry: 2500\n\n", ends=False),
                answer_events(b":\n\n", ends=False),
                answer_events(COMPLETE),
            )

            assert [COMPLETED] == await outcome_of(link)
            assert 5.0 == time.monotonic()

    @virtual
    async def test_after_waits_that_grow_and_five_times_without_a_result(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=lambda retries: retries + 1) as link:
            server.answer = answer_in_turn(
                answer_events(event(tick(1)), ends=False), answer_json({}, 503), drop_connection
            )

            *results, error = await outcome_of(link)

            assert ([tick(1)], NetworkError, 6, 15.0) == (
                results,
                type(error),
                len(server.requests),
                time.monotonic(),
            )

    async def test_without_end_where_results_come_in_between(self, server: ScriptedServer):
        broken = [answer_events(event(tick(number)), ends=False) for number in range(20)]
        server.answer = answer_in_turn(*broken, answer_events(COMPLETE))

        async with SseLink(server.uri, retry_wait=at_once, retry_attempts=1) as link:
            assert [*map(tick, range(20)), COMPLETED] == await outcome_of(link)

    async def test_by_what_the_link_was_told(self, server: ScriptedServer):
        server.answer = answer_in_turn(answer_json({}, 404), answer_events(COMPLETE))
        asked: list[Exception] = []

        def should_retry(error: Exception) -> bool:
            asked.append(error)
            return True

        async with SseLink(server.uri, retry_wait=at_once, should_retry=should_retry) as link:
            assert [COMPLETED] == await outcome_of(link)

        assert [404] == [error.status_code for error in asked if isinstance(error, ServerError)]


class TestNotSentAgain:
    @pytest.mark.parametrize("text", ["query Q { a }", "mutation M { a }"])
    async def test_are_queries_and_mutations(self, server: ScriptedServer, text: str):
        server.answer = drop_connection

        async with SseLink(server.uri, retry_wait=at_once) as link:
            (error,) = await outcome_of(link, GraphQLRequest(text))

        assert (NetworkError, 1) == (type(error), len(server.requests))

    @pytest.mark.parametrize("status", [400, 401, 403, 404])
    async def test_are_those_that_the_server_refuses(self, server: ScriptedServer, status: int):
        server.answer = answer_json({}, status)

        async with SseLink(server.uri, retry_wait=at_once) as link:
            (error,) = await outcome_of(link)

        assert (status, 1) == (error.status_code, len(server.requests))

    async def test_is_what_has_completed(self, server: ScriptedServer):
        server.answer = answer_events(event(tick(1)), COMPLETE, ends=False)

        async with SseLink(server.uri, retry_wait=at_once) as link:
            assert [tick(1), COMPLETED] == await outcome_of(link)

        assert 1 == len(server.requests)

    @pytest.mark.parametrize(
        ("option", "kind"),
        [
            ({"retry_wait": lambda retries: "soon"}, InvariantTypeError),
            ({"retry_wait": lambda retries: None}, InvariantTypeError),
            ({"should_retry": lambda error: 1 / 0}, ZeroDivisionError),
        ],
    )
    async def test_is_an_operation_for_which_a_function_fails(
        self, server: ScriptedServer, option: dict[str, Any], kind: type[Exception]
    ):
        server.answer = drop_connection

        async with SseLink(server.uri, **option) as link:
            (error,) = await outcome_of(link)

        assert kind is type(error)

    @virtual
    async def test_are_those_who_leave_while_they_wait(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=lambda _: 10) as link:
            server.answer = answer_events(event(tick(1)), ends=False)
            told = ResultSignal()
            link.events.subscribe(told)
            recorder = subscribed(execute(link, TICKS))
            await told.one_more()

            recorder.subscription.dispose()
            await asyncio.sleep(60)

            assert ([tick(1)], 1) == (recorder.seen, len(server.requests))

    @virtual
    async def test_are_those_who_leave_because_of_what_they_are_told(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=lambda _: 10) as link:
            server.answer = answer_events(event(tick(1)), ends=False)
            recorder = Recorder()
            link.events.subscribe(lambda _: recorder.subscription.dispose())
            recorder.subscription = execute(link, TICKS).subscribe(recorder)
            await asyncio.sleep(60)

            assert ([tick(1)], 1) == (recorder.seen, len(server.requests))

    @virtual
    async def test_are_those_of_a_link_that_closes_meanwhile(self, time: VirtualTime):
        async with scripted_server() as server:
            server.answer = answer_events(event(tick(1)), ends=False)
            link = SseLink(server.uri, retry_wait=lambda _: 10)
            told = ResultSignal()
            link.events.subscribe(told)
            recorder = subscribed(execute(link, TICKS))
            await told.one_more()

            await link.aclose()

            assert ([tick(1), ClientClosed], 0.0) == ([recorder.seen[0], type(recorder.seen[1])], time.monotonic())
            assert ClientClosed is type((await outcome_of(link))[0])

    @virtual
    async def test_are_those_whose_signal_comes_meanwhile(self, time: VirtualTime):
        async with scripted_server() as server, SseLink(server.uri, retry_wait=lambda _: 10) as link:
            server.answer = answer_events(event(tick(1)), ends=False)
            signal, told = Subject[Any](), ResultSignal()
            link.events.subscribe(told)
            recorder = subscribed(
                execute(link, GraphQLRequest(TICKS.query, context={"fetch_options": {"signal": signal}}))
            )
            await told.one_more()

            signal.on_next(None)
            await asyncio.sleep(60)

            assert [tick(1), AbortError] == [recorder.seen[0], type(recorder.seen[1])]
            assert ([], 1) == (signal.observers, len(server.requests))


async def test_a_callback_that_raises_at_closing_harms_no_other(server: ScriptedServer):
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))
    server.answer = drop_connection
    mistake, told, other = LookupError(), ResultSignal(), ResultSignal()

    def fail(error: Exception) -> None:
        raise mistake

    link = SseLink(server.uri, retry_wait=lambda _: 100)
    link.events.subscribe(told)
    execute(link, TICKS).subscribe(on_error=fail)
    execute(link, TICKS).subscribe(other)
    await told.one_more()
    await told.one_more()

    await link.aclose()

    assert ([mistake], [ClientClosed]) == (problems, [type(seen) for seen in other.seen])


async def test_later_streams_run_in_the_context_of_their_subscription(server: ScriptedServer):
    tenant = ContextVar[str]("tenant")
    server.answer = answer_in_turn(answer_events(event(tick(1)), ends=False), answer_events(event(tick(2)), COMPLETE))
    heard: list[str] = []
    ended = asyncio.Event()

    async with SseLink(server.uri, retry_wait=at_once) as link:
        tenant.set("own")
        execute(link, TICKS).subscribe(lambda _: heard.append(tenant.get()), on_completed=ended.set)
        tenant.set("other")
        await ended.wait()

    assert ["own", "own"] == heard


async def test_the_log_says_what_happens_and_no_secret(server: ScriptedServer, caplog: pytest.LogCaptureFixture):
    server.answer = answer_in_turn(
        answer_events(event({"data": {"tick": "planted-secret"}}, id="planted-id"), ends=False), answer_events(COMPLETE)
    )

    with caplog.at_level("DEBUG", "rxlink"):
        async with SseLink(f"{server.uri}?key=planted-key", retry_wait=at_once) as link:
            await outcome_of(link)

    assert "NetworkError, again in 0.0 s" in caplog.text
    assert "<Operation subscription Ticks>: resumed" in caplog.text
    assert "planted" not in caplog.text
