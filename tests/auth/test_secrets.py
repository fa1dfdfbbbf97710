"""P7, E98: no secret in any log record, repr, error, event or warning."""

import asyncio
import gc
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxlink.auth.link import AuthLink
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.errors import RxlinkError, SessionEnded, TokenRefreshError
from rxlink.testing.virtual_time import VirtualTime, virtual
from tests.auth.evidence import PLANTED, Evidence, gathered, show_all
from tests.auth.scripted import Issuer, ScriptedStorage, bench, never, request, status_401
from tests.recording import Recorder, subscribed

OLD = TokenSet(f"{PLANTED}-access-old", refresh_token=f"{PLANTED}-refresh-old")


def new_tokens() -> TokenSet:
    return TokenSet(f"{PLANTED}-access-new", refresh_token=f"{PLANTED}-refresh-new", expires_in=100)


def careless(_: object) -> None:
    raise LookupError("a hook")


SCRIPTS: dict[str, list[Any]] = {
    "success": [new_tokens],
    "after an outage": [OSError("down"), TokenRefreshError("503", retryable=True), new_tokens],
    "bug": [KeyError("access_token")],
    "busy": [TokenRefreshError("429", retryable=True, retry_after=100)],
    "final": [SessionEnded("invalid_grant")],
    "nothing": [lambda: None],
    "scheme": [lambda: f"Bearer {PLANTED}-access-new"],
    "white space": [lambda: f"{PLANTED} access\n"],
    "not ASCII": [lambda: f"{PLANTED}-äccess"],
    "list": [lambda: [f"{PLANTED}-access-new"]],
    "mapping": [lambda: {"access_token": f"{PLANTED}-access-new"}],
    "garbled JWT": [lambda: f"{PLANTED}.{PLANTED}.{PLANTED}"],
}
STORAGES: dict[str, dict[str, list[Any]]] = {
    "fine": {},
    "no load": {"load": [OSError("locked")]},
    "no save": {"save": [OSError("disk full")]},
    "slow save": {"save": [never]},
    "no clear": {"clear": [OSError("disk full")]},
}


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    with gathered() as found:
        yield found


@pytest.mark.parametrize("storage", STORAGES, ids=str)
@pytest.mark.parametrize("script", SCRIPTS, ids=str)
@virtual
async def test_no_secret_is_shown_by_a_whole_cycle(
    script: str, storage: str, evidence: Evidence, time: VirtualTime
) -> None:
    """P7, E98: operations and calls, refused, waiting and leaving, with listeners that raise."""
    show_all(asyncio.get_running_loop())
    issuer = Issuer(script=list(SCRIPTS[script]), delay=1)
    steps = {name: list(each) for name, each in STORAGES[storage].items()}
    built = bench(None, time=time, issuer=issuer, storage=ScriptedStorage(OLD, delay=0.1, **steps))
    session = built.session
    session.events.subscribe(careless)
    session.states.subscribe(lambda _: None, careless, lambda: None)
    told = [subscribed(session.events), subscribed(session.states)]

    results = built.start_many(3)
    built.run("Raising").subscribe(careless, careless)
    leaver = built.start("Leaver")
    await asyncio.sleep(0.5)
    calls = [asyncio.get_running_loop().create_task(_shown(session.refresh())) for _ in range(2)]
    leaver.subscription.dispose()
    await asyncio.sleep(40)
    built.server.accept_only(f"{PLANTED}-access-new")
    built.server.refusal = status_401
    results += built.start_many(3)
    await asyncio.sleep(40)
    outcomes = await asyncio.gather(*calls)
    await session.aclose()
    results += built.start_many(1)

    errors = [value for result in results for value in result.seen if isinstance(value, Exception)]
    events = [value for recorder in told for value in recorder.seen]
    evidence.things += [*errors, *events, *outcomes, session, session.wallet, session.wallet.credential]
    evidence.things += [session.wallet.tokens, built.link, *built.link.children(), session.states, session.events]
    assert errors
    assert len(evidence.records) > 20
    assert [] == evidence.with_a_secret()


async def _shown(call: Any) -> Any:
    try:
        return await call
    except RxlinkError as error:
        return error


@pytest.mark.parametrize("act", ["hangs", "signs out", "another login", "closes"])
@virtual
async def test_no_secret_is_shown_where_a_refresh_is_cut_short(act: str, evidence: Evidence, time: VirtualTime) -> None:
    """P7: by its time limit, a sign-out, another login, and the end."""
    show_all(asyncio.get_running_loop())
    built = bench(OLD, time=time, issuer=Issuer(delay=1000))
    other = TokenSet(f"{PLANTED}-access-other")
    acts: dict[str, Callable[[], Any]] = {
        "hangs": lambda: asyncio.sleep(31),
        "signs out": built.session.clear,
        "another login": lambda: built.session.set_tokens(other),
        "closes": built.session.aclose,
    }
    results = built.start_many(3)
    await asyncio.sleep(1)

    await acts[act]()
    await asyncio.sleep(1)

    assert [1, 1, 1] == [len(result.seen) for result in results]
    evidence.things += [result.seen[0] for result in results]
    evidence.things += [built.session, built.session.wallet.credential]
    assert [] == evidence.with_a_secret()


@virtual
async def test_no_secret_is_shown_by_a_predicate_or_a_transport_that_raises(
    evidence: Evidence, time: VirtualTime
) -> None:
    """P7, E08, E51."""

    def broken(operation: Any, forward: Any) -> Any:
        raise LookupError("a transport")

    show_all(asyncio.get_running_loop())
    built = bench(OLD, time=time, valid=[OLD.access_token], link={"is_auth_error": careless})
    answered = built.start()
    behind: Recorder = subscribed(
        execute(from_([AuthLink(built.session), ApolloLink(broken)]), request(context={"headers": {"x": "y"}}))
    )
    await asyncio.sleep(1)

    assert ([LookupError], 2) == ([type(error) for error in behind.seen], len(answered.seen))
    evidence.things += [*behind.seen, built.link]
    assert [] == evidence.with_a_secret()
    assert evidence.records


@pytest.mark.parametrize("where", ["refresh", "load", "save", "clear", "on_session_ended", "is_auth_error", "listener"])
@virtual
async def test_what_a_function_of_the_application_quotes_stays_in_its_own_exception(
    where: str, evidence: Evidence, time: VirtualTime
) -> None:
    """P7, P10, E98: the cause and the loop's exception handler have it; what rxlink says itself does not."""

    def quote(*_: object) -> Any:
        raise LookupError(f"cannot use {PLANTED}")

    async def refresh(*_: object) -> Any:
        if where == "refresh":
            quote()
        if where in ("on_session_ended", "clear"):
            raise SessionEnded
        return new_tokens()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: evidence.complaints.append(context))
    failures = {where: [LookupError(f"cannot use {PLANTED}")] * 9} if where in ("load", "save", "clear") else {}
    options: dict[str, Any] = {"on_session_ended": quote} if where == "on_session_ended" else {}
    built = bench(
        None,
        time=time,
        refresh=refresh,
        storage=ScriptedStorage(OLD, **failures),
        link={"is_auth_error": quote} if where == "is_auth_error" else {},
        **options,
    )
    told = [subscribed(built.session.events), subscribed(built.session.states)]
    if where == "listener":
        built.session.events.subscribe(quote)
        built.session.states.subscribe(quote)
    built.server.accept_only(f"{PLANTED}-access-new")

    results = built.start_many(3)
    await asyncio.sleep(60)
    signed_out = await _shown(built.session.clear())
    await asyncio.sleep(60)
    await built.session.aclose()

    evidence.errors += [value for result in results for value in result.seen if isinstance(value, Exception)]
    evidence.errors += [signed_out] if isinstance(signed_out, Exception) else []
    evidence.things += [value for recorder in told for value in recorder.seen]
    is_somewhere = bool(evidence.complaints) or any(PLANTED in text for text in map(_with_causes, evidence.errors))
    assert is_somewhere == (where != "save"), "of a save only its type is told"
    assert [] == [text for text in evidence.own_words() if PLANTED in text]


def _with_causes(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_misuse_shows_no_secret(evidence: Evidence) -> None:
    """P7: the messages name the value's kind, never the value."""
    mistakes: list[Callable[[], Any]] = [
        lambda: TokenSet(f"Bearer {PLANTED}"),
        lambda: TokenSet(f"{PLANTED} {PLANTED}"),
        lambda: TokenSet("a", refresh_token=f"{PLANTED}\n"),
        lambda: TokenSet([PLANTED]),  # type: ignore[arg-type]
        lambda: TokenSet("a", expires_at=PLANTED),  # type: ignore[arg-type]
        lambda: TokenSet("a", expires_in=PLANTED),  # type: ignore[arg-type]
        lambda: bench(PLANTED),  # type: ignore[arg-type]
        lambda: bench({"access_token": PLANTED}),  # type: ignore[arg-type]
        lambda: bench(OLD, storage=ScriptedStorage(OLD)),
        lambda: bench(None, storage={PLANTED: PLANTED}),
        lambda: AuthLink(PLANTED),  # type: ignore[arg-type]
        lambda: AuthLink(bench().session, is_auth_error=PLANTED),  # type: ignore[arg-type]
    ]

    for mistake in mistakes:
        with pytest.raises(RxlinkError) as caught:
            mistake()
        evidence.things.append(caught.value)

    # A traceback quotes this file's lines, where PLANTED is a name and not the value.
    assert [] == evidence.with_a_secret()


def test_no_warning_of_a_session_that_was_dropped_shows_a_secret(evidence: Evidence) -> None:
    """P7: everything dropped in the midst of a refresh, with its loop."""

    async def story() -> None:
        show_all(asyncio.get_running_loop())
        built = bench(OLD, issuer=Issuer(delay=1000))
        built.start_many(3)
        await asyncio.sleep(0.01)

    asyncio.run(story())
    gc.collect()

    assert [] == evidence.with_a_secret()


def test_the_evidence_would_show_a_secret(evidence: Evidence) -> None:
    """A test that cannot fail is a defect."""
    logging.getLogger("anybody").debug("sent %s", OLD.access_token)
    warnings.warn(f"{OLD.refresh_token}", stacklevel=1)
    error = ValueError()
    error.__cause__ = KeyError(OLD.access_token)
    evidence.things += [error, [OLD.access_token]]

    shown = evidence.with_a_secret()
    assert [2, 1] == [sum(word in text for text in shown) for word in ("sent", "refresh-old")]
    assert 2 + 1 + 4 + 3 == len(shown)
