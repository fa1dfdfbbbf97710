"""What the tests of links share: a list of what a subscriber gets, and the smallest links."""

import gc
from collections.abc import Callable, Iterable
from typing import Any

import reactivex
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription

REQUEST = GraphQLRequest("query Viewer { viewer { name } }")
DATA = {"data": {"viewer": {"name": "Ada"}}}
FAILED = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
END = "completed"


class Recorder:
    """A subscriber that writes down values, exceptions, and `END`."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.subscription: abc.DisposableBase = Disposable()

    def on_next(self, value: Any) -> None:
        self.seen.append(value)

    def on_error(self, error: Exception) -> None:
        self.seen.append(error)

    def on_completed(self) -> None:
        self.seen.append(END)


def subscribed(observable: Observable[Any], scheduler: abc.SchedulerBase | None = None) -> Recorder:
    recorder = Recorder()
    recorder.subscription = observable.subscribe(recorder, scheduler=scheduler)
    return recorder


def seen_of(observable: Observable[Any], scheduler: abc.SchedulerBase | None = None) -> list[Any]:
    return subscribed(observable, scheduler).seen


def answering(*values: Any) -> ApolloLink:
    """A terminal of users' kind on a foreign source."""
    return ApolloLink(lambda operation, forward: reactivex.from_iterable(values))


def failing(error: Exception) -> ApolloLink:
    return ApolloLink(lambda operation, forward: reactivex.throw(error))


def source_of(observable: Observable[Any]) -> ApolloLink:
    return ApolloLink(lambda operation, forward: observable)


class Worker(ApolloLink):
    """A terminal of the framework's kind, from a function (operation, observer, root)."""

    is_terminating = True

    def __init__(self, start: Callable[[Operation, ResultObserver, Subscription], None]) -> None:
        super().__init__()
        self._start = start

    def connect(self, forward: Forward) -> Connect:
        return self._start


def sending(*values: Any) -> Worker:
    """A terminal of the framework's kind that answers before `subscribe` returns."""

    def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        for value in values:
            observer.on_next(value)
        observer.on_completed()

    return Worker(start)


def streaming(values: Iterable[Any], turn: Callable[[], Any]) -> Worker:
    """A terminal of the framework's kind that awaits `turn()` before each value and before its end."""

    async def work(observer: ResultObserver, root: Subscription) -> None:
        for value in values:
            await turn()
            observer.on_next(value)
        await turn()
        root.release()
        observer.on_completed()

    return Worker(lambda operation, observer, root: root.spawn(work(observer, root), observer))


def garbage_of(function: Callable[[], Any], times: int) -> int:
    """Run it and count the objects that only the cycle collector can free."""
    function()
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            function()
        return gc.collect()
    finally:
        gc.enable()
