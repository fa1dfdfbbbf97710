"""The three endpoints of an auth server: GraphQL, OAuth2 tokens, refresh by cookie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from rxlink.testing._answers import (
    COOKIE_NAME,
    forget_cookie,
    graphql_answer,
    malformed_answer,
    oauth2_error,
    set_cookie,
    token_answer,
)
from rxlink.testing._auth_schema import AuthSchema, GraphQLCall, MalformedRequest
from rxlink.testing._fault_injection import FaultInjector
from rxlink.testing._faults import Fault, Unauthenticated
from rxlink.testing._ledger import Ledger, operation_key
from rxlink.testing._ledger_records import Arrival, RefreshTry, Send
from rxlink.testing._oauth2_messages import (
    ClientRegistration,
    OAuth2Error,
    TokenRequest,
    read_token_request,
)
from rxlink.testing._resolvers import RequestResolvers
from rxlink.testing._token_table import Granted, RefreshRefused, TokenPair, TokenTable, Verdict

__all__ = ["Endpoints"]

_Exchange = Callable[[float | None], Granted]
"""Trades what was presented for a pair: a stale one, if given the life it is to claim."""


@dataclass(slots=True, kw_only=True)
class Endpoints:
    """The request handlers of one server, over its tokens, ledger and faults."""

    table: TokenTable
    ledger: Ledger
    injector: FaultInjector
    clock: Callable[[], float]
    counters: dict[str, int]
    registration: ClientRegistration
    unauthenticated: Unauthenticated
    schema: AuthSchema

    async def graphql(self, request: web.Request) -> web.Response:
        """Answer a GraphQL request."""
        try:
            call = self.schema.read(await request.json())
            if call.is_subscription:
                raise MalformedRequest("A subscription needs a WebSocket.")
        except (MalformedRequest, ValueError) as error:
            return malformed_answer(error)
        arrival = self._graphql_arrival(request, call)
        return await self.injector.serve(request, arrival, lambda fault: self._run(request, call, arrival, fault))

    async def token(self, request: web.Request) -> web.Response:
        """Answer a request for tokens by the rules of OAuth2."""
        body = await request.text()
        try:
            wanted = read_token_request(request.content_type, body, request.headers.get("Authorization"))
        except OAuth2Error as error:
            arrival = Arrival(at=self.clock(), endpoint="token", is_refresh=True)
            self._write_down_refusal(arrival, None, error.error)
            return oauth2_error(error)
        arrival = self._token_arrival(wanted)

        def exchange(stale_as: float | None) -> Granted:
            wanted.check(self.registration)
            if wanted.is_refresh:
                return self.table.rotate(wanted.refresh_token, asked_at=arrival.at, stale_as=stale_as)
            return self.table.client_credentials(wanted.client_id or "", asked_at=arrival.at, stale_as=stale_as)

        return await self.injector.serve(request, arrival, lambda fault: self._answer_token(arrival, fault, exchange))

    async def cookie(self, request: web.Request) -> web.Response:
        """Answer a refresh that presents its token in the cookie."""
        token = request.cookies.get(COOKIE_NAME)
        arrival = Arrival(
            at=self.clock(),
            endpoint="cookie",
            is_refresh=True,
            generation=self.table.generation_of(token),
        )

        def exchange(stale_as: float | None) -> Granted:
            return self.table.rotate(token, asked_at=arrival.at, stale_as=stale_as)

        return await self.injector.serve(request, arrival, lambda fault: self._answer_cookie(arrival, fault, exchange))

    def _graphql_arrival(self, request: web.Request, call: GraphQLCall) -> Arrival:
        if call.is_refresh:
            generation = self.table.generation_of(call.refresh_token or request.cookies.get(COOKIE_NAME))
        else:
            generation = self._judge(request).generation
        return Arrival(
            at=self.clock(),
            endpoint="graphql",
            is_refresh=call.is_refresh,
            operation_id=request.headers.get("x-operation-id")
            or operation_key(call.operation_name, call.variables, query=call.query),
            operation_name=call.operation_name,
            variables=call.variables,
            generation=generation,
        )

    def _token_arrival(self, wanted: TokenRequest) -> Arrival:
        if wanted.is_refresh:
            generation = self.table.generation_of(wanted.refresh_token)
        else:
            generation = self.table.client_generation(wanted.client_id or "")
        return Arrival(at=self.clock(), endpoint="token", is_refresh=True, generation=generation)

    def execute(self, call: GraphQLCall, arrival: Arrival, verdict: Verdict, fault: Fault | None) -> dict[str, Any]:
        """Run an operation that came over a socket, write it down, and return its result."""
        return self._execute(call, arrival, verdict, fault, cookie=None)[0]

    def _execute(
        self, call: GraphQLCall, arrival: Arrival, verdict: Verdict, fault: Fault | None, *, cookie: str | None
    ) -> tuple[dict[str, Any], RequestResolvers]:
        def trade(argument: str | None) -> TokenPair:
            return self._refresh(
                arrival,
                fault,
                lambda stale_as: self.table.rotate(argument or cookie, asked_at=arrival.at, stale_as=stale_as),
            )

        resolvers = RequestResolvers(table=self.table, counters=self.counters, verdict=verdict, trade=trade)
        result = self.schema.run(call, resolvers.by_field())
        if not arrival.is_refresh:
            self._write_down_send(arrival, resolvers.refused_why, fault)
        return result, resolvers

    def _run(self, request: web.Request, call: GraphQLCall, arrival: Arrival, fault: Fault | None) -> web.Response:
        cookie = request.cookies.get(COOKIE_NAME)
        result, resolvers = self._execute(call, arrival, self._judge(request), fault, cookie=cookie)
        answer = graphql_answer(result, refused=self.unauthenticated if resolvers.refused_why else None)
        if resolvers.issued is not None and resolvers.issued.refresh_token is not None:
            set_cookie(answer, resolvers.issued.refresh_token)
        if resolvers.has_signed_out:
            forget_cookie(answer)
        return answer

    def _answer_token(self, arrival: Arrival, fault: Fault | None, exchange: _Exchange) -> web.Response:
        try:
            return token_answer(self._refresh(arrival, fault, exchange), is_by_cookie=False)
        except OAuth2Error as error:
            return oauth2_error(error)
        except RefreshRefused as refused:
            return oauth2_error(OAuth2Error("invalid_grant", str(refused)))

    def _answer_cookie(self, arrival: Arrival, fault: Fault | None, exchange: _Exchange) -> web.Response:
        try:
            return token_answer(self._refresh(arrival, fault, exchange), is_by_cookie=True)
        except RefreshRefused as refused:
            answer = oauth2_error(OAuth2Error("invalid_grant", str(refused), status=401))
            forget_cookie(answer)
            return answer

    def _refresh(self, arrival: Arrival, fault: Fault | None, exchange: _Exchange) -> TokenPair:
        try:
            granted = exchange(fault.claimed_life if fault is not None and fault.kind == "expired_token" else None)
        except (RefreshRefused, OAuth2Error) as refused:
            why = refused.why if isinstance(refused, RefreshRefused) else refused.error
            self._write_down_refusal(arrival, fault, why)
            raise
        self.ledger.refresh_tries.append(
            RefreshTry(
                at=arrival.at,
                via=arrival.endpoint,
                generation=granted.replaced,
                outcome="granted",
                granted=granted.pair.generation,
                replayed=granted.replayed,
                fault=None if fault is None else fault.kind,
            )
        )
        return granted.pair

    def _write_down_refusal(self, arrival: Arrival, fault: Fault | None, why: str) -> None:
        kind = None if fault is None else fault.kind
        self.ledger.refresh_tries.append(RefreshTry.of(arrival, "refused", why=why, fault=kind))

    def _write_down_send(self, arrival: Arrival, refused_why: str | None, fault: Fault | None) -> None:
        if refused_why not in (None, "bad-credentials"):
            arrival.note_refusal()
        outcome = "accepted" if refused_why is None else "refused"
        kind = None if fault is None else fault.kind
        self.ledger.all_sends.append(Send.of(arrival, outcome, why=refused_why, fault=kind))

    def _judge(self, request: web.Request) -> Verdict:
        header = request.headers.get("Authorization")
        if header is None:
            return self.table.judge(None)
        scheme, _, token = header.partition(" ")
        return self.table.judge(token if scheme.lower() in ("bearer", "jwt") else header)
