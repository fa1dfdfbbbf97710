"""The hashes of documents: computed once, shared while they are awaited, and forgotten when they should be."""

import asyncio
import gc

import pytest
from graphql import parse
from reactivex import Observable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxlink.core.document_hashes import DocumentHashes
from rxlink.core.subscription import Subscription
from rxlink.errors import InvariantError, InvariantTypeError, OperationCancelled
from tests.recording import END, subscribed


def root():
    return Subscription(lambda _: None, lambda _: None, lambda: None, None)


def make(function):
    """Hashes by a function, and the documents it was asked about."""
    asked = []
    return DocumentHashes("`hashed`", lambda node: asked.append(node) or function(node)), asked


async def turns(count=4):
    for _ in range(count):
        await asyncio.sleep(0)


class TestAtOnce:
    def test_each_document_is_hashed_once(self):
        hashes, asked = make(lambda node: f"hash {len(asked)}")
        first, second = parse("{ a }"), parse("{ a }")

        found = [hashes.find(node, root()) for node in (first, second, first, second)]

        assert ["hash 1", "hash 2", "hash 1", "hash 2"] == found

    def test_hashes_end_with_their_documents(self):
        hashes, asked = make(lambda node: "a-hash")
        node = parse("{ a }")
        hashes.find(node, root())
        before = len(hashes._known)

        asked.clear()
        del node
        gc.collect()

        assert (1, 0) == (before, len(hashes._known))

    @pytest.mark.parametrize(
        ("made", "what"),
        [(None, "None"), (b"x", "bytes"), ("", "an empty text"), (Observable(), "an Observable")],
    )
    def test_what_is_no_text_is_named_and_not_kept(self, made, what):
        hashes, asked = make(lambda node: made)
        node = parse("{ a }")

        for _ in range(2):
            with pytest.raises(InvariantTypeError, match=f"`hashed` returned {what}; return the hash"):
                hashes.find(node, root())

        assert 2 == len(asked)

    def test_what_the_function_raises_is_raised_and_not_kept(self):
        answers = iter([OSError("no"), "a-hash"])

        def hashed(node):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        hashes, _ = make(hashed)
        node = parse("{ a }")

        with pytest.raises(OSError, match="no"):
            hashes.find(node, root())

        assert "a-hash" == hashes.find(node, root())


class TestLater:
    async def test_futures_are_waited_for_and_never_cancelled(self):
        future = asyncio.get_running_loop().create_future()
        hashes, asked = make(lambda node: future)
        node = parse("{ a }")
        leaver, stayer = (subscribed(hashes.find(node, root())) for _ in range(2))

        leaver.subscription.dispose()
        await turns()
        future.set_result("a-hash")
        await turns()

        assert ([], ["a-hash", END]) == (leaver.seen, stayer.seen)
        assert ("a-hash", 1) == (hashes.find(node, root()), len(asked))

    async def test_futures_that_are_done_give_their_hash_at_once(self):
        future = asyncio.get_running_loop().create_future()
        future.set_result("a-hash")
        hashes, _ = make(lambda node: future)
        node = parse("{ a }")

        recorder = subscribed(hashes.find(node, root()))

        assert (["a-hash", END], "a-hash") == (recorder.seen, hashes.find(node, root()))

    async def test_a_hash_comes_though_all_have_left(self):
        hashes, asked = make(lambda node: asyncio.sleep(0, "a-hash"))
        node = parse("{ a }")
        subscribed(hashes.find(node, root())).subscription.dispose()

        await turns()

        assert ("a-hash", 1) == (hashes.find(node, root()), len(asked))

    async def test_one_that_somebody_cancels_is_an_error_and_computed_anew(self):
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        left = iter(futures)
        hashes, _ = make(lambda node: next(left))
        node = parse("{ a }")
        first = subscribed(hashes.find(node, root()))

        futures[0].cancel()
        await turns()
        second = subscribed(hashes.find(node, root()))
        futures[1].set_result("a-hash")
        await turns()

        assert [OperationCancelled] == list(map(type, first.seen))
        assert ["a-hash", END] == second.seen

    @pytest.mark.parametrize("made", [None, "", 7])
    async def test_what_is_no_text_is_not_kept(self, made):
        hashes, asked = make(lambda node: asyncio.sleep(0, made))
        node = parse("{ a }")

        for _ in range(2):
            subscribed(hashes.find(node, root()))
            await turns()

        assert 2 == len(asked)
        with pytest.raises(InvariantTypeError):
            hashes.checked(made)

    async def test_what_is_computed_while_all_is_forgotten_reaches_those_who_wait_and_is_not_kept(self):
        hashes, asked = make(lambda node: asyncio.sleep(0, "a-hash"))
        node = parse("{ a }")
        recorder = subscribed(hashes.find(node, root()))

        hashes.forget()
        await turns()
        await hashes.find(node, root())

        assert (["a-hash", END], 2) == (recorder.seen, len(asked))

    def test_on_another_loop_it_is_begun_anew(self):
        hashes, asked = make(lambda node: asyncio.sleep(0, f"hash {len(asked)}"))
        node = parse("{ a }")
        first_loop = asyncio.new_event_loop()

        async def begin():
            return subscribed(hashes.find(node, root()))

        async def wait():
            recorder = await begin()
            await turns()
            return recorder

        first = first_loop.run_until_complete(begin())
        second = asyncio.run(wait())
        first_loop.run_until_complete(turns())
        first_loop.close()

        assert (["hash 1", END], ["hash 2", END]) == (first.seen, second.seen)

    def test_what_a_closing_loop_cancels_is_computed_anew(self):
        hashes, asked = make(lambda node: asyncio.sleep(0, f"hash {len(asked)}"))
        node = parse("{ a }")

        async def begin():
            return subscribed(hashes.find(node, root()))

        async def wait():
            recorder = subscribed(hashes.find(node, root()))
            await turns()
            return recorder.seen

        first = asyncio.run(begin())

        assert [OperationCancelled] == list(map(type, first.seen))
        assert ["hash 2", END] == asyncio.run(wait())

    def test_where_no_loop_runs_it_is_waited_for_on_that_of_the_scheduler(self):
        hashes, _ = make(lambda node: asyncio.sleep(0, "a-hash"))
        loop = asyncio.new_event_loop()
        subscriber = Subscription(lambda _: None, lambda _: None, lambda: None, AsyncIOScheduler(loop))
        node = parse("{ a }")

        recorder = subscribed(hashes.find(node, subscriber), subscriber.scheduler)
        loop.run_until_complete(turns())
        loop.close()

        assert (["a-hash", END], "a-hash") == (recorder.seen, hashes.find(node, root()))

    def test_without_a_loop_it_is_an_error_and_nothing_is_left_unawaited(self):
        hashes, _ = make(lambda node: asyncio.sleep(0, "a-hash"))

        with pytest.raises(InvariantError, match="no event loop runs"):
            hashes.find(parse("{ a }"), root())

        gc.collect()  # a warning "was never awaited" would fail the test
        assert 0 == len(hashes._known)
