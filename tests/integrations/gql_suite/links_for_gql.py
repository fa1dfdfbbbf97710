"""Plugin of pytest for gql's own tests: their transports are made of links.

In the place of gql's two classes stand functions with their public signatures, which make a ``LinkTransport`` over the
link that does what the class did. All of rxlink that is used is public. What belongs to the links and not to the
adapter is said with their options: no extensions of rxlink's own, no second try, ids that count, and JSON whose members
stand in gql's order, since some of the tests compare its text. Servers there put text into the payload of messages
where the protocol wants an object, which the WebSocket links refuse; they are read as if it were one.

Each test says in the report how many transports it has made: one that made none says nothing about the adapter.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import aiohttp
import gql.transport.aiohttp
import gql.transport.aiohttp_websockets
import pytest
from reactivex import merge
from reactivex import operators as ops
from reactivex.subject import AsyncSubject

from rxlink import (
    ApolloLink,
    BatchHttpLink,
    GraphQLWsLink,
    HttpLink,
    Operation,
    WebSocketLink,
    WebSocketState,
    split,
)
from rxlink.integrations.gql import BATCH, LinkTransport

MADE = "transports made"
ORDER = ("query", "operationName", "variables", "extensions")
WITH_AN_OBJECT = ("connection_ack", "ping", "pong")
SETTLED = (WebSocketState.CONNECTED, WebSocketState.CLOSED)
NEWER_PROTOCOL = "graphql-transport-ws"

GqlWebsocketsTransport = gql.transport.aiohttp_websockets.AIOHTTPWebsocketsTransport


class Transport(LinkTransport):
    """The adapter, counted."""

    made = 0
    is_newer_protocol = False

    def __init__(self, make: Callable[[], ApolloLink]) -> None:
        super().__init__(make, quotes_answers=True)
        Transport.made += 1


class Opened(ApolloLink):
    """A WebSocket link whose socket is open once it is entered, as gql's class connects; see coming-from-gql.md."""

    def __init__(self, make: Callable[..., GraphQLWsLink]) -> None:
        self._given_up: AsyncSubject[Any] = AsyncSubject()
        self._link = make(lazy=False, on_non_lazy_error=self._given_up.on_error)
        super().__init__(self._link.request)

    async def __aenter__(self) -> Self:
        await self._link.__aenter__()
        settled = self._link.states.pipe(ops.filter(lambda state: state in SETTLED))
        await merge(self._given_up, settled).pipe(ops.first())
        return self

    async def aclose(self) -> None:
        await self._link.aclose()


class WithSession(ApolloLink):
    """A link, and the session that was opened for it, which closes with it."""

    def __init__(self, link: ApolloLink, session: aiohttp.ClientSession, *, closes: bool) -> None:
        super().__init__(link.request)
        self._link = link
        self._session = session
        self._closes = closes

    async def __aenter__(self) -> Self:
        await self._link.__aenter__()
        return self

    async def aclose(self) -> None:
        await self._link.aclose()
        if self._closes:
            await self._session.close()


def opened_session(
    ssl: Any, cookies: Any, auth: aiohttp.BasicAuth | None, arguments: Mapping[str, Any] | None
) -> aiohttp.ClientSession | None:
    """Open what gql opens; None where it is no other than a link's own."""
    if ssl is True and cookies is None and auth is None and arguments is None:
        return None
    own = {} if ssl is True else {"connector": aiohttp.TCPConnector(ssl=ssl)}
    return aiohttp.ClientSession(cookies=cookies, auth=auth, **{**own, **(arguments or {})})


def is_in_batch(operation: Operation) -> bool:
    return BATCH in operation.get_context()


def http_transport(  # noqa: PLR0917 - as gql's
    url: Any,
    headers: Any = None,
    cookies: Any = None,
    auth: aiohttp.BasicAuth | None = None,
    ssl: Any = True,
    timeout: int | None = None,
    ssl_close_timeout: float | None = 10,
    json_serialize: Callable[[Any], str] = json.dumps,
    json_deserialize: Callable[[Any], Any] = json.loads,
    client_session_args: Mapping[str, Any] | None = None,
) -> LinkTransport:
    def encode(body: Mapping[str, Any]) -> str:
        return json_serialize({name: body[name] for name in ORDER if body.get(name)})

    def make() -> ApolloLink:
        session = opened_session(ssl, cookies, auth, client_session_args)
        options: dict[str, Any] = {
            "headers": None if headers is None else dict(headers),
            "timeout": timeout,
            "encode": encode,
            "decode": json_deserialize,
            "include_unused_variables": True,
            "enhanced_client_awareness": {"transport": False},
            "session": session,
        }
        link = split(
            is_in_batch,
            BatchHttpLink(str(url), batch_max=0, **options),
            HttpLink(str(url), damaged_parts="skip", **options),
        )
        return link if session is None else WithSession(link, session, closes=session.connector_owner)

    return Transport(make)


def decode(message: bytes) -> Any:
    said = json.loads(message)
    if isinstance(said, dict) and said.get("type") in WITH_AN_OBJECT and isinstance(said.get("payload"), str):
        said["payload"] = {"text": said["payload"]}
    return said


def websocket_transport(
    url: Any,
    *,
    subprotocols: Sequence[str] | None = None,
    ssl: Any = None,
    headers: Any = None,
    ack_timeout: float | None = 10,
    keep_alive_timeout: float | None = None,
    init_payload: Mapping[str, Any] | None = None,
    ping_interval: float | None = None,
    pong_timeout: float | None = None,
    session: aiohttp.ClientSession | None = None,
    client_session_args: Mapping[str, Any] | None = None,
    connect_args: Mapping[str, Any] | None = None,
    **_: Any,
) -> LinkTransport:
    is_newer = Transport.is_newer_protocol if subprotocols is None else NEWER_PROTOCOL in subprotocols

    def make() -> ApolloLink:
        numbers = itertools.count(1)
        own = session or opened_session(True if ssl is None else ssl, None, None, client_session_args)
        kind = GraphQLWsLink if is_newer else WebSocketLink
        make_link = partial(
            kind,
            str(url),
            connection_params=init_payload,
            headers=headers,
            keep_alive=ping_interval,
            keep_alive_timeout=pong_timeout or (ping_interval or 20) / 2,
            connection_ack_wait_timeout=ack_timeout,
            retry_attempts=0,
            generate_id=lambda _: str(next(numbers)),
            missing_subprotocol="accept",
            encode=json.dumps,
            decode=decode,
            session=own,
            **(connect_args or {}),
        )
        link = Opened(make_link)
        return link if own is None else WithSession(link, own, closes=session is None and own.connector_owner)

    return Transport(make)


websocket_transport.GRAPHQLWS_SUBPROTOCOL = GqlWebsocketsTransport.GRAPHQLWS_SUBPROTOCOL
websocket_transport.APOLLO_SUBPROTOCOL = GqlWebsocketsTransport.APOLLO_SUBPROTOCOL


def pytest_configure() -> None:
    gql.transport.aiohttp.AIOHTTPTransport = http_transport
    gql.transport.aiohttp_websockets.AIOHTTPWebsocketsTransport = websocket_transport


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Count, and know which protocol the server of a test speaks; gql's class offers both and takes what it gets."""
    Transport.made = 0
    Transport.is_newer_protocol = "graphqlws" in item.path.name
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    item.user_properties.append((MADE, Transport.made))
