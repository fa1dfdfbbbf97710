"""Which operations may go in one request, and what the requests of operations in a row have in common.

Ports: ``@apollo/client`` 4.3.8 ``src/link/batch-http/BaseBatchHttpLink.ts``, its default ``batchKey``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from rxlink.auth.origins import PROTECTED
from rxlink.core.operation import Context, Operation, context_of
from rxlink.core.refreshes import refreshes_here
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.links.batch import BatchKey, checked_key
from rxlink.links.client_awareness import Awareness
from rxlink.transport._batched import BatchedOperation
from rxlink.transport._body import BodyWriter
from rxlink.transport._http_request import HttpRequest
from rxlink.transport._request import NO_HEADERS, OVERRIDES, TEXT, HttpOptions

__all__ = ["BatchedOperations", "RequestKey"]


UNUSUAL: Final = OVERRIDES | {"client_awareness"}
"""What few contexts hold: headers and protection apart, all that has a part in the request."""


class BatchedOperations:
    """Makes a request of each operation; one with the context of the one before takes over all but the body.

    Args:
        build: Makes the whole request of an operation, or raises; it is told whether the extensions are the usual ones.
        key: Says which of them may share a request.
        awareness: What is added to each first.
        body: How bodies are written.
        http: Which parts of an operation they have where its context does not say it.
        has_own_uri: Whether all operations go to the same address where the context names no other.
    """

    __slots__ = ("_awareness", "_body", "_build", "_has_own_uri", "_http", "_key", "_latest")

    def __init__(
        self,
        build: Callable[[Operation, bool], HttpRequest],
        key: RequestKey,
        awareness: Awareness,
        body: BodyWriter,
        http: HttpOptions,
        *,
        has_own_uri: bool,
    ) -> None:
        self._build = build
        self._key = key
        self._awareness = awareness
        self._body = body
        self._http = http
        self._has_own_uri = has_own_uri
        self._latest: _Latest | None = None

    def make(self, operation: Operation, observer: ResultObserver, root: Subscription) -> BatchedOperation:
        """Return an operation with its request, ready to be put in a batch.

        Raises:
            Exception: Whatever ``build``, ``key`` or ``awareness`` raises.
        """
        context, latest, awareness = context_of(operation), self._latest, self._awareness
        # What is sent by a refresh has a request of its own.
        is_usual = self._has_own_uri and UNUSUAL.isdisjoint(context) and not refreshes_here.get()
        if is_usual and latest is not None and latest.is_for(context):
            has_usual_extensions = awareness.add_to(operation, awareness.usual_headers)
            body = self._body.assemble(operation, self._http, operation.known_document(), has_usual_extensions)
            if body is not None:
                key = latest.key or self._key.of(operation, latest.request)
                return BatchedOperation(operation, observer, root, latest.request, body, key)
        else:
            has_usual_extensions = awareness.add_to(operation)
        request = self._build(operation, has_usual_extensions)
        key = self._key.of(operation, request)
        if is_usual:
            self._latest = _Latest(request, context, None if self._key.is_of_operation else key)
        return BatchedOperation(operation, observer, root, request, request.body, key)


class _Latest:
    """The request that was made last, and what of its context had a part in it."""

    __slots__ = ("_headers", "_protected", "key", "request")

    def __init__(self, request: HttpRequest, context: Context, key: str | None) -> None:
        # A copy: who gave the headers may change them and give them again.
        headers = {**(context.get("headers") or NO_HEADERS)}
        self._headers = headers if TEXT.issuperset(map(type, headers.values())) else None
        self._protected = context.get(PROTECTED)
        self.key = key
        self.request = request

    def is_for(self, context: Context) -> bool:
        """Tell whether a context leads to the same request, but for the body."""
        headers = context.get("headers") or NO_HEADERS
        if headers.__class__ is not dict or headers != self._headers:
            return False
        for value in headers.values():
            if value.__class__ is not str:
                return False
        return context.get(PROTECTED) is self._protected


class RequestKey:
    """Tells which operations may share a request."""

    __slots__ = ("_is_hybrid", "_key", "is_of_operation")

    def __init__(self, key: BatchKey | None, *, is_hybrid: bool) -> None:
        self._key = key
        self._is_hybrid = is_hybrid
        self.is_of_operation = key is not None

    def of(self, operation: Operation, request: HttpRequest) -> str:
        """Return a digest: what is compared has secrets in it, and keys may be shown."""
        if self._key is not None:
            return _digest(request, request.identity, checked_key(self._key(operation), self._key))
        return _digest(request, request.headers, None if self._is_hybrid else _shape(operation))


def _shape(operation: Operation) -> tuple[object, ...]:
    """Return what the context says about the parts of the body."""
    http: Mapping[str, Any] = operation.get_context().get("http") or {}
    return http.get("include_query"), http.get("include_extensions")


def _digest(request: HttpRequest, headers: Mapping[str, str], rest: object) -> str:
    # As JSON and not with `repr`, behind which a class of text may hide its secrets: they would all look the same.
    how = request.credentials, request.no_redirects, request.guarded
    compared = [str(request.target.url), how, sorted(headers.items()), rest]
    return hashlib.sha256(json.dumps(compared).encode()).hexdigest()
