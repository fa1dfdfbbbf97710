"""P7, E98, E99: a whole life of a session over sockets; each secret is seen on the wire to its own origin only."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, NetworkError, ServerError, SessionEnded, TokenRefreshError
from rxlink.transport.http import HttpLink
from rxlink.transport.oauth2 import oauth2_refresh
from tests.auth.evidence import Evidence, gathered
from tests.auth.secrets_bench import (
    BASIC,
    CLIENT_SECRET,
    CODE,
    DATA,
    Answer,
    Estate,
    cut_short,
    drop,
    never,
    redirect,
    saying,
)
from tests.auth.secrets_life import SECONDS, VIEWER, Life

HTML = "text/html"
FORM = "application/x-www-form-urlencoded"
REDIRECTS = (301, 302, 303, 307, 308)


def issuer_failures(estate: Estate) -> list[Answer]:
    return [
        saying(400, '{"error": "invalid_request", "error_description": "ECHO"}'),
        saying(400, '{"error": "ECHO"}'),
        saying(400, '{"error": {"message": "ECHO"}}'),
        saying(400, "error=invalid_scope&error_description=RAW", FORM),
        saying(401, '{"error": "invalid_client", "error_uri": "ECHO"}'),
        saying(500, "<p>RAW</p>", HTML),
        saying(503, '{"error": "temporarily_unavailable", "error_description": "ECHO"}', **{"retry-after": "RAW"}),
        saying(200, '{"error": "slow_down", "error_description": "ECHO"}'),
        saying(200, '{"error": "ECHO"}'),
        saying(200, "<p>RAW</p>", HTML),
        saying(200, '["ECHO"]'),
        saying(200, '{"access_token": "ECHO"}'),
        saying(200, '{"access_token": ["ECHO"]}'),
        saying(200, '{"access_token": "a", "refresh_token": "ECHO"}'),
        saying(
            200, '{"access_token": "a", "token_type": "ECHO", "expires_in": "ECHO", "refresh_token": {"a": "ECHO"}}'
        ),
        *(redirect(status, estate.stranger) for status in REDIRECTS),
        drop,
        cut_short,
        never,
    ]


def api_failures(estate: Estate) -> list[Answer]:
    return [
        saying(400, '{"errors": [{"message": "ECHO", "extensions": {"headers": "ECHO"}}]}'),
        saying(403, '{"errors": [{"message": "ECHO"}]}', "application/graphql-response+json"),
        saying(500, "<p>RAW</p>", HTML),
        saying(200, "<p>RAW</p>", HTML),
        saying(200, '{"data": null, "errors": [{"message": "ECHO"}]}'),
        saying(200, '["ECHO"]'),
        saying(200, '{"data": RAW}'),
        *(redirect(status, estate.stranger) for status in REDIRECTS),
        *(saying(307, "", location=f"{scheme}RAW") for scheme in ("ftp://", "http://[", "http://x:y/", "")),
        redirect(307, estate.api),
        drop,
        cut_short,
    ]


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    with gathered() as found:
        yield found


@pytest.fixture(params=[("basic", "authorization"), ("body", "x-api-token")], ids="-".join)
async def life(
    request: pytest.FixtureRequest, evidence: Evidence, capfd: pytest.CaptureFixture[str]
) -> AsyncIterator[Life]:
    """A session of somebody who has signed in with a code."""
    authentication, header = request.param
    evidence.marks += [BASIC, *(BASIC[start : start + 16] for start in range(4, len(BASIC) - 16, 4))]
    async with AsyncExitStack() as stack:
        life = Life(Estate(header=header), evidence, authentication, stack)
        evidence.listen(asyncio.get_running_loop())
        await life.begin()
        await life.session.set_tokens(await life.exchange())
        yield life
        await life.session.clear()
    life.evidence.things += [each for recorder in life.told for each in recorder.seen]
    assert len(evidence.records) > 20
    assert [] == evidence.with_a_secret()
    assert not any(mark in text for mark in evidence.marks for text in capfd.readouterr())
    assert [] == life.estate.strays()
    for secret in (CODE, BASIC if request.param[0] == "basic" else CLIENT_SECRET, life.estate.refresh[0]):
        assert life.estate.issuer.has_seen(secret)
    assert any(map(life.estate.api.has_seen, life.estate.access))


async def test_a_whole_life_shows_no_secret(life: Life):
    """P7, E98, E99: refused tokens, refreshes, batches, hashes by GET, uploads, a new sign-in, the end."""
    refusal = saying(400, '{"error": "invalid_grant", "error_description": "ECHO"}')
    first = await life.operate_everywhere()
    life.estate.current = "something else"
    second = await life.operate_everywhere()
    forced = await life.note(life.session.refresh(force=True))
    life.estate.issuer.script = [refusal]
    signed_in_again = await life.note(life.session.refresh(force=True))
    third = await life.operate_everywhere()
    life.hook_fails, life.estate.current, life.estate.issuer.script = True, "something else", [refusal]
    ended = await life.operate_everywhere()

    assert [DATA] * 21 == [*first, *second, *third]
    assert [TokenSet, TokenSet] == [type(forced), type(signed_in_again)]
    assert [SessionEnded] * 7 == [type(each) for each in ended]


async def test_no_failure_of_an_issuer_shows_a_secret(life: Life):
    """P7, E75, E98, E99: it sends back all that it got, cuts the connection, or leads elsewhere."""
    assert DATA == await life.operate()
    before = len(life.estate.issuer.seen)
    failures = issuer_failures(life.estate)
    for failure in failures:
        life.estate.issuer.script = [failure]
        await life.note(life.session.refresh(force=True))

    assert len(failures) - 1 <= len([each for each in life.evidence.errors if not isinstance(each, SessionEnded)])
    assert len(failures) == len(life.estate.issuer.seen) - before
    assert [] == life.estate.stranger.seen


async def test_no_failure_of_a_server_shows_a_secret(life: Life):
    """P7, E98, E99: the same of the API, whose redirects are followed without the token."""
    await life.note(life.session.refresh(force=True))
    for failure in api_failures(life.estate):
        for chain in range(3):
            life.estate.api.script = [failure] * 20
            await life.operate(chain)
    life.estate.api.script = [never]
    await life.operate()

    assert life.estate.stranger.seen
    assert len(life.evidence.errors) > 10


async def test_no_other_address_gets_a_token_or_is_told_of_one(life: Life):
    """P7, E99: not by the context of an operation, nor over plain http to another machine."""
    await life.note(life.session.refresh(force=True))
    assert DATA == await life.operate()
    addresses = [life.estate.stranger.url, life.estate.issuer.url, "http://api.example/graphql", "https://api.example"]
    before = len(life.estate.issuer.seen)
    outcomes = [
        await life.operate(chain, GraphQLRequest(VIEWER.query, context={"uri": address}))
        for chain in range(3)
        for address in addresses
    ]
    with pytest.raises(InvariantError) as refused:
        oauth2_refresh("http://issuer.example/token", client_id="app", client_secret=CLIENT_SECRET)
    dead = HttpLink(f"http://app:{CLIENT_SECRET}@127.0.0.1:1/graphql?key={CLIENT_SECRET}#{CLIENT_SECRET}")
    nobody_there = await life.note(execute(dead, VIEWER).to_future())
    life.evidence.things += [refused.value, dead]

    assert isinstance(nobody_there, NetworkError)
    assert [InvariantError] * len(outcomes) == [type(outcome) for outcome in outcomes]
    assert ([], before) == (life.estate.stranger.seen, len(life.estate.issuer.seen))


async def test_no_function_that_raises_makes_a_secret_shown(life: Life):
    """P7, E08, E51, E98: predicate, refresh, storage, listeners; the last two fail in every test here."""
    assert DATA == await life.operate()
    await life.note(life.session.refresh(force=True))
    life.predicate_fails, life.estate.current = True, "something else"
    unseen = await life.operate_everywhere()
    life.predicate_fails, life.refresh_fails = False, True
    failed = await life.operate_everywhere()
    life.refresh_fails, life.storage.failures = False, 1
    unsaved = await life.note(life.session.refresh(force=True))

    assert [ServerError] * 7 == [type(each) for each in unseen]
    assert [TokenRefreshError] * 7 == [type(each) for each in failed]
    assert isinstance(unsaved, TokenSet)
    assert {LookupError} == {type(complaint.get("exception")) for complaint in life.evidence.complaints}


async def test_no_extra_parameter_is_shown(life: Life):
    """P7, E76, E98: a session that gets its first tokens with a code as an extra parameter, and fails at that too."""
    await life.note(life.session.refresh(force=True))
    assert DATA == await life.operate()
    for failure in [*issuer_failures(life.estate), life.estate.issue]:
        refresh = oauth2_refresh(
            life.estate.issuer.url,
            client_id="app",
            client_secret=CLIENT_SECRET,
            client_authentication=life.authentication,
            grant_type="client_credentials",
            extra={"code": CODE},
            headers={"x-proof": CODE},
            timeout=SECONDS / 2,
        )
        session = AuthSession(refresh=refresh, obtain_first=True, on_refresh_outage="fail", refresh_timeout=SECONDS)
        life.evidence.things += [refresh, session]
        async with refresh, session:
            life.estate.issuer.script = [failure]
            token = await life.note(session.get_token())

    assert life.estate.current == token
