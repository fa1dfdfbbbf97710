"""Tokens under a key of Redis or Valkey: what is kept, what is refused, and what is shown."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from rxlink.auth.storage.record_text import to_text
from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.auth.storage.shared import StoredTokens
from rxlink.auth.tokens import TokenSet
from rxlink.errors import InvalidStoredTokens, InvariantError, InvariantTypeError
from tests.auth.storage.valkey_server import ValkeyServer, running_server

A0, A1 = TokenSet("A0", refresh_token="R0"), TokenSet("A1", refresh_token="R1")
FIRST, SECOND = StoredTokens(A0, "login", 1), StoredTokens(A1, "login", 2)
ELSE = StoredTokens(A0, "another login", 1)
GARBAGE = ["", "planted", '{"format": "planted"}', '{"format": "rxlink-tokens", "version": 2}', b"\xff\xfe\x00\x80"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def key(server: ValkeyServer) -> Iterator[str]:
    """Flushed afterwards; and every connection is closed."""
    yield "rxlink:ada"
    assert server.wait_for_connections(0)
    with server.client() as client:
        client.flushall()


async def test_a_record_replaces_the_one_that_was_read_and_no_other(server: ValkeyServer, key: str) -> None:
    """E72."""
    async with RedisTokenStorage(server.url, key) as storage:
        begin = await storage.read()

        done = [
            await storage.replace(FIRST, SECOND),
            await storage.replace(None, FIRST),
            await storage.replace(None, ELSE),
            await storage.replace(ELSE, SECOND),
            await storage.replace(FIRST, SECOND),
            await storage.replace(FIRST, SECOND),
        ]

        assert (None, SECOND) == (begin, await storage.read())
        assert [False, True, False, False, True, False] == done


async def test_what_changes_between_reading_and_writing_wins(
    server: ValkeyServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """E72: the script looks once more; also where nothing was there, and where all is gone."""
    async with RedisTokenStorage(server.url, key) as storage, RedisTokenStorage(server.url, key) as other:
        read = storage._text

        async def change_after_reading(change: Any) -> Any:
            text = await read()
            await change
            return text

        monkeypatch.setattr(storage, "_text", lambda: change_after_reading(other.replace(None, ELSE)))
        is_first = await storage.replace(None, FIRST)
        monkeypatch.setattr(storage, "_text", lambda: change_after_reading(other.replace(ELSE, SECOND)))
        is_second = await storage.replace(ELSE, FIRST)
        monkeypatch.setattr(storage, "_text", lambda: change_after_reading(asyncio.to_thread(_flush, server)))
        is_third = await storage.replace(SECOND, FIRST)

        assert (False, False, False, None) == (is_first, is_second, is_third, await other.read())


def _flush(server: ValkeyServer) -> None:
    with server.client() as client:
        client.flushall()


async def test_a_script_signs_in_and_out(server: ValkeyServer, key: str) -> None:
    async with RedisTokenStorage(server.url, key) as storage:
        await storage.save(A0)
        saved, record = await storage.load(), await storage.read()
        await storage.save(A1)
        again = await storage.load(), await storage.read()
        await storage.clear()

        assert (A0, A1, None) == (saved, again[0], await storage.load())
        assert record is not None
        assert again[1] is not None
        assert (1, True) == (again[1].serial - record.serial, record.login != again[1].login)


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_what_is_none_of_ours_is_told_and_never_written_over(
    server: ValkeyServer, key: str, garbage: str | bytes
) -> None:
    """P7: and it is not quoted."""
    with server.client() as client:
        client.set(key, garbage)
        async with RedisTokenStorage(server.url, key) as storage:
            for call in (storage.read, storage.load, storage.clear, lambda: storage.save(A0)):
                with pytest.raises(InvalidStoredTokens) as caught:
                    await call()
                assert f"the key 'rxlink:ada' of Redis at 127.0.0.1:{server.port}/0" == caught.value.where
                assert "planted" not in f"{caught.value!r} {caught.value.__context__!r}"
            for old in (None, FIRST):
                with pytest.raises(InvalidStoredTokens):
                    await storage.replace(old, SECOND)

        assert garbage in (client.get(key), client.get(key).decode(errors="replace"))


async def test_a_key_of_another_type_is_left_alone(
    server: ValkeyServer, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.client() as client:
        client.rpush(key, "ours")
        async with RedisTokenStorage(server.url, key) as storage:
            for call in (storage.read, storage.clear, lambda: storage.save(A0), lambda: storage.replace(FIRST, SECOND)):
                with pytest.raises(InvalidStoredTokens, match="a list, a hash or the like"):
                    await call()
            monkeypatch.setattr(storage, "_text", lambda: asyncio.sleep(0, to_text(FIRST)))  # it came after the look
            with pytest.raises(InvalidStoredTokens, match="a list, a hash or the like"):
                await storage.replace(FIRST, SECOND)

        assert [b"ours"] == client.lrange(key, 0, -1)


async def test_another_error_of_the_server_stays_what_it_is(tmp_path: Any) -> None:
    with running_server(tmp_path) as server, server.client() as client:
        client.config_set("maxmemory", 1)
        async with RedisTokenStorage(server.url, "rxlink:ada") as storage:
            with pytest.raises(redis.ResponseError, match="used memory") as caught:
                await storage.save(A0)

        assert "A0" not in str(caught.value)
        assert not client.exists("rxlink:ada")


@pytest.mark.parametrize("options", [{}, {"decode_responses": True}, {"protocol": 3}, {"encoding": "latin-1"}])
async def test_a_client_of_the_applications_own_is_used_and_stays_open(
    server: ValkeyServer, key: str, options: dict[str, Any]
) -> None:
    client: Any = redis.asyncio.Redis.from_url(server.url, **options)
    async with RedisTokenStorage(client, key) as storage:
        await storage.save(A0)
        lease = await storage.try_acquire()
        assert lease is not None
        told = asyncio.Event()
        stop = storage.watch(told.set)
        await asyncio.wait_for(told.wait(), 5)
        outcome = await storage.load(), await lease.renew(), await lease.release(), await storage.replace(None, FIRST)
        stop()

    stays_open = server.wait_for_connections(1)
    await client.aclose()
    assert (A0, True, None, False, True) == (*outcome, stays_open)
    assert f"<RedisTokenStorage 127.0.0.1:{server.port}/0 'rxlink:ada'>" == repr(storage)


async def test_a_client_that_decodes_finds_what_is_no_text(server: ValkeyServer, key: str) -> None:
    """And tells it as any other does."""
    with server.client() as client:
        client.set(key, b"\xff\xfe\x00\x80")
    decoding: Any = redis.asyncio.Redis.from_url(server.url, decode_responses=True)

    with pytest.raises(InvalidStoredTokens, match="it is no JSON"):
        await RedisTokenStorage(decoding, key).read()

    await decoding.aclose()


async def test_a_unix_socket_will_do(server: ValkeyServer, key: str) -> None:
    async with RedisTokenStorage(f"unix://{server.path}?db=1", key) as storage:
        await storage.save(A0)

        assert A0 == await storage.load()
        assert f"<RedisTokenStorage {server.path}, db 1 'rxlink:ada'>" == repr(storage)


async def test_keys_with_braces_have_both_keys_in_one_slot_of_a_cluster(server: ValkeyServer, key: str) -> None:
    async with RedisTokenStorage(server.url, "rxlink:{ada}") as storage:
        await storage.save(A0)
        lease = await storage.try_acquire()

        with server.client() as client:
            kept = sorted(client.keys("*"))
        assert [b"rxlink:{ada}", b"rxlink:{ada}:lock"] == kept
        assert lease is not None


async def test_a_password_is_in_no_message(tmp_path: Any) -> None:
    """P7."""
    with running_server(tmp_path, password="planted") as server:
        right = RedisTokenStorage(server.url, "rxlink:ada")
        wrong = RedisTokenStorage(server.url.replace("planted", "planted2"), "rxlink:ada")
        async with right, wrong:
            await right.save(A0)
            with pytest.raises(redis.RedisError) as refused:
                await wrong.load()
            loaded = await right.load()
            server.kill()
            with pytest.raises(redis.ConnectionError) as gone:
                await right.load()

    assert A0 == loaded
    assert "planted" not in f"{right!r}{wrong!r}{right._where}{refused.value!r}{gone.value!r}"
    assert f"<RedisTokenStorage 127.0.0.1:{server.port}/0 'rxlink:ada'>" == repr(right)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((None, "k"), {}, InvariantTypeError, "`server` is None; give a URL, or a redis.asyncio.Redis client"),
        ((redis.Redis(), "k"), {}, InvariantTypeError, "`server` is a synchronous redis.Redis; give a URL"),
        (("redis://", None), {}, InvariantTypeError, "`key` is None; give text"),
        (("redis://", b"k"), {}, InvariantTypeError, "`key` is bytes; give text"),
        (("redis://", ""), {}, InvariantError, "`key` is empty; give text, such as 'rxlink:ada'"),
        (("redis://", "ada:lock"), {}, InvariantError, "`key` is 'ada:lock'; give text"),
        (("redis://", "\ud800"), {}, InvariantError, "which has no UTF-8"),
        (("redis://", "k"), {"lease": 0}, InvariantError, "`lease` is 0; give more than 0 seconds"),
        (("redis://", "k"), {"lease": 0.0001}, InvariantError, "`lease` is 0.0001; give at least 0.001 seconds"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: Any, options: Any, kind: type, message: str) -> None:
    with pytest.raises(kind) as caught:
        RedisTokenStorage(*arguments, **options)

    assert str(caught.value).find(message) >= 0
