"""`--timeout` of a query: all that it does has to fit in it, over every protocol."""

import asyncio

import pytest

from rxlink.commands.time_limit import time_limit
from rxlink.errors import TokenRefreshTimeout
from rxlink.testing import Fault
from tests.transport.pieces import DELIMITER, answer_in_pieces, part
from tests.transport.scripted_server import answer_never
from tests.transport.sse_server import event

PUBLIC = "{ public }"
VIEWER = "{ viewer { name } }"
NO_ANSWER = "the operation: no answer within {} s; raise --timeout if the server needs longer"


@pytest.fixture
def issuer(server, here):
    """Options of a login that begins with a refresh."""
    (here / "refresh").write_text(server.sign_in("ada").refresh_token)
    (here / "secret").write_text("s3cret")
    options = ["--token-url", server.token_url, "--client-id", "app", "--client-secret-file", "secret"]
    return [*options, "--refresh-token-file", "refresh"]


async def never():
    await asyncio.Event().wait()


async def a_while():
    await asyncio.sleep(0.6)


@pytest.mark.parametrize("protocol", ["multipart", "sse"])
def test_tries_have_to_fit_in_it_all_together(run, scripted, protocol):
    scripted.answer = answer_never

    ran = run("query", scripted.uri, PUBLIC, "--protocol", protocol, "--timeout", "0.1", "--retry", "1")

    assert (1, "", NO_ANSWER.format(0.1), 1) == (ran.code, ran.out, ran.line, len(scripted.requests))


@pytest.mark.parametrize("scheme", ["http", "ws"])
def test_the_sign_in_and_the_answer_have_to_fit_in_it_together(run, server, issuer, scheme):
    server.faults.add(Fault.delay(0.4))
    server.faults.add(Fault.delay(0.4), on="graphql")

    ran = run(
        "query", server.url.replace("http", scheme), VIEWER, *issuer, "--storage", "memory", "--timeout", "0.7"
    )  # fmt: skip

    assert (1, "", NO_ANSWER.format(0.7)) == (ran.code, ran.out, ran.line)


@pytest.mark.parametrize("storage", ["memory", "tokens.json"])
def test_a_sign_in_that_hangs_is_told(run, server, issuer, storage):
    server.faults.add(Fault.hang(), times=None)

    ran = run("query", server.url, VIEWER, *issuer, "--storage", storage, "--timeout", "0.2", "--retry", "3")

    assert (1, "") == (ran.code, ran.out)
    assert "the sign-in: no answer within 0.2 s; raise --timeout if the server needs longer" == ran.line


def test_the_question_for_the_schema_has_it_too(run, scripted):
    scripted.answer = answer_never

    ran = run("schema", scripted.uri, "--timeout", "0.1", "--retry", "1")

    assert (1, NO_ANSWER.format(0.1), 1) == (ran.code, ran.line, len(scripted.requests))


def test_of_an_answer_in_pieces_the_first_has_to_come_in_it(run, scripted):
    scripted.answer = answer_in_pieces(DELIMITER, never)

    ran = run("query", scripted.uri, "{ a ... @defer { b } }", "--timeout", "0.2")

    assert (1, NO_ANSWER.format(0.2)) == (ran.code, ran.line)


@pytest.mark.parametrize("protocol", ["multipart", "sse"])
def test_the_other_pieces_may_come_later(run, scripted, protocol):
    first = {"data": {"a": 1}, "hasNext": True}
    last = {"incremental": [{"path": [], "data": {"b": 2}}], "hasNext": False}
    if protocol == "sse":
        end = event(kind="complete")
        scripted.answer = answer_in_pieces(event(first), a_while, event(last) + end, content_type="text/event-stream")
    else:
        scripted.answer = answer_in_pieces(DELIMITER + part(first), a_while, part(last) + b"--\r\n")

    ran = run("query", scripted.uri, "{ a ... @defer { b } }", "--protocol", protocol, "--timeout", "0.5")

    assert (0, '{"data":{"a":1,"b":2}}\n', "") == (ran.code, ran.out, ran.err)


async def test_what_is_done_after_the_answer_has_its_own_time():
    async with time_limit(0.01) as limit:
        limit.lift()
        await asyncio.sleep(0.02)

    assert not limit.is_reached


async def test_what_ends_in_time_ends_as_it_does():
    with pytest.raises(TokenRefreshTimeout):
        async with time_limit(10):
            raise TokenRefreshTimeout(seconds=1)
