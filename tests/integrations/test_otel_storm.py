"""Real servers on loopback: a storm of operations on a token that has ended, and secrets everywhere."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from opentelemetry import baggage
from opentelemetry import context as otel

from rxlink import (
    AuthEvent,
    AuthLink,
    AuthSession,
    GraphQLRequest,
    HttpLink,
    OpenTelemetryLink,
    OperationQueued,
    RefreshReason,
    RetryLink,
    SessionEnded,
    TokenSet,
    execute,
    from_,
    instrument_session,
    oauth2_refresh,
)
from rxlink.core.link import ApolloLink
from rxlink.testing import AuthServer, Fault
from tests.auth.evidence import PLANTED
from tests.integrations.exported import Exported, attributes_of, events_of

ECHO = "query Echo($value: String!) { echo(value: $value) }"
STORM = 100
CLIENT_SECRET = f"{PLANTED}-client"


@asynccontextmanager
async def service(exported: Exported, *, wave: int = 0) -> AsyncIterator[tuple[AuthServer, AuthSession, ApolloLink]]:
    """A chain as a service has it, to a real server; a refresh begins when so many wait for it."""
    is_complete, queued = asyncio.Event(), count(1)

    def hear(event: AuthEvent) -> None:
        if isinstance(event, OperationQueued) and next(queued) == wave:
            is_complete.set()

    async with (
        AuthServer(token_life=60, client_id="app", client_secret=CLIENT_SECRET) as server,
        oauth2_refresh(server.token_url, client_id="app", client_secret=CLIENT_SECRET) as issuer,
    ):

        async def refresh(tokens: TokenSet | None, reason: RefreshReason) -> Any:
            if wave:
                await is_complete.wait()
            return await issuer(tokens, reason)

        pair = server.sign_in("ada")
        tokens = TokenSet(pair.access_token, pair.refresh_token)
        async with AuthSession(refresh=refresh, tokens=tokens) as session, HttpLink(server.url) as http:
            session.events.subscribe(hear)
            instrument_session(session, **exported.providers)
            link = from_([
                OpenTelemetryLink(**exported.providers),
                RetryLink(),
                AuthLink(session),
                OpenTelemetryLink(per="attempt", **exported.providers),
                http,
            ])  # fmt: skip
            yield server, session, link


async def echoes(exported: Exported, link: ApolloLink) -> list[Any]:
    """Run the storm, each operation under a span of its own, and return the numbers that came back."""

    async def one(number: int) -> Any:
        with exported.tracer.start_as_current_span(f"request {number}"):
            variables = {"value": f"{PLANTED} {number}"}
            result = await execute(link, GraphQLRequest(ECHO, variables, context={"headers": {"x-key": PLANTED}}))
            return result["data"]["echo"]

    return await asyncio.gather(*map(one, range(STORM)))


async def test_a_refresh_storm_is_exported_without_a_secret(exported: Exported) -> None:
    """P7, E100: 1 refresh, 100 operations that waited for it, and numbers that agree."""
    async with service(exported, wave=STORM) as (server, session, link):
        secrets = [session.wallet.tokens]
        server.revoke_access("ada")

        assert [f"{PLANTED} {number}" for number in range(STORM)] == await echoes(exported, link)

        secrets.append(session.wallet.tokens)
        assert (1, []) == (server.ledger.refreshes, server.ledger.violations())

    operations, attempts = exported.named("query"), exported.named("query attempt")
    (refresh,) = exported.named("rxlink.refresh")
    assert STORM == len(operations)
    assert refresh.parent in [span.context for span in operations]
    for span in operations:
        assert [refresh.context] == [link.context for link in span.links]
        assert ["rxlink.waiting", "rxlink.released", "rxlink.retried"] == events_of(span)
    # Each has its own caller, and its own two attempts below it.
    requests = {span.context.span_id for span in exported.spans if span.name.startswith("request")}
    assert requests == {span.parent.span_id for span in operations if span.parent}
    below = Counter(attempt.parent.span_id for attempt in attempts if attempt.parent)
    assert {span.context.span_id: 2 for span in operations} == below

    success = {"graphql.operation.type": "query", "rxlink.outcome": "success"}
    refreshed = {"rxlink.refresh.outcome": "success", "rxlink.refresh.reason": "rejected"}
    assert [(success, STORM)] == exported.points("rxlink.operations")
    assert [(refreshed, 1)] == exported.points("rxlink.refreshes")
    assert [(refreshed, (1, STORM))] == exported.points("rxlink.refresh.waiting")
    assert [STORM] == [count for _, (count, _) in exported.points("rxlink.operation.wait.duration")]
    assert [STORM] == [count for _, (count, _) in exported.points("rxlink.operation.duration")]
    assert {"s"} == {metric.unit for name, metric in exported.metrics().items() if name.endswith("duration")}
    assert all(metric.description and metric.unit for metric in exported.metrics().values())

    everything = exported.everything()
    assert "rxlink.waiting" in everything
    for tokens in filter(None, secrets):
        assert tokens.access_token not in everything
        assert tokens.refresh_token not in everything
    assert PLANTED not in everything


async def test_failures_are_exported_without_a_secret(exported: Exported, caplog: pytest.LogCaptureFixture) -> None:
    """P7: tokens, passwords, addresses, and servers that send back what they got."""
    caplog.set_level(logging.DEBUG, "opentelemetry")
    attached = otel.attach(baggage.set_baggage("password", PLANTED))
    try:
        async with service(exported) as (server, session, link), serving(careless) as uri:
            request = GraphQLRequest(ECHO, {"value": PLANTED}, context={"headers": {"x-key": PLANTED}})
            server.faults.add(Fault.status(500), on="graphql", times=1)
            await execute(link, request)
            for bad in (uri, "http://127.0.0.1:1/", f"http://user:{PLANTED}@127.0.0.1:1/?key={PLANTED}"):
                lost = from_([OpenTelemetryLink(**exported.providers), AuthLink(session), HttpLink(bad)])
                await asyncio.gather(execute(lost, request), return_exceptions=True)
                await lost.aclose()
            server.faults.add(Fault.status(503), on="refresh", times=1)
            await session.refresh(force=True)
            server.revoke_refresh("ada")
            with pytest.raises(SessionEnded):
                await session.refresh(force=True)
    finally:
        otel.detach(attached)

    everything = exported.everything()
    types = {attributes_of(span).get("error.type") for span in exported.spans}
    assert types >= {"ServerError", "NetworkError", "SessionEnded", "CombinedGraphQLErrors"}
    assert "rxlink.try_failed" in everything
    assert PLANTED not in everything
    assert "127.0.0.1" not in everything
    assert PLANTED not in caplog.text


async def careless(request: web.Request) -> web.Response:
    """Send back all that came, as errors and as codes."""
    got = [*request.headers.values(), await request.text()]
    errors = [{"message": text, "extensions": {"code": text.removeprefix("Bearer ")}} for text in got]
    return web.json_response({"errors": errors})


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on loopback; its address."""
    app = web.Application()
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_each_attempt_arrives_with_its_own_span_also_after_a_refresh(exported: Exported) -> None:
    arrived: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        arrived.append(request.headers["traceparent"].split("-")[2])
        errors = [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]
        return web.json_response({"data": {"echo": "1"}} if len(arrived) > 1 else {"errors": errors})

    async with serving(answer) as uri, HttpLink(uri) as http:
        session = AuthSession(refresh=lambda tokens, reason: TokenSet("new"), tokens=TokenSet("old"))
        for lower in ([], [OpenTelemetryLink(per="attempt", **exported.providers)]):
            arrived.clear()
            head = OpenTelemetryLink(**exported.providers)
            await execute(from_([head, AuthLink(session), *lower, http]), GraphQLRequest(ECHO, {"value": "1"}))
            spans = exported.named("query attempt") if lower else exported.named("query") * 2
            assert [f"{span.context.span_id:016x}" for span in spans] == arrived


async def test_the_headers_follow_a_redirect_to_another_origin_and_the_token_does_not(exported: Exported) -> None:
    """As the page says; P7, E99."""
    seen: dict[str, set[str]] = {}

    async def answer(request: web.Request) -> web.Response:
        seen[request.path] = {"traceparent", "baggage", "authorization"} & {name.lower() for name in request.headers}
        if request.path == "/first":
            raise web.HTTPTemporaryRedirect(f"http://localhost:{request.url.port}/second")
        return web.json_response({"data": {"echo": "1"}})

    attached = otel.attach(baggage.set_baggage("tenant", "one"))
    try:
        async with serving(answer) as uri:
            session = AuthSession(refresh=lambda tokens, reason: None, tokens=TokenSet("token"))
            link = from_([OpenTelemetryLink(**exported.providers), AuthLink(session), HttpLink(f"{uri}first")])
            await execute(link, GraphQLRequest(ECHO, {"value": "1"}))
            await link.aclose()
    finally:
        otel.detach(attached)

    assert {
        "/first": {"traceparent", "baggage", "authorization"}, "/second": {"traceparent", "baggage"},
    } == seen  # fmt: skip
