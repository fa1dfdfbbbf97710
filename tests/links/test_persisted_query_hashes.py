"""PersistedQueryLink and its hash functions: asked once, waited for together, each operation in its own context."""

import asyncio
import gc
from contextvars import ContextVar, copy_context

import pytest
import reactivex

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import InvariantTypeError
from rxlink.links.persisted_queries import PersistedQueryLink
from tests.links.persisted import TEXT, Hasher, answered, run, turns, wires
from tests.recording import DATA, END, REQUEST, seen_of, sending, subscribed


class TestHashFunctions:
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_get_the_text_or_the_document(self, is_async):
        asked = []

        def hashed(value):
            asked.append(value)
            return asyncio.sleep(0, "a-hash") if is_async else "a-hash"

        server = answered(DATA, DATA)
        for options in ({"sha256": hashed}, {"generate_hash": hashed}):
            await execute(from_([PersistedQueryLink(**options), server]), REQUEST)

        assert [("a-hash", "hash alone", "POST")] * 2 == wires(server)
        assert [TEXT, Operation(REQUEST).query] == asked

    def test_are_called_once_for_a_document_until_they_are_forgotten(self):
        asked = []
        link = PersistedQueryLink(sha256=lambda text: asked.append(text) or "a-hash")
        chain = from_([link, sending(DATA)])
        other = GraphQLRequest("{ other }")

        for request in (REQUEST, other, REQUEST, other):
            seen_of(execute(chain, request))
        before = len(asked)
        link.reset_hash_cache()
        seen_of(execute(chain, REQUEST))

        assert (2, 3) == (before, len(asked))

    def test_that_do_not_wait_need_no_loop(self):
        assert [[DATA, END]] == run(answered(DATA), sha256=str.upper)

    @pytest.mark.parametrize("option", ["sha256", "generate_hash"])
    def test_that_raise_end_the_operation(self, option):
        error, server = OSError("no such thing"), answered(DATA)

        def broken(_):
            raise error

        assert ([[error]], []) == (run(server, **{option: broken}), server.operations)

    async def test_that_fail_later_end_those_who_wait_and_are_asked_again(self):
        hasher, server = Hasher(), answered(DATA)
        results = execute(from_([PersistedQueryLink(sha256=hasher), server]), REQUEST)
        error = OSError("no such thing")
        first = subscribed(results)
        second = subscribed(results)

        hasher.answers.put_nowait(error)
        await turns()
        third = subscribed(results)
        hasher.answers.put_nowait("a-hash")
        await turns()

        assert ([error], [error], [DATA, END]) == (first.seen, second.seen, third.seen)
        assert 2 == len(hasher.asked)

    @pytest.mark.parametrize(("made", "what"), [(None, "None"), (b"a", "bytes"), (7, "an int"), ("", "an empty")])
    @pytest.mark.parametrize("option", ["sha256", "generate_hash"])
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_that_return_no_text_are_named(self, made, what, option, is_async):
        server = answered(DATA)
        hashed = {option: lambda _: asyncio.sleep(0, made) if is_async else made}
        recorder = subscribed(execute(from_([PersistedQueryLink(**hashed), server]), REQUEST))
        await turns()

        [error] = recorder.seen
        assert (InvariantTypeError, []) == (type(error), server.operations)
        assert str(error).startswith(f"`{option}` returned {what}")

    def test_that_wait_where_no_loop_runs_end_with_the_cure_and_leave_nothing_unawaited(self):
        [[error]] = run(answered(), sha256=lambda _: asyncio.sleep(0, "a-hash"))
        message = str(error)
        del error
        gc.collect()  # a warning "was never awaited" would fail the test

        assert "no event loop runs" in message


class TestContexts:
    async def test_each_operation_goes_on_in_its_own_when_a_shared_hash_arrives(self):
        """P11."""
        tenant = ContextVar("tenant", default=None)
        hasher, sent = Hasher(), []
        link = ApolloLink(lambda operation, forward: sent.append(tenant.get()) or reactivex.of(DATA))
        results = execute(from_([PersistedQueryLink(sha256=hasher), link]), REQUEST)
        seen = []

        def start(name):
            tenant.set(name)
            results.subscribe(lambda _: seen.append(tenant.get()))

        for name in ("red", "blue", "green"):
            copy_context().run(start, name)
        hasher.answers.put_nowait("a-hash")
        await turns()

        assert (["red", "blue", "green"], ["red", "blue", "green"], 1) == (sent, seen, len(hasher.asked))
