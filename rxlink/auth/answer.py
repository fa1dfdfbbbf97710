"""What an operation was answered, in one view.

The same 401 is an exception or a result, depending on its content type, and its errors stand in the result, in the body
that an exception holds, or in a list of its own. Who asks what the answer means need not know which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from rxlink.auth.challenges import Challenge, parse_challenges, required_scopes
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult, has_data
from rxlink.errors import CombinedGraphQLErrors, CombinedProtocolErrors, ServerError

__all__ = ["Answer"]

SUCCESSFUL = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Answer:
    """What an operation was answered, whichever shape it came in; it never raises, whatever a server has sent.

    Attributes:
        result: The result, None where an exception came in its place.
        error: The exception, None where a result came.
        status: The HTTP status, None where there is none: no answer arrived, or not by HTTP.
        headers: The headers of the HTTP response, names in lower case; of one that came twice the values, with a comma.
    """

    result: FetchResult | None = None
    error: Exception | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, answer: FetchResult | Exception, operation: Operation | None = None) -> Answer:
        """Look at what arrived.

        Args:
            answer: The result, or the exception.
            operation: What it answers. A result has its status from the ``response`` that the transport has put into
                the operation's context. An exception has its own or none: the one there may be of an earlier attempt.

        Example:
            >>> from rxlink import Answer, ServerError
            >>> body = {"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
            >>> Answer.of(ServerError("no", status_code=401, headers={}, body_text="...", result=body))
            <Answer status=401 codes=('UNAUTHENTICATED',)>
        """
        if isinstance(answer, Exception):
            status = getattr(answer, "status_code", None) or getattr(answer, "status", None)
            headers = _lower_case(getattr(answer, "headers", None))
            return cls(error=answer, status=_whole(status), headers=headers)
        response = None if operation is None else operation.get_context().get("response")
        return cls(
            result=answer if isinstance(answer, dict) else None,  # pyright: ignore[reportUnnecessaryIsInstance] - of a user's link
            status=_whole(getattr(response, "status", None)),
            headers=_lower_case(getattr(response, "headers", None)),
        )

    @property
    def errors(self) -> tuple[Mapping[str, Any], ...]:
        """The GraphQL errors: of the result, of the body or the list that an exception holds, or what it is itself."""
        return tuple(cast("Mapping[str, Any]", error) for error in self._listed() if isinstance(error, Mapping))

    @property
    def codes(self) -> tuple[str | int, ...]:
        """Their ``extensions.code``; errors without one are left out."""
        extensions = (error.get("extensions") for error in self.errors)
        codes = (cast("Mapping[str, Any]", found).get("code") for found in extensions if isinstance(found, Mapping))
        return tuple(code for code in codes if isinstance(code, (str, int)) and not isinstance(code, bool))

    @property
    def messages(self) -> tuple[str, ...]:
        """What they say; also an error that is no more than text."""
        told = (
            cast("Mapping[str, Any]", error).get("message") if isinstance(error, Mapping) else error
            for error in self._listed()
        )
        return tuple(message for message in told if isinstance(message, str))

    @property
    def has_data(self) -> bool:
        """Whether any root field has a value."""
        return has_data(self._body())

    @property
    def challenges(self) -> tuple[Challenge, ...]:
        """What the header ``WWW-Authenticate`` says."""
        return parse_challenges(self.headers.get("www-authenticate"))

    @property
    def required_scopes(self) -> tuple[str, ...]:
        """The scopes that the token lacks, where the server says ``insufficient_scope``."""
        noted = self.error.required_scopes if isinstance(self.error, ServerError) else ()
        return required_scopes(self.challenges) or noted

    @property
    def is_success(self) -> bool:
        """Whether it is a result without errors, and its status, if it has one, is 200 to 299."""
        is_status = self.status is None or self.status in SUCCESSFUL
        return self.error is None and is_status and not self._listed()

    def _listed(self) -> Sequence[object]:
        errors = self._body().get("errors")
        is_list = isinstance(errors, Sequence) and not isinstance(errors, (str, bytes, bytearray))
        return cast("Sequence[object]", errors) if is_list else ()

    def _body(self) -> dict[str, Any]:
        """Return the answer as a result."""
        if self.result is not None:
            return self.result
        error = self.error
        if isinstance(error, ServerError):
            return error.result if isinstance(error.result, dict) else {}
        if isinstance(error, CombinedGraphQLErrors):
            return {"data": error.data, "errors": error.errors}
        if isinstance(error, CombinedProtocolErrors):
            return {"errors": error.errors}
        extensions: object = getattr(error, "extensions", None)
        if not isinstance(extensions, Mapping):
            return {}
        return {"errors": ({"message": getattr(error, "message", None), "extensions": extensions},)}

    def __repr__(self) -> str:
        """Show the status and the codes; all else may hold secrets."""
        return f"<Answer status={self.status} codes={self.codes}>"


def _whole(number: object) -> int | None:
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _lower_case(headers: object) -> dict[str, str]:
    named: dict[str, str] = {}
    if isinstance(headers, Mapping):
        for name, value in cast("Mapping[object, object]", headers).items():
            if isinstance(name, str) and isinstance(value, str):
                key = name.lower()
                named[key] = f"{named[key]}, {value}" if key in named else value
    return named
