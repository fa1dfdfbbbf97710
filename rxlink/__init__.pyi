# What type checkers read: the public names, which __init__.py imports when they are first asked for.

from rxlink.auth.answer import Answer
from rxlink.auth.blocking import blocking
from rxlink.auth.classify import AuthErrorClassifier, is_auth_error
from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    CallbackFailed,
    Ended,
    LeaseLost,
    LoadFailed,
    OperationQueued,
    OperationReleased,
    OperationRetried,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshSuperseded,
    RefreshTryFailed,
    SaveFailed,
    SignedInAgain,
    TokensAdopted,
    TokensSaved,
)
from rxlink.auth.link import AuthLink
from rxlink.auth.pacing import BackoffOptions, CoolDownOptions
from rxlink.auth.session import AuthSession
from rxlink.auth.sessions import AuthSessions
from rxlink.auth.storage import (
    FileTokenStorage,
    KeyringTokenStorage,
    MemoryTokenStorage,
    RedisTokenStorage,
    SharedTokenStorage,
    StoredTokens,
    TokenLease,
    TokenStorage,
)
from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.auth.tokens import TokenSet
from rxlink.client.client import Client
from rxlink.client.gql import gql
from rxlink.client.options import CallOptions, DefaultOptions, ErrorPolicy, FetchPolicy, OperationDefaults
from rxlink.client.result import OperationResult
from rxlink.client.schema import INTROSPECT
from rxlink.client.sync import SyncClient
from rxlink.core.async_iteration import to_async_iterator
from rxlink.core.chain import concat, empty, execute, from_, split
from rxlink.core.documents import OperationType
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_error, from_future
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.result import FetchResult, IncrementalResult
from rxlink.errors import (
    AbortError,
    AuthError,
    BufferOverflow,
    ClientClosed,
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
    InvalidStoredTokens,
    InvariantError,
    InvariantTypeError,
    NetworkError,
    NetworkTimeout,
    OperationCancelled,
    ResponseTooLarge,
    RxlinkError,
    SerializationError,
    ServerError,
    ServerParseError,
    SessionEnded,
    SocketClosed,
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
    UploadError,
)
from rxlink.incremental.defer20220824 import Defer20220824Handler
from rxlink.incremental.graphql17_alpha9 import GraphQL17Alpha9Handler
from rxlink.integrations.opentelemetry import OpenTelemetryLink, instrument_connection, instrument_session
from rxlink.links.batch import BatchHandler, BatchKey, BatchLink
from rxlink.links.client_awareness import (
    ClientAwarenessLink,
    ClientAwarenessOptions,
    EnhancedClientAwarenessOptions,
)
from rxlink.links.context import SetContextLink, set_context
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink, ErrorResponse, on_error
from rxlink.links.persisted_queries import ErrorMeta, PersistedQueryLink, RetryFunctionOptions
from rxlink.links.polling import PollingLink
from rxlink.links.remove_typename import KEEP, RemoveTypenameFromVariablesLink
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.trace.events import TraceEvent, TraceKind
from rxlink.trace.explain import explain
from rxlink.trace.html import to_html
from rxlink.trace.link import TraceLink, traced
from rxlink.trace.recorder import Trace
from rxlink.trace.svg import to_svg
from rxlink.trace.text import to_text
from rxlink.transport.batch_http import BatchHttpLink
from rxlink.transport.http import HttpLink
from rxlink.transport.oauth2 import oauth2_refresh
from rxlink.transport.schema import SchemaLink
from rxlink.transport.sse import SseEvent, SseLink, SseResumed, SseRetrying
from rxlink.transport.upload import Upload, has_files
from rxlink.transport.websocket import (
    GraphQLWsLink,
    Resubscribed,
    WebSocketClosed,
    WebSocketConnected,
    WebSocketConnecting,
    WebSocketEvent,
    WebSocketLink,
    WebSocketRetrying,
    WebSocketState,
)

__all__ = [
    "INTROSPECT",
    "KEEP",
    "AbortError",
    "Answer",
    "ApolloLink",
    "AttemptsOptions",
    "AuthError",
    "AuthErrorClassifier",
    "AuthEvent",
    "AuthLink",
    "AuthSession",
    "AuthSessions",
    "AuthState",
    "AuthStatus",
    "BackoffOptions",
    "BatchHandler",
    "BatchHttpLink",
    "BatchKey",
    "BatchLink",
    "BufferOverflow",
    "CallOptions",
    "CallbackFailed",
    "Client",
    "ClientAwarenessLink",
    "ClientAwarenessOptions",
    "ClientClosed",
    "CombinedGraphQLErrors",
    "CombinedProtocolErrors",
    "CoolDownOptions",
    "DedupLink",
    "DefaultOptions",
    "Defer20220824Handler",
    "DelayOptions",
    "Ended",
    "EnhancedClientAwarenessOptions",
    "ErrorLink",
    "ErrorMeta",
    "ErrorPolicy",
    "ErrorResponse",
    "FetchPolicy",
    "FetchResult",
    "FileTokenStorage",
    "GraphQL17Alpha9Handler",
    "GraphQLRequest",
    "GraphQLWsLink",
    "HttpLink",
    "IncrementalResult",
    "InvalidStoredTokens",
    "InvariantError",
    "InvariantTypeError",
    "KeyringTokenStorage",
    "LeaseLost",
    "LoadFailed",
    "MemoryTokenStorage",
    "NetworkError",
    "NetworkTimeout",
    "OpenTelemetryLink",
    "Operation",
    "OperationCancelled",
    "OperationDefaults",
    "OperationQueued",
    "OperationReleased",
    "OperationResult",
    "OperationRetried",
    "OperationType",
    "PersistedQueryLink",
    "PollingLink",
    "RedisTokenStorage",
    "RefreshFailed",
    "RefreshReason",
    "RefreshStarted",
    "RefreshSucceeded",
    "RefreshSuperseded",
    "RefreshTryFailed",
    "RemoveTypenameFromVariablesLink",
    "ResponseTooLarge",
    "Resubscribed",
    "RetryFunctionOptions",
    "RetryLink",
    "RxlinkError",
    "SaveFailed",
    "SchemaLink",
    "SerializationError",
    "ServerError",
    "ServerParseError",
    "SessionEnded",
    "SetContextLink",
    "SharedTokenStorage",
    "SignedInAgain",
    "SocketClosed",
    "SseEvent",
    "SseLink",
    "SseResumed",
    "SseRetrying",
    "StoredTokens",
    "SyncClient",
    "TokenLease",
    "TokenRefreshError",
    "TokenRefreshLink",
    "TokenRefreshTimeout",
    "TokenSet",
    "TokenStorage",
    "TokenStorageError",
    "TokensAdopted",
    "TokensSaved",
    "Trace",
    "TraceEvent",
    "TraceKind",
    "TraceLink",
    "Upload",
    "UploadError",
    "WebSocketClosed",
    "WebSocketConnected",
    "WebSocketConnecting",
    "WebSocketEvent",
    "WebSocketLink",
    "WebSocketRetrying",
    "WebSocketState",
    "blocking",
    "concat",
    "empty",
    "execute",
    "explain",
    "from_",
    "from_error",
    "from_future",
    "gql",
    "has_files",
    "instrument_connection",
    "instrument_session",
    "is_auth_error",
    "oauth2_refresh",
    "on_error",
    "set_context",
    "split",
    "to_async_iterator",
    "to_html",
    "to_svg",
    "to_text",
    "traced",
]
