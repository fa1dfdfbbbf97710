"""One user's life with a session: chains, hooks and storage that can be made to fail, and all of it as evidence."""

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp

from rxlink.auth.classify import is_auth_error
from rxlink.auth.events import RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import SessionEnded
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.oauth2 import OAuth2Refresh, oauth2_refresh
from rxlink.transport.upload import Upload
from tests.auth.evidence import Evidence
from tests.auth.secrets_bench import CLIENT_SECRET, CODE, Estate
from tests.recording import Recorder, subscribed

VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
UPLOAD = "mutation Put($file: Upload) { put(file: $file) }"
SECONDS = 2.0
"""For a refresh; a request gets half of it."""


def careless(_: object) -> Any:
    raise LookupError("a hook")


class Storage(MemoryTokenStorage):
    """Fails as often as it is told to."""

    failures = 0

    async def save(self, tokens: TokenSet, /) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        await super().save(tokens)


@dataclass
class Life:
    """One session with its chains, and what is done with it."""

    estate: Estate
    evidence: Evidence
    authentication: Literal["basic", "body"]
    stack: AsyncExitStack
    hook_fails: bool = False
    refresh_fails: bool = False
    predicate_fails: bool = False

    async def begin(self) -> None:
        enter = self.stack.enter_async_context
        for origin in self.estate.origins:
            await enter(origin.listening())
        self.storage = Storage()
        self.refresh: OAuth2Refresh = await enter(
            oauth2_refresh(
                self.estate.issuer.url,
                client_id="app",
                client_secret=CLIENT_SECRET,
                client_authentication=self.authentication,
                timeout=SECONDS / 2,
            )
        )
        self.session = await enter(
            AuthSession(
                refresh=self.refreshed,
                storage=self.storage,
                on_session_ended=self.sign_in_again,
                on_refresh_outage="fail",
                refresh_timeout=SECONDS / 2,
            )
        )
        self.session.events.subscribe(careless)
        self.session.states.subscribe(careless)
        self.told: list[Recorder] = [subscribed(self.session.events), subscribed(self.session.states)]
        auth = AuthLink(self.session, header=self.estate.header, scheme="", is_auth_error=self.is_refused)
        http = HttpLink(self.estate.api.url, timeout=SECONDS / 2)
        persisted = [PersistedQueryLink(use_get_for_hashed_queries=True), auth, HttpLink(self.estate.api.url)]
        self.chains: list[ApolloLink] = [
            from_([auth, ApolloLink(self.look), http]),
            from_([auth, BatchHttpLink(self.estate.api.url, timeout=SECONDS / 2)]),
            from_(persisted),
        ]
        for chain in self.chains:
            await enter(chain)
        self.evidence.things += [
            self.session,
            self.session.keeper,
            self.storage,
            self.refresh,
            auth,
            http,
            *self.chains,
        ]

    def look(self, operation: Any, forward: Any) -> Any:
        self.evidence.things += [operation, operation.extensions, list(map(repr, asyncio.all_tasks()))]
        return forward(operation)

    def is_refused(self, answer: Any) -> bool:
        self.evidence.things.append(answer)
        return careless(answer) if self.predicate_fails else is_auth_error(answer)

    async def refreshed(self, tokens: TokenSet | None, reason: RefreshReason) -> TokenSet:
        self.evidence.things.append(tokens)
        return careless(None) if self.refresh_fails else await self.refresh(tokens, reason)

    async def sign_in_again(self, error: SessionEnded) -> TokenSet:
        self.evidence.errors.append(error)
        return careless(None) if self.hook_fails else await self.exchange()

    async def exchange(self) -> TokenSet:
        """Trade an authorization code for tokens."""
        form = {"grant_type": "authorization_code", "code": CODE, "client_id": "app"}
        async with aiohttp.ClientSession() as http, http.post(self.estate.issuer.url, data=form) as response:
            message = await response.json()
        return TokenSet(message["access_token"], message["refresh_token"], expires_in=message["expires_in"])

    async def note(self, call: Awaitable[Any]) -> Any:
        """Wait for something; an error is evidence, and returned."""
        try:
            outcome = await call
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked through
            self.evidence.errors.append(error)
            return error
        if isinstance(outcome, TokenSet):
            self.evidence.things.append(outcome)
        return outcome

    async def operate(self, chain: int = 0, request: GraphQLRequest = VIEWER) -> Any:
        self.evidence.things.append(request)
        return await self.note(execute(self.chains[chain], request).to_future())

    async def operate_everywhere(self) -> list[Any]:
        upload = GraphQLRequest(UPLOAD, {"file": Upload(b"a,b", filename="table.csv")})
        leaver = subscribed(execute(self.chains[0], VIEWER))
        all_of_them = asyncio.gather(
            *(self.operate(chain) for chain in range(3) for _ in range(2)), self.operate(request=upload)
        )
        await asyncio.sleep(0)
        leaver.subscription.dispose()
        return await all_of_them
