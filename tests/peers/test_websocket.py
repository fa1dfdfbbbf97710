"""Both protocols over WebSocket against servers that other people wrote.

What each of them does is a table in `docs/websocket-peers.md`. A cell is a test, and the test expects what the page
says; the run prints the table as it came out.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from rxlink import AuthSession, CombinedGraphQLErrors, SocketClosed, TokenSet
from tests.oracle.node import node_in
from tests.peers.peer import FOLDER, Peer, running, until
from tests.peers.sockets import LEGACY, NEW, NODE, PAIRS, PYTHON, Line, Pair, Servers, line_to, ports_for
from tests.recording import END, Recorder
from tests.tables import PROPERTY, read

TABLE = "over WebSocket"
PAGE = Path(__file__).parents[2] / "docs/websocket-peers.md"
COUNT = "subscription Count($to: Int!) { count(to: $to, milliseconds: 1) }"
TICKS = "subscription Ticks($key: String!) { ticks(key: $key) }"
QUIET = 5  # ticks of a neighbour, 10 ms each, in which what has ended would do harm
LONG = 30  # ticks after which a subscription has nothing more to say


def numbers(recorder: Recorder, field: str) -> list[Any]:
    """Return what it heard: values of the field, and whatever else it was."""
    return [heard["data"][field] if isinstance(heard, dict) else heard for heard in recorder.seen]


def word(heard: Any) -> str:
    """Say what an observer heard; a value without what is around it."""
    match heard:
        case {"errors": _}:
            return "a result with errors"
        case {"data": value}:
            while isinstance(value, dict):
                (value,) = value.values()
            return str(value)
        case CombinedGraphQLErrors():
            return "an error"
        case _:
            return "the end" if heard == END else repr(heard)


async def hear(line: Line, key: str, document: str, codes: Collection[str] | None = None) -> str:
    """Say what becomes of an operation, and of a subscription beside it on the same socket."""
    neighbour = line.hear(TICKS, key=key)
    await until(lambda: bool(neighbour.seen))

    operation = line.hear(document)
    await silence(operation, neighbour)

    assert codes is None or codes == codes_of(operation)
    told = ", ".join(map(word, operation.seen))
    return told + ("" if is_over(operation) else ", never the end") + fate_of(neighbour, line)


def codes_of(operation: Recorder) -> set[str]:
    """Return the codes of all errors that were heard."""
    errors = [
        heard.get("errors", ()) if isinstance(heard, dict) else getattr(heard, "errors", ()) for heard in operation.seen
    ]
    return {error["extensions"]["code"] for error in chain(*errors)}


async def silence(operation: Recorder, neighbour: Recorder) -> None:
    """Wait until nothing has been heard of an operation for long, by the ticks of its neighbour."""
    heard, since = 0, len(neighbour.seen)

    def is_long() -> bool:
        nonlocal heard, since
        if heard != len(operation.seen):
            heard, since = len(operation.seen), len(neighbour.seen)
        patience = QUIET if is_over(operation) else LONG
        return is_over(neighbour) or len(neighbour.seen) > since + patience

    await until(is_long)


def is_over(recorder: Recorder) -> bool:
    return bool(recorder.seen) and not isinstance(recorder.seen[-1], dict)


def fate_of(neighbour: Recorder, line: Line) -> str:
    if not line.closes:
        return ""
    went = "ends too" if is_over(neighbour) else "goes on"
    return f"; the socket closes ({line.closes[0]}), its neighbour {went}"


async def subscribe(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    counts = [line.hear(COUNT, to=to) for to in (3, 5, 8)]

    await until(lambda: all(is_over(count) for count in counts))

    assert [[1, 2, 3, END], [1, 2, 3, 4, 5, END], [1, 2, 3, 4, 5, 6, 7, 8, END]] == [
        numbers(count, "count") for count in counts
    ]
    assert 1 == line.sockets
    return "each gets its own"


async def complete(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, "subscription { count(to: 2) }")


async def query(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, '{ hello(name: "Ada") }')


async def mutation(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, 'mutation { reverse(text: "Ada") }')


async def validation(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, "subscription { nobody }")


async def refused(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, "subscription { refused }", codes={"ON_PURPOSE"})


async def stumbling(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, "subscription { stumbling { value } }", codes={"ON_PURPOSE"})


async def breaking(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    return await hear(line, key, "subscription { breaking }", codes={"ON_PURPOSE"})


async def dispose(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    """Leave one of two subscriptions, and then the other; the server is asked who listens."""
    first, other = line.hear(TICKS, key=key), line.hear(TICKS, key=f"{key}Other")
    await until(lambda: len(first.seen) > 1 and len(other.seen) > 1)
    assert (1, 1) == (await servers.listeners(key), await servers.listeners(f"{key}Other"))

    first.subscription.dispose()
    heard = len(first.seen)
    await until(lambda: listen(servers, key, 0))
    before = len(other.seen)
    await until(lambda: len(other.seen) > before + QUIET)
    assert (heard, 1) == (len(first.seen), await servers.listeners(f"{key}Other"))
    told = "it ends at the server" + fate_of(other, line)

    other.subscription.dispose()
    await until(lambda: listen(servers, f"{key}Other", 0))
    return told


async def restart(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    ticks = line.hear(TICKS, key=key)
    await until(lambda: len(ticks.seen) > 2)

    await servers.restart(pair.name, down=0.1)

    await until(lambda: has_begun_again(ticks))
    await until(lambda: listen(servers, key, 1))
    return f"goes on ({line.closes[0]})"


async def renew(servers: Servers, pair: Pair, line: Line, key: str) -> str:
    """Go over to another socket, because there is another token."""
    session = AuthSession(refresh=lambda tokens, reason: TokenSet("two"), tokens=TokenSet("one"))
    async with session, line_to(servers, pair, auth=session) as renewed:
        ticks = renewed.hear(TICKS, key=key)
        await until(lambda: len(ticks.seen) > 2)

        await session.refresh(force=True)

        await until(lambda: has_begun_again(ticks))
        await until(lambda: listen(servers, key, 1))
        await until(lambda: bool(renewed.closes))
        before = len(ticks.seen)
        await until(lambda: len(ticks.seen) > before + QUIET)
        assert (True, 1, 2) == (has_begun_again(ticks), len(renewed.closes), renewed.sockets)
        return "goes on"


def has_begun_again(ticks: Recorder) -> bool:
    """Tell that the numbers of two sockets were heard, without a gap and with nothing between."""
    heard = numbers(ticks, "ticks")
    first = heard.index(1, 1) if 1 in heard[1:] else len(heard)
    assert [*range(1, first + 1), *range(1, len(heard) - first + 1)] == heard
    return len(heard) > first + 2


async def listen(servers: Servers, key: str, count: int) -> bool:
    return count == await servers.listeners(key)


ROWS: dict[str, Callable[[Servers, Pair, Line, str], Awaitable[str]]] = {
    "three subscriptions on a socket": subscribe,
    "a subscription that completes": complete,
    "a query": query,
    "a mutation": mutation,
    "a document that does not fit the schema": validation,
    "a source that refuses": refused,
    "an event that fails": stumbling,
    "a source that breaks": breaking,
    "leaving": dispose,
    "the server is restarted": restart,
    "there is a new token": renew,
}
COLUMNS = [str(pair) for pair in PAIRS]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("row", ROWS)
async def test_what_happens_is_what_the_page_says(
    row: str,
    pair: Pair,
    servers: Servers,
    account: str,
    record_property: Callable[[str, object], None],
):
    async with line_to(servers, pair) as line:
        told = await ROWS[row](servers, pair, line, account)

    number, column = list(ROWS).index(row), COLUMNS.index(str(pair))
    record_property(PROPERTY, {"table": TABLE, "row": (number, row), "column": (column, str(pair)), "text": told})
    assert documented()[row][str(pair)] == told


def documented() -> Mapping[str, Mapping[str, str]]:
    return read(PAGE.read_text(encoding="utf-8"), TABLE)


def test_the_page_says_nothing_that_no_test_asks():
    expected = dict.fromkeys(ROWS, COLUMNS)

    assert expected == {row: list(texts) for row, texts in documented().items()}


@asynccontextmanager
async def process_of(program: Sequence[str | Path]) -> AsyncIterator[Mapping[str, Peer]]:
    """Run servers, which take a while to start: the loop goes on meanwhile."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, running(program))


@pytest.mark.parametrize("names", [NODE, PYTHON], ids=["node", "python"])
async def test_subscriptions_outlive_the_process_of_their_servers(
    names: tuple[str, ...], request: pytest.FixtureRequest
):
    program = [request.getfixturevalue("python"), "websocket_servers.py"]
    if names == NODE:
        program = [node_in(FOLDER), "websocket_servers.cjs"]
    program.append(ports_for(names))
    pairs = [pair for pair in PAIRS if pair.name in names]

    async with AsyncExitStack() as stack:
        servers = Servers(await stack.enter_async_context(process_of(program)))
        lines = [await stack.enter_async_context(line_to(servers, pair)) for pair in pairs]
        ticks = [line.hear(TICKS, key=str(pair)) for line, pair in zip(lines, pairs, strict=True)]
        await until(lambda: all(len(heard.seen) > 2 for heard in ticks))
        await servers.die()
        await stack.enter_async_context(process_of(program))
        await until(lambda: all(map(has_begun_again, ticks)))

        assert [1] * len(pairs) == [await servers.listeners(str(pair)) for pair in pairs]
        assert [[1006]] * len(pairs) == [line.closes for line in lines]


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        pytest.param(Pair("graphql-ws", LEGACY), 4406, id="graphql-ws, which names no protocol"),
        pytest.param(Pair("ariadne", NEW, "/default"), 4406, id="ariadne, which names the other"),
        pytest.param(Pair("subscriptions-transport-ws", NEW), 1002, id="subscriptions-transport-ws, which hangs up"),
    ],
)
@pytest.mark.parametrize("missing", ["refuse", "accept"])
async def test_a_server_that_does_not_speak_the_protocol_is_an_error_at_once(
    missing: str, pair: Pair, code: int, servers: Servers
):
    async with line_to(servers, pair, missing_subprotocol=missing) as line:
        count = line.hear(COUNT, to=1)
        await until(lambda: is_over(count))

    (error,) = count.seen
    assert (SocketClosed, code, [code], 0) == (type(error), error.code, line.closes, line.sockets)
