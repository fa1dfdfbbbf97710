"""rxlink: a link framework for GraphQL on RxPY; a port of Apollo Client's link layer.

Each name is imported when it is first asked for, so that a service waits for those parts alone that it uses: a chain
over HTTP loads nothing of the WebSocket. Type checkers read ``__init__.pyi``, which imports the same names.
"""

import importlib
import logging

_PARTS = ("auth", "client", "core", "errors", "incremental", "integrations", "links", "trace", "transport")
_HOMES = {
    "rxlink.auth.answer": ("Answer",),
    "rxlink.auth.blocking": ("blocking",),
    "rxlink.auth.classify": ("AuthErrorClassifier", "is_auth_error"),
    "rxlink.auth.events": (
        "AuthEvent",
        "AuthState",
        "AuthStatus",
        "CallbackFailed",
        "Ended",
        "LeaseLost",
        "LoadFailed",
        "OperationQueued",
        "OperationReleased",
        "OperationRetried",
        "RefreshFailed",
        "RefreshReason",
        "RefreshStarted",
        "RefreshSucceeded",
        "RefreshSuperseded",
        "RefreshTryFailed",
        "SaveFailed",
        "SignedInAgain",
        "TokensAdopted",
        "TokensSaved",
    ),
    "rxlink.auth.link": ("AuthLink",),
    "rxlink.auth.pacing": ("BackoffOptions", "CoolDownOptions"),
    "rxlink.auth.session": ("AuthSession",),
    "rxlink.auth.sessions": ("AuthSessions",),
    "rxlink.auth.storage": (
        "FileTokenStorage",
        "KeyringTokenStorage",
        "MemoryTokenStorage",
        "RedisTokenStorage",
        "SharedTokenStorage",
        "StoredTokens",
        "TokenLease",
        "TokenStorage",
    ),
    "rxlink.auth.token_refresh": ("TokenRefreshLink",),
    "rxlink.auth.tokens": ("TokenSet",),
    "rxlink.client.client": ("Client",),
    "rxlink.client.gql": ("gql",),
    "rxlink.client.options": ("CallOptions", "DefaultOptions", "ErrorPolicy", "FetchPolicy", "OperationDefaults"),
    "rxlink.client.result": ("OperationResult",),
    "rxlink.client.schema": ("INTROSPECT",),
    "rxlink.client.sync": ("SyncClient",),
    "rxlink.core.async_iteration": ("to_async_iterator",),
    "rxlink.core.chain": ("concat", "empty", "execute", "from_", "split"),
    "rxlink.core.documents": ("OperationType",),
    "rxlink.core.link": ("ApolloLink",),
    "rxlink.core.observables": ("from_error", "from_future"),
    "rxlink.core.operation": ("GraphQLRequest", "Operation"),
    "rxlink.core.result": ("FetchResult", "IncrementalResult"),
    "rxlink.errors": (
        "AbortError",
        "AuthError",
        "BufferOverflow",
        "ClientClosed",
        "CombinedGraphQLErrors",
        "CombinedProtocolErrors",
        "InvalidStoredTokens",
        "InvariantError",
        "InvariantTypeError",
        "NetworkError",
        "NetworkTimeout",
        "OperationCancelled",
        "ResponseTooLarge",
        "RxlinkError",
        "SerializationError",
        "ServerError",
        "ServerParseError",
        "SessionEnded",
        "SocketClosed",
        "TokenRefreshError",
        "TokenRefreshTimeout",
        "TokenStorageError",
        "UploadError",
    ),
    "rxlink.incremental.defer20220824": ("Defer20220824Handler",),
    "rxlink.incremental.graphql17_alpha9": ("GraphQL17Alpha9Handler",),
    "rxlink.integrations.opentelemetry": ("OpenTelemetryLink", "instrument_connection", "instrument_session"),
    "rxlink.links.batch": ("BatchHandler", "BatchKey", "BatchLink"),
    "rxlink.links.client_awareness": (
        "ClientAwarenessLink",
        "ClientAwarenessOptions",
        "EnhancedClientAwarenessOptions",
    ),
    "rxlink.links.context": ("SetContextLink", "set_context"),
    "rxlink.links.dedup": ("DedupLink",),
    "rxlink.links.error": ("ErrorLink", "ErrorResponse", "on_error"),
    "rxlink.links.persisted_queries": ("ErrorMeta", "PersistedQueryLink", "RetryFunctionOptions"),
    "rxlink.links.polling": ("PollingLink",),
    "rxlink.links.remove_typename": ("KEEP", "RemoveTypenameFromVariablesLink"),
    "rxlink.links.retry": ("AttemptsOptions", "DelayOptions", "RetryLink"),
    "rxlink.trace.events": ("TraceEvent", "TraceKind"),
    "rxlink.trace.explain": ("explain",),
    "rxlink.trace.html": ("to_html",),
    "rxlink.trace.link": ("TraceLink", "traced"),
    "rxlink.trace.recorder": ("Trace",),
    "rxlink.trace.svg": ("to_svg",),
    "rxlink.trace.text": ("to_text",),
    "rxlink.transport.batch_http": ("BatchHttpLink",),
    "rxlink.transport.http": ("HttpLink",),
    "rxlink.transport.oauth2": ("oauth2_refresh",),
    "rxlink.transport.schema": ("SchemaLink",),
    "rxlink.transport.sse": ("SseEvent", "SseLink", "SseResumed", "SseRetrying"),
    "rxlink.transport.upload": ("Upload", "has_files"),
    "rxlink.transport.websocket": (
        "GraphQLWsLink",
        "Resubscribed",
        "WebSocketClosed",
        "WebSocketConnected",
        "WebSocketConnecting",
        "WebSocketEvent",
        "WebSocketLink",
        "WebSocketRetrying",
        "WebSocketState",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll] - it reads the stub's


def __getattr__(name: str) -> object:
    """Import a public name from its home, or a part of the package that has not been imported yet."""
    if name in _PARTS:
        return importlib.import_module(f"rxlink.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rxlink' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Who has set up no logging is not written to, as Python asks of libraries.
logging.getLogger("rxlink").addHandler(logging.NullHandler())
