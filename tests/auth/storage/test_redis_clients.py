"""Which servers and clients are taken, and what is said of the others."""

import sys
from typing import Any

import pytest
import redis.asyncio

from rxlink.auth.storage.redis import RedisTokenStorage
from rxlink.errors import InvariantError

BAD_URLS = [
    "",
    "localhost",
    "http://:planted@localhost",
    "redis://:planted/7@localhost",
    "redis://:planted#7@localhost",
    "redis://:12?planted@localhost",
    "unix://:1/planted@/tmp/s",
    "redis://localhost?planted planted=1",
    "redis://localhost/0?socket_timeout=1&:12?planted@7",
    "redis://[planted",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_is_no_url_is_refused_and_not_quoted(url: str) -> None:
    """P7: it may hold a password."""
    with pytest.raises(InvariantError, match="`server` is no URL of a Redis server") as caught:
        RedisTokenStorage(url, "rxlink:ada")

    assert "planted" not in f"{caught.value} {caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "option"),
    [
        ("redis://localhost?sockettimeout=planted", "sockettimeout"),
        ("redis://:planted@localhost:1/2?socket_timeout=1&sockettimeout=5&db=0", "sockettimeout"),
        ("redis://localhost?socket_timeout=planted", "socket_timeout"),
        ("redis://localhost?db=planted", "db"),
        ("rediss://localhost?ssl_cert_reqs=planted", "ssl_cert_reqs"),
        ("redis://localhost?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("unix:///planted?dbb=1", "dbb"),
    ],
)
def test_an_option_that_is_none_is_named(url: str, option: str) -> None:
    """P7: without its value, which may be a password."""
    with pytest.raises(InvariantError) as caught:
        RedisTokenStorage(url, "rxlink:ada")

    said = f"`server` has the option `{option}` in its URL, which redis-py does not know, or not with that value"
    assert said == str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("path", ["/planted", "/0/1", "/-1", "/1.5", "/%", "/planted?db=1"])
def test_a_database_that_is_no_number_is_refused(path: str) -> None:
    """Redis-py would take the first one."""
    with pytest.raises(InvariantError) as caught:
        RedisTokenStorage(f"redis://localhost:1{path}", "rxlink:ada")

    assert "`server` names a database that is no number; give redis://host:port/0, say" == str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost", "localhost:6379/0"),
        ("redis://localhost/", "localhost:6379/0"),
        ("redis://localhost:1/2/", "localhost:1/2"),
        ("redis://localhost/%32?socket_timeout=5&health_check_interval=3&decode_responses=yes", "localhost:6379/2"),
        ("redis://localhost?db=3&client_name=", "localhost:6379/3"),
        ("unix:///run/valkey?db=4", "/run/valkey, db 4"),
        ("rediss://a%40b:p%2F@localhost?ssl_cert_reqs=none", "localhost:6379/0"),
    ],
)
def test_right_urls_are_taken(url: str, place: str) -> None:
    assert f"<RedisTokenStorage {place} 'rxlink:ada'>" == repr(RedisTokenStorage(url, "rxlink:ada"))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "utf-16", "no-such-encoding", "cp500", None])
def test_a_client_that_would_use_another_key_is_refused(encoding: Any) -> None:
    """The process beside it would know nothing of its tokens."""
    client: Any = redis.asyncio.Redis(encoding=encoding)
    servers = [client] if encoding is None else [client, f"redis://localhost?encoding={encoding}"]

    for server in servers:
        with pytest.raises(InvariantError) as caught:
            RedisTokenStorage(server, "rxlink:zoë")
        said = "`server` has an `encoding` with which `key` would be another one; give it encoding='utf-8'"
        assert said == str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "cp500", "utf-7"])
def test_a_client_whose_commands_are_no_ascii_is_refused(encoding: str) -> None:
    client: Any = redis.asyncio.Redis(encoding=encoding)

    with pytest.raises(InvariantError, match="`server` has an `encoding`"):
        RedisTokenStorage(client, "ada")


@pytest.mark.parametrize("package", ["redis", "redis.asyncio"])
def test_without_redis_py_it_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    for name in {package, "redis.asyncio"}:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InvariantError) as caught:
        RedisTokenStorage("redis://localhost", "rxlink:ada")

    said = "RedisTokenStorage needs the extra `redis`, which is not installed: pip install 'rxlink[redis]'"
    assert said == str(caught.value)
