"""Answer operations from a schema in the same process, instead of a server: for tests, and for a service of its own.

Ports: ``@apollo/client`` 4.3.8 ``src/link/schema/index.ts``.
Differs: subscriptions run, through graphql-core's ``subscribe`` (there they are executed like queries); where neither
the context nor a resolver waits, the answer arrives before ``subscribe`` returns, and no event loop is needed;
leaving cancels the resolvers that still run (there they go on); results are the wire's dicts, so of what a resolver
raised the message, the ``path`` and the ``extensions`` remain (no ``locations``: documents are parsed without them);
an operation type that the schema does not have is a request error,
without ``data`` (there with ``data: null``); a schema that is not valid is refused when the link is made; what
``@defer`` and ``@stream`` put off comes in pieces (there, as with graphql-core 3.2, in one whole result).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias

from graphql import ExecutionResult, GraphQLSchema, validate_schema
from graphql import validate as validate_document

from rxlink.core.documents import OperationType, document_of
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.observables import own
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, kind_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport._execution import HAS_PIECES, Execution, execution_type, response_of, source_of_events
from rxlink.transport._incremental import IncrementalExecution, UndividedExecution, relay

__all__ = ["ResolverContextFunction", "SchemaLink"]

ResolverContextFunction: TypeAlias = Callable[[Operation], Any]
"""Gets the operation; returns the context of its resolvers, or an awaitable of it (a coroutine function will do)."""


class SchemaLink(ApolloLink):
    """Execute each operation on a graphql-core schema.

    Resolvers may be plain or coroutine functions. They run in the ``contextvars`` context of the subscription, and
    those that still run when the subscriber leaves are cancelled; so is the iterator behind a subscription.

    With graphql-core 3.3, what ``@defer`` and ``@stream`` put off comes in pieces, each an
    :class:`~rxlink.core.result.IncrementalResult`: the result so far. Where no event loop runs, the result is whole.
    A subscription cannot put anything off: graphql-core makes an error of it in each event.

    Attributes:
        schema: The schema.
        root_value: The source of root fields.
        context: What resolvers find as ``info.context``, or the function that gives it.
        validate: Whether operations are checked first.

    Errors:
        What the context function raises, and what the iterator behind a subscription raises. What resolvers raise, and
        what is wrong with the operation, are ``errors`` of a result.

    Example:
        >>> from graphql import build_schema
        >>> from rxlink import GraphQLRequest, execute
        >>> schema = build_schema("type Query { hello(name: String!): String! }")
        >>> link = SchemaLink(schema, root_value={"hello": lambda info, name: f"Hello, {name}!"})
        >>> request = GraphQLRequest("query ($name: String!) { hello(name: $name) }", {"name": "Ada"})
        >>> subscription = execute(link, request).subscribe(print)
        {'data': {'hello': 'Hello, Ada!'}}
    """

    is_terminating = True

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        root_value: Any = None,
        context: ResolverContextFunction | Any = None,
        validate: bool = False,
    ) -> None:
        """Make the link.

        Args:
            schema: An executable schema.
            root_value: What the resolvers of root fields get as their source.
            context: What resolvers find as ``info.context``; or a function that is called with the operation for each
                attempt and returns it, at once or as an awaitable.
            validate: Whether an operation is checked against the schema first. An invalid one gets a result with
                ``errors`` and no ``data``; unchecked, a field that the schema does not have is left out.

        Raises:
            InvariantTypeError: The schema is no ``GraphQLSchema``, or ``validate`` is no bool.
            InvariantError: The schema is not valid; the message has the reasons.
        """
        super().__init__()
        if not isinstance(schema, GraphQLSchema):  # pyright: ignore[reportUnnecessaryIsInstance] - may be untyped
            raise InvariantTypeError(
                f"`schema` is {kind_of(schema)}; give a GraphQLSchema of graphql-core, such as "
                "build_schema(...) returns"
            )
        checked_flag("validate", validate)
        if callable(context):
            checked_function("`context` of SchemaLink", context, "operation")
        reasons = validate_schema(schema)
        if reasons:
            raise InvariantError(f"`schema` is not valid: {' '.join(reason.message for reason in reasons)}")
        self.schema = schema
        self.root_value = root_value
        self.context = context
        self.validate = validate
        self._execution_type = execution_type(schema)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        return self._start

    def _start(self, operation: Operation, observer: ResultObserver, root: Subscription) -> None:
        _SchemaWorker(self, operation, observer, root, self._execution_type).start()


class _SchemaWorker:
    """One operation on a schema: its context first, then one result or a stream of them."""

    __slots__ = ("_execution_type", "_link", "_observer", "_operation", "_root")

    def __init__(
        self,
        link: SchemaLink,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        execution_type: type[Execution],
    ) -> None:
        self._link = link
        self._operation = operation
        self._observer = observer
        self._root = root
        self._execution_type = execution_type

    def start(self) -> None:
        context: Any = self._link.context
        is_waiting = False
        if callable(context):
            try:
                context = context(self._operation)
                is_waiting = isawaitable(context)
            except Exception as error:  # noqa: BLE001 - whatever the function raises is the operation's error
                self._observer.on_error(error)
                return
        if is_waiting:
            self._root.spawn(self._wait_for_context(self._observer, context), self._observer, context)
        else:
            self._run(context)

    async def _wait_for_context(self, observer: ResultObserver, awaited: Awaitable[Any]) -> None:
        try:
            context = await own(awaited)
        except Exception as error:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(error)
            return
        if self._root.is_stopped:  # the subscriber has left, and the function went on in spite of its cancellation
            return
        self._root.release()
        self._run(context)

    def _run(self, context: Any) -> None:
        link, operation = self._link, self._operation
        reasons = validate_document(link.schema, operation.query) if link.validate else None
        if reasons:
            self._answer({"errors": [reason.formatted for reason in reasons]})
        elif operation.operation_type is OperationType.SUBSCRIPTION:
            self._root.spawn(self._stream(self._observer, context), self._observer)
        else:
            self._execute(context)

    def _execute(self, context: Any) -> None:
        is_divided = HAS_PIECES and document_of(self._operation.query).is_incremental
        execution = self._divided() if is_divided else self._execution_type()
        try:
            outcome = execution.begin(self._link.schema, self._operation, self._link.root_value, context)
        except Exception as error:  # noqa: BLE001 - graphql-core refuses such operations
            self._observer.on_error(error)
            return
        if outcome is not None:
            self._answer(response_of(outcome))
        elif isinstance(execution, IncrementalExecution):
            self._root.spawn(relay(self._observer, execution, self._root), self._observer, execution)
        else:
            self._root.spawn(self._wait_for_outcome(self._observer, execution), self._observer, execution)

    def _divided(self) -> Execution:
        """Return what executes a document that defers or streams something."""
        try:
            self._root.event_loop()
        except InvariantError:  # nothing can come later
            return UndividedExecution()
        return IncrementalExecution()

    async def _wait_for_outcome(self, observer: ResultObserver, execution: Execution) -> None:
        try:
            outcome = await execution
        except Exception as error:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(error)
            return
        if self._root.is_stopped:  # a resolver went on in spite of its cancellation
            return
        self._root.release()
        self._answer(response_of(outcome))

    def _answer(self, result: FetchResult) -> None:
        try:
            self._observer.on_next(result)
        finally:
            self._observer.on_completed()

    async def _stream(self, observer: ResultObserver, context: Any) -> None:
        link = self._link
        try:
            source = await source_of_events(link.schema, self._operation, link.root_value, context)
        except Exception as error:  # noqa: BLE001 - as above
            self._root.release()
            observer.on_error(error)
            return
        if isinstance(source, ExecutionResult):
            self._root.release()
            self._answer({"errors": response_of(source)["errors"]})
            return
        events = aiter(source)
        try:
            await self._send_results(observer, events, context)
        finally:
            await _close(events)

    async def _send_results(self, observer: ResultObserver, events: AsyncIterator[Any], context: Any) -> None:
        root = self._root
        # The subscriber may leave while it takes a result, and then the iterator must not go on.
        while not root.is_stopped:
            try:
                outcome = await self._execute_event(await anext(events), context)
            except StopAsyncIteration:
                root.release()
                observer.on_completed()
                return
            except Exception as error:  # noqa: BLE001 - the iterator has failed
                root.release()
                observer.on_error(error)
                return
            if not root.is_stopped:
                observer.on_next(response_of(outcome))

    async def _execute_event(self, event: Any, context: Any) -> ExecutionResult:
        """Execute the operation with an event in the place of the root value."""
        execution = self._execution_type()
        outcome = execution.begin(self._link.schema, self._operation, event, context)
        return await execution if outcome is None else outcome


async def _close(events: AsyncIterator[Any]) -> None:
    close = getattr(events, "aclose", None)  # a generator has it, any other iterator may
    if close is not None:
        await close()
