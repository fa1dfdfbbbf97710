"""Change the context of each operation before it goes on: headers, tokens, anything that later links read.

Ports: ``@apollo/client`` 4.3.8 ``src/link/context/index.ts`` (``SetContextLink``, and ``setContext`` with the
arguments of its setter the other way round).
Differs: a setter that needs no waiting does not wait (a Promise always takes a turn of the loop); a setter may return
an Observable; it gets the operation itself, not a copy without its context; leaving stops a setter that still waits.
What it returns is a mapping or nothing (there a function is taken too, against Apollo's own types).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, cast

from reactivex import Observable

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.observables import own
from rxlink.core.operation import Context, Operation
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantTypeError

__all__ = ["ContextSetter", "LegacyContextSetter", "SetContextLink", "set_context"]

ContextUpdateResult: TypeAlias = Context | Awaitable[Context | None] | Observable[Context] | None
ContextSetter: TypeAlias = Callable[[Context, Operation], ContextUpdateResult]
LegacyContextSetter: TypeAlias = Callable[[Operation, Context], ContextUpdateResult]

_NOTHING = object()
"""What an Observable that completes without a value has decided."""


class SetContextLink(ApolloLink):
    """Run a function for each attempt and merge what it returns into the operation's context.

    The merge is shallow, so a setter that adds a header returns the other headers too.

    Errors:
        What the setter raises; :class:`~rxlink.errors.InvariantTypeError` where it returns no mapping.

    Example:
        >>> def authorize(context, operation):
        ...     return {"headers": {**context.get("headers", {}), "authorization": "Bearer a-token"}}
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> link = from_([SetContextLink(authorize), server])
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe()
        >>> server.operations[0].get_context()["headers"]
        {'authorization': 'Bearer a-token'}
    """

    def __init__(self, setter: ContextSetter) -> None:
        """Make the link.

        Args:
            setter: Gets the context so far and the operation. It returns a mapping, an awaitable or an Observable of
                one (a coroutine function will do), or None for no change.

        Raises:
            InvariantTypeError: The setter cannot be called with these two.
        """
        super().__init__()
        self._setter = checked_function("`setter` of SetContextLink", setter, "context", "operation")

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        setter = self._setter
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                update: Any = setter(operation.get_context(), operation)
                # A dict is what most setters return, and abstract classes take long to ask.
                is_waiting = False
                if type(update) is dict:
                    operation.set_context(update)  # pyright: ignore[reportUnknownArgumentType] - untyped code may set anything
                elif isinstance(update, Observable) or inspect.isawaitable(update):
                    is_waiting = True
                else:
                    operation.set_context(_checked(update, setter))
            except Exception as error:  # noqa: BLE001 - whatever the setter raises is the operation's error
                observer.on_error(error)
                return
            if is_waiting:
                _Waiting(setter, operation, observer, root, proceed).start(update)
            else:
                proceed(operation, observer, root)

        return start


def set_context(setter: LegacyContextSetter) -> SetContextLink:
    """Make a :class:`SetContextLink` from a setter with Apollo's older order of arguments.

    Args:
        setter: As there, but it gets the operation first and the context so far second.

    Raises:
        InvariantTypeError: The setter cannot be called with these two.
    """
    checked_function("`setter` of set_context", setter, "operation", "context")
    return SetContextLink(lambda context, operation: setter(operation, context))


class _Waiting:
    """One operation whose setter has not decided yet."""

    __slots__ = ("_observer", "_operation", "_proceed", "_root", "_setter", "_update")

    def __init__(
        self,
        setter: ContextSetter,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        proceed: Connect,
    ) -> None:
        self._setter = setter
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._update: object = _NOTHING

    def start(self, update: Any) -> None:
        # An Observable can be awaited too, so it is looked for first.
        if isinstance(update, Observable):
            subscribe_foreign(cast("Observable[object]", update), self, self._root)
            return
        self._root.spawn(self._wait_for(self._observer, update), self._observer, update)

    async def _wait_for(self, observer: ResultObserver, update: Awaitable[object]) -> None:
        try:
            self._update = await own(update)
        except Exception as error:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(error)
            return
        if self._root.is_stopped:  # the subscriber has left, and the setter went on in spite of its cancellation
            return
        self._root.release()
        self.on_completed()

    def on_next(self, update: object) -> None:
        self._update = update

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        try:
            self._operation.set_context(_checked(self._update, self._setter))
        except Exception as error:  # noqa: BLE001 - as above
            self._observer.on_error(error)
            return
        self._proceed(self._operation, self._observer, self._root)


def _checked(update: object, setter: object) -> Context:
    if update is None:
        return {}
    if type(update) is dict or isinstance(update, Mapping):
        return cast("Context", update)
    what = "an Observable without a value" if update is _NOTHING else kind_of(update)
    raise InvariantTypeError(
        f"the context setter {name_of(setter)} returned {what}; return a mapping of context values, or None"
    )
