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
from tests.auth.scripted import Issuer, ScriptedStorage, bench, never, request, status_401
from tests.recording import Recorder, subscribed

PLANTED = "pl4nted"
"""In every token of these tests, access and refresh, old and new."""
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


class Evidence:
    """All that could show a secret, as text."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        self.records = records
        self.things: list[Any] = []
        self.warnings: list[warnings.WarningMessage] = []

    def texts(self) -> Iterator[str]:
        formatter = logging.Formatter("%(message)s %(args)s %(exc_info)s %(stack_info)s")
        for record in self.records:
            yield formatter.format(record)
            yield repr(record.__dict__)
        for thing in self.things:
            yield from (repr(thing), str(thing), f"{thing}")
            if isinstance(thing, BaseException):
                yield from _texts_of(thing)
        yield from (str(warning.message) for warning in self.warnings)

    def with_a_secret(self) -> list[str]:
        return [text for text in self.texts() if PLANTED in text]


def _texts_of(error: BaseException) -> Iterator[str]:
    yield "".join(traceback.format_exception(error))
    chain: BaseException | None = error
    while chain is not None:
        yield from (repr(chain), str(chain), repr(chain.args), repr(vars(chain)))
        chain = chain.__cause__ or chain.__context__


class Collector(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def evidence() -> Iterator[Evidence]:
    """Everything at DEBUG, from everybody; warnings are recorded instead of raised."""
    root, collector = logging.getLogger(), Collector()
    before = root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = Evidence(collector.records)
            found.warnings = caught
            yield found
    finally:
        root.removeHandler(collector)
        root.setLevel(before)


def show_all(loop: asyncio.AbstractEventLoop) -> None:
    """Let asyncio log the repr of every callback that it runs, and of every task in it."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0


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
