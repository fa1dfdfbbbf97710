"""What the handlers of scenarios do, of links and of errors alike; `actions` in `js/links.mjs` says the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import reactivex
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rxlink import from_future
from rxlink.core.link import ForwardFunction
from rxlink.core.operation import Operation
from tests.oracle.spelling import context_of
from tests.oracle.vocabulary import ScriptedError, later, numbered

__all__ = ["ACTIONS", "Call", "answered"]


@dataclass(frozen=True)
class Call:
    """One call of a handler.

    Attributes:
        options: What the scenario says beside the action's word.
        operation: The operation.
        forward: The rest of the chain.
        n: Which call of this handler it is, from 1.
    """

    options: Mapping[str, Any]
    operation: Operation
    forward: ForwardFunction
    n: int

    def go_on(self) -> Observable[Any]:
        """Forward the operation."""
        return self.forward(self.operation)

    def text(self, name: str) -> str:
        """Return a text of the scenario with the call's number in it."""
        return numbered(self.options[name], self.n)


def answered(options: Mapping[str, Any], n: int) -> Observable[Any]:
    """Send `values`, each (after, result) later than the one before it; then `error` or the end.

    What comes after 0 comes at once; `ends: false` leaves the end out, `after` delays it.
    """

    def subscribe(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        return _Answering(observer, options, n).start()

    return Observable(subscribe)


class _Answering:
    def __init__(self, observer: abc.ObserverBase[Any], options: Mapping[str, Any], n: int) -> None:
        self._observer = observer
        self._values = [(after, numbered(value, n)) for after, value in options.get("values", [])]
        self._options = options
        self._n = n
        self._timer: asyncio.TimerHandle | None = None
        self._has_left = False

    def start(self) -> abc.DisposableBase:
        self._go_on()
        return Disposable(self._leave)

    def _leave(self) -> None:
        self._has_left = True
        if self._timer is not None:
            self._timer.cancel()

    def _go_on(self) -> None:
        while self._values and not self._has_left:
            after, value = self._values[0]
            if after:
                self._timer = _after(after, self._send_first)
                return
            self._values.pop(0)
            self._observer.on_next(value)
        if self._options.get("ends", True) and not self._has_left:
            after = self._options.get("after", 0)
            if after:
                self._timer = _after(after, self._end)
            else:
                self._end()

    def _send_first(self) -> None:
        _, value = self._values.pop(0)
        self._observer.on_next(value)
        self._go_on()

    def _end(self) -> None:
        error = self._options.get("error")
        if error is None:
            self._observer.on_completed()
        else:
            self._observer.on_error(ScriptedError(numbered(error, self._n)))


def _after(milliseconds: float, action: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(milliseconds / 1000, action)


def _timer(call: Call) -> Observable[Any]:
    """Send one value, `after` milliseconds from now."""
    return answered({"values": [[call.options["after"], 0]]}, call.n)


def _wait_and_forward(call: Call) -> Observable[Any]:
    """As the recipe of the token refresh does it: from_future(...).flat_map(lambda _: forward(operation))."""

    def go_on(_: object) -> Observable[Any]:
        if "header" in call.options:
            _put_header(call)
        return call.go_on()

    return from_future(later(call.options["after"], lambda: True)).flat_map(go_on)


def _put_header(call: Call) -> None:
    header = {call.options["header"]: call.text("value")}
    call.operation.set_context(lambda context: {"headers": {**context.get("headers", {}), **header}})


def _set_header(call: Call) -> Observable[Any]:
    _put_header(call)
    return call.go_on()


def _set_context(call: Call) -> Observable[Any]:
    call.operation.set_context(context_of(numbered(call.options["set"], call.n)) or {})
    return call.go_on()


def _set_variables(call: Call) -> Observable[Any]:
    call.operation.variables = {**call.operation.variables, **call.options["set"]}
    return call.go_on()


def _set_extensions(call: Call) -> Observable[Any]:
    call.operation.extensions = {**call.operation.extensions, **call.options["set"]}
    return call.go_on()


def _map_result(call: Call) -> Observable[Any]:
    return call.go_on().pipe(ops.map(lambda result: {**result, **call.options["set"]}))


def _fail(call: Call) -> Observable[Any]:
    return reactivex.throw(ScriptedError(call.text("message")))


def _throw(call: Call) -> Observable[Any]:
    raise ScriptedError(call.text("message"))


ACTIONS: dict[str, Callable[[Call], Any]] = {
    "forward": Call.go_on,
    "forward-twice": lambda call: reactivex.concat(call.go_on(), call.go_on()),
    "forward-both": lambda call: reactivex.merge(call.go_on(), call.go_on()),
    "forward-later": lambda call: _timer(call).pipe(ops.flat_map(lambda _: call.go_on())),
    "wait-and-forward": _wait_and_forward,
    "set-header": _set_header,
    "set-context": _set_context,
    "set-variables": _set_variables,
    "set-extensions": _set_extensions,
    "map-result": _map_result,
    "delay-result": lambda call: call.go_on().pipe(
        ops.concat_map(lambda result: _timer(call).pipe(ops.map(lambda _: result)))
    ),
    "answer": lambda call: answered(call.options, call.n),
    "fail": _fail,
    "empty": lambda call: reactivex.empty(),
    "never": lambda call: reactivex.never(),
    "throw": _throw,
    "nothing": lambda call: None,
    "wrong": lambda call: call.options["value"],
    "fail-first": lambda call: _fail(call) if call.n <= call.options["count"] else call.go_on(),
    "throw-first": lambda call: _throw(call) if call.n <= call.options["count"] else call.go_on(),
}
