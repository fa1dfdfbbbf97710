"""rxlink: a link framework for GraphQL on RxPY; a port of Apollo Client's link layer."""

from rxlink.auth.classify import is_auth_error
from rxlink.auth.events import (
    AuthEvent,
    AuthState,
    AuthStatus,
    Ended,
    OperationQueued,
    OperationRetried,
    RefreshFailed,
    RefreshReason,
    RefreshStarted,
    RefreshSucceeded,
    RefreshTryFailed,
    SaveFailed,
    TokensSaved,
)
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import concat, empty, execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_error, from_future
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.result import FetchResult
from rxlink.errors import (
    AuthError,
    ClientClosed,
    CombinedGraphQLErrors,
    CombinedProtocolErrors,
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
    TokenRefreshError,
    TokenRefreshTimeout,
    TokenStorageError,
)
from rxlink.links.context import SetContextLink, set_context
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink, ErrorResponse, on_error
from rxlink.links.polling import PollingLink
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.transport.http import HttpLink

__all__ = [
    "ApolloLink",
    "AttemptsOptions",
    "AuthError",
    "AuthEvent",
    "AuthLink",
    "AuthSession",
    "AuthState",
    "AuthStatus",
    "ClientClosed",
    "CombinedGraphQLErrors",
    "CombinedProtocolErrors",
    "DedupLink",
    "DelayOptions",
    "Ended",
    "ErrorLink",
    "ErrorResponse",
    "FetchResult",
    "GraphQLRequest",
    "HttpLink",
    "InvariantError",
    "InvariantTypeError",
    "MemoryTokenStorage",
    "NetworkError",
    "NetworkTimeout",
    "Operation",
    "OperationCancelled",
    "OperationQueued",
    "OperationRetried",
    "PollingLink",
    "RefreshFailed",
    "RefreshReason",
    "RefreshStarted",
    "RefreshSucceeded",
    "RefreshTryFailed",
    "ResponseTooLarge",
    "RetryLink",
    "RxlinkError",
    "SaveFailed",
    "SerializationError",
    "ServerError",
    "ServerParseError",
    "SessionEnded",
    "SetContextLink",
    "TokenRefreshError",
    "TokenRefreshTimeout",
    "TokenSet",
    "TokenStorage",
    "TokenStorageError",
    "TokensSaved",
    "concat",
    "empty",
    "execute",
    "from_",
    "from_error",
    "from_future",
    "is_auth_error",
    "on_error",
    "set_context",
    "split",
]
