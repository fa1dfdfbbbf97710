"""Which answers mean that the access token is no longer accepted.

An :class:`AuthErrorClassifier` judges an :class:`~rxlink.auth.answer.Answer` by values, and by a function where values
do not reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from rxlink.auth.answer import Answer
from rxlink.auth.challenges import INSUFFICIENT_SCOPE, INVALID_TOKEN
from rxlink.core.options import checked_function, kind_of
from rxlink.core.result import FetchResult
from rxlink.errors import InvariantError, InvariantTypeError, ServerError

__all__ = ["AuthErrorClassifier", "AuthErrorPredicate", "is_auth_error"]

AUTH_CODE = "UNAUTHENTICATED"
"""The ``extensions.code`` of Apollo Server and those that follow it."""
UNAUTHORIZED = 401
"""RFC 9110 section 15.5.2."""
UNSUCCESSFUL = range(300, 600)
POLICIES = ("deliver", "retry")


AuthErrorPredicate: TypeAlias = "Callable[[Answer], bool]"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthErrorClassifier:
    """Tells which answers mean that the access token is no longer accepted; give it to an ``AuthLink``.

    An answer is an auth error if one of the values is met, or ``WWW-Authenticate`` says ``invalid_token``, whatever the
    status. It is none, whatever the values, in three cases:

    - the server says ``insufficient_scope``: a refresh cannot widen a token;
    - a root field has a value: partial data is delivered as it is, unless ``partial_data`` is ``"retry"``. A
      ``ServerError`` delivers no data, so that its body is not asked;
    - a result has no errors, and no status other than 200 to 299: it is a success.

    The predicate adds to all that, and may say yes in these cases too.

    Attributes:
        statuses: HTTP statuses, 300 to 599. 403 is none of the usual: a new token would not help.
        codes: Values of ``extensions.code``, of any error of the list.
        messages: What errors say: text is the whole message, a compiled pattern is searched in it.
        predicate: Gets the :class:`Answer` where nothing else has said yes; None for no more than the values. Where it
            raises, so does the call, and an ``AuthLink`` takes that as a no.
        partial_data: What to do with an auth error beside data: ``"deliver"``, or ``"retry"``, which throws the data
            away and sends the operation again.

    Raises:
        InvariantTypeError: An option has the wrong type; text or a number where a collection is wanted is one.
        InvariantError: A status that is no failure's, an empty text, or a policy that there is not.

    Example:
        >>> import re
        >>> from rxlink import AuthErrorClassifier
        >>> is_refused = AuthErrorClassifier(
        ...     statuses={401, 419}, codes={"UNAUTHENTICATED", "invalid-jwt"}, messages=[re.compile("session expired")]
        ... )
        >>> is_refused({"errors": [{"message": "Your session expired."}]})
        True
        >>> is_refused({"data": {"news": []}, "errors": [{"message": "Your session expired."}]})
        False
    """

    statuses: Collection[int] = frozenset({UNAUTHORIZED})
    codes: Collection[str | int] = frozenset({AUTH_CODE})
    messages: Collection[str | re.Pattern[str]] = ()
    predicate: AuthErrorPredicate | None = field(default=None, repr=False)
    partial_data: Literal["deliver", "retry"] = "deliver"

    def __post_init__(self) -> None:
        """Check the options, and keep them where nobody changes them."""
        set_option = object.__setattr__
        set_option(self, "statuses", frozenset(map(_checked_status, _items("statuses", self.statuses, "{401, 419}"))))
        set_option(self, "codes", frozenset(map(_checked_code, _items("codes", self.codes, "{'UNAUTHENTICATED'}"))))
        set_option(self, "messages", tuple(map(_checked_message, _items("messages", self.messages, "['Expired.']"))))
        if self.predicate is not None:
            where, instead = "`predicate` of AuthErrorClassifier", "give a plain one that returns a bool"
            checked_function(where, self.predicate, "answer", or_else=", or None", instead=instead)
        if self.partial_data not in POLICIES:
            given = cast("object", self.partial_data)
            shown = repr(given) if isinstance(given, str) else kind_of(given)
            raise InvariantError(f"`partial_data` is {shown}; give 'deliver' or 'retry'")

    @property
    def looks_only_at_errors(self) -> bool:
        """Whether a result that has no ``errors`` is never an auth error if its status is 200 to 299, or it has none.

        It is so without a predicate. A result without ``errors`` whose response has another status is to be asked
        about: ``{"data": null}`` with status 401 and ``application/graphql-response+json`` is one.
        """
        return self.predicate is None

    def __call__(self, answer: Answer | FetchResult | Exception) -> bool:
        """Tell whether an answer is an auth error; a result that comes without an :class:`Answer` has no status."""
        seen = answer if isinstance(answer, Answer) else Answer.of(answer)
        if self._is_met_by(seen):
            return True
        return self.predicate is not None and bool(self.predicate(seen))

    def _is_met_by(self, answer: Answer) -> bool:
        told = {challenge.error for challenge in answer.challenges}
        is_none = INSUFFICIENT_SCOPE in told or bool(answer.required_scopes) or self._is_good(answer)
        return not is_none and (
            answer.status in self.statuses
            or INVALID_TOKEN in told
            or any(code in self.codes for code in answer.codes)
            or any(_says(message, wanted) for wanted in self.messages for message in answer.messages)
        )

    def _is_good(self, answer: Answer) -> bool:
        """Tell whether an answer gives the subscriber what it wanted, or a part of it that is to be kept."""
        is_kept = self.partial_data == "deliver" and answer.has_data and not isinstance(answer.error, ServerError)
        return answer.is_success or is_kept


def _says(message: str, wanted: str | re.Pattern[str]) -> bool:
    return message == wanted if isinstance(wanted, str) else wanted.search(message) is not None


def _items(name: str, values: object, example: str) -> Collection[object]:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Collection):
        shown = repr(values) if isinstance(values, int) else kind_of(cast("object", values))
        raise InvariantTypeError(f"`{name}` is {shown}; give a collection, such as {example}")
    return cast("Collection[object]", values)


def _checked_status(status: object) -> int:
    if not isinstance(status, int) or isinstance(status, bool):
        raise InvariantTypeError(f"`statuses` holds {kind_of(status)}; give HTTP statuses, such as {{401, 419}}")
    if status not in UNSUCCESSFUL:
        raise InvariantError(f"`statuses` holds {status}; give statuses of failures, 300 to 599")
    return status


def _checked_code(code: object) -> str | int:
    if not isinstance(code, (str, int)) or isinstance(code, bool):
        raise InvariantTypeError(f"`codes` holds {kind_of(code)}; give values of `extensions.code` as text or numbers")
    if code == "":
        raise InvariantError("`codes` holds an empty text; give values of `extensions.code`")
    return code


def _checked_message(message: object) -> str | re.Pattern[str]:
    if isinstance(message, re.Pattern) and isinstance(cast("re.Pattern[Any]", message).pattern, str):
        return cast("re.Pattern[str]", message)
    if not isinstance(message, str):
        raise InvariantTypeError(
            f"`messages` holds {kind_of(cast('object', message))}; give text, or compiled patterns of text"
        )
    if not message:
        raise InvariantError("`messages` holds an empty text; give a whole message, or a compiled pattern")
    return message


_usual = AuthErrorClassifier()


def is_auth_error(answer: Answer | FetchResult | Exception) -> bool:
    """Tell whether an answer means that the access token is no longer accepted: an ``AuthErrorClassifier()``.

    It does if the HTTP status is 401, ``WWW-Authenticate`` says ``invalid_token``, or any error has the code
    ``UNAUTHENTICATED``, and no root field has a value: partial data is delivered as it is. 403, ``FORBIDDEN`` and
    ``insufficient_scope`` mean that a new token would not help.

    Args:
        answer: What arrived: a result, or the exception that took its place, such as ``ErrorResponse.error``; or an
            :class:`Answer`, which knows the status of a result too.
    """
    return _usual(answer)
