"""`rxlink query`, `rxlink schema` and `rxlink subscribe` against servers that other people wrote."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import build_schema

from tests.commands.hosting import Ran, runner
from tests.peers.peer import Peer
from tests.peers.sockets import LEGACY, NEW, Pair, Servers
from tests.peers.streams import SSE, StreamServers, Way

HELLO = "query Hello($name: String) { hello(name: $name) }"
COUNT = "subscription Count($to: Int!) { count(to: $to) }"
TO_THREE = [{"data": {"count": number}} for number in (1, 2, 3)]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    return runner(capsys)


def test_a_query_prints_its_data(run, peer: Peer):
    by_post = run("query", peer.url, HELLO, "--variable", "name=Ada")
    without = run("query", peer.url, HELLO)
    by_get = run(
        "query", peer.url, HELLO, "--variables", '{"name": "Grüße"}', "--get", "--header", "apollo-require-preflight: 1"
    )

    assert (0, '{"data":{"hello":"hello Ada"}}\n', "") == (by_post.code, by_post.out, by_post.err)
    assert '{"data":{"hello":"hello world"}}\n' == without.out
    assert '{"data":{"hello":"hello Grüße"}}\n' == by_get.out


def test_graphql_errors_are_printed_and_told(run, peer: Peer):
    failed = run("query", peer.url, "{ hello optional }")
    invalid = run("query", peer.url, "{ nobody }")
    wrong = run("query", peer.url, HELLO, "--variable", "name=[1]")

    assert (1, {"hello": "hello world", "optional": None}) == (failed.code, json.loads(failed.out)["data"])
    assert "the result has an error: on purpose" == failed.line
    for ran in (invalid, wrong):
        assert 1 == ran.code
        assert json.loads(ran.out)["errors"]
        assert "the result has an error: " in ran.line
    assert "nobody" in invalid.line


def test_a_token_opens_the_gate(run, peer: Peer, account: str, tmp_path: Path):
    refresh = run(
        "query",
        peer.url,
        "mutation R($account: String!) { refresh(account: $account) }",
        "--variable",
        f"account={account}",
    )
    token = tmp_path / "token"
    token.write_text(json.loads(refresh.out)["data"]["refresh"])

    outside = run("query", peer.gated, "{ viewer { account } }")
    inside = run("query", peer.gated, "{ viewer { account } }", "--access-token-file", token)

    assert (1, "") == (outside.code, outside.out)
    assert "status code 401" in outside.line
    assert (0, {"data": {"viewer": {"account": account}}}) == (inside.code, json.loads(inside.out))


def test_the_schema_is_printed(run, peer: Peer):
    ran = run("schema", peer.url)

    assert (0, "") == (ran.code, ran.err)
    assert {"hello", "echo", "viewer"} <= set(build_schema(ran.out).query_type.fields)


def test_it_runs_as_a_program(peer: Peer):
    command = [sys.executable, "-W", "error", "-m", "rxlink", "query", peer.url, "-"]
    done = subprocess.run(command, input=b"{ hello }", capture_output=True, check=False)

    assert (0, b'{"data":{"hello":"hello world"}}\n', b"") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("pair", "option"),
    [(Pair("graphql-ws", NEW), []), (Pair("mercurius", LEGACY), ["--protocol", "graphql-ws"])],
    ids=str,
)
def test_a_socket_answers_subscriptions_and_queries(run, pair: Pair, option: list[str], servers: Servers):
    ran = run("subscribe", servers.url(pair), COUNT, "--variable", "to=3", *option)
    query = run("query", servers.url(pair), "{ hello }", *option)

    assert (0, TO_THREE, "") == (ran.code, [json.loads(line) for line in ran.out.splitlines()], ran.err)
    assert '{"data":{"hello":"hello world"}}\n' == query.out


@pytest.mark.parametrize(
    ("way", "option"),
    [(Way("yoga", SSE), ["--protocol", "sse"]), (Way("strawberry", "multipart"), [])],
    ids=str,
)
def test_subscriptions_come_over_http(run, way: Way, option: list[str], streams: StreamServers):
    ran = run("subscribe", streams.url(way), COUNT, "--variable", "to=3", *option)

    assert (0, TO_THREE, "") == (ran.code, [json.loads(line) for line in ran.out.splitlines()], ran.err)
