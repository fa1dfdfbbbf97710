"""Send the hash of a query instead of its text, and the text only where the server does not know the hash.

Ports: ``@apollo/client`` 4.3.8 ``src/link/persisted-queries/index.ts``.
Differs: SHA-256 comes with Python, so neither hash function has to be given; both together are an error (Apollo ignores
``sha256``). A hash that needs no waiting does not wait (a Promise always takes a turn of the loop), and one that
failed is computed anew by the next operation (there the failure is kept). Once disabled, persisted queries stay
disabled (there one unrelated error enables them again), for operations too that were under way or are subscribed again.
An operation that went out with its text is not sent a second time (there ``retry`` is asked after that as well). What
``disable`` or ``retry`` raise is the operation's error (there it completes empty, or hangs). Who leaves while the hash
is made is not sent (there it is). ``GET`` is decided by the
operation to run, not by all those of its document, and a text goes by POST also where the operation is subscribed again
(there by GET). The text is as graphql-core prints it: 3.2 as graphql-js 16 does, 3.3 as graphql-js 17, whose texts and
so hashes differ where a document has object literals.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from reactivex import Observable

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.document_hashes import DocumentHashes, HashFunction
from rxlink.core.documents import DocumentNode, OperationType, document_of
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.options import checked_flag, checked_function, name_of
from rxlink.core.result import FetchResult
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.links._persisted_query_errors import ErrorMeta, RetryFunctionOptions, describe_error, describe_result
from rxlink.links._persisted_query_form import put_hash, put_text, undo_earlier_attempt

__all__ = [
    "DisableFunctionOptions",
    "ErrorMeta",
    "GenerateHashFunction",
    "PersistedQueryLink",
    "RetryFunctionOptions",
    "SHA256Function",
]

SHA256Function: TypeAlias = Callable[[str], str | Awaitable[str]]
GenerateHashFunction: TypeAlias = HashFunction

DisableFunctionOptions: TypeAlias = RetryFunctionOptions
Predicate: TypeAlias = Callable[[RetryFunctionOptions], bool]


def _is_not_supported(options: RetryFunctionOptions) -> bool:
    return options.meta.persisted_query_not_supported


def _is_unknown(options: RetryFunctionOptions) -> bool:
    return options.meta.persisted_query_not_supported or options.meta.persisted_query_not_found


class PersistedQueryLink(ApolloLink):
    """Send each operation as a hash first; where the server does not know it, once more with its text.

    The hash stands in ``extensions.persistedQuery``; the context tells the transport what to send: ``http`` with
    ``include_query`` and ``include_extensions``, and ``fetch_options`` with the ``method``. The first request is over
    before the second one is sent. An operation that cannot be sent again (:attr:`Operation.is_spent`, a stream that was
    uploaded) keeps its first answer.

    Errors:
        What a hash function, ``disable`` or ``retry`` raise; :class:`~rxlink.errors.InvariantTypeError` where a hash
        is no text; all others as they come.

    Example:
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> unknown = {"errors": [{"message": "PersistedQueryNotFound"}]}
        >>> server = MockLink([MockedResponse(result=unknown), MockedResponse(result={"data": {"answer": 42}})])
        >>> link = from_([PersistedQueryLink(), server])
        >>> subscription = execute(link, GraphQLRequest("{ answer }")).subscribe(print)
        {'data': {'answer': 42}}
        >>> [operation.get_context()["http"]["include_query"] for operation in server.operations]
        [False, True]
    """

    def __init__(
        self,
        *,
        sha256: SHA256Function | None = None,
        generate_hash: GenerateHashFunction | None = None,
        disable: Predicate = _is_not_supported,
        retry: Predicate = _is_unknown,
        use_get_for_hashed_queries: bool = False,
    ) -> None:
        """Make the link.

        Args:
            sha256: Gets the text of a document and returns its SHA-256 in hexadecimal, or an awaitable of it. None:
                that of ``hashlib``.
            generate_hash: Instead of that, gets the document itself and returns any hash, or an awaitable of it.
                Either function is called once for each document, and what it awaits is shared.
            disable: Gets the error that a hash met with; tells whether no operation is to be sent as a hash any more.
                The default is where the server does not support persisted queries.
            retry: Gets the same; tells whether the operation is sent once more, with its text. The default is where
                the server does not know the hash, or does not support persisted queries.
            use_get_for_hashed_queries: Whether hashes go out as GET requests, which can be cached on the way;
                mutations do not, nor does a text after a hash.

        Raises:
            InvariantTypeError: An option has the wrong type; ``disable`` and ``retry`` are plain functions.
            InvariantError: Both hash functions are given.
        """
        super().__init__()
        for name, function, argument in (("sha256", sha256, "text"), ("generate_hash", generate_hash, "document")):
            if function is not None:
                checked_function(f"`{name}`", function, argument, or_else=", or None", shows_text=True)
        if sha256 is not None and generate_hash is not None:
            raise InvariantError(
                f"`sha256` is {name_of(sha256)} and `generate_hash` is {name_of(generate_hash)}; give one of them"
            )
        for name, predicate in (("disable", disable), ("retry", retry)):
            checked_function(f"`{name}`", predicate, "options", instead="give a plain one that returns a bool")
        checked_flag("use_get_for_hashed_queries", use_get_for_hashed_queries)
        if generate_hash is None:
            self.hashes = DocumentHashes("`sha256`", partial(_hash_of_text, sha256 or _sha256))
        else:
            self.hashes = DocumentHashes("`generate_hash`", generate_hash)
        self._disable = disable
        self._retry = retry
        self._uses_get = use_get_for_hashed_queries
        self.is_enabled = True

    def reset_hash_cache(self) -> None:
        """Forget all hashes; each is computed again when its document is next sent."""
        self.hashes.forget()

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                undo_earlier_attempt(operation, uses_get=self._uses_get)
                found = self.hashes.find(operation.query, root) if self.is_enabled else None
            except Exception as error:  # noqa: BLE001 - whatever a hash function raises is the operation's error
                observer.on_error(error)
                return
            worker = _HashWorker(self, operation, observer, root, proceed)
            if isinstance(found, Observable):
                subscribe_foreign(found, _HashObserver(self.hashes, worker, observer), root)
            else:
                worker.send(found)

        return start

    def put_hash(self, operation: Operation, hashed: str) -> Mapping[str, Any] | None:
        """Make an operation say that its hash is to be sent; see :func:`._persisted_query_form.put_hash`."""
        is_get = self._uses_get and operation.operation_type is not OperationType.MUTATION
        return put_hash(operation, hashed, is_get=is_get)

    def should_retry(self, options: RetryFunctionOptions) -> bool:
        """Ask the user's functions what an error means, for all operations and for this one."""
        if _answer_of("disable", self._disable(options)):
            self.is_enabled = False
            self.hashes.forget()
        return _answer_of("retry", self._retry(options))


class _HashWorker:
    """One operation that goes out as a hash; what answers its text is no business of this link any more."""

    __slots__ = ("_fetch_options", "_has_asked", "_is_deaf", "_link", "_observer", "_operation", "_proceed",
                 "_root")  # fmt: skip

    def __init__(
        self,
        link: PersistedQueryLink,
        operation: Operation,
        observer: ResultObserver,
        root: Subscription,
        proceed: Connect,
    ) -> None:
        self._link = link
        self._operation = operation
        self._observer = observer
        self._root = root
        self._proceed = proceed
        self._fetch_options: Mapping[str, Any] | None = None
        self._has_asked = False
        self._is_deaf = False

    def send(self, hashed: str | None) -> None:
        """Send the hash; the text where there is none, or where persisted queries have been disabled meanwhile."""
        if hashed is None or not self._link.is_enabled:
            self._proceed(self._operation, self._observer, self._root)
            return
        try:
            self._fetch_options = self._link.put_hash(self._operation, hashed)
        except InvariantTypeError as error:
            self._observer.on_error(error)
            return
        self._proceed(self._operation, self, self._root)

    def on_next(self, result: FetchResult) -> None:
        if self._is_deaf:
            return
        options = None if self._has_asked else describe_result(result, self._operation)
        if options is None:
            self._observer.on_next(result)
        else:
            self._ask(options, partial(self._observer.on_next, result))

    def on_error(self, error: Exception) -> None:
        if self._is_deaf:
            return
        if self._has_asked:
            self._observer.on_error(error)
        else:
            self._ask(describe_error(error, self._operation), partial(self._observer.on_error, error))

    def on_completed(self) -> None:
        if not self._is_deaf:
            self._observer.on_completed()

    def _ask(self, options: RetryFunctionOptions, deliver: Callable[[], None]) -> None:
        if self._root.is_stopped:
            return
        self._has_asked = True
        try:
            should_retry = self._link.should_retry(options) and not self._operation.is_spent
            if should_retry:
                put_text(self._operation, self._fetch_options, with_hash=self._link.is_enabled)
        except Exception as failure:  # noqa: BLE001 - whatever the user's functions raise is the operation's error
            self._turn_away()
            self._observer.on_error(failure)
            return
        if not should_retry:
            deliver()
        elif not self._root.is_stopped:
            self._turn_away()
            self._proceed(self._operation, self._observer, self._root)

    def _turn_away(self) -> None:
        """Stop the first request and be deaf to what still comes from it."""
        self._is_deaf = True
        self._root.cancel_resource()


class _HashObserver:
    """Where a hash arrives that had to be waited for."""

    __slots__ = ("_hashes", "_observer", "_worker")

    def __init__(self, hashes: DocumentHashes, worker: _HashWorker, observer: ResultObserver) -> None:
        self._hashes = hashes
        self._worker = worker
        self._observer = observer

    def on_next(self, made: object) -> None:
        try:
            hashed = self._hashes.checked(made)
        except InvariantTypeError as error:
            self._observer.on_error(error)
            return
        self._worker.send(hashed)

    def on_error(self, error: Exception) -> None:
        self._observer.on_error(error)

    def on_completed(self) -> None:
        """Take nothing: the hash has come."""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of_text(sha256: SHA256Function, node: DocumentNode) -> str | Awaitable[str]:
    return sha256(document_of(node).text)


def _answer_of(name: str, answer: object) -> bool:
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise InvariantTypeError(f"`{name}` of PersistedQueryLink returned an awaitable; return a bool")
    return bool(answer)
