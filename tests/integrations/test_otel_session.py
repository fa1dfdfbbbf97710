"""A session's refreshes as spans and metrics, and the operations that wait for them."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from rxlink import (
    AuthEvent,
    GraphQLRequest,
    InvariantError,
    OpenTelemetryLink,
    OperationQueued,
    RefreshReason,
    RefreshStarted,
    RetryLink,
    SessionEnded,
    TokenRefreshError,
    TokenSet,
    execute,
    from_,
    instrument_session,
)
from rxlink.core.link import ApolloLink
from rxlink.integrations._otel_instruments import SessionInstruments
from rxlink.integrations._otel_session import SessionTelemetry
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.scripted import Bench, Issuer, ScriptedStorage, bench, fresh
from tests.auth.shared_bench import Fleet
from tests.integrations.exported import Exported, attributes_of, events_of
from tests.recording import Recorder, subscribed

OPERATION = {"graphql.operation.type": "query"}


def instrumented(exported: Exported, *args: Any, **options: Any) -> tuple[Bench, ApolloLink]:
    """A session whose issuer takes two seconds, and a chain over it that is traced."""
    options.setdefault("issuer", Issuer(delay=2))
    built = bench(*args, **options)
    instrument_session(built.session, **exported.providers)
    return built, from_([OpenTelemetryLink(**exported.providers), built.link])


def start(link: ApolloLink, name: str = "Q") -> Recorder:
    return subscribed(execute(link, GraphQLRequest(f"query {name} {{ echo }}")))


class TestRefresh:
    @virtual
    async def test_it_is_a_span_under_the_operation_that_has_set_it_off(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        """E100."""
        _, link = instrumented(exported, time=time)

        for name in ("First", "Second", "Third"):
            start(link, name)
        await asyncio.sleep(3)

        (refresh,) = exported.named("rxlink.refresh")
        first = next(it for it in exported.named("query") if attributes_of(it)["graphql.operation.name"] == "First")
        assert (SpanKind.INTERNAL, first.context, StatusCode.UNSET) == (
            refresh.kind, refresh.parent, refresh.status.status_code,
        )  # fmt: skip
        assert {
            "rxlink.refresh.reason": "rejected",
            "rxlink.refresh.outcome": "success",
            "rxlink.refresh.waiting": 3,
        } == attributes_of(refresh)

    @virtual
    async def test_its_outcome_its_duration_and_its_wave_are_measured(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        _, link = instrumented(exported, time=time)

        for number in range(5):
            start(link, f"Q{number}")
        await asyncio.sleep(3)

        told = {"rxlink.refresh.outcome": "success", "rxlink.refresh.reason": "rejected"}
        assert [(told, 1)] == exported.points("rxlink.refreshes")
        assert [(told, (1, 2.0))] == exported.points("rxlink.refresh.duration")
        assert [(told, (1, 5))] == exported.points("rxlink.refresh.waiting")
        assert [(OPERATION, (5, 10.0))] == exported.points("rxlink.operation.wait.duration")

    @virtual
    async def test_a_call_that_forces_it_is_its_parent(self, time: VirtualTime, exported: Exported) -> None:
        built, _ = instrumented(exported, time=time)

        with exported.tracer.start_as_current_span("job") as job:
            await built.session.refresh(force=True)

        (refresh,) = exported.named("rxlink.refresh")
        assert (job.get_span_context(), "forced") == (refresh.parent, attributes_of(refresh)["rxlink.refresh.reason"])

    @virtual
    async def test_a_failure_is_named_by_its_class_and_so_are_tries(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        _, link = instrumented(exported, time=time, issuer=Issuer(script=[TimeoutError("secret"), KeyError("secret")]))

        running = start(link)
        await asyncio.sleep(60)

        (refresh,) = exported.named("rxlink.refresh")
        assert [TokenRefreshError] == [type(error) for error in running.seen]
        assert (StatusCode.ERROR, None) == (refresh.status.status_code, refresh.status.description)
        assert ["rxlink.try_failed"] == events_of(refresh)
        assert "TimeoutError" == dict(refresh.events[0].attributes or {})["error.type"]
        told = {"rxlink.refresh.outcome": "failure", "rxlink.refresh.reason": "rejected", "error.type": "KeyError"}
        assert [(told, 1)] == exported.points("rxlink.refreshes")
        assert "secret" not in exported.everything()

    @virtual
    async def test_one_that_a_sign_in_makes_needless_has_ended(self, time: VirtualTime, exported: Exported) -> None:
        built, link = instrumented(exported, time=time)

        running = start(link)
        await asyncio.sleep(1)
        await built.session.set_tokens(TokenSet("B0"))

        assert [SessionEnded] == [type(error) for error in running.seen]
        (refresh,) = exported.named("rxlink.refresh")
        assert "superseded" == attributes_of(refresh)["rxlink.refresh.outcome"]
        assert [(1, 1.0)] == [value for _, value in exported.points("rxlink.operation.wait.duration")]

    @virtual
    async def test_one_that_another_process_has_made_is_adopted(self, time: VirtualTime, exported: Exported) -> None:
        fleet = Fleet(time, 3)
        for host in fleet.hosts:
            instrument_session(host.session, **exported.providers)
        await fleet.tokens()
        await asyncio.sleep(95)

        await fleet.tokens()
        await fleet.aclose()

        outcomes = {
            attributes["rxlink.refresh.outcome"]: count for attributes, count in exported.points("rxlink.refreshes")
        }
        assert {"success": 1, "adopted": 2} == outcomes
        assert 3 == len(exported.named("rxlink.refresh"))

    def test_one_that_was_lost_with_its_event_loop_ends_with_the_next(self, exported: Exported) -> None:
        telemetry = SessionTelemetry(exported.tracer, SessionInstruments(exported.meters))

        telemetry.hear(RefreshStarted(1, RefreshReason.REJECTED, None, None))
        telemetry.hear(RefreshStarted(1, RefreshReason.REJECTED, None, None))

        assert 1 == len(exported.spans)

    @virtual
    async def test_one_whose_end_nobody_hears_any_more_has_a_span_all_the_same(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        built = bench(time=time, issuer=Issuer(delay=2))
        instrumentation = instrument_session(built.session, **exported.providers)

        built.start()
        await asyncio.sleep(1)
        instrumentation.dispose()
        instrumentation.dispose()
        await asyncio.sleep(2)
        await built.session.refresh(force=True)

        assert (1, {}) == (len(exported.named("rxlink.refresh")), exported.metrics())


class TestOperationsThatWait:
    @virtual
    async def test_those_that_were_refused_wait_and_are_sent_again(self, time: VirtualTime, exported: Exported) -> None:
        _, link = instrumented(exported, time=time)

        for number in range(3):
            start(link, f"Q{number}")
        await asyncio.sleep(3)

        (refresh,) = exported.named("rxlink.refresh")
        for span in exported.named("query"):
            assert ["rxlink.waiting", "rxlink.released", "rxlink.retried"] == events_of(span)
            assert {"rxlink.wait.duration": 2.0} == dict(span.events[1].attributes or {})
            assert [refresh.context] == [link.context for link in span.links]

    @virtual
    async def test_those_that_were_not_sent_yet_wait_and_are_not_sent_again(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        _, link = instrumented(exported, fresh(time, -1), time=time)

        running = start(link)
        await asyncio.sleep(3)

        assert "completed" == running.seen[-1]
        (span,) = exported.named("query")
        assert ["rxlink.waiting", "rxlink.released"] == events_of(span)
        assert [exported.named("rxlink.refresh")[0].context] == [link.context for link in span.links]

    @virtual
    async def test_those_that_wait_for_the_storage_alone_are_linked_to_nothing(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        storage = ScriptedStorage(TokenSet("A0"), delay=1)
        _, link = instrumented(exported, None, time=time, storage=storage, valid=["A0"])

        start(link)
        await asyncio.sleep(2)

        (span,) = exported.named("query")
        assert (["rxlink.waiting", "rxlink.released"], ()) == (events_of(span), span.links)
        assert [(OPERATION, (1, 1.0))] == exported.points("rxlink.operation.wait.duration")

    @virtual
    async def test_one_that_waits_for_the_storage_and_then_for_a_refresh_has_waited_once(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        _, link = instrumented(exported, None, time=time, storage=ScriptedStorage(fresh(time, -1), delay=1))

        start(link)
        await asyncio.sleep(10)

        (span,) = exported.named("query")
        assert (["rxlink.waiting", "rxlink.released"], 1) == (events_of(span), len(span.links))
        assert [(OPERATION, (1, 4.0))] == exported.points("rxlink.operation.wait.duration")  # it is saved, too

    @virtual
    async def test_a_wait_ends_with_the_refresh_that_fails(self, time: VirtualTime, exported: Exported) -> None:
        """And a pause until the next attempt is none."""
        built, _ = instrumented(exported, time=time, issuer=Issuer(delay=2, script=[KeyError(), KeyError()]))
        retry = RetryLink(attempts=lambda attempt, *_: attempt < 2, delay=lambda *_: 100)

        running = start(from_([OpenTelemetryLink(**exported.providers), retry, built.link]))
        await asyncio.sleep(200)

        (operation,) = exported.named("query")
        assert ["rxlink.waiting", "rxlink.released"] * 2 == events_of(operation)[:-1]
        assert [(OPERATION, (2, 4.0))] == exported.points("rxlink.operation.wait.duration")
        assert [TokenRefreshError] == [type(error) for error in running.seen]

    @virtual
    async def test_an_advisory_refresh_holds_up_nobody(self, time: VirtualTime, exported: Exported) -> None:
        _, link = instrumented(exported, fresh(time, 20, life=3600), time=time, valid=["A0"])

        start(link)
        await asyncio.sleep(3)

        assert ([], []) == (events_of(exported.named("query")[0]), exported.points("rxlink.operation.wait.duration"))
        told = {"rxlink.refresh.outcome": "success", "rxlink.refresh.reason": "expiring"}
        assert [(told, (1, 0))] == exported.points("rxlink.refresh.waiting")

    @virtual
    async def test_who_leaves_while_waiting_has_waited_so_long(self, time: VirtualTime, exported: Exported) -> None:
        _, link = instrumented(exported, time=time)

        running = start(link)
        await asyncio.sleep(1.5)
        running.subscription.dispose()
        await asyncio.sleep(1)

        (span,) = exported.named("query")
        assert (["rxlink.waiting"], "cancelled") == (events_of(span), attributes_of(span)["rxlink.outcome"])
        assert [(OPERATION, (1, 1.5))] == exported.points("rxlink.operation.wait.duration")

    @virtual
    async def test_operations_without_a_span_are_not_missed(self, time: VirtualTime, exported: Exported) -> None:
        built, _ = instrumented(exported, time=time)

        running = built.start()
        await asyncio.sleep(3)

        assert "completed" == running.seen[-1]
        assert ["rxlink.refresh"] == [span.name for span in exported.spans]

    @virtual
    async def test_what_the_refresh_sends_through_the_chain_is_below_who_has_set_it_off(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        links: list[ApolloLink] = []

        async def refresh(tokens: TokenSet | None, reason: object) -> TokenSet:
            await execute(links[0], GraphQLRequest("mutation Refresh { echo }"))
            return TokenSet("A1")

        _, link = instrumented(exported, time=time, refresh=refresh, valid=["A1"])
        links.append(link)

        start(link)
        await asyncio.sleep(1)

        (sent,), (span,) = exported.named("mutation"), exported.named("query")
        assert span.context == sent.parent
        assert "rxlink.waiting" not in events_of(sent)


class TestProblems:
    def problems(self, exported: Exported) -> dict[str, int]:
        return {told["rxlink.session.problem"]: count for told, count in exported.points("rxlink.session.problems")}

    @virtual
    async def test_an_end_that_nobody_asked_for_is_one(self, time: VirtualTime, exported: Exported) -> None:
        _, link = instrumented(exported, time=time, issuer=Issuer(script=[SessionEnded("secret")]))

        start(link)
        await asyncio.sleep(3)

        assert {"session_ended": 1} == self.problems(exported)
        assert "secret" not in exported.everything()

    @virtual
    async def test_a_sign_out_is_none(self, time: VirtualTime, exported: Exported) -> None:
        built, _ = instrumented(exported, time=time)

        await built.session.clear()

        assert {} == self.problems(exported)

    @virtual
    async def test_a_failing_save_is_one_and_so_is_a_predicate_that_raises(
        self, time: VirtualTime, exported: Exported
    ) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        storage = ScriptedStorage(TokenSet("A0"), save=[OSError("secret")])
        built, link = instrumented(exported, None, time=time, storage=storage, link={"is_auth_error": _raise})

        start(link)
        await built.session.refresh(force=True)
        await asyncio.sleep(0.5)

        assert {"callback_failed": 1, "save_failed": 1} == self.problems(exported)
        assert "secret" not in exported.everything()


def _raise(_: object) -> bool:
    raise InvariantError("secret")


@virtual
async def test_sessions_are_told_apart(time: VirtualTime, exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """Two at once: each operation is linked to the refresh of its own session."""
    chains = [instrumented(exported, time=time)[1] for _ in range(2)]

    for number, link in enumerate(chains * 3):
        start(link, f"Of{number % 2}")
    await asyncio.sleep(3)

    linked: dict[str, set[int]] = {"Of0": set(), "Of1": set()}
    for span in exported.named("query"):
        linked[attributes_of(span)["graphql.operation.name"]] |= {link.context.span_id for link in span.links}
    assert [1, 1] == [len(spans) for spans in linked.values()]
    assert 2 == len(linked["Of0"] | linked["Of1"])
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def test_operations_on_other_loops_wait_under_their_own_spans(exported: Exported) -> None:
    """E100: one session, three loops in three threads, and one refresh, which begins when all wait for it."""
    here, has_begun, is_complete, queued = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event(), count(1)

    async def refresh(tokens: TokenSet | None, reason: object) -> TokenSet:
        has_begun.set()
        await is_complete.wait()
        built.server.accept_only("A1")
        return TokenSet("A1")

    def hear(event: AuthEvent) -> None:
        if isinstance(event, OperationQueued) and next(queued) == 3:
            here.call_soon_threadsafe(is_complete.set)

    built, link = instrumented(exported, refresh=refresh)
    built.session.keeper.announcer.watch(hear)

    async def run(name: str) -> Any:
        return await execute(link, GraphQLRequest(f"query {name} {{ echo }}"))

    with exported.tracer.start_as_current_span("job") as job:
        running = asyncio.ensure_future(run("Here"))
        await has_begun.wait()
        others = [asyncio.to_thread(lambda name=name: asyncio.run(run(name))) for name in ("There", "Elsewhere")]
        results = await asyncio.gather(running, *others)

    assert [{"data": {"echo": name}} for name in ("Here", "There", "Elsewhere")] == results
    (refreshed,) = exported.named("rxlink.refresh")
    for span in exported.named("query"):
        assert (job.get_span_context(), [refreshed.context]) == (span.parent, [it.context for it in span.links])
        assert ["rxlink.waiting", "rxlink.released"] == events_of(span)[:2]  # the others were not sent before
    assert [3] == [measured for _, (measured, _) in exported.points("rxlink.operation.wait.duration")]
