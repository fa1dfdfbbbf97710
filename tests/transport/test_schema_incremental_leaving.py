"""SchemaLink: whoever leaves in the midst of a result in pieces leaves nothing behind."""

import asyncio
import gc
import itertools

import pytest

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.transport import _incremental
from rxlink.transport._incremental import IncrementalExecution
from tests.recording import END, garbage_of, subscribed
from tests.transport.schema_world import NEEDS_PIECES, SCHEMA, World, link_of, request, turns

pytestmark = NEEDS_PIECES
EVERYTHING = request("""
    query {
      plain
      numbers @stream(initialCount: 1)
      ready @stream(initialCount: 1)
      heroes @stream(initialCount: 1) { name ... @defer { slow friend { slow } } }
      ... @defer { slow hero { friends { slow } ... @defer { slow friends @stream(initialCount: 1) { slow } } } }
    }
""")
ENDS = ("numbers", "ready")


def is_part(part, whole):
    """Tell whether nothing in a value is different in another one, which may have more."""
    if isinstance(part, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    return part == whole


class Waiting:
    """An iterator by hand that opens something, counts how it is closed, and takes its time for it."""

    def __init__(self, *items, gate=None):
        self.items = list(items)
        self.gate = gate
        self.closings = []

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.items:
            await asyncio.Event().wait()
        return self.items.pop(0)

    async def aclose(self):
        self.closings.append("begun")
        await asyncio.sleep(0)
        self.closings.append("done")


class Opened:
    """An iterable that opens a generator for whoever iterates over it."""

    def __init__(self):
        self.closings = []

    async def __aiter__(self):
        try:
            for number in range(100):
                yield number
        finally:
            await asyncio.sleep(0)
            self.closings.append("done")


@pytest.mark.parametrize("count", range(40))
async def test_at_any_turn(count):
    before, world = asyncio.all_tasks(), World()
    recorder = subscribed(execute(link_of(world), EVERYTHING))
    await turns(count)
    seen = list(recorder.seen)

    recorder.subscription.dispose()
    await turns()
    gc.collect()  # a warning "was never awaited" would fail the test

    assert (set(), [], seen) == (asyncio.all_tasks() - before, world.open, recorder.seen)


async def test_turns_are_enough_to_see_the_end():
    recorder = subscribed(execute(link_of(), EVERYTHING))
    await turns(40)

    *results, end = recorder.seen
    assert END == end
    assert len(results) > 5
    assert all(is_part(*pair) for pair in itertools.pairwise(results))


@pytest.mark.parametrize("count", range(1, 7))
async def test_while_a_piece_is_taken(count):
    before, world, seen = asyncio.all_tasks(), World(), []

    def take(result):
        seen.append(result)
        if len(seen) == count:
            subscription.dispose()

    subscription = execute(link_of(world), EVERYTHING).subscribe(take)
    await turns()
    gc.collect()  # as above

    assert (set(), [], count) == (asyncio.all_tasks() - before, world.open, len(seen))


@pytest.mark.parametrize("count", range(1, 7))
async def test_is_what_a_consumer_does_that_raises(count):
    before, world, seen, errors = asyncio.all_tasks(), World(), [], []

    def take(result):
        seen.append(result)
        if len(seen) == count:
            raise ZeroDivisionError

    execute(link_of(world), EVERYTHING).subscribe(take, errors.append)
    await turns()
    gc.collect()  # as above

    assert (set(), [], count) == (asyncio.all_tasks() - before, world.open, len(seen))
    assert [ZeroDivisionError] == list(map(type, errors))


@pytest.mark.parametrize("count", range(0, 40, 3))
def test_is_what_the_end_of_the_loop_does(count):
    world = World()

    async def main():
        recorder = subscribed(execute(link_of(world), EVERYTHING))
        await turns(count)
        return recorder

    recorder = asyncio.run(main())
    gc.collect()  # as above

    assert [] == world.open
    assert "errors" not in recorder.seen[-1:]


class TestStreams:
    @pytest.mark.parametrize("is_first_there", [False, True])
    async def test_are_closed_and_that_is_waited_for(self, is_first_there):
        source = Waiting(1)
        hindrance = "" if is_first_there else "waiting: slow"
        world = World(numbers=lambda info: source, slow=lambda info: asyncio.Event().wait())
        query = f"{{ numbers @stream(initialCount: 1) {hindrance} }}"
        recorder = subscribed(execute(link_of(world), request(query)))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert (["begun", "done"], is_first_there) == (source.closings, bool(recorder.seen))

    async def test_are_closed_where_the_first_piece_is_enough(self):
        sources = [Waiting(1), Opened()]
        world = World(numbers=lambda info: sources[info.path.key == "opened"])
        query = "{ numbers @stream(initialCount: 1) opened: numbers @stream(initialCount: 2) }"
        subscription = None
        subscription = execute(link_of(world), request(query)).subscribe(lambda _: subscription.dispose())
        await turns()

        assert [["begun", "done"], ["done"]] == [source.closings for source in sources]

    @pytest.mark.parametrize("failing", ["aclose", "numbers"])
    async def test_tell_the_loop_what_their_closing_raises_before_the_first_piece(self, failing):
        complaints = []
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        source, other = Waiting(1), Waiting(1)
        source.aclose = World().boom

        def ready(info):
            try:
                yield 1
            finally:
                raise OSError("boom")

        resolvers = {"numbers": lambda info: source} if failing == "aclose" else {"numbers": ready}
        world = World(**resolvers, ready=lambda info: other, slow=lambda info: asyncio.Event().wait())
        query = "{ numbers @stream(initialCount: 1) ready @stream(initialCount: 1) slow }"
        recorder = subscribed(execute(link_of(world), request(query)))
        await turns()

        recorder.subscription.dispose()
        await turns()

        assert 1 == len(complaints)
        assert ["begun", "done"] == other.closings

    async def test_of_plain_generators_are_not_run_to_their_end(self):
        taken, subscription = [], None

        def ready(info):
            for number in itertools.count():
                taken.append(number)
                yield number

        link = link_of(World(ready=ready, slow=lambda info: asyncio.Event().wait()))
        query = "{ ready @stream(initialCount: 2) ... @defer { slow } }"
        subscription = execute(link, request(query)).subscribe(lambda _: subscription.dispose())
        await turns()

        assert [0, 1] == taken

    async def test_of_other_iterators_are_not_run_to_their_end(self):
        seen, numbers = [], itertools.count()
        link = link_of(World(ready=lambda info: numbers))

        def take(result):
            seen.append(result)
            if len(seen) == 2:
                subscription.dispose()

        subscription = execute(link, request("{ ready @stream(initialCount: 2) }")).subscribe(take)
        await turns()

        assert next(numbers) < len(seen[-1]["data"]["ready"]) + 300

    async def test_of_coroutines_start_none_of_them(self):
        started, subscription = [], None

        async def number(value):
            started.append(value)
            return value

        world = World(ready=lambda info: [7, *map(number, range(9))])
        link = link_of(world)
        subscription = execute(link, request("{ ready @stream(initialCount: 3) }")).subscribe(
            lambda _: subscription.dispose()
        )
        await turns()
        gc.collect()  # a warning "was never awaited" would fail the test

        assert [0, 1] == started

    @pytest.mark.parametrize("kind", ["asynchronous", "plain"])
    async def test_that_are_long_keep_only_what_is_open(self, kind, monkeypatch):
        monkeypatch.setattr(_incremental, "MOST_KEPT", 10)

        async def later(value):
            return value

        def plain(info):
            for value in range(500):
                yield later({"slow": later(value), "friends": (each for each in ())})

        async def asynchronous(info):
            for each in plain(info):
                yield each

        world = World(heroes={"asynchronous": asynchronous, "plain": plain}[kind])
        query = "{ heroes @stream { slow friends @stream { slow } } }"
        execution, most, result = IncrementalExecution(), 0, None
        execution.begin(SCHEMA, Operation(GraphQLRequest(query)), world, None)
        while execution.has_next:
            result = await execution.next()
            most = max(most, len(execution._coroutines) + len(execution._streamed._open))
        execution.close()

        assert [str(value) for value in range(500)] == [hero["slow"] for hero in result["data"]["heroes"]]
        assert most < 500


async def test_of_the_first_items_of_a_list_leaves_no_coroutine():
    async def heroes(info):
        yield World()
        await asyncio.Event().wait()

    recorder = subscribed(
        execute(link_of(World(heroes=heroes)), request("{ heroes @stream(initialCount: 2) { slow } }"))
    )
    await turns()

    recorder.subscription.dispose()
    await turns()
    gc.collect()  # a warning "was never awaited" would fail the test

    assert [] == recorder.seen


async def test_after_the_last_piece_graphql_core_has_ended():
    execution = IncrementalExecution()
    execution.begin(SCHEMA, Operation(request("{ ... @defer { plain } }")), World(), None)
    while execution.has_next:
        await execution.next()

    assert execution._later.ag_frame is None


class TestResolvers:
    async def test_of_others_go_on(self):
        gate, ended = asyncio.Event(), []

        async def slow(info):
            try:
                await gate.wait()
            finally:
                ended.append(info.context)
            return info.context

        link = link_of(World(slow=slow), context=lambda operation: operation.get_context()["user"])
        leaver, stayer = [
            subscribed(execute(link, request("{ ... @defer { slow } }", context={"user": user})))
            for user in ("Ada", "Bob")
        ]
        await turns()

        leaver.subscription.dispose()
        await turns()
        left = list(ended)
        gate.set()
        await turns()

        assert (["Ada"], [{"data": {}}]) == (left, leaver.seen)
        assert [{"data": {}}, {"data": {"slow": "Bob"}}, END] == stayer.seen

    @pytest.mark.parametrize("query", ["{ plain ... @defer { slow } }", "{ slow ... @defer { plain } }"])
    async def test_that_swallow_their_cancellation_are_not_heard(self, query):
        async def stubborn(info):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "late"

        recorder = subscribed(execute(link_of(World(slow=stubborn)), request(query)))
        await turns()
        before = list(recorder.seen)

        recorder.subscription.dispose()
        await turns()

        assert before == recorder.seen

    async def test_that_leave_themselves_are_not_heard(self):
        async def leaving(info):
            await asyncio.sleep(0)
            recorder.subscription.dispose()
            return "left"

        recorder = subscribed(execute(link_of(World(slow=leaving)), request("{ ... @defer { slow } }")))
        await turns()

        assert [{"data": {}}] == recorder.seen

    async def test_that_leave_before_anything_waits_are_not_heard_and_close_their_streams(self):
        class Leaving(World):
            def plain(self, info):
                subscription.dispose()
                return "left"

        world, seen = Leaving(), []
        results = execute(link_of(world), request("{ ready @stream(initialCount: 1) plain ... @defer { slow } }"))

        class Early:
            def dispose(self):
                left.append(1)

        left, subscription = [], Early()
        subscription = results.subscribe(seen.append)
        subscription.dispose()
        await turns()
        gc.collect()  # as above

        assert ([], [], [1]) == (seen, world.open, left)


def test_leaves_no_garbage_where_graphql_core_fails(monkeypatch):
    async def refuse(*args, **options):
        raise TypeError("no")

    monkeypatch.setattr("graphql.experimental_execute_incrementally", refuse)
    results = execute(link_of(), request("{ ... @defer { plain } }"))

    async def failing():
        errors = []
        results.subscribe(on_error=lambda error: errors.append(type(error)))
        await turns(9)
        assert [TypeError] == errors

    with asyncio.Runner() as runner:
        assert garbage_of(lambda: runner.run(failing()), times=5) == 0


def test_leaves_no_garbage_but_that_of_graphql_core():
    query = request("{ plain ... @defer { hero { name } } ready @stream }")
    link, operation = link_of(), Operation(query)

    async def bare():
        execution = IncrementalExecution()
        execution.begin(SCHEMA, operation, World(), None)
        while execution.has_next:
            await execution.next()
        execution.close()

    async def ours():
        await execute(link, query)

    def garbage(function, times=10):
        with asyncio.Runner() as runner:
            return garbage_of(lambda: runner.run(function()), times)

    assert garbage(ours) - garbage(bare) < 10  # not one for each operation


async def test_and_raising_at_once_is_told_to_the_loop():
    complaints, world = [], World()
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))

    def take(result):
        subscription.dispose()
        raise ZeroDivisionError

    subscription = execute(link_of(world), EVERYTHING).subscribe(take)
    await turns()

    assert (["ZeroDivisionError"], []) == ([type(each["exception"]).__name__ for each in complaints], world.open)
