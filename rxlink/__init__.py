"""rxlink: a link framework for GraphQL on RxPY; a port of Apollo Client's link layer."""

from rxlink.auth.events import AuthEvent, AuthState, AuthStatus, RefreshReason
from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.storage import MemoryTokenStorage, TokenStorage
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import concat, empty, execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_error, from_future
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.core.result import FetchResult
from rxlink.links.context import SetContextLink, set_context
from rxlink.links.error import ErrorLink, ErrorResponse, on_error
from rxlink.transport.http import HttpLink

__all__ = [
    "ApolloLink",
    "AuthEvent",
    "AuthLink",
    "AuthSession",
    "AuthState",
    "AuthStatus",
    "ErrorLink",
    "ErrorResponse",
    "FetchResult",
    "GraphQLRequest",
    "HttpLink",
    "MemoryTokenStorage",
    "Operation",
    "RefreshReason",
    "SetContextLink",
    "TokenSet",
    "TokenStorage",
    "concat",
    "empty",
    "execute",
    "from_",
    "from_error",
    "from_future",
    "on_error",
    "set_context",
    "split",
]
