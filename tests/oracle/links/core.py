"""Chains, users' own handlers, and what notes who passes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxlink import ApolloLink, concat, empty, split
from rxlink.core.documents import document_of
from rxlink.core.link import ForwardFunction
from rxlink.core.operation import Operation
from tests.oracle.actions import ACTIONS, Call
from tests.oracle.registry import Builder, Options, chain_of, link_of
from tests.oracle.spelling import shown_context
from tests.oracle.vocabulary import asker, counter, describe_error
from tests.oracle.world import World

__all__ = ["BUILDERS", "ENDS", "MIDDLE"]


def _concat(options: Options, world: World) -> ApolloLink:
    return concat(*[link_of(spec, world) for spec in options["links"]])


def _concat_method(options: Options, world: World) -> ApolloLink:
    first, *rest = [link_of(spec, world) for spec in options["links"]]
    return first.concat(*rest)


def _split(options: Options, world: World) -> ApolloLink:
    ask = asker(options["test"])

    def choose(operation: Operation) -> Any:
        return ask(operation=operation)

    left, right = chain_of(options["left"], world), options.get("right")
    return split(choose, left) if right is None else split(choose, left, chain_of(right, world))


def _handler(options: Options, world: World) -> ApolloLink:
    count = counter()

    def handle(operation: Operation, forward: ForwardFunction) -> Any:
        return ACTIONS[options["do"]](Call(options, operation, forward, count(operation)))

    return ApolloLink(handle)


def _observe(options: Options, world: World) -> ApolloLink:
    """Note what passes; `shows` names what is noted of the operation as well."""

    def watch(operation: Operation, forward: ForwardFunction) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            return _Watch(options, operation, observer, world).start(forward)

        return Observable(subscribe)

    return ApolloLink(watch)


class _Watch:
    """One subscription that passes an observing link."""

    def __init__(self, options: Options, operation: Operation, observer: abc.ObserverBase[Any], world: World) -> None:
        self._options = options
        self._operation = operation
        self._observer = observer
        self._world = world
        self._owner = world.owner(operation.operation_name)
        self._is_over = False

    def start(self, forward: ForwardFunction) -> abc.DisposableBase:
        shows = self._options.get("shows", [])
        self._note("start", **({"shown": {name: self._shown(name) for name in shows}} if shows else {}))
        subscription = forward(self._operation).subscribe(self)

        def leave() -> None:
            if not self._is_over:
                self._is_over = True
                self._note("unsubscribe")
            subscription.dispose()

        return Disposable(leave)

    def on_next(self, value: Any) -> None:
        self._note("next", value=value)
        self._observer.on_next(value)

    def on_error(self, error: Exception) -> None:
        self._is_over = True
        self._note("error", error=describe_error(error))
        self._observer.on_error(error)

    def on_completed(self) -> None:
        self._is_over = True
        self._note("complete")
        self._observer.on_completed()

    def _note(self, what: str, **fields: Any) -> None:
        self._world.note_for(self._owner, "observe", label=self._options["label"], what=what, **fields)

    def _shown(self, name: str) -> Any:
        part, _, key = name.partition(".")
        if part == "context":
            return shown_context(self._operation.get_context(), key)
        if part == "query":
            return document_of(self._operation.query).text
        return dict(getattr(self._operation, part))


BUILDERS: dict[str, Builder] = {
    "from": lambda options, world: chain_of(options["links"], world),
    "concat": _concat,
    "concat-method": _concat_method,
    "empty": lambda options, world: empty(),
    "split": _split,
    "handler": _handler,
    "observe": _observe,
}

_RESULT = st.sampled_from([{"data": {"a": 1}}, {"data": None, "errors": [{"message": "no"}]}])
_VALUES = st.lists(st.tuples(st.sampled_from([0, 2, 5]), _RESULT).map(list), max_size=3)

MIDDLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "observe": st.builds(lambda label: {"label": label}, st.sampled_from(["x", "y", "z"])),
    "handler": st.sampled_from(
        [
            {"do": "forward"},
            {"do": "forward-twice"},
            {"do": "forward-later", "after": 5},
            {"do": "set-header", "header": "x-set", "value": "1"},
            {"do": "map-result", "set": {"extensions": {"mapped": True}}},
            {"do": "delay-result", "after": 3},
        ]
    ),
}
ENDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "handler": st.builds(
        lambda values, error, after: {
            "do": "answer",
            "values": values,
            "after": after,
            **({"error": error} if error else {}),
        },
        _VALUES,
        st.none() | st.just("failed"),
        st.sampled_from([0, 4]),
    ),
}
