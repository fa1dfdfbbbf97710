"""The three endpoints of an auth server: GraphQL, OAuth2 tokens, refresh by cookie; and where faults strike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from rxlink.testing._answers import (
    COOKIE_NAME,
    fault_answer,
    forget_cookie,
    graphql_answer,
    oauth2_error,
    set_cookie,
    token_answer,
)
from rxlink.testing._auth_schema import AuthSchema, GraphQLCall, MalformedRequest
from rxlink.testing._faults import Arrival, Fault, FaultScript, Unauthenticated
from rxlink.testing._ledger import Ledger, operation_key
from rxlink.testing._ledger_records import Generation, RefreshTry, Send
from rxlink.testing._oauth2_messages import ClientRegistration, OAuth2Error, read_token_request
from rxlink.testing._resolvers import RequestResolvers
from rxlink.testing._token_table import Granted, RefreshRefused, TokenTable

__all__ = ["Endpoints"]

_Process = Callable[[Fault | None], web.Response]


@dataclass(slots=True, kw_only=True)
class Endpoints:
    """The request handlers of one server. `closing` releases every request that a fault holds back."""

    table: TokenTable
    ledger: Ledger
    faults: FaultScript
    clock: Callable[[], float]
    counters: dict[str, int]
    registration: ClientRegistration
    unauthenticated: Unauthenticated
    schema: AuthSchema
    closing: asyncio.Event

    async def graphql(self, request: web.Request) -> web.Response:
        """Answer a GraphQL request."""
        try:
            call = self.schema.read(await request.json())
        except (MalformedRequest, ValueError) as error:
            return graphql_error_400(error)
        arrival = self._arrival_of(call, request)
        return await self._serve(request, arrival, lambda fault: self._run(call, request, arrival, fault))

    async def token(self, request: web.Request) -> web.Response:
        """Answer a request for tokens by the rules of OAuth2."""
        at, body = self.clock(), await request.text()
        try:
            wanted = read_token_request(request.content_type, body, request.headers.get("Authorization"))
        except OAuth2Error as error:
            return oauth2_error(error)
        held = (
            self.table.generation_of(wanted.refresh_token)
            if wanted.is_refresh
            else self.table.client_generation(wanted.client_id or "")
        )
        arrival = Arrival(at=at, endpoint="token", is_refresh=True, generation=held)

        def exchange(stale_as: float | None) -> Granted:
            wanted.check(self.registration)
            if wanted.is_refresh:
                return self.table.rotate(wanted.refresh_token, asked_at=at, stale_as=stale_as)
            return self.table.client_credentials(wanted.client_id or "", asked_at=at, stale_as=stale_as)

        return await self._serve(request, arrival, lambda fault: self._token_answer(arrival, fault, exchange))

    async def cookie(self, request: web.Request) -> web.Response:
        """Answer a refresh that presents its token in the cookie."""
        at, token = self.clock(), request.cookies.get(COOKIE_NAME)
        arrival = Arrival(at=at, endpoint="cookie", is_refresh=True, generation=self.table.generation_of(token))

        def exchange(stale_as: float | None) -> Granted:
            return self.table.rotate(token, asked_at=at, stale_as=stale_as)

        return await self._serve(request, arrival, lambda fault: self._token_answer(arrival, fault, exchange))

    # Faults

    async def _serve(self, request: web.Request, arrival: Arrival, process: _Process) -> web.Response:
        fault = self.faults.take(arrival)
        if fault is None:
            return process(None)
        try:
            is_released = await self._hold_back(fault)
        except asyncio.CancelledError:
            self._record_fault(arrival, "client-left", fault)
            raise
        if is_released or fault.kind == "drop":
            self._record_fault(arrival, fault.kind, fault)
            return _cut(request)
        answer = fault_answer(fault, arrival)
        if answer is not None:
            self._record_fault(arrival, fault.kind, fault)
            return answer
        answer = process(fault)
        return _cut(request) if fault.kind == "drop_after" else answer

    async def _hold_back(self, fault: Fault) -> bool:
        """Wait as long as a fault says; return whether the server closes meanwhile."""
        if fault.seconds == 0 and fault.kind != "hang":
            return False
        try:
            async with asyncio.timeout(None if fault.kind == "hang" else fault.seconds):
                await self.closing.wait()
        except TimeoutError:
            return False
        return True

    def _record_fault(self, arrival: Arrival, why: str, fault: Fault) -> None:
        if arrival.is_refresh:
            self._record_try(arrival, fault, RefreshTry(at=arrival.at, via=arrival.endpoint, outcome="faulted", why=why))
            return
        if fault.kind == "unauthenticated" and why == fault.kind:
            self._note_refusal(arrival.generation)
        self._record_send(arrival, "faulted", why, fault)
