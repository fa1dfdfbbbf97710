"""Clients of Redis: one for each event loop and process, or one that was given.

A client belongs to its event loop. A storage may serve several, so each has one, held by an asynchronous generator: a
loop that shuts down finishes the generators that were started on it (``loop.shutdown_asyncgens``, which ``asyncio.run``
calls), and with them closes their clients.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from rxlink.core.options import kind_of, require_extra
from rxlink.errors import InvariantError, InvariantTypeError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["CALL_LIMIT", "Clients", "clients_of", "keeping_cancellations", "letting_outages_pass"]

CALL_LIMIT: Final = 2.0
"""Seconds for a connection, and for each answer, where the URL does not say otherwise."""
UNLIKE_URL: Final = (
    "`server` is no URL of a Redis server; give redis://host:port/db, rediss://host:port/db or unix:///path?db=0, with "
    "the options that redis-py knows, and with %-escapes for `@`, `/`, `?`, `#` in a password or path"
)
DATABASE: Final = re.compile(r"/?[0-9]*/?")
"""What may follow the port; of anything else redis-py takes the digits, or the first database."""
OPTION: Final = re.compile(r"[A-Za-z_]{1,40}")


class _OwnClients:
    """Clients by process and event loop, each held by a generator that the loop finishes when it shuts down."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open: dict[tuple[int, asyncio.AbstractEventLoop], tuple[Redis, AsyncGenerator[Redis]]] = {}
        example = _client_of(url)
        self.place, self.encoding = _place_of(example), _encoding_of(example)

    async def here(self) -> Redis:
        """Return the client of the running loop."""
        process = os.getpid()
        key = process, asyncio.get_running_loop()
        if key not in self._open:
            # Those of the process that this one was forked from stay: closing them would end its connections.
            for stale in [known for known in list(self._open) if known[0] == process and known[1].is_closed()]:
                self._open.pop(stale, None)
            holder = _hold_client(self._url)
            # This does not give way to others, so nobody opens the same client meanwhile.
            self._open[key] = await anext(holder), holder
        return self._open[key][0]

    async def aclose(self) -> None:
        """Close that of the running loop."""
        held = self._open.pop((os.getpid(), asyncio.get_running_loop()), None)
        if held is not None:
            await held[1].aclose()


class _GivenClient:
    """A client of the application's, which stays open."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self.place, self.encoding = _place_of(client), _encoding_of(client)

    async def here(self) -> Redis:
        """Return it."""
        return self._client

    async def aclose(self) -> None:
        """Leave it open."""


Clients: TypeAlias = _OwnClients | _GivenClient


async def _hold_client(url: str) -> AsyncGenerator[Redis]:
    client = _client_of(url)
    try:
        yield client
    finally:
        with letting_outages_pass():
            await client.aclose()


def clients_of(server: object) -> Clients:
    """Return the clients of a URL, or the one client that was given.

    Raises:
        InvariantError: redis-py is missing, or the URL is none that it knows; the message names an option that is not.
        InvariantTypeError: It is something else.
    """
    require_extra("RedisTokenStorage", "redis", "redis.asyncio")
    from redis import Redis as SynchronousRedis
    from redis.asyncio import Redis

    if isinstance(server, Redis):
        return _GivenClient(server)
    if not isinstance(server, str):
        kind = "a synchronous redis.Redis" if isinstance(server, SynchronousRedis) else kind_of(server)
        raise InvariantTypeError(f"`server` is {kind}; give a URL, or a redis.asyncio.Redis client")
    if (wrong := _fault_of(server)) is not None:
        raise InvariantError(wrong)
    return _OwnClients(server)


@contextmanager
def letting_outages_pass() -> Generator[None]:
    """Go on where a lock was lost, or the server with it."""
    from redis.exceptions import RedisError

    with suppress(RedisError, OSError):
        yield


@contextmanager
def keeping_cancellations() -> Generator[None]:
    """Raise a cancellation that came meanwhile and was not raised.

    redis-py sends through ``asyncio.wait_for``, which before Python 3.12 forgets one that comes as it ends: a caller
    who has left would go on, with the lock in hand.
    """
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    except Exception:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError


def _client_of(url: str) -> Redis:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    make = cast("Callable[..., Redis]", Redis.from_url)
    # With protocol 3 redis-py 8 does not see that the server has closed a connection of the pool, and the call fails.
    limits = {"socket_connect_timeout": CALL_LIMIT, "socket_timeout": CALL_LIMIT}
    return make(url, retry=Retry(NoBackoff(), 0), protocol=2, **limits)


def _fault_of(url: str) -> str | None:
    """Return what is wrong with a URL, if anything is; what redis-py says of it may quote a password."""
    try:
        parts = urlsplit(url)
        path, options = unquote(parts.path), parse_qs(parts.query)
    except ValueError:
        return UNLIKE_URL
    bare = url.partition("#")[0].partition("?")[0]
    # A password that is not escaped ends at the first `/`, `?` or `#`, and the port is what stands before that.
    if "@" in parts.path + parts.query + parts.fragment or not _can_be_used(bare):
        return UNLIKE_URL
    if parts.scheme != "unix" and not DATABASE.fullmatch(path):
        return "`server` names a database that is no number; give redis://host:port/0, say"
    for name in filter(OPTION.fullmatch, options):
        if not _can_be_used(f"{bare}?{urlencode({name: options[name][0]})}"):
            return f"`server` has the option `{name}` in its URL, which redis-py does not know, or not with that value"
    return None if _can_be_used(url) else UNLIKE_URL


def _can_be_used(url: str) -> bool:
    from redis.exceptions import RedisError

    try:
        pool: Any = _client_of(url).connection_pool
        pool.make_connection()  # which connects nothing, but knows the options
    except (AttributeError, LookupError, RedisError, TypeError, ValueError):
        return False
    return True


def _encoding_of(client: Redis) -> object:
    pool: Any = client.connection_pool
    return pool.connection_kwargs.get("encoding", "utf-8")


def _place_of(client: Redis) -> str:
    """Return where the server is, for messages."""
    pool: Any = client.connection_pool
    said = pool.connection_kwargs
    if service := getattr(pool, "service_name", None):  # which sentinels know
        return f"{service}/{said.get('db', 0)}"
    if path := said.get("path"):
        return f"{path}, db {said.get('db', 0)}"
    return f"{said.get('host', 'localhost')}:{said.get('port', 6379)}/{said.get('db', 0)}"
