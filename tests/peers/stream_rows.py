"""What is tried with each server that answers in pieces: a row of the table in `docs/stream-peers.md` each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rxlink import AuthLink, from_
from tests.peers import stream_results as results
from tests.peers.peer import until
from tests.peers.stream_hearing import hear, is_over, states, told, word
from tests.peers.streams import Line, StreamServers, Way, line_to, session_of
from tests.recording import END

__all__ = ["ROWS", "SIGNALS"]

NUMBERS = "query Numbers($key: String!) { numbers(key: $key) @stream }"
SIGNALS = "subscription Signals($key: String!) { signals(key: $key, to: 3) }"
TICKS = "subscription Ticks($key: String!) { ticks(key: $key) }"
COUNT = "subscription Count($to: Int!) { count(to: $to, milliseconds: 1) }"
VIEWER = "query Viewer { viewer { account } }"
MINE = "subscription Mine { mine }"
LATER = "query Later { hello ... @defer { viewer { account } } }"
QUIET = 5  # ticks of a neighbour in which what has ended would do harm
LONG = 30  # ticks after which a list has not been left, and a subscription has nothing more to say


async def signals(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await results.step_by_step(streams, line, key, SIGNALS))


async def three(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    counts = [line.hear(COUNT, to=to) for to in (3, 5, 8)]
    await until(lambda: all(map(is_over, counts)))
    if not states(counts[0]):
        assert 1 == len(set(map(told, counts)))
        return told(counts[0])
    expected = [[*({"data": {"count": number}} for number in range(1, to + 1)), END] for to in (3, 5, 8)]
    assert expected == [count.seen for count in counts]
    return "each gets its own"


async def refused(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, "subscription { refused }"))


async def stumbling(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, "subscription { stumbling { value } }"))


async def breaking(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    """Hear a subscription whose source breaks, and another one beside it, whose ticks tell the time."""
    neighbour = line.hear(TICKS, key=key)
    await until(lambda: bool(neighbour.seen))
    operation, since = line.hear("subscription { breaking }"), len(neighbour.seen)
    await until(
        lambda: (
            (is_over(operation) and (is_over(neighbour) or len(neighbour.seen) > since + QUIET))
            or len(neighbour.seen) > since + LONG
        )
    )
    ends_too = len(states(neighbour)) > 0 and is_over(neighbour)
    return (
        told(operation)
        + ("" if is_over(operation) else ", never the end")
        + ("; so does the one beside it" if ends_too else "")
    )


async def invalid(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, "{ hello ... @defer { nobody } }"))


async def invalid_subscription(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, "subscription { nobody }"))


async def query(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, '{ hello(name: "Ada") }'))


async def mutation(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return told(await hear(line, 'mutation { reverse(text: "Ada") }'))


async def leave(streams: StreamServers, way: Way, line: Line, key: str, document: str) -> str:
    """Leave an operation without an end, and tell what the server makes of it."""
    operation = line.hear(document, key=key)
    await until(lambda: is_over(operation) or len(operation.seen) > 2)
    if is_over(operation):
        return told(operation)
    assert 1 == await streams.listeners(key)

    operation.subscription.dispose()
    heard, before = len(operation.seen), await streams.ticks(key)
    await until(lambda: has_ended_or_goes_on(streams, key, before))
    assert heard == len(operation.seen)
    return "it ends at the server" if await has(streams.listeners(key), 0) else "the server goes on by itself"


async def has(count: Awaitable[int], expected: int) -> bool:
    return expected == await count


async def has_ended_or_goes_on(streams: StreamServers, key: str, before: int) -> bool:
    return await has(streams.listeners(key), 0) or await streams.ticks(key) > before + LONG


async def leave_subscription(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    """Leave one of two subscriptions; the other goes on."""
    neighbour = line.hear(TICKS, key=f"{key}Other")
    await until(lambda: is_over(neighbour) or len(neighbour.seen) > 2)
    if is_over(neighbour):
        return told(neighbour)

    text = await leave(streams, way, line, key, TICKS)

    before = len(neighbour.seen)
    await until(lambda: len(neighbour.seen) > before + QUIET)
    neighbour.subscription.dispose()
    await until(lambda: has(streams.answers(way), 0))
    return text


async def leave_list(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    text = await leave(streams, way, line, key, NUMBERS)
    await until(lambda: has(streams.answers(way), 0))
    return text


async def cut(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    """Take a subscription's connection away; where the link sends it again, its numbers begin again."""
    async with line_to(streams, way, retry_attempts=None, retry_wait=lambda _: 0.02) as retrying:
        operation = retrying.hear(TICKS, key=key)
        await until(lambda: is_over(operation) or len(operation.seen) > 2)
        if is_over(operation):
            return told(operation)

        await streams.cut(way)

        begun, again = len(states(operation)), {"data": {"ticks": 1}}
        await until(lambda: is_over(operation) or again in operation.seen[begun:])
        if is_over(operation):
            return word(operation.seen[-1])
        await until(lambda: has(streams.listeners(key), 1))
        return "it goes on"


async def guarded(streams: StreamServers, line: Line, key: str, document: str) -> str:
    """Send an operation with a token that the server refuses, and tell what becomes of it."""
    async with session_of(streams, key) as session:
        operation = await hear(Line(from_([AuthLink(session), line.link])), document)
    return ("", "after a refresh: ")[await streams.refreshes(key)] + told(operation).replace(key, "the account")


async def token_of_query(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await guarded(streams, line, key, VIEWER)


async def token_of_subscription(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await guarded(streams, line, key, MINE)


async def token_of_fragment(streams: StreamServers, way: Way, line: Line, key: str) -> str:
    return await guarded(streams, line, key, LATER)


ROWS: dict[str, Callable[[StreamServers, Way, Line, str], Awaitable[str]]] = {
    "a deferred fragment": results.deferred,
    "one in another": results.nested,
    "two that overlap": results.beside,
    "a streamed list": results.streamed,
    "a fragment in each item of a streamed list": results.each,
    "a streamed list in each item of another": results.in_items,
    "a fragment with nothing but another in it": results.alone,
    "a field of a fragment fails": results.field_fails,
    "a fragment fails": results.fragment_fails,
    "the items of a streamed list fail": results.items_fail,
    "a subscription": signals,
    "three subscriptions": three,
    "a source that refuses": refused,
    "an event that fails": stumbling,
    "a source that breaks": breaking,
    "a query that does not fit the schema": invalid,
    "a subscription that does not fit the schema": invalid_subscription,
    "a query": query,
    "a mutation": mutation,
    "leaving a subscription": leave_subscription,
    "leaving a streamed list": leave_list,
    "the connection of a subscription is lost": cut,
    "the token of a query is refused": token_of_query,
    "the token of a subscription is refused": token_of_subscription,
    "the token of a fragment is refused": token_of_fragment,
}
