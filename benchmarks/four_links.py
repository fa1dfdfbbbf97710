"""The four links that every question runs, and the same work as plain function calls.

A tenant's header, an error handler that has nothing to do, a bearer token, and something that
answers: what a service has in its chain while nothing goes wrong.
"""

from collections.abc import Callable
from typing import Any

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import from_
from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Context, GraphQLRequest, Operation
from rxlink.core.result import FetchResult, graphql_errors
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.links.context import SetContextLink
from rxlink.links.error import ErrorLink, ErrorResponse
from rxlink.links.retry import RetryLink

__all__ = [
    "ANSWER",
    "QUERY",
    "REQUEST",
    "Answering",
    "Silent",
    "four_links",
    "four_retrying_links",
    "four_simple_links",
    "let_pass",
    "never_refresh",
    "nothing",
    "plain_calls",
    "set_authorization",
    "set_tenant",
    "valid_session",
]

QUERY = "query Viewer($id: ID!) { viewer(id: $id) { id name } }"
REQUEST = GraphQLRequest(QUERY, {"id": "1"})
ANSWER: FetchResult = {"data": {"viewer": {"id": "1", "name": "Ada"}}}
TOKEN = "an-access-token"  # noqa: S105 - nobody accepts it


class Answering(ApolloLink):
    """A terminating link that answers at once."""

    is_terminating = True

    def connect(self, forward: Forward) -> Connect:
        """See `ApolloLink.connect`."""
        return _answer_at_once


class Silent(ApolloLink):
    """A terminating link that never answers."""

    is_terminating = True

    def connect(self, forward: Forward) -> Connect:
        """See `ApolloLink.connect`."""
        return _never_answer


class _Unanswered:
    """What is in the slot of an operation that waits: as a task would, it knows what was asked, and whom to tell."""

    __slots__ = ("_observer", "_operation")

    def __init__(self, operation: Operation, observer: ResultObserver) -> None:
        self._operation = operation
        self._observer = observer

    def cancel(self) -> None:
        pass


def _never_answer(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    root.hold(_Unanswered(operation, observer))


def _answer_at_once(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
    observer.on_next(ANSWER)
    observer.on_completed()


def set_tenant(context: Context, operation: Operation) -> Context:
    """Add a header to those that are there."""
    return {"headers": {**context.get("headers", {}), "x-tenant": "blue"}}


def set_authorization(context: Context, operation: Operation) -> Context:
    """Add the bearer token to the headers that are there."""
    return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {TOKEN}"}}


def never_refresh(*_: object) -> None:
    """Fail: nothing ends while it is measured."""
    raise AssertionError("the token is valid")


def let_pass(response: ErrorResponse) -> None:
    """Let every error pass."""


def nothing(*_: Any) -> None:
    """Take whatever comes."""


def valid_session() -> AuthSession:
    """Return a session whose token is good for an hour, so that it never refreshes."""
    return AuthSession(refresh=never_refresh, tokens=TokenSet(TOKEN, expires_in=3600))


def four_links(last: ApolloLink, authorize: ApolloLink | None = None) -> ApolloLink:
    """Return the chain.

    Args:
        last: The terminating link.
        authorize: The link that writes the token; None for an `AuthLink` whose token is valid.
    """
    return from_(
        [
            SetContextLink(set_tenant),
            ErrorLink(let_pass),
            authorize or AuthLink(valid_session()),
            last,
        ]
    )


def four_simple_links(last: ApolloLink) -> ApolloLink:
    """Return the chain with another `SetContextLink` that writes the token."""
    return four_links(last, SetContextLink(set_authorization))


def four_retrying_links(last: ApolloLink) -> ApolloLink:
    """Return the chain that the budget over HTTP was set for: one that sends again, and one that writes the token."""
    return from_([RetryLink(), ErrorLink(let_pass), SetContextLink(set_authorization), last])


def plain_calls(request: GraphQLRequest, on_next: Callable[[FetchResult], None]) -> None:
    """Do the work of the four links without links: the same operation, context and questions."""
    on_next(_with_tenant(Operation(request)))


def _with_tenant(operation: Operation) -> FetchResult:
    operation.set_context(set_tenant(operation.get_context(), operation))
    return _with_errors_seen(operation)


def _with_errors_seen(operation: Operation) -> FetchResult:
    result = _with_authorization(operation)
    if graphql_errors(result) is not None:
        raise AssertionError(result)
    return result


def _with_authorization(operation: Operation) -> FetchResult:
    operation.set_context(set_authorization(operation.get_context(), operation))
    return _answer(operation)


def _answer(operation: Operation) -> FetchResult:
    return ANSWER
