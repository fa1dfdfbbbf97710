"""Change the context of each operation before it goes on: headers, tokens, anything that later links read.

Ports: ``@apollo/client`` 4.3.8 ``src/link/context/index.ts`` (``SetContextLink``, and ``setContext`` with the
arguments of its setter the other way round).
Differs: a setter that needs no waiting does not wait (a Promise always takes a turn of the loop); a setter may return
an Observable; it gets the operation itself, not a copy without its context; leaving stops a setter that still waits.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, cast

from reactivex import Observable

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.observables import resolve
from rxlink.core.operation import Context, Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantTypeError

__all__ = ["ContextSetter", "LegacyContextSetter", "SetContextLink", "set_context"]

ContextUpdateResult: TypeAlias = Context | None | Awaitable[Context | None] | Observable[Context]
ContextSetter: TypeAlias = Callable[[Context, Operation], ContextUpdateResult]
LegacyContextSetter: TypeAlias = Callable[[Operation, Context], ContextUpdateResult]


class SetContextLink(ApolloLink):
    """Run a function for each attempt and merge what it returns into the operation's context.

    The merge is shallow, so a setter that adds a header returns the other headers too.

    Errors:
        What the setter raises; :class:`~rxlink.errors.InvariantTypeError` where it returns no mapping.

    Example:
        >>> def authorize(context, operation):
        ...     return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {token()}"}}
        >>> link = from_([SetContextLink(authorize), HttpLink(uri)])
    """

    def __init__(self, setter: ContextSetter) -> None:
        """Make the link.

        Args:
            setter: Gets the context so far and the operation. It returns a mapping, an awaitable or an Observable of
                one (a coroutine function will do), or None for no change.

        Raises:
            InvariantTypeError: The setter cannot be called.
        """
        super().__init__()
        if not callable(setter):
            raise InvariantTypeError(f"SetContextLink got a {type(setter).__name__}; give it a function")
        self._setter = setter

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        setter = self._setter
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                update = setter(operation.get_context(), operation)
                if inspect.isawaitable(update) or isinstance(update, Observable):
                    root.spawn(_wait_for, observer, update, operation, root, setter, proceed)
                    return
                operation.set_context(_checked(update, setter))
            except Exception as error:  # noqa: BLE001 - whatever the setter raises is the operation's error
                observer.on_error(error)
                return
            proceed(operation, observer, root)

        return start


def set_context(setter: LegacyContextSetter) -> SetContextLink:
    """Make a :class:`SetContextLink` from a setter with Apollo's older order of arguments.

    Args:
        setter: As there, but it gets the operation first and the context so far second.
    """
    if not callable(setter):
        raise InvariantTypeError(f"set_context got a {type(setter).__name__}; give it a function")
    return SetContextLink(lambda context, operation: setter(operation, context))


async def _wait_for(
    observer: ResultObserver,
    update: Awaitable[Context | None] | Observable[Context],
    operation: Operation,
    root: Subscription,
    setter: ContextSetter,
    proceed: Connect,
) -> None:
    try:
        operation.set_context(_checked(await resolve(update), setter))
    except Exception as error:  # noqa: BLE001 - as above
        root.release()
        observer.on_error(error)
        return
    root.release()
    proceed(operation, observer, root)


def _checked(update: object, setter: object) -> Context:
    if update is None:
        return {}
    if isinstance(update, Mapping):
        return cast("Context", update)
    raise InvariantTypeError(
        f"the context setter {getattr(setter, '__qualname__', setter)!s} returned a {type(update).__name__}; "
        "return a mapping of context values, or None"
    )
