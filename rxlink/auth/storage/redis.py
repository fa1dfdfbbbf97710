"""The storage that processes of any number of hosts share: a key of Redis or Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager, suppress
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, cast

from rxlink.auth.loops import call_on
from rxlink.auth.storage.record_text import from_text, to_text
from rxlink.auth.storage.redis_clients import Clients, clients_of, keeping_cancellations, letting_outages_pass
from rxlink.auth.storage.redis_watch import Watch
from rxlink.auth.storage.shared import LEASE, SharedTokenStorage, StoredTokens, TokenLease, new_login
from rxlink.core.options import kind_of
from rxlink.core.timing import Duration
from rxlink.errors import InvalidStoredTokens, InvariantError, InvariantTypeError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.lock import Lock

__all__ = ["RedisTokenStorage"]

LETTING_GO_LIMIT: Final = 0.5
"""Seconds for which a caller who was cancelled is held up at most."""
SHORTEST_LEASE: Final = 0.001
"""Seconds: the server counts in milliseconds."""
LOCK_ENDING: Final = ":lock"
CHANGES_ENDING: Final = ":changes"
REPLACE: Final = """
if redis.call('get', KEYS[1]) ~= (ARGV[3] or false) then return 0 end
redis.call('publish', ARGV[2], 'changed')
redis.call('set', KEYS[1], ARGV[1])
return 1
"""
"""Tells first: where that is forbidden, nothing has been kept yet. Who hears it can look only after the script."""


class RedisTokenStorage(SharedTokenStorage):
    """Keeps tokens under one key of a Redis or Valkey server, for processes on any number of hosts.

    The right to refresh is redis-py's lock, under the key with ``:lock`` at its end. Changes are told on the channel
    with ``:changes`` at its end, so that other processes know of a sign-in or sign-out at once. On a cluster put braces
    around a part of the key, such as ``rxlink:{ada}``: then both keys are on one node.

    It may be used on several event loops, one after another or at once, and in forked children: with a URL each gets
    connections of its own. They close with the loop (``asyncio.run`` sees to it), or with :meth:`aclose`. What the
    server or the network fails with comes out as redis-py's own errors.

    Example:
        >>> RedisTokenStorage("redis://:secret@cache.example:6379/0", "rxlink:ada")
        <RedisTokenStorage cache.example:6379/0 'rxlink:ada'>
    """

    def __init__(self, server: str | Redis, key: str, *, lease: Duration = LEASE) -> None:
        """Make a storage; nothing is connected before it is used.

        Args:
            server: A URL (``redis://``, ``rediss://``, ``unix://``), with options of redis-py as its query: without
                them a connection may take 2 seconds, and so may each answer, and nothing is tried twice. Or a
                ``redis.asyncio.Redis`` client of your own, which is never closed here, belongs to the loop that it is
                used on, and should have a ``socket_timeout`` and no retries: a call that was tried again after its
                answer got lost takes its own work for somebody else's.
            key: Under what the tokens are kept; one for each session, and not one that ends with ``:lock``.
            lease: Seconds that the right to refresh lasts unless it is renewed; at least a millisecond.

        Raises:
            InvariantError: redis-py is missing, the URL is none, the key is empty or ends with ``:lock``, the client
                would make something else of it than others do (by its ``encoding``), or the lease makes no sense.
            InvariantTypeError: An option has the wrong type.
        """
        super().__init__(lease=lease)
        if self.lease < SHORTEST_LEASE:
            raise InvariantError(f"`lease` is {self.lease!r}; give at least {SHORTEST_LEASE} seconds")
        self._key = _checked_key(key)
        self._clients = clients_of(server)
        _check_encoding(self._clients.encoding, key)
        self._where = f"the key {key!r} of Redis at {self._clients.place}"
        self._numbers = count(1)
        self._stamp = 0
        self._watches: set[asyncio.Task[None]] = set()

    async def read(self) -> StoredTokens | None:
        """Return what is kept; None where the key is not there.

        Raises:
            InvalidStoredTokens: The key holds something else.
        """
        return self._record_of(await self._text())

    async def replace(self, old: StoredTokens | None, new: StoredTokens, /) -> bool:
        """Keep ``new`` if ``old`` is what is kept; return when the server has it, in memory at least.

        Returns:
            False where something else is kept.

        Raises:
            InvalidStoredTokens: The key holds something else than tokens; it is left as it is.
        """
        text = await self._text()
        kept = self._record_of(text)
        if kept is not old and (kept is None or not kept.is_same_as(old)):
            return False
        given = [to_text(new), self._key + CHANGES_ENDING, *([] if text is None else [text])]
        with keeping_cancellations(), _refusing_other_types(self._where):
            client: Any = await self._clients.here()
            return bool(await client.eval(REPLACE, 1, self._key, *given))

    async def try_acquire(self) -> TokenLease | None:
        """Return the right to refresh, or None where somebody else has it.

        A caller that is cancelled meanwhile, or whose connection breaks, may have got it unknowingly: then it lasts one
        lease. After a cancellation it is given back, if that works within half a second.
        """
        from redis.asyncio.lock import Lock

        client = await self._clients.here()
        lock = Lock(client, self._key + LOCK_ENDING, timeout=self.lease, blocking=False, thread_local=False)
        mark = new_login()
        try:
            with keeping_cancellations():
                is_ours = await lock.acquire(token=mark)
        except asyncio.CancelledError:
            with letting_outages_pass():
                async with asyncio.timeout(LETTING_GO_LIMIT):
                    await lock.do_release(mark.encode())
            raise
        return _Lease(lock, self._clients, self.lease) if is_ours else None

    def stamp(self) -> Hashable:
        """Return the number of the last notice of a change; one is heard while somebody watches, in this process."""
        return self._stamp

    def watch(self, notice: Callable[[], None], /) -> Callable[[], None]:
        """Call ``notice`` on the running event loop after each change, also one's own.

        It is called too whenever the channel has been opened (again) or was quiet for a while, since what happened
        before may have been missed. The channel is opened again for as long as nobody stops this.

        Returns:
            What stops it; it may be called in any thread.
        """
        loop = asyncio.get_running_loop()
        watch = Watch(self._clients, self._key + CHANGES_ENDING, lambda: self._hear(notice))
        task = loop.create_task(watch.run())
        self._watches.add(task)
        task.add_done_callback(self._watches.discard)
        return lambda: call_on(loop, lambda: cast("None", task.cancel()))

    async def aclose(self) -> None:
        """Stop watching on the running loop, and close the connections there; those of other loops close with them."""
        here = asyncio.get_running_loop()
        ending = [task for task in list(self._watches) if task.get_loop() is here]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        await self._clients.aclose()

    def __repr__(self) -> str:
        """Show the server and the key; no password, and no token."""
        return f"<RedisTokenStorage {self._clients.place} {self._key!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _text(self) -> bytes | None:
        with keeping_cancellations(), _refusing_other_types(self._where):
            client: Any = await self._clients.here()
            # As bytes, whatever the client makes of text: the script compares it with what is there.
            return cast("bytes | None", await client.execute_command("GET", self._key, NEVER_DECODE=True))

    def _record_of(self, text: bytes | None) -> StoredTokens | None:
        return None if text is None else from_text(text, self._where)

    def _hear(self, notice: Callable[[], None]) -> None:
        self._stamp = next(self._numbers)
        notice()


class _Lease(TokenLease):
    """A lock, until it is given back, or ends by itself."""

    def __init__(self, lock: Lock, clients: Clients, duration: float) -> None:
        self._lock = lock
        self._clients = clients
        self.duration = duration

    async def renew(self) -> bool:
        """Make it last its full duration from now; tell whether it was still ours."""
        from redis.exceptions import LockError

        self._lock.redis = await self._clients.here()
        try:
            with keeping_cancellations():
                return await self._lock.extend(cast("float", self.duration), replace_ttl=True)
        except LockError:
            return False

    async def release(self) -> None:
        """Give it back. Where the server cannot be reached it ends by itself, which is no reason to fail."""
        with letting_outages_pass(), keeping_cancellations():
            self._lock.redis = await self._clients.here()
            await self._lock.release()


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise InvariantTypeError(f"`key` is {kind_of(key)}; give text, such as 'rxlink:ada'")
    if not key:
        raise InvariantError("`key` is empty; give text, such as 'rxlink:ada'")
    if key.endswith(LOCK_ENDING):
        raise InvariantError(f"`key` is {key!r}; give text that does not end with {LOCK_ENDING!r}")
    with suppress(UnicodeEncodeError):
        key.encode()
        return key
    raise InvariantError(f"`key` is {key!r}, which has no UTF-8; give other text")


def _check_encoding(encoding: Any, key: str) -> None:
    """Refuse what would write the key, or the script, otherwise than the clients of other processes do."""
    text = key + REPLACE
    with suppress(LookupError, TypeError, UnicodeError):
        if text.encode(encoding) == text.encode():
            return
    raise InvariantError("`server` has an `encoding` with which `key` would be another one; give it encoding='utf-8'")


@contextmanager
def _refusing_other_types(where: str) -> Generator[None]:
    from redis.exceptions import ResponseError

    try:
        yield
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise InvalidStoredTokens(where, "it is a list, a hash or the like, and no text") from error
