"""The token options: where tokens come from, where they are kept, and that they go nowhere else."""

import json
import stat
import sys

import pytest

from rxlink.auth.storage import FileTokenStorage, KeyringTokenStorage, MemoryTokenStorage, RedisTokenStorage
from rxlink.commands.sources import Sources
from rxlink.commands.storages import storage_of
from rxlink.testing import Fault

VIEWER = "{ viewer { name } }"
ADA = '{"data":{"viewer":{"name":"ada"}}}\n'


@pytest.fixture
def pair(server, here):
    """Tokens of ada, in files; and the secret of the client."""
    pair = server.sign_in("ada")
    (here / "access").write_text(f"{pair.access_token}\n")
    (here / "refresh").write_text(f"{pair.refresh_token}\n")
    (here / "secret").write_text("s3cret\n")
    return pair


@pytest.fixture
def issuer(server, pair):
    """The options that name it."""
    return ["--token-url", server.token_url, "--client-id", "app", "--client-secret-file", "secret"]


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_an_access_token_is_sent_as_it_is(run, server, pair, scheme):
    ran = run("query", server.url.replace("http", scheme), VIEWER, "--access-token-file", "access")

    assert (0, ADA, "") == (ran.code, ran.out, ran.err)


def test_tokens_come_from_the_environment_or_from_standard_input(run, server, pair, typed, monkeypatch):
    monkeypatch.setenv("TOKEN", pair.access_token)
    typed(pair.access_token)

    assert 0 == run("query", server.url, VIEWER, "--access-token-file", "env:TOKEN").code
    assert 0 == run("query", server.url, VIEWER, "--access-token-file", "-").code


def test_an_access_token_that_is_refused_is_the_end_without_an_issuer(run, server, pair):
    server.revoke_access("ada")

    ran = run("query", server.url, VIEWER, "--access-token-file", "access")

    assert 1 == ran.code
    assert "UNAUTHENTICATED" == json.loads(ran.out)["errors"][0]["extensions"]["code"]
    assert "without --token-url there is no other" in ran.line
    assert pair.access_token not in ran.err


def test_new_tokens_are_got_and_kept_so_that_the_next_run_has_them(run, server, issuer, pair, here):
    options = [*issuer, "--refresh-token-file", "refresh", "--storage", "tokens.json"]

    first = run("query", server.url, VIEWER, *options)
    second = run("query", server.url, VIEWER, *options)
    server.revoke_access("ada")
    third = run("query", server.ws_url, VIEWER, *issuer, "--storage", "tokens.json")

    assert [(0, ADA, "")] * 3 == [(ran.code, ran.out, ran.err) for ran in (first, second, third)]
    assert 2 == server.ledger.refreshes
    assert stat.S_IRUSR | stat.S_IWUSR == stat.S_IMODE((here / "tokens.json").stat().st_mode)


def test_both_tokens_are_used_and_kept(run, server, issuer, pair, here):
    options = [*issuer, "--access-token-file", "access", "--refresh-token-file", "refresh", "--storage", "tokens.json"]

    ran = run("query", server.url, VIEWER, *options)

    assert (0, 0) == (ran.code, server.ledger.refreshes)
    assert pair.refresh_token in (here / "tokens.json").read_text()


def test_a_token_that_is_refused_is_refreshed_once_during_a_subscription_too(run, server, issuer, pair):
    server.revoke_access("ada")
    options = ["--access-token-file", "access", "--refresh-token-file", "refresh", "--storage", "memory"]

    ran = run("subscribe", server.ws_url, "subscription { countdown(start: 2) }", *issuer, *options)

    assert (0, 2, 1) == (ran.code, ran.out.count("\n"), server.ledger.refreshes)


def test_a_dead_login_is_told_and_a_new_refresh_token_revives_it(run, server, issuer, pair, here):
    # given
    options = [*issuer, "--refresh-token-file", "refresh", "--storage", "tokens.json"]
    run("query", server.url, VIEWER, *options)
    server.revoke_access("ada")
    server.revoke_refresh("ada")

    # when
    dead = run("query", server.url, VIEWER, *options)
    (here / "refresh").write_text(server.sign_in("ada").refresh_token)
    revived = run("query", server.url, VIEWER, *options)

    # then
    assert 1 == dead.code
    assert "the session has ended (refresh token rejected); sign in again" in dead.line
    assert (0, ADA, "") == (revived.code, revived.out, revived.err)


def test_no_token_is_asked_for_where_the_endpoint_cannot_be_asked(run, server, issuer, pair):
    options = ["--refresh-token-file", "refresh", "--storage", "memory", "--header", "two words: 1"]

    ran = run("query", server.url, VIEWER, *issuer, *options)

    assert (2, []) == (ran.code, server.ledger.refresh_tries)


def test_a_stored_login_that_is_found_dead_is_replaced_at_once(run, server, issuer, pair, here):
    # given: an access token that has ended, and a refresh token that was revoked
    options = [*issuer, "--refresh-token-file", "refresh", "--storage", "tokens.json"]
    run("query", server.url, VIEWER, *options)
    kept = json.loads((here / "tokens.json").read_text())
    kept["tokens"]["expires_at"] = "2020-01-01T00:00:00+00:00"
    (here / "tokens.json").write_text(json.dumps(kept))
    server.revoke_refresh("ada")
    (here / "refresh").write_text(server.sign_in("ada").refresh_token)

    # when
    ran = run("query", server.url, VIEWER, *options)

    # then
    assert (0, ADA, "") == (ran.code, ran.out, ran.err)


def test_a_client_gets_tokens_for_itself(run, server, issuer):
    ran = run("query", server.url, VIEWER, *issuer, "--grant-type", "client_credentials")

    assert (0, '{"data":{"viewer":{"name":"app"}}}\n', "") == (ran.code, ran.out, ran.err)


def test_an_issuer_that_is_down_is_told_at_once(run, server, issuer, pair):
    server.faults.add(Fault.status(503), times=None)

    ran = run("query", server.url, VIEWER, *issuer, "--refresh-token-file", "refresh", "--storage", "memory")

    assert (1, "", 1) == (ran.code, ran.out, len(server.ledger.refresh_tries))
    assert "the token endpoint answered with status 503" in ran.line
    assert ran.line.endswith(", and without --retry it is not tried again")


def test_a_client_that_the_issuer_does_not_know_has_its_options_named(run, server, issuer, pair, here):
    (here / "secret").write_text("another")

    ran = run("query", server.url, VIEWER, *issuer, "--refresh-token-file", "refresh", "--storage", "memory")

    assert 1 == ran.code
    assert ran.line.endswith("answered with invalid_client; check --client-id and --client-secret-file")


def test_an_issuer_that_wants_a_longer_pause_than_there_is_time_has_that_option_named(run, server, issuer, pair):
    server.faults.add(Fault.too_many_requests(100))
    options = ["--refresh-token-file", "refresh", "--storage", "memory", "--retry", "1"]

    ran = run("query", server.url, VIEWER, *issuer, *options)

    assert ran.line.endswith("leaves no time for one within --timeout, 30 s")


def test_an_issuer_that_is_down_is_asked_again_if_wanted(run, server, issuer, pair):
    server.faults.add(Fault.status(503), times=1)
    options = ["--refresh-token-file", "refresh", "--storage", "memory", "--retry", "1"]

    assert 0 == run("query", server.url, VIEWER, *issuer, *options).code


def test_an_empty_storage_says_what_is_missing(run, server, issuer):
    ran = run("query", server.url, VIEWER, *issuer, "--storage", "tokens.json")

    assert 1 == ran.code
    assert "no tokens are stored yet; give --refresh-token-file or --access-token-file" == ran.line


def test_a_storage_whose_extra_is_missing_names_it(run, server, issuer, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)

    ran = run("query", server.url, VIEWER, *issuer, "--storage", "tokens.json")

    assert (2, "") == (ran.code, ran.out)
    assert "rxlink[filelock]" in ran.line


def test_a_storage_that_others_can_read_is_told(run, server, issuer, pair, here):
    options = [*issuer, "--access-token-file", "access", "--storage", "tokens.json"]
    run("query", server.url, VIEWER, *options)
    (here / "tokens.json").chmod(0o644)

    ran = run("query", server.url, VIEWER, *options)

    assert (0, ADA) == (ran.code, ran.out)
    assert "tokens.json is open to others than its owner (mode 0644)" in ran.line


def test_what_is_no_storage_is_left_as_it_is(run, server, issuer, here):
    (here / "notes.txt").write_text("my notes")
    (here / "notes.txt").chmod(0o600)

    ran = run("query", server.url, VIEWER, *issuer, "--refresh-token-file", "refresh", "--storage", "notes.txt")

    assert (1, "my notes") == (ran.code, (here / "notes.txt").read_text())
    assert "holds something else than rxlink's tokens" in ran.line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--client-id", "app"], "argument --client-id: it needs --token-url too"),
        (["--grant-type", "client_credentials"], "argument --grant-type: it needs --token-url too"),
        (["--token-url", "https://h/"], "argument --token-url: it needs --client-id too"),
        (["--token-url", "https://h/", "--client-id", "a"], "there is no token to begin with"),
        (["--token-url", "h", "--client-id", "a", "--access-token-file", "access"], "--token-url is 'h'"),
        (
            ["--token-url", "https://h/", "--client-id", "a", "--refresh-token-file", "refresh"],
            "many issuers take a refresh token once only; say with --storage where its successor is to be kept",
        ),
        (["--token-url", "https://h/\udcff", "--client-id", "a"], "argument --token-url: what was given is no text"),
        (["--token-url", "https://h/", "--client-id", "a", "--scope", "b\udcff"], "argument --scope: what was given"),
        (["--access-token-file", "nothing"], "argument --access-token-file: the file 'nothing' cannot be read"),
        (["--access-token-file", "empty"], "argument --access-token-file: there is nothing in 'empty'"),
        (["--access-token-file", "bearer"], "begins with the scheme 'Bearer'; give the bare token"),
        (["--access-token-file", "access", "--insecure"], "argument --insecure: tokens would go to whoever answers"),
        (["--storage", "keyring:ada"], "argument --storage: give an entry of the keychain as keyring:SERVICE/USER"),
        (["--storage", "redis://h/0"], "argument --storage: the address of the server has no key"),
        (["--storage", "http://h/"], "argument --storage: give FILE, keyring:SERVICE/USER"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_in_one_line(run, server, pair, here, arguments, told):
    (here / "empty").write_text("\n")
    (here / "bearer").write_text("Bearer s3cret-token")

    ran = run("query", server.url, VIEWER, *arguments)

    assert (2, "", 0) == (ran.code, ran.out, len(server.ledger.all_sends))
    assert told in ran.line
    assert "s3cret-token" not in ran.err


def test_the_path_of_a_storage_need_be_no_text(run, server, pair, here):
    ran = run("query", server.url, VIEWER, "--access-token-file", "access", "--storage", "st\udcff.json")

    assert (0, True) == (ran.code, (here / "st\udcff.json").exists())


@pytest.mark.parametrize("url", ["http://api.example.com/", "ws://api.example.com/"])
def test_a_token_goes_over_no_plain_connection(run, pair, url):
    ran = run("query", url, VIEWER, "--access-token-file", "access")

    assert (2, "argument URL: a token would go over plain http, where everybody on the way can read it; use TLS") == (
        ran.code,
        ran.line,
    )


@pytest.mark.parametrize(
    ("given", "kind", "shown"),
    [
        ("memory", MemoryTokenStorage, ""),
        ("./memory", FileTokenStorage, "/memory"),
        ("keyring:https://api.example.com/ada", KeyringTokenStorage, "'https://api.example.com', 'ada'"),
        ("rediss://cache.example:6379/1#rxlink:{ada}", RedisTokenStorage, "cache.example:6379/1 'rxlink:{ada}'"),
    ],
)
def test_each_storage_has_a_word(given, kind, shown):
    warnings = []

    storage = storage_of(given, Sources(), warnings.append)

    assert type(storage) is kind
    assert shown in repr(storage)
    assert [] == warnings


def test_a_password_of_a_storage_belongs_into_a_file(here):
    address = "redis://:s3cret@cache.example/0#ada"
    (here / "address").write_text(address)
    warnings = []

    from_file = storage_of("@address", Sources(), warnings.append)
    assert [] == warnings
    given = storage_of(address, Sources(), warnings.append)

    assert repr(from_file) == repr(given)
    (warning,) = warnings
    assert "on the command line" in warning
    assert "s3cret" not in warning


def test_a_secret_among_connection_params_belongs_into_a_file(run, server, pair, here):
    params = json.dumps({"Authorization": f"Bearer {pair.access_token}"})
    (here / "params").write_text(params)

    given = run("query", server.ws_url, VIEWER, "--connection-params", params)
    from_file = run("query", server.ws_url, VIEWER, "--connection-params", "@params")
    none = run("query", server.ws_url, VIEWER, "--connection-params", "[1]")

    assert "--connection-params has what looks like a secret on the command line" in given.err
    assert pair.access_token not in given.err
    assert "looks like a secret" not in from_file.err
    assert (2, "argument --connection-params: it is no JSON object") == (none.code, none.line.partition(";")[0])
