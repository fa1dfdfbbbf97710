"""Four links as one writes them on RxPY without rxlink: by hand as `Observable(subscribe)`, and with operators.

They get the same `Operation` and do the same work; they stand here to be compared with.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable, SerialDisposable
from reactivex.scheduler import TimeoutScheduler

from benchmarks.four_links import ANSWER, set_authorization, set_tenant
from rxlink.core.operation import Context, Operation
from rxlink.core.result import FetchResult, graphql_errors

__all__ = ["answer_by_hand", "answer_of", "links_by_hand", "links_of_operators", "retrying_links_by_hand"]

MOST_ATTEMPTS = 5

Forward: TypeAlias = Callable[[Operation], Observable[FetchResult]]
Setter: TypeAlias = Callable[[Context, Operation], Context]
Observer: TypeAlias = abc.ObserverBase[FetchResult]
Scheduler: TypeAlias = abc.SchedulerBase | None


def links_by_hand(last: Forward) -> Forward:
    """Return the chain of `four_simple_links` as nested `Observable(subscribe)`."""
    authorized = partial(_set_context, set_authorization, last)
    return partial(_set_context, set_tenant, partial(_see_errors, authorized))


def retrying_links_by_hand(last: Forward) -> Forward:
    """Return the chain of `four_retrying_links` as nested `Observable(subscribe)`."""
    authorized = partial(_set_context, set_authorization, last)
    return partial(_retry, partial(_see_errors, authorized))


def links_of_operators() -> Forward:
    """Return the chain of `four_simple_links` as RxPY's operators."""
    authorized = partial(_defer_context, set_authorization, answer_of)
    return partial(_defer_context, set_tenant, partial(_catch_errors, authorized))


def answer_of(operation: Operation) -> Observable[FetchResult]:
    """End a chain with RxPY's own source."""
    return reactivex.of(ANSWER)


def answer_by_hand(operation: Operation) -> Observable[FetchResult]:
    """End a chain with the least that answers."""

    def subscribe(observer: Observer, scheduler: Scheduler = None) -> abc.DisposableBase:
        observer.on_next(ANSWER)
        observer.on_completed()
        return Disposable()

    return Observable(subscribe)


def _set_context(setter: Setter, forward: Forward, operation: Operation) -> Observable[FetchResult]:
    def subscribe(observer: Observer, scheduler: Scheduler = None) -> abc.DisposableBase:
        operation.set_context(setter(operation.get_context(), operation))
        return forward(operation).subscribe(observer, scheduler=scheduler)

    return Observable(subscribe)


def _see_errors(forward: Forward, operation: Operation) -> Observable[FetchResult]:
    def subscribe(observer: Observer, scheduler: Scheduler = None) -> abc.DisposableBase:
        def on_next(result: FetchResult) -> None:
            _look_at(result)
            observer.on_next(result)

        return forward(operation).subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

    return Observable(subscribe)


def _retry(forward: Forward, operation: Operation) -> Observable[FetchResult]:
    def subscribe(observer: Observer, scheduler: Scheduler = None) -> abc.DisposableBase:
        current = SerialDisposable()
        failures = 0

        def on_error(error: Exception) -> None:
            nonlocal failures
            failures += 1
            if failures == MOST_ATTEMPTS:
                observer.on_error(error)
            else:
                timer = scheduler or TimeoutScheduler.singleton()
                current.disposable = timer.schedule_relative(0.3 * 2 ** (failures - 1), attempt)

        def attempt(*_: object) -> None:
            source = forward(operation)
            current.disposable = source.subscribe(
                observer.on_next, on_error, observer.on_completed, scheduler=scheduler
            )

        attempt()
        return current

    return Observable(subscribe)


def _defer_context(setter: Setter, forward: Forward, operation: Operation) -> Observable[FetchResult]:
    def start(scheduler: Scheduler) -> Observable[FetchResult]:
        operation.set_context(setter(operation.get_context(), operation))
        return forward(operation)

    return reactivex.defer(start)


def _catch_errors(forward: Forward, operation: Operation) -> Observable[FetchResult]:
    def answer(result: FetchResult) -> Observable[FetchResult]:
        _look_at(result)
        return reactivex.of(result)

    def on_failure(error: Exception, source: Observable[Any]) -> Observable[Any]:
        return reactivex.throw(error)

    return forward(operation).pipe(ops.flat_map(answer), ops.catch(on_failure))


def _look_at(result: FetchResult) -> None:
    if graphql_errors(result) is not None:
        raise AssertionError(result)
