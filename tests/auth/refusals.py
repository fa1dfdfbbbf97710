"""Answers of servers that refuse: errors, challenges, and the two shapes of a status."""

from types import SimpleNamespace
from typing import Any

from rxlink.auth.answer import Answer
from rxlink.core.operation import GraphQLRequest, Operation
from rxlink.errors import ServerError

CODED = {"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}
OTHER = {"message": "no", "extensions": {"code": "BAD_USER_INPUT"}}


INVALID = 'Bearer error="invalid_token"'
LACKING = 'Bearer error="insufficient_scope", scope="admin"'


def server_error(status: int, result: dict[str, Any] | None = None, challenge: str | None = None) -> ServerError:
    headers = {} if challenge is None else {"www-authenticate": challenge}
    return ServerError("no", status_code=status, headers=headers, body_text="no", result=result)


def answer_of(result: Any, status: int | None = None, challenge: str | None = None) -> Answer:
    """A result, and the response that a transport has put into the context of its operation."""
    headers = {} if challenge is None else {"WWW-Authenticate": challenge}
    response = SimpleNamespace(status=status, headers=headers)
    return Answer.of(result, Operation(GraphQLRequest("{ a }", context={"response": response})))
