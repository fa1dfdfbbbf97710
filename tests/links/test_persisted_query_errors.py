"""What answers say of persisted queries, and what `retry` and `disable` make of it."""

import asyncio

import pytest
import reactivex
from reactivex import Observable, Subject
from reactivex.disposable import Disposable

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import CombinedGraphQLErrors, InvariantTypeError, NetworkError, ServerError
from rxlink.links.error import ErrorLink
from rxlink.links.persisted_queries import ErrorMeta, PersistedQueryLink
from tests.links.persisted import (
    AS_BOTH,
    AS_HASH,
    AS_TEXT,
    MISS,
    NOT_FOUND,
    NOT_SUPPORTED,
    OTHER_ERROR,
    REFUSAL,
    answered,
    failed,
    run,
    wire,
    wires,
)
from tests.recording import DATA, END, REQUEST, Worker, seen_of, source_of, subscribed


class TestMisses:
    @pytest.mark.parametrize("error", NOT_FOUND)
    @pytest.mark.parametrize("status", [200, 400, 404, 500])
    def test_are_answered_with_text_and_hash_and_the_next_operation_is_a_hash_again(self, error, status):
        result = {"errors": [error]}
        server = answered(result if status == 200 else failed(result, status), DATA, DATA)

        seen = run(server, REQUEST, REQUEST)

        assert ([[DATA, END]] * 2, [AS_HASH, AS_BOTH, AS_HASH]) == (seen, wires(server))
        assert {
            "http": {"include_query": True, "include_extensions": True},
            "fetch_options": {"method": "POST"},
        } == server.operations[1].get_context()

    @pytest.mark.parametrize("error", NOT_SUPPORTED)
    @pytest.mark.parametrize("status", [200, 400, 404, 500])
    def test_of_servers_without_persisted_queries_are_the_last(self, error, status):
        result = {"errors": [error]}
        server = answered(result if status == 200 else failed(result, status), DATA, DATA)

        seen = run(server, REQUEST, REQUEST)

        assert ([[DATA, END]] * 2, [AS_HASH, AS_TEXT, AS_TEXT]) == (seen, wires(server))
        assert ({}, {}) == (server.operations[2].extensions, dict(server.operations[2].get_context()))

    def test_are_seen_among_other_errors(self):
        server = answered({"data": None, "errors": [{"message": "no"}, *MISS["errors"]], "extensions": {}}, DATA)

        assert ([[DATA, END]], [AS_HASH, AS_BOTH]) == (run(server), wires(server))

    def test_keep_the_context_of_the_operation(self):
        context = {"http": {"accept": ["a/b"]}, "fetch_options": {"signal": 1}}
        server = answered(MISS, DATA)

        run(server, GraphQLRequest("{ a }", context=context))

        assert {
            "http": {"accept": ["a/b"], "include_query": True, "include_extensions": True},
            "fetch_options": {"signal": 1, "method": "POST"},
        } == server.operations[1].get_context()

    @pytest.mark.parametrize("second", [MISS, REFUSAL, OTHER_ERROR, failed(MISS), OSError()])
    def test_happen_once_for_an_operation(self, second):
        server = answered(MISS, second)

        [seen] = run(server)

        assert (second, [AS_HASH, AS_BOTH]) == (seen[0], wires(server))

    @pytest.mark.parametrize("result", [{**MISS, "hasNext": True}, {"incremental": [], **MISS}, {"errors": None}])
    def test_are_not_parts_of_results(self, result):
        server = answered(result)

        assert ([[result, END]], [AS_HASH]) == (run(server, retry=lambda _: True), wires(server))

    @pytest.mark.parametrize(
        "answer",
        [OTHER_ERROR, failed(OTHER_ERROR), failed(None), failed({"message": "x", **MISS}), OSError(), NetworkError()],
    )
    def test_are_no_other_errors_which_change_nothing(self, answer):
        server = answered(answer, DATA)

        seen = run(server, REQUEST, REQUEST)

        assert (answer, [DATA, END], [AS_HASH, AS_HASH]) == (seen[0][0], seen[1], wires(server))

    def test_are_not_seen_by_links_above(self):
        asked = []
        server = answered(MISS, DATA)

        seen = seen_of(execute(from_([ErrorLink(asked.append), PersistedQueryLink(), server]), REQUEST))

        assert ([DATA, END], []) == (seen, asked)

    def test_are_over_before_the_text_is_sent(self):
        events, observers = [], []

        def answer(operation, forward):
            name = wire(operation)[1]
            events.append(f"{name} sent")

            def subscribe(observer, scheduler=None):
                observers.append(observer)
                return Disposable(lambda: events.append(f"{name} over"))

            return Observable(subscribe)

        recorder = subscribed(execute(from_([PersistedQueryLink(), ApolloLink(answer)]), REQUEST))
        observers[0].on_next(MISS)
        observers[1].on_next(DATA)
        observers[1].on_completed()

        assert ["hash alone sent", "hash alone over", "text sent", "text over"] == events
        assert [DATA, END] == recorder.seen

    def test_end_a_first_stream_that_would_go_on(self):
        first, answers = Subject(), []
        link = ApolloLink(
            lambda operation, forward: answers.append(1) or (reactivex.of(DATA) if answers[1:] else first)
        )
        recorder = subscribed(execute(from_([PersistedQueryLink(), link]), REQUEST))

        first.on_next(MISS)
        gone = list(first.observers)
        first.on_next({"data": "late"})

        assert ([], [DATA, END]) == (gone, recorder.seen)

    def test_make_deaf_for_what_a_worker_below_still_sends(self):
        sent = []

        def start(operation, observer, root):
            sent.append(operation)
            if len(sent) == 1:
                observer.on_next(MISS)
                observer.on_next({"data": "late"})
                observer.on_error(OSError("late"))
                observer.on_completed()
            # and the second never answers

        recorder = subscribed(execute(from_([PersistedQueryLink(), Worker(start)]), REQUEST))

        assert ([], 2) == (recorder.seen, len(sent))

    @pytest.mark.parametrize("answer", [MISS, REFUSAL, failed(MISS)])
    def test_of_what_cannot_be_sent_again_are_delivered(self, answer):
        sent = []

        def spend(operation, forward):
            operation.spend()
            sent.append(operation)
            return reactivex.throw(answer) if isinstance(answer, Exception) else reactivex.of(answer)

        link = PersistedQueryLink()
        seen = seen_of(execute(from_([link, ApolloLink(spend)]), REQUEST))

        assert (answer, 1, answer is not REFUSAL) == (seen[0], len(sent), link.is_enabled)

    def test_may_come_after_results(self):
        """As in Apollo: any result may be the one that tells."""
        answers = iter([reactivex.of(DATA, MISS), reactivex.of({"data": "again"})])
        link = ApolloLink(lambda operation, forward: next(answers))

        assert [DATA, {"data": "again"}, END] == seen_of(execute(from_([PersistedQueryLink(), link]), REQUEST))


class TestRetryAndDisable:
    @pytest.mark.parametrize("option", ["disable", "retry"])
    @pytest.mark.parametrize(
        ("answer", "error", "result", "meta"),
        [
            (OTHER_ERROR, CombinedGraphQLErrors, OTHER_ERROR, ErrorMeta()),
            (MISS, CombinedGraphQLErrors, MISS, ErrorMeta(persisted_query_not_found=True)),
            (REFUSAL, CombinedGraphQLErrors, REFUSAL, ErrorMeta(persisted_query_not_supported=True)),
            (failed(MISS), CombinedGraphQLErrors, MISS, ErrorMeta(persisted_query_not_found=True)),
            (failed({"data": 1}, 500), CombinedGraphQLErrors, {"data": 1}, ErrorMeta()),
            (failed(None, 500), ServerError, None, ErrorMeta()),
            (failed({"extensions": {}}, 500), ServerError, None, ErrorMeta()),
            (OSError("down"), OSError, None, ErrorMeta()),
        ],
    )
    def test_get_what_went_wrong(self, option, answer, error, result, meta):
        asked = []
        server = answered(answer, DATA)

        run(server, **{option: asked.append})

        [options] = asked
        assert (error, result, meta) == (type(options.error), options.result, options.meta)
        assert [AS_HASH] == [wire(operation) for operation in server.operations[:1]]
        assert "Viewer" == options.operation.operation_name

    def test_are_not_asked_about_results_without_errors(self):
        asked = []

        run(answered(DATA), disable=asked.append, retry=asked.append)

        assert [] == asked

    def test_are_asked_about_an_empty_list_of_errors_as_in_apollo(self):
        server = answered({"errors": []}, DATA)

        assert ([[DATA, END]], [AS_HASH, AS_BOTH]) == (run(server, retry=lambda _: True), wires(server))

    @pytest.mark.parametrize("answer", [OTHER_ERROR, OSError()])
    def test_retry_decides_about_the_text(self, answer):
        server = answered(answer, DATA)

        assert ([[DATA, END]], [AS_HASH, AS_BOTH]) == (run(server, retry=lambda _: True), wires(server))

    @pytest.mark.parametrize("answer", [MISS, REFUSAL, failed(MISS)])
    def test_without_retry_the_answer_is_delivered(self, answer):
        server = answered(answer)

        [seen] = run(server, retry=lambda _: False)

        assert (answer, [AS_HASH]) == (seen[0], wires(server))

    def test_are_asked_once_for_an_operation(self):
        asked, source = [], Subject()
        link = from_([PersistedQueryLink(retry=asked.append), source_of(source)])
        recorder = subscribed(execute(link, REQUEST))
        error = OSError()

        source.on_next(OTHER_ERROR)
        source.on_next(MISS)
        source.on_error(error)

        assert ([OTHER_ERROR, MISS, error], 1) == (recorder.seen, len(asked))

    def test_disable_decides_for_all_operations(self):
        server = answered(OTHER_ERROR, DATA)

        seen = run(server, REQUEST, REQUEST, disable=lambda _: True)

        assert ([[OTHER_ERROR, END], [DATA, END]], [AS_HASH, AS_TEXT]) == (seen, wires(server))

    def test_disable_may_change_the_context_but_the_text_goes_by_post(self):
        def disable(options):
            options.operation.set_context({"fetch_options": {"method": "GET", "signal": 1}})
            return True

        server = answered(REFUSAL, DATA)
        run(server, disable=disable)

        assert [AS_HASH, AS_TEXT] == wires(server)
        assert 1 == server.operations[1].get_context()["fetch_options"]["signal"]

    @pytest.mark.parametrize("option", ["disable", "retry"])
    @pytest.mark.parametrize("answer", [MISS, failed(MISS), OSError()])
    def test_that_raise_end_the_operation_with_what_they_raised(self, option, answer):
        error, server = KeyError("x"), answered(answer, DATA)

        def broken(options):
            raise error

        assert ([[error]], [AS_HASH]) == (run(server, **{option: broken}), wires(server))

    @pytest.mark.parametrize("option", ["disable", "retry"])
    async def test_that_return_awaitables_are_named_and_nothing_is_left_unawaited(self, option):
        server = answered(MISS, DATA)

        [[error]] = run(server, **{option: lambda _: asyncio.sleep(0, True)})

        assert InvariantTypeError is type(error)
        assert f"`{option}` of PersistedQueryLink returned an awaitable; return a bool" in str(error)
