"""The engine against plain RxPY: the same links written as `Observable(subscribe)` give the same notifications.

The reference is in this file, after Apollo's sources; every operator must find no difference between the two, nor any
random chain with random sources and random moments of leaving.
"""

from dataclasses import dataclass, field

import pytest
import reactivex
from hypothesis import example, given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import (
    CompositeDisposable,
    Disposable,
    SerialDisposable,
    SingleAssignmentDisposable,
)
from reactivex.testing import TestScheduler

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import Operation
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink
from tests.recording import REQUEST, Worker


class Failure(Exception):
    """Compared by what it says: both sides make their own."""


# ------------------------------------------------------------------------------------- sources


@dataclass
class Script:
    """What each attempt sends: items (seconds after the item before, kind, value); 0 seconds is at once.

    The last script serves all later attempts.
    """

    attempts: list
    running: set = field(default_factory=set)
    started: int = 0

    def next(self):
        self.started += 1
        self.running.add(self.started)
        return self.started, self.attempts[min(self.started, len(self.attempts)) - 1]


def play(items, observer, scheduler, timer, end):
    """Send what is due now, then set a timer for the rest; `timer` takes its disposable."""
    for position, (seconds, kind, value) in enumerate(items):
        if seconds > 0:
            rest = [(0, kind, value), *items[position + 1 :]]
            timer(
                scheduler.schedule_relative(seconds, lambda *_, rest=rest: play(rest, observer, scheduler, timer, end))
            )
            return
        if kind == "next":
            observer.on_next(value)
            continue
        end()
        if kind == "error":
            observer.on_error(Failure(value))
        else:
            observer.on_completed()
        return


class Playing:
    """A script in the slot of a subscription."""

    def __init__(self, script, number):
        self.timer = SerialDisposable()
        self.script = script
        self.number = number

    def cancel(self):
        self.timer.dispose()
        self.script.running.discard(self.number)


def engine_terminal(script, scheduler):
    def start(operation, observer, root):
        number, items = script.next()
        playing = Playing(script, number)
        root.hold(playing)

        def end():
            # Once it was cancelled, somebody else may be in the slot: what an error handler has turned to.
            if root.is_busy and not playing.timer.is_disposed:
                root.release()
            script.running.discard(number)

        def set_timer(disposable):
            playing.timer.disposable = disposable

        play(items, Guarded(observer, playing.timer), scheduler, set_timer, end)

    return Worker(start)


class Guarded:
    """A worker hears nothing more once it was cancelled, as `AutoDetachObserver` ensures in RxPY."""

    def __init__(self, observer, timer):
        self.observer = observer
        self.timer = timer

    def on_next(self, value):
        if not self.timer.is_disposed:
            self.observer.on_next(value)

    def on_error(self, error):
        if not self.timer.is_disposed:
            self.observer.on_error(error)

    def on_completed(self):
        if not self.timer.is_disposed:
            self.observer.on_completed()


def reference_terminal(script, scheduler):
    def subscribe(observer, _):
        number, items = script.next()
        timer = SerialDisposable()

        def end():
            script.running.discard(number)

        def set_timer(disposable):
            timer.disposable = disposable

        play(items, observer, scheduler, set_timer, end)
        return CompositeDisposable(timer, Disposable(end))

    return lambda operation, forward: Observable(subscribe)


# ------------------------------------------------------------------------------------- reference links


def reference_context(setter):
    def request(operation, forward):
        def subscribe(observer, scheduler):
            try:
                update = setter(operation.get_context(), operation)
                operation.set_context(update)
            except Exception as error:  # noqa: BLE001
                observer.on_error(error)
                return Disposable()
            return forward(operation).subscribe(observer, scheduler=scheduler)

        return Observable(subscribe)

    return request


def reference_error(handler):  # noqa: C901 - as closures in closures, which is how RxPY wants it
    def request(operation, forward):  # noqa: C901
        def subscribe(observer, scheduler):  # noqa: C901
            first, second = SingleAssignmentDisposable(), SingleAssignmentDisposable()
            is_deaf = False

            def ask(value, is_error):
                nonlocal is_deaf
                try:
                    answer = handler(forward, operation)
                except Exception as error:  # noqa: BLE001
                    is_deaf = True
                    first.dispose()
                    observer.on_error(error)
                    return
                if answer is not None:
                    is_deaf = True
                    first.dispose()
                    second.disposable = answer.subscribe(observer, scheduler=scheduler)
                elif is_error:
                    observer.on_error(value)
                else:
                    observer.on_next(value)

            def on_next(result):
                if not is_deaf:
                    ask(result, False) if result.get("errors") is not None else observer.on_next(result)

            def on_error(error):
                if not is_deaf:
                    ask(error, True)

            def on_completed():
                if not is_deaf:
                    observer.on_completed()

            first.disposable = forward(operation).subscribe(on_next, on_error, on_completed, scheduler=scheduler)
            return CompositeDisposable(first, second)

        return Observable(subscribe)

    return request


def reference_execute(requests, operation):
    def forward_from(position):
        return lambda operation: requests[position](operation, forward_from(position + 1))

    return forward_from(0)(operation)


# ------------------------------------------------------------------------------------- both sides


def context_pair(setter):
    return reference_context(setter), SetContextLink(setter)


def error_pair(handler):
    return (
        reference_error(handler),
        ErrorLink(lambda response: handler(response.forward, response.operation)),
    )


def user_pair(request):
    return request, ApolloLink(request)


def both_sides(pairs_of, script_of):
    """Make reference and engine, each with a scheduler and a script of its own."""
    sides = []
    for number in (0, 1):
        scheduler, script = TestScheduler(), script_of()
        chain = [pair[number] for pair in pairs_of(scheduler)]
        if number == 0:
            made = reactivex.defer(
                lambda _, chain=chain, script=script, scheduler=scheduler: reference_execute(
                    [*chain, reference_terminal(script, scheduler)], Operation(REQUEST)
                )
            )
        else:
            made = execute(
                from_([SetContextLink(lambda *_: None), *chain, engine_terminal(script, scheduler)]), REQUEST
            )
        sides.append((made, scheduler, script))
    return sides


def shown(messages):
    """Notifications with their times, errors by class and text."""
    return [(round(message.time, 6), *described(message.value)) for message in messages]


def described(notification):
    if notification.kind == "E":
        return "error", type(notification.exception).__name__, str(notification.exception)
    return (notification.kind, plain(notification.value) if notification.kind == "N" else None)


def plain(value):
    if isinstance(value, Observable):
        return "an observable"
    if hasattr(value, "kind"):
        return described(value)
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


# ------------------------------------------------------------------------------------- operators


def number(result):
    return result["data"]


def connected(make_operator):
    """A connectable with two observers, connected at once."""

    def pipeline(source, scheduler):
        def subscribe(observer, _):
            connectable = source.pipe(make_operator())
            group = CompositeDisposable(
                connectable.subscribe(observer), connectable.subscribe(lambda _: None, lambda _: None)
            )
            group.add(connectable.connect())
            return group

        return Observable(subscribe)

    return pipeline


def piped(*operators):
    return lambda source, scheduler: source.pipe(*operators)


PIPELINES = {
    "nothing": piped(),
    "map": piped(ops.map(number)),
    "map raises": piped(ops.map(lambda result: result["no"])),
    "map_indexed": piped(ops.map_indexed(lambda result, index: (index, number(result)))),
    "filter": piped(ops.filter(lambda result: number(result) != 2)),
    "filter raises": piped(ops.filter(lambda result: 1 / 0)),
    "take 0": piped(ops.take(0)),
    "take 1": piped(ops.take(1)),
    "take 2": piped(ops.take(2)),
    "take 1 repeat": piped(ops.take(1), ops.repeat(3)),
    "take_last": piped(ops.take_last(2)),
    "take_while": piped(ops.take_while(lambda result: number(result) < 2)),
    "take_while inclusive": piped(ops.take_while(lambda result: number(result) < 2, inclusive=True)),
    "take_until": lambda source, scheduler: source.pipe(ops.take_until(reactivex.timer(2.5, scheduler=scheduler))),
    "skip": piped(ops.skip(1)),
    "skip_last": piped(ops.skip_last(1)),
    "skip_while": piped(ops.skip_while(lambda result: number(result) < 2)),
    "skip_until": lambda source, scheduler: source.pipe(ops.skip_until(reactivex.timer(1.5, scheduler=scheduler))),
    "catch": piped(ops.catch(reactivex.of("caught"))),
    "catch with a function": lambda source, scheduler: source.pipe(
        ops.catch(lambda error, caught: caught.pipe(ops.take(1)))
    ),
    "catch with itself": lambda source, scheduler: source.pipe(ops.catch(source)),
    "retry": piped(ops.retry(3)),
    "repeat": piped(ops.repeat(2)),
    "retry repeat": piped(ops.retry(2), ops.repeat(2)),
    "on_error_resume_next": lambda source, scheduler: source.pipe(ops.on_error_resume_next(source)),
    "concat with itself": lambda source, scheduler: source.pipe(ops.concat(source)),
    "concat of a list": lambda source, scheduler: reactivex.concat(source, source, reactivex.of(0)),
    "merge with itself": lambda source, scheduler: source.pipe(ops.merge(source)),
    "merge of inner": lambda source, scheduler: source.pipe(ops.map(lambda _: source), ops.merge_all()),
    "merge at most 1": lambda source, scheduler: reactivex.of(source, source).pipe(ops.merge(max_concurrent=1)),
    "flat_map": lambda source, scheduler: source.pipe(ops.flat_map(lambda result: source.pipe(ops.map(number)))),
    "flat_map from outside": lambda source, scheduler: reactivex.of(1, 2).pipe(ops.flat_map(lambda _: source)),
    "flat_map of lists": piped(ops.flat_map(lambda result: [number(result)] * 2)),
    "concat_map": lambda source, scheduler: source.pipe(ops.concat_map(lambda result: source)),
    "switch_latest": lambda source, scheduler: reactivex.of(source, source).pipe(ops.switch_latest()),
    "flat_map_latest": lambda source, scheduler: source.pipe(ops.flat_map_latest(lambda result: source)),
    "exclusive": lambda source, scheduler: source.pipe(ops.map(lambda _: source), ops.exclusive()),
    "expand": piped(ops.take(1), ops.expand(lambda result: reactivex.empty())),
    "timeout": lambda source, scheduler: source.pipe(ops.timeout(1.5, scheduler=scheduler)),
    "timeout with another": lambda source, scheduler: source.pipe(ops.timeout(1.5, source, scheduler=scheduler)),
    "delay": lambda source, scheduler: source.pipe(ops.delay(0.5, scheduler=scheduler)),
    "delay_subscription": lambda source, scheduler: source.pipe(ops.delay_subscription(3, scheduler=scheduler)),
    "debounce": lambda source, scheduler: source.pipe(ops.debounce(0.5, scheduler=scheduler)),
    "throttle_first": lambda source, scheduler: source.pipe(ops.throttle_first(1.5, scheduler=scheduler)),
    "sample": lambda source, scheduler: source.pipe(ops.sample(0.75, scheduler=scheduler)),
    "timestamp": lambda source, scheduler: source.pipe(
        ops.timestamp(scheduler=scheduler), ops.map(lambda stamped: (number(stamped.value), stamped.timestamp))
    ),
    "subscribe_on": lambda source, scheduler: source.pipe(ops.subscribe_on(scheduler)),
    "observe_on": lambda source, scheduler: source.pipe(ops.observe_on(scheduler)),
    "share": lambda source, scheduler: share_twice(source.pipe(ops.share())),
    "publish": connected(ops.publish),
    "publish_value": connected(lambda: ops.publish_value("initial")),
    "replay": connected(lambda: ops.replay(2)),
    "publish ref_count": lambda source, scheduler: share_twice(source.pipe(ops.publish(), ops.ref_count())),
    "publish with a selector": piped(ops.publish(lambda shared: shared.pipe(ops.zip(shared)))),
    "start_with": piped(ops.start_with("first", "second")),
    "scan": piped(ops.map(number), ops.scan(lambda total, n: total + n, 0)),
    "reduce": piped(ops.map(number), ops.reduce(lambda total, n: total + n)),
    "reduce with seed": piped(ops.map(number), ops.reduce(lambda total, n: total + n, 0)),
    "buffer": lambda source, scheduler: source.pipe(ops.buffer(reactivex.timer(1.5, scheduler=scheduler))),
    "buffer_with_count": piped(ops.buffer_with_count(2)),
    "buffer_with_time": lambda source, scheduler: source.pipe(ops.buffer_with_time(1.5, scheduler=scheduler)),
    "window_with_count": piped(ops.window_with_count(2), ops.flat_map(lambda window: window.pipe(ops.to_list()))),
    "group_by": piped(
        ops.group_by(lambda result: number(result) % 2), ops.flat_map(lambda group: group.pipe(ops.to_list()))
    ),
    "partition": lambda source, scheduler: reactivex.merge(
        *source.pipe(ops.partition(lambda result: number(result) % 2 == 0))
    ),
    "materialize": piped(ops.materialize()),
    "materialize dematerialize": piped(ops.materialize(), ops.dematerialize()),
    "do_action": piped(ops.do_action(lambda _: None, lambda _: None, lambda: None)),
    "do_action raises": piped(ops.do_action(lambda _: 1 / 0)),
    "finally_action": piped(ops.finally_action(lambda: None)),
    "zip with itself": lambda source, scheduler: source.pipe(ops.zip(source)),
    "zip with numbers": piped(ops.zip_with_iterable(range(2))),
    "combine_latest": lambda source, scheduler: source.pipe(ops.combine_latest(source)),
    "with_latest_from": lambda source, scheduler: source.pipe(ops.with_latest_from(source)),
    "with_latest_from a value": piped(ops.with_latest_from(reactivex.of(1))),
    "fork_join": lambda source, scheduler: reactivex.fork_join(source, source),
    "amb with never": piped(ops.amb(reactivex.never())),
    "amb with itself": lambda source, scheduler: source.pipe(ops.amb(source)),
    "amb with a timer": lambda source, scheduler: source.pipe(ops.amb(reactivex.timer(0.5, scheduler=scheduler))),
    "to_iterable": piped(ops.to_iterable()),
    "to_list": piped(ops.to_list()),
    "first": piped(ops.first()),
    "first with a condition": piped(ops.first(lambda result: number(result) == 2)),
    "first_or_default": piped(ops.first_or_default(default_value="default")),
    "last": piped(ops.last()),
    "last_or_default": piped(ops.last_or_default("default")),
    "single": piped(ops.single()),
    "single_or_default": piped(ops.single_or_default(default_value="default")),
    "element_at": piped(ops.element_at(1)),
    "default_if_empty": piped(ops.default_if_empty("default")),
    "is_empty": piped(ops.is_empty()),
    "count": piped(ops.count()),
    "all": piped(ops.all(lambda result: number(result) < 3)),
    "some": piped(ops.some(lambda result: number(result) == 2)),
    "contains": piped(ops.contains({"data": 2})),
    "max": piped(ops.map(number), ops.max()),
    "average": piped(ops.map(number), ops.average()),
    "distinct": piped(ops.map(lambda result: number(result) % 2), ops.distinct()),
    "distinct_until_changed": piped(ops.map(lambda result: number(result) // 2), ops.distinct_until_changed()),
    "pairwise": piped(ops.pairwise()),
    "ignore_elements": piped(ops.ignore_elements()),
    "sequence_equal": lambda source, scheduler: source.pipe(ops.sequence_equal(source)),
    "while_do": lambda source, scheduler: while_twice(source),
    "fluent": lambda source, scheduler: source.map(number).filter(bool).take(2).start_with(0),
    "catch retry timeout": lambda source, scheduler: source.pipe(
        ops.timeout(1.5, scheduler=scheduler), ops.retry(2), ops.catch(reactivex.of("caught")), ops.to_list()
    ),
}


def share_twice(shared):
    return reactivex.merge(shared, shared)


def while_twice(source):
    turns = iter([True, True, False])
    return source.pipe(ops.while_do(lambda _: next(turns)))


SHAPES = {
    "one value": [("next", {"data": 1}), ("completed", None)],
    "three values": [("next", {"data": 1}), ("next", {"data": 2}), ("next", {"data": 3}), ("completed", None)],
    "value and error": [("next", {"data": 1}), ("error", "down")],
    "empty": [("completed", None)],
}


def ordinary_chain(scheduler):
    """Context, error, and a link of users' kind that only defines `request`."""
    return [
        context_pair(lambda context, operation: {"n": 1}),
        error_pair(lambda forward, operation: None),
        user_pair(lambda operation, forward: forward(operation)),
    ]


@pytest.mark.parametrize("seconds", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_an_operator_finds_no_difference(pipeline, shape, seconds):
    seen = []
    items = [(seconds, kind, value) for kind, value in SHAPES[shape]]

    for made, scheduler, script in both_sides(ordinary_chain, lambda: Script([items])):
        observer = scheduler.create_observer()
        PIPELINES[pipeline](made, scheduler).subscribe(observer, scheduler=scheduler)
        scheduler.advance_to(100)
        seen.append((shown(observer.messages), script.started, script.running))

    assert seen[0] == seen[1]
    assert seen[0][1] > 0 or pipeline == "take 0"


def test_there_are_enough_operators():
    assert len(PIPELINES) >= 60


# ------------------------------------------------------------------------------------- random chains

RESULT = st.sampled_from([{"data": 1}, {"data": 2}, {"errors": [{"message": "no"}]}, {"data": 3, "errors": []}])
SECONDS = st.sampled_from([0, 0, 1, 2])
ITEMS = st.builds(
    lambda values, last: [*values, *last],
    st.lists(st.tuples(SECONDS, st.just("next"), RESULT), max_size=4),
    st.lists(
        st.one_of(
            st.tuples(SECONDS, st.just("error"), st.sampled_from(["down", "out"])),
            st.tuples(SECONDS, st.just("completed"), st.none()),
        ),
        max_size=1,
    ),
)
SETTERS = {
    "set": lambda context, operation: {"n": context.get("n", 0) + 1},
    "fails": lambda context, operation: context["no"],
    "fails later": lambda context, operation: {"n": context.get("n", 0) + 1 / (2 - context.get("n", 0))},
}
HANDLERS = {
    "passes": lambda forward, operation: None,
    "retries": lambda forward, operation: forward(operation),
    "retries once": lambda forward, operation: forward(operation).pipe(ops.take(1)),
    "answers": lambda forward, operation: reactivex.of({"data": "answer"}, {"errors": []}),
    "answers nothing": lambda forward, operation: reactivex.empty(),
    "fails": lambda forward, operation: reactivex.throw(Failure("answer")),
    "raises": lambda forward, operation: 1 / 0,
}
REQUESTS = {
    "passes on": lambda operation, forward: forward(operation),
    "maps": lambda operation, forward: forward(operation).pipe(ops.map(lambda result: {**result, "mapped": True})),
    "takes": lambda operation, forward: forward(operation).pipe(ops.take(2)),
    "retries": lambda operation, forward: forward(operation).pipe(ops.retry(2)),
    "repeats": lambda operation, forward: reactivex.concat(forward(operation), forward(operation)),
    "merges": lambda operation, forward: reactivex.merge(forward(operation), forward(operation)),
}
LINKS = st.one_of(
    st.sampled_from(sorted(SETTERS)).map(lambda name: ("context", name)),
    st.sampled_from(sorted(HANDLERS)).map(lambda name: ("error", name)),
    st.sampled_from(sorted(REQUESTS)).map(lambda name: ("request", name)),
)
LEAVING = st.one_of(
    st.none(),
    st.tuples(st.just("at"), st.sampled_from([0, 0.5, 1, 1.5, 2, 3, 5])),
    st.tuples(st.just("on_next"), st.integers(1, 3)),
)


def pairs_of(links):
    makers = {
        "context": lambda name: context_pair(SETTERS[name]),
        "error": lambda name: error_pair(HANDLERS[name]),
        "request": lambda name: user_pair(REQUESTS[name]),
    }
    return lambda scheduler: [makers[kind](name) for kind, name in links]


def run(made, scheduler, script, leaving):
    """Subscribe, leave as told, and tell what came when, and which sources still ran then."""
    observer = scheduler.create_observer()
    handle = SingleAssignmentDisposable()
    kind, moment = leaving or (None, None)
    count = 0

    def on_next(value):
        nonlocal count
        observer.on_next(value)
        count += 1
        if kind == "on_next" and count == moment:
            handle.dispose()

    handle.disposable = made.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)
    if kind == "at":
        scheduler.advance_to(moment)
        handle.dispose()
        observer.messages.append(reactivex.testing.Recorded(moment, reactivex.notification.OnNext("left")))
    scheduler.advance_to(100)
    return shown(observer.messages), script.running


@given(
    links=st.lists(LINKS, max_size=5),
    attempts=st.lists(ITEMS, min_size=1, max_size=3),
    leaving=LEAVING,
    is_operator=st.booleans(),
)
@example(
    links=[("error", "retries")],
    attempts=[[(0, "next", {"errors": [{"message": "no"}]}), (0, "completed", None)], []],
    leaving=("at", 0),
    is_operator=False,
)
def test_random_chains_find_no_difference(links, attempts, leaving, is_operator):
    seen = []
    for made, scheduler, script in both_sides(pairs_of(links), lambda: Script([*attempts, [(0, "completed", None)]])):
        source = made.pipe(ops.map(lambda result: result)) if is_operator else made
        seen.append(run(source, scheduler, script, leaving))

    assert seen[0] == seen[1]
