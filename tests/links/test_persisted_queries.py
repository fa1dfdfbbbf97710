"""PersistedQueryLink: disabled for good, subscribed again, left at any moment, and refused with bad options."""

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex.disposable import Disposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.testing import MockedResponse, MockLink
from tests.links.persisted import (
    AS_BOTH,
    AS_HASH,
    AS_TEXT,
    MISS,
    OTHER_ERROR,
    REFUSAL,
    Hasher,
    answered,
    failed,
    run,
    turns,
    wire,
    wires,
)
from tests.recording import DATA, END, REQUEST, Worker, garbage_of, seen_of, subscribed


class TestDisabled:
    """Once disabled, always disabled: in Apollo one unrelated error enables persisted queries again."""

    @pytest.mark.parametrize("answer", [OTHER_ERROR, MISS, REFUSAL, failed(MISS), OSError()])
    def test_links_stay_so_after_any_error_and_send_no_text_twice(self, answer):
        asked = []
        server = answered(REFUSAL, DATA, answer, DATA)

        def retry(options):
            asked.append(options)
            return True

        seen = run(server, REQUEST, REQUEST, REQUEST, retry=retry)

        assert (answer, [DATA, END], 1) == (seen[1][0], seen[2], len(asked))
        assert [AS_HASH, AS_TEXT, AS_TEXT, AS_TEXT] == wires(server)

    def test_links_say_so(self):
        link = PersistedQueryLink()
        before = link.is_enabled

        seen_of(execute(from_([link, answered(REFUSAL, DATA)]), REQUEST))

        assert (True, False) == (before, link.is_enabled)

    def test_links_send_the_text_alone_for_those_under_way(self):
        first, second = Subject(), Subject()
        sent = []
        sources = iter([first, second, reactivex.of(DATA), reactivex.of(DATA)])
        link = ApolloLink(lambda operation, forward: sent.append(wire(operation)) or next(sources))
        chain = from_([PersistedQueryLink(), link])
        recorders = [subscribed(execute(chain, REQUEST)), subscribed(execute(chain, REQUEST))]

        first.on_next(REFUSAL)
        second.on_next(MISS)

        assert [[DATA, END]] * 2 == [recorder.seen for recorder in recorders]
        assert [AS_HASH, AS_HASH, AS_TEXT, AS_TEXT] == sent

    async def test_links_send_the_text_alone_where_the_hash_comes_later(self):
        hasher, server = Hasher(), answered(REFUSAL, DATA, DATA)
        chain = from_([PersistedQueryLink(sha256=hasher), server])
        recorder = subscribed(execute(chain, REQUEST))
        late = subscribed(execute(chain, GraphQLRequest("{ other }")))
        await turns()

        hasher.answers.put_nowait("a-hash")
        await turns()
        hasher.answers.put_nowait("another-hash")
        await turns()

        assert ([DATA, END], [DATA, END]) == (recorder.seen, late.seen)
        assert [("a-hash", "hash alone", "POST"), AS_TEXT, AS_TEXT] == wires(server)

    @pytest.mark.parametrize("is_get", [False, True])
    def test_links_send_the_text_of_an_operation_that_once_went_as_a_hash(self, is_get):
        server = answered(DATA, REFUSAL, DATA, DATA)
        chain = from_([PersistedQueryLink(use_get_for_hashed_queries=is_get), server])
        again = execute(chain, REQUEST)

        seen_of(again)
        seen_of(execute(chain, REQUEST))
        seen_of(again)

        assert AS_TEXT == wires(server)[3]


class TestSubscriptions:
    def test_are_new_attempts(self):
        server = answered(MISS, DATA, MISS, DATA)
        results = execute(from_([PersistedQueryLink(), server]), REQUEST)

        assert [[DATA, END]] * 2 == [seen_of(results), seen_of(results)]
        assert [AS_HASH, AS_BOTH] * 2 == wires(server)

    def test_leave_no_garbage(self):
        link = from_([PersistedQueryLink(), MockLink([MockedResponse(result=MISS, max_usage=None)])])

        assert 0 == garbage_of(lambda: execute(link, REQUEST).subscribe(), 20)

    def test_pass_the_consumers_exception_on_and_retry_nothing(self):
        server = answered(DATA, DATA)
        chain = from_([PersistedQueryLink(retry=lambda _: True), server])

        def broken(_):
            raise ValueError("consumer")

        with pytest.raises(ValueError, match="consumer"):
            execute(chain, REQUEST).subscribe(broken)

        assert [AS_HASH] == wires(server)


class TestLeaving:
    async def test_while_the_hash_is_computed_sends_nothing_and_keeps_the_hash_for_others(self):
        hasher, server = Hasher(), answered(DATA)
        results = execute(from_([PersistedQueryLink(sha256=hasher), server]), REQUEST)
        leaver = subscribed(results)
        await turns()

        leaver.subscription.dispose()
        hasher.answers.put_nowait("a-hash")
        await turns()
        seen = await results

        assert ([], DATA, 1, 1) == (leaver.seen, seen, len(hasher.asked), len(server.operations))

    async def test_while_the_hash_is_computed_does_not_disturb_those_who_stay(self):
        hasher, server = Hasher(), answered(DATA)
        results = execute(from_([PersistedQueryLink(sha256=hasher), server]), REQUEST)
        leaver, stayer = subscribed(results), subscribed(results)
        await turns()

        leaver.subscription.dispose()
        hasher.answers.put_nowait("a-hash")
        await turns()

        assert ([], [DATA, END]) == (leaver.seen, stayer.seen)

    @pytest.mark.parametrize("sent", [1, 2])
    def test_aborts_the_request_that_is_under_way(self, sent):
        aborted = []

        def answer(operation, forward):
            is_last = wire(operation) == (AS_HASH if sent == 1 else AS_BOTH)
            return Observable(lambda *_: Disposable(lambda: aborted.append(1))) if is_last else reactivex.of(MISS)

        recorder = subscribed(execute(from_([PersistedQueryLink(), ApolloLink(answer)]), REQUEST))

        recorder.subscription.dispose()

        assert ([1], []) == (aborted, recorder.seen)

    @pytest.mark.parametrize("option", ["disable", "retry"])
    def test_inside_a_function_sends_nothing_more(self, option):
        first, sent = Subject(), []
        link = ApolloLink(lambda operation, forward: sent.append(operation) or first)

        def leave(options):
            recorder.subscription.dispose()
            return True

        options = {"retry": lambda _: True, option: leave}
        recorder = subscribed(execute(from_([PersistedQueryLink(**options), link]), REQUEST))
        first.on_next(MISS)

        assert (1, [], []) == (len(sent), recorder.seen, first.observers)

    def test_inside_on_next_asks_nobody_any_more(self):
        asked = []

        def leave(result):
            subscription.dispose()

        def start(operation, observer, root):
            go.append(observer)

        go = []
        chain = from_([PersistedQueryLink(retry=asked.append), Worker(start)])
        subscription = execute(chain, REQUEST).subscribe(leave)
        go[0].on_next(DATA)
        go[0].on_next(MISS)
        go[0].on_error(OSError())

        assert [] == asked


class TestBadOptions:
    @pytest.mark.parametrize(
        ("options", "kind", "message"),
        [
            ({"sha256": "sha512"}, InvariantTypeError, "`sha256` is 'sha512'; give a function"),
            ({"generate_hash": 7}, InvariantTypeError, "`generate_hash` is 7; give a function"),
            (
                {"sha256": str, "generate_hash": str},
                InvariantError,
                "`sha256` is .* and `generate_hash` is .*; give one",
            ),
            ({"disable": True}, InvariantTypeError, "`disable` is True; give a function"),
            ({"retry": None}, InvariantTypeError, "`retry` is None; give a function"),
            ({"retry": turns}, InvariantTypeError, "`retry` is the coroutine function turns; give a plain one"),
            ({"disable": turns}, InvariantTypeError, "`disable` is the coroutine function turns; give a plain"),
            ({"use_get_for_hashed_queries": "yes"}, InvariantTypeError, "`use_get_for_hashed_queries` is 'yes'; give"),
        ],
    )
    def test_are_refused_at_construction(self, options, kind, message):
        with pytest.raises(InvariantError, match=message) as failure:
            PersistedQueryLink(**options)

        assert kind is type(failure.value)

    def test_may_not_be_given_by_position(self):
        with pytest.raises(TypeError):
            PersistedQueryLink(str)
