"""Links and how they are put together: `ApolloLink`, `from_`, `concat`, `split`, `empty`, `execute`, closing."""

import asyncio
import functools

import pytest
import reactivex
from graphql import parse
from reactivex import Observable
from reactivex import operators as ops

from rxlink.core import chain as module
from rxlink.core.chain import concat, empty, execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_error
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from tests.recording import (
    DATA,
    END,
    FAILED,
    REQUEST,
    answering,
    failing,
    garbage_of,
    seen_of,
    sending,
    source_of,
    subscribed,
)


def noting(name, log):
    """A link of users' kind that writes down that it was asked."""

    def note(operation, forward):
        log.append(name)
        return forward(operation)

    return ApolloLink(note)


def adding(key, value):
    """A link of users' kind that puts something into each result."""
    return ApolloLink(lambda operation, forward: forward(operation).map(lambda result: {**result, key: value}))


class TestExecute:
    @pytest.mark.parametrize("terminal", [answering(DATA), sending(DATA)])
    def test_gives_the_results_of_the_chain(self, terminal):
        assert [DATA, END] == seen_of(execute(terminal, REQUEST))

    @pytest.mark.parametrize("terminal", [answering(DATA), sending(DATA)])
    async def test_gives_an_observable_that_can_be_awaited(self, terminal):
        results = execute(terminal, REQUEST)

        assert isinstance(results, Observable)
        assert DATA == await results

    def test_makes_an_operation_of_the_request(self):
        request = GraphQLRequest(parse("mutation Go { go }"), {"a": 1}, None, {"e": 2}, {"c": 3})
        seen = []

        execute(ApolloLink(lambda operation, _: seen.append(operation) or reactivex.empty()), request)

        [operation] = seen
        assert (request.query, {"a": 1}, "Go", {"e": 2}, {"c": 3}) == (
            operation.query,
            operation.variables,
            operation.operation_name,
            operation.extensions,
            dict(operation.get_context()),
        )

    def test_runs_a_plain_handler_at_its_head_at_once(self):
        log = []

        execute(from_([noting("head", log), sending(DATA)]), REQUEST)

        assert ["head"] == log

    def test_defers_everything_behind_one_of_the_frameworks_links(self):
        log = []

        execute(from_([ErrorLink(lambda _: None), noting("second", log), sending(DATA)]), REQUEST)

        assert [] == log

    def test_lets_out_what_a_handler_raises_while_it_runs(self):
        with pytest.raises(ZeroDivisionError):
            execute(ApolloLink(lambda *_: 1 / 0), REQUEST)

    def test_hands_what_is_raised_under_a_subscription_to_on_error(self):
        link = from_([SetContextLink(lambda *_: None), ApolloLink(lambda *_: 1 / 0)])

        [error] = seen_of(execute(link, REQUEST))

        assert ZeroDivisionError is type(error)

    def test_attempts_anew_for_each_subscription(self):
        log = []
        link = from_([ErrorLink(lambda _: None), noting("sent", log), sending(DATA)])
        results = execute(link, REQUEST)

        seen = [seen_of(results), seen_of(results)]

        assert ([[DATA, END]] * 2, ["sent"] * 2) == (seen, log)

    def test_runs_a_handler_once_for_each_call_of_the_forward_that_leads_to_it(self):
        log = []
        twice = ApolloLink(lambda operation, forward: forward(operation).pipe(ops.concat(forward(operation))))
        link = from_([twice, noting("sent", log), sending(DATA)])

        seen = seen_of(execute(link, REQUEST).pipe(ops.repeat(2)))

        assert ([DATA] * 4 + [END], ["sent"] * 2) == (seen, log)

    def test_shares_the_operation_and_its_context_between_attempts(self):
        attempts = []
        link = from_([SetContextLink(lambda context, _: attempts.append(dict(context)) or {"n": 1}), sending(DATA)])
        results = execute(link, REQUEST)

        seen_of(results)
        seen_of(results)

        assert [{}, {"n": 1}] == attempts

    @pytest.mark.parametrize(("link", "request_"), [(lambda *_: None, REQUEST), (None, REQUEST)])
    def test_refuses_what_is_no_link(self, link, request_):
        with pytest.raises(InvariantTypeError, match=r"execute got .* where a link belongs"):
            execute(link, request_)

    @pytest.mark.parametrize("request_", ["{ a }", {"query": "{ a }"}, None])
    def test_refuses_what_is_no_request(self, request_):
        with pytest.raises(InvariantTypeError, match=r"as its request; wrap it: GraphQLRequest\(query, variables\)"):
            execute(sending(DATA), request_)


class TestBadHandlers:
    def test_a_link_without_a_handler_is_named(self):
        class Lazy(ApolloLink):
            pass

        with pytest.raises(InvariantError, match="Lazy has no request handler"):
            execute(Lazy(), REQUEST)

    def test_a_coroutine_function_is_refused_with_the_cure(self):
        async def handler(operation, forward):
            pass

        with pytest.raises(TypeError, match=r"handler is a coroutine function; .*from_future") as failure:
            ApolloLink(handler)

        assert isinstance(failure.value, InvariantError)

    def test_something_that_cannot_be_called_is_refused(self):
        with pytest.raises(InvariantTypeError, match="a request handler is a function, got a list"):
            ApolloLink([])

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (None, r"returned None for <Operation query Viewer> .*forgot `return forward\(operation\)`"),
            ([DATA], "returned a list .*or an Observable"),
            (DATA, "returned a dict"),
        ],
    )
    def test_a_handler_that_returns_no_observable_is_named_with_the_cure(self, returned, message):
        def culprit(operation, forward):
            return returned

        with pytest.raises(TypeError, match=message) as failure:
            execute(ApolloLink(culprit), REQUEST)

        assert "culprit" in str(failure.value)
        assert isinstance(failure.value, InvariantError)

    def test_a_handler_that_returns_a_coroutine_is_told_to_wrap_it_and_the_coroutine_is_closed(self):
        async def later():
            pass

        with pytest.raises(InvariantTypeError, match=r"returned a coroutine .*wrap it: from_future"):
            execute(ApolloLink(lambda *_: later()), REQUEST)

    def test_the_same_under_a_subscription_arrives_as_on_error(self):
        link = from_([SetContextLink(lambda *_: None), ApolloLink(lambda *_: None)])

        [error] = seen_of(execute(link, REQUEST))

        assert InvariantTypeError is type(error)

    def test_a_chain_without_an_end_is_told_to_put_a_transport_there(self):
        link = from_([noting("only", []), noting("these", [])])

        with pytest.raises(InvariantError, match=r"<Operation query Viewer> reached the end of the chain .*transport"):
            execute(link, REQUEST)

    def test_a_chain_without_an_end_behind_the_frameworks_links_arrives_as_on_error(self):
        link = SetContextLink(lambda *_: None)

        [error] = seen_of(execute(link, REQUEST))

        assert "reached the end of the chain" in str(error)

    def test_no_operation_shows_its_variables_in_a_message(self):
        request = GraphQLRequest("query Q($p: String) { a(p: $p) }", {"p": "planted"}, context={"token": "planted"})

        with pytest.raises(InvariantError) as failure:
            execute(noting("x", []), request)

        assert "planted" not in str(failure.value)


class TestChains:
    def test_run_their_links_from_head_to_end_and_results_back(self):
        log = []
        link = from_([noting("a", log), adding("x", 1), noting("b", log), sending(DATA)])

        seen = seen_of(execute(link, REQUEST))

        assert (["a", "b"], [{**DATA, "x": 1}, END]) == (log, seen)

    @pytest.mark.parametrize(
        "build",
        [
            lambda a, b, c: from_([a, b, c]),
            concat,
            lambda a, b, c: a.concat(b, c),
            lambda a, b, c: a.concat(b).concat(c),
            lambda a, b, c: from_([a, from_([b, c])]),
            lambda a, b, c: from_([from_([a, b]), c]),
            lambda a, b, c: ApolloLink.from_([a, b, c]),
        ],
    )
    def test_are_the_same_however_they_are_put_together(self, build):
        log = []
        link = build(noting("a", log), noting("b", log), sending(DATA))

        seen = seen_of(execute(link, REQUEST))

        assert (["a", "b"], [DATA, END]) == (log, seen)

    def test_of_one_link_are_that_link(self):
        link = sending(DATA)

        assert link is from_([link])

    def test_of_nothing_complete_without_a_result(self):
        assert [END] == seen_of(execute(from_([]), REQUEST))

    def test_may_be_continued_in_several_ways(self):
        log = []
        head = noting("head", log)

        seen = [seen_of(execute(head.concat(sending({"data": n})), REQUEST)) for n in (1, 2)]

        assert [[{"data": 1}, END], [{"data": 2}, END]] == seen

    def test_carry_what_one_link_does_to_the_operation_to_the_next(self):
        def change(operation, forward):
            operation.variables["id"] = 7
            operation.extensions["e"] = 8
            operation.set_context({"c": 9})
            return forward(operation)

        echo = ApolloLink(
            lambda operation, _: reactivex.of([operation.variables, operation.extensions, operation.get_context()["c"]])
        )

        seen = seen_of(execute(from_([ApolloLink(change), echo]), REQUEST))

        assert [[{"id": 7}, {"e": 8}, 9], END] == seen

    def test_may_hold_one_instance_twice(self):
        log = []
        note = noting("n", log)
        count = SetContextLink(lambda context, _: {"n": context.get("n", 0) + 1})
        echo = ApolloLink(lambda operation, _: reactivex.of(operation.get_context()["n"]))

        seen = seen_of(execute(from_([note, count, note, count, echo]), REQUEST))

        assert (["n", "n"], [2, END]) == (log, seen)

    def test_refuse_a_link_behind_one_that_never_forwards(self):
        with pytest.raises(InvariantError, match=r"stands behind .* put the transport last"):
            from_([sending(DATA), noting("late", [])])

    @pytest.mark.parametrize(
        "ending",
        [
            lambda: from_([noting("a", []), sending(DATA)]),
            lambda: split(bool, sending(DATA), sending(DATA)),
            lambda: split(bool, from_([noting("a", []), sending(DATA)]), sending(DATA)),
            empty,
        ],
    )
    def test_see_that_a_composed_link_never_forwards(self, ending):
        with pytest.raises(InvariantError, match="never forwards"):
            from_([ending(), noting("late", [])])

    @pytest.mark.parametrize("wrong", [lambda operation, forward: None, None, "link"])
    def test_refuse_what_is_no_link_and_say_how_to_make_one(self, wrong):
        with pytest.raises(InvariantTypeError, match=r"from_ got .* wrap a function: ApolloLink"):
            from_([wrong, sending(DATA)])

    def test_pass_errors_back_through_every_link(self):
        error = OSError("down")
        seen = []
        spy = ApolloLink(lambda operation, forward: forward(operation).do_action(on_error=seen.append))

        got = seen_of(execute(from_([spy, SetContextLink(lambda *_: None), failing(error)]), REQUEST))

        assert ([error], [error]) == (seen, got)


class TestSplit:
    @pytest.mark.parametrize(("name", "side"), [("Left", "left"), ("Right", "right")])
    def test_chooses_by_the_operation(self, name, side):
        link = split(lambda operation: operation.operation_name == "Left", sending("left"), sending("right"))

        seen = seen_of(execute(link, GraphQLRequest(f"query {name} {{ a }}")))

        assert [side, END] == seen

    def test_passes_on_to_what_stands_behind_where_there_is_no_right_side(self):
        link = split(lambda _: False, sending("left")).concat(sending("behind"))

        assert ["behind", END] == seen_of(execute(link, REQUEST))

    def test_lets_both_sides_go_on_to_what_stands_behind(self):
        link = split(lambda operation: bool(operation.variables), adding("side", "left"), adding("side", "right"))
        chain = link.concat(sending(DATA))

        seen = [seen_of(execute(chain, GraphQLRequest("{ a }", variables))) for variables in ({"a": 1}, None)]

        assert [[{**DATA, "side": "left"}, END], [{**DATA, "side": "right"}, END]] == seen

    def test_may_be_a_method_behind_a_link(self):
        log = []
        link = noting("head", log).split(lambda _: True, sending("left"), sending("right"))

        assert (["left", END], ["head"]) == (seen_of(execute(link, REQUEST)), log)

    def test_chooses_anew_for_each_subscription(self):
        answers = iter([True, False])
        results = execute(split(lambda _: next(answers), sending("left"), sending("right")), REQUEST)

        assert [["left", END], ["right", END]] == [seen_of(results), seen_of(results)]

    def test_may_have_one_instance_on_both_sides(self):
        both = SetContextLink(lambda context, _: {"n": context.get("n", 0) + 1})
        echo = ApolloLink(lambda operation, _: reactivex.of(operation.get_context()["n"]))
        link = from_([both, split(lambda operation: bool(operation.variables), both, both), echo])

        seen = [seen_of(execute(link, GraphQLRequest("{ a }", variables))) for variables in ({"a": 1}, None)]

        assert [[2, END], [2, END]] == seen

    def test_hands_what_its_test_raises_to_on_error(self):
        link = split(lambda operation: 1 / 0, sending(DATA), sending(DATA))

        [error] = seen_of(execute(link, REQUEST))

        assert ZeroDivisionError is type(error)

    async def test_whose_test_returns_an_awaitable_says_so(self):
        async def is_left():
            return False

        [error] = seen_of(execute(split(lambda operation: is_left(), sending(DATA), sending(DATA)), REQUEST))

        assert (InvariantTypeError, True) == (type(error), "of split returned a coroutine; return a bool" in str(error))

    def test_can_go_by_the_type_of_the_operation_as_apollos(self):
        link = split(lambda operation: operation.operation_type == "mutation", sending(DATA), sending(FAILED))

        assert [[FAILED, END], [DATA, END]] == [
            seen_of(execute(link, GraphQLRequest(query))) for query in ("{ a }", "mutation { a }")
        ]

    def test_refuses_a_coroutine_function_which_is_always_true(self):
        async def is_left(operation):
            return False

        with pytest.raises(
            InvariantTypeError,
            match=r"coroutine function .*is_left; its answer would always be true",
        ):
            split(is_left, sending(DATA))

    def test_refuses_a_test_that_cannot_be_called_and_a_branch_that_is_no_link(self):
        with pytest.raises(InvariantTypeError, match="the test of split is True"):
            split(True, sending(DATA))
        with pytest.raises(InvariantTypeError, match="split got a function"):
            split(bool, sending(DATA), lambda operation, forward: forward(operation))


class TestEmpty:
    @pytest.mark.parametrize("make", [empty, ApolloLink.empty])
    def test_completes_without_a_result(self, make):
        assert [END] == seen_of(execute(make(), REQUEST))


class TestNames:
    @pytest.mark.parametrize("name", ["from_", "empty", "execute", "split"])
    def test_are_there_as_static_methods_too(self, name):
        assert callable(getattr(ApolloLink, name))
        assert callable(getattr(module, name))

    def test_static_execute_is_execute(self):
        assert [DATA, END] == seen_of(ApolloLink.execute(sending(DATA), REQUEST))

    def test_of_links_show_in_their_repr(self):
        def handle(operation, forward):
            return forward(operation)

        def test(operation):
            return True

        shown = repr(from_([ApolloLink(handle), split(test, sending(DATA), empty())]))

        assert f"[<ApolloLink {handle.__qualname__}>, <split {test.__qualname__}: <Worker> | <_Empty>>]" == shown


class Doubling(ApolloLink):
    """Of users' kind: a subclass that defines `request`."""

    def request(self, operation, forward):
        return forward(operation).pipe(ops.repeat(2))


class TestTwoFaces:
    def test_a_subclass_that_defines_request_is_a_link(self):
        assert [DATA, DATA, END] == seen_of(execute(from_([Doubling(), sending(DATA)]), REQUEST))

    def test_a_worker_link_can_be_asked_through_request(self):
        link = SetContextLink(lambda *_: {"n": 1})
        outer = ApolloLink(link.request)
        echo = ApolloLink(lambda operation, _: reactivex.of(operation.get_context()["n"]))

        assert [1, END] == seen_of(execute(from_([outer, echo]), REQUEST))

    def test_a_chain_and_a_split_can_be_asked_through_request(self):
        log = []
        chain = from_([noting("a", log), noting("b", log)])
        outer = ApolloLink(lambda operation, forward: split(bool, chain).request(operation, forward))

        assert ([DATA, END], ["a", "b"]) == (seen_of(execute(from_([outer, sending(DATA)]), REQUEST)), log)

    def test_a_subclass_may_wrap_a_worker_link_with_super(self):
        class Marking(ErrorLink):
            def request(self, operation, forward):
                return super().request(operation, lambda o: forward(o).map(lambda result: {**result, "mark": 1}))

        seen_errors = []
        link = from_([Marking(lambda response: seen_errors.append(response.result)), sending(FAILED)])

        seen = seen_of(execute(link, REQUEST))

        assert ([{**FAILED, "mark": 1}, END], [{**FAILED, "mark": 1}]) == (seen, seen_errors)

    def test_an_instance_may_wrap_its_own_request(self):
        link = SetContextLink(lambda *_: {"n": 1})
        original = link.request
        link.request = lambda operation, forward: original(operation, forward).map(lambda n: n + 10)
        echo = ApolloLink(lambda operation, _: reactivex.of(operation.get_context()["n"]))

        assert [11, END] == seen_of(execute(from_([link, echo]), REQUEST))

    def test_of_request_and_connect_the_one_defined_nearer_counts(self):
        class Slow(Doubling):
            def connect(self, forward):
                return forward.connect

        class Again(Slow):
            def request(self, operation, forward):
                return forward(operation).pipe(ops.repeat(3))

        counts = [seen_of(execute(from_([link(), sending(DATA)]), REQUEST)).count(DATA) for link in (Slow, Again)]

        assert [1, 3] == counts

    def test_a_chain_whose_request_is_redefined_on_the_instance_is_honoured(self):
        chain = from_([noting("a", []), sending(DATA)])
        chain.request = lambda operation, forward: reactivex.of("mine")

        assert ["mine", END] == seen_of(execute(from_([SetContextLink(lambda *_: None), chain]), REQUEST))

    def test_what_a_wrapped_forward_raises_or_forgets_is_the_operations_error(self):
        class Broken(SetContextLink):
            def request(self, operation, forward):
                return super().request(operation, self.forward_with)

        seen = []
        for forward_with in (lambda _: 1 / 0, lambda _: None):
            link = Broken(lambda *_: None)
            link.forward_with = forward_with
            seen += map(type, seen_of(execute(from_([link, sending(DATA)]), REQUEST)))

        assert [ZeroDivisionError, InvariantTypeError] == seen

    def test_a_partial_and_a_callable_object_are_handlers(self):
        class Handler:
            def __call__(self, operation, forward):
                return forward(operation)

        def pass_on(extra, operation, forward):
            return forward(operation)

        link = from_([ApolloLink(functools.partial(pass_on, 1)), ApolloLink(Handler()), sending(DATA)])

        assert [DATA, END] == seen_of(execute(link, REQUEST))

    def test_an_instance_stands_in_many_chains_at_once(self):
        shared = adding("x", 1)
        chains = [from_([shared, sending({"data": n})]) for n in range(3)] + [from_([shared, shared, sending(DATA)])]

        seen = [seen_of(execute(chain, REQUEST))[0] for chain in chains]

        assert [{"data": 0, "x": 1}, {"data": 1, "x": 1}, {"data": 2, "x": 1}, {**DATA, "x": 1}] == seen

    def test_wrapping_with_super_leaves_no_garbage(self):
        class Marking(SetContextLink):
            def request(self, operation, forward):
                return super().request(operation, lambda again: forward(again))  # noqa: PLW0108 - as users write it

        link = from_([ErrorLink(lambda _: None), Marking(lambda *_: None), sending(DATA)])

        assert 0 == garbage_of(lambda: execute(link, REQUEST).subscribe(), 20)


class Entering(ApolloLink):
    """Notes who is entered, and who is closed."""

    def __init__(self, name, log, error=None):
        super().__init__()
        self.name = name
        self.log = log
        self.error = error

    def request(self, operation, forward):
        return forward(operation)

    async def __aenter__(self):
        self.log.append(f"enter {self.name}")
        if self.error is not None:
            raise self.error
        return self

    async def aclose(self):
        self.log.append(f"close {self.name}")


class TestEntering:
    async def test_reaches_each_link_of_a_chain_once_in_its_order(self):
        log = []
        a, b, c = (Entering(name, log) for name in "abc")

        async with from_([a, from_([b, a]), split(bool, from_([c, a]), b), sending(DATA)]):
            entered = list(log)

        assert ["enter a", "enter b", "enter c"] == entered
        assert ["close a", "close b", "close c"] == log[3:]

    async def test_closes_all_when_one_fails(self):
        log = []
        error = OSError("enter")
        links = [Entering("a", log), Entering("b", log, error), Entering("c", log)]

        with pytest.raises(OSError, match="enter") as failure:
            async with from_(links):
                log.append("block")

        assert (error, ["enter a", "enter b", "close a", "close b", "close c"]) == (failure.value, log)

    async def test_raises_its_own_failure_where_closing_fails_too(self):
        entering, closing = OSError("enter"), ValueError("close")

        with pytest.raises(OSError, match="enter") as failure:
            await from_([Entering("a", [], entering), Closing([], closing)]).__aenter__()

        assert (entering, closing) == (failure.value, failure.value.__context__)


class Closing(ApolloLink):
    def __init__(self, log, error=None):
        super().__init__()
        self.log = log
        self.error = error

    def request(self, operation, forward):
        return forward(operation)

    async def aclose(self):
        self.log.append(self)
        if self.error is not None:
            raise self.error


class TestClosing:
    async def test_reaches_each_link_of_a_chain_once(self):
        log = []
        a, b, c = Closing(log), Closing(log), Closing(log)
        chain = from_([a, from_([b, a]), split(bool, from_([c, a]), b), sending(DATA)])

        await chain.aclose()

        assert [a, b, c] == log

    async def test_happens_at_the_end_of_the_block(self):
        log = []
        link = Closing(log)
        chain = from_([link, sending(DATA)])

        async with chain as entered:
            before = list(log)

        assert (chain, [], [link]) == (entered, before, log)

    async def test_goes_on_when_a_link_fails_and_raises_that_failure(self):
        log = []
        error = OSError("close")
        first, second = Closing(log, error), Closing(log)

        with pytest.raises(OSError, match="close") as failure:
            await from_([first, second]).aclose()

        assert ([first, second], error) == (log, failure.value)

    async def test_that_is_cancelled_goes_on_with_the_others_and_ends_then(self):
        log = []
        reached = asyncio.Event()

        class Slow(Closing):
            async def aclose(self):
                reached.set()
                await asyncio.Event().wait()

        last = Closing(log)
        closing = asyncio.ensure_future(from_([Closing(log), Slow(log), Slow(log), last]).aclose())
        await reached.wait()
        reached.clear()

        closing.cancel()
        await reached.wait()
        closing.cancel()

        with pytest.raises(asyncio.CancelledError):
            await closing
        assert last is log[-1]

    async def test_in_the_midst_of_which_one_asks_to_leave_tells_the_failures_as_the_cause(self):
        log = []
        failure, leaving = OSError("close"), SystemExit(3)
        links = Closing(log, failure), Closing(log, leaving), Closing(log)

        with pytest.raises(SystemExit) as raised:
            await from_(links).aclose()

        assert (list(links), leaving, failure) == (log, raised.value, raised.value.__cause__)

    async def test_that_nobody_waits_for_any_more_awaits_nothing_more(self):
        class Slow(Closing):
            def aclose(self):
                return asyncio.sleep(0)

        closing = from_([Slow([]), Slow([])]).aclose()
        closing.send(None)

        assert closing.close() is None

    async def test_raises_several_failures_together(self):
        errors = [OSError("one"), ValueError("two")]

        with pytest.raises(ExceptionGroup) as failure:
            await from_([Closing([], error) for error in errors]).aclose()

        assert errors == list(failure.value.exceptions)

    async def test_a_single_link_that_owns_nothing_is_fine_and_twice_too(self):
        link = noting("a", [])

        await link.aclose()
        await from_([link, sending(DATA)]).aclose()
        await from_([link, sending(DATA)]).aclose()


class TestFromError:
    def test_ends_when_it_is_subscribed(self):
        error = OSError("no")

        assert [error] == seen_of(from_error(error))

    def test_is_an_answer_for_a_handler(self):
        error = OSError("no")

        recorder = subscribed(execute(from_([SetContextLink(lambda *_: None), source_of(from_error(error))]), REQUEST))

        assert [error] == recorder.seen


class TestWhatIsHandedOn:
    @pytest.mark.parametrize("wrong", ["{ a }", None, REQUEST])
    def test_is_the_operation_and_nothing_else(self, wrong):
        head = SetContextLink(lambda context, operation: None)
        link = from_([head, ApolloLink(lambda operation, forward: forward(wrong)), sending(DATA)])

        [error] = seen_of(execute(link, REQUEST))

        assert InvariantTypeError is type(error)
        assert "give it the operation: forward(operation)" in str(error)

    def test_goes_to_a_handler_of_operation_and_forward(self):
        with pytest.raises(InvariantTypeError, match=r"other arguments; give a function of \(operation, forward\)"):
            ApolloLink(lambda operation: sending(DATA))

    def test_is_made_of_a_list_of_links(self):
        with pytest.raises(InvariantTypeError, match="give it a list of links"):
            from_(sending(DATA))
