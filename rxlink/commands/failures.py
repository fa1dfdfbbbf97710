"""What ends a command before its time: one line on standard error, and the exit code."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any, Final, cast

from rxlink.errors import AuthError, CombinedGraphQLErrors, InvariantError, RxlinkError, ServerError

__all__ = ["FAILED", "INTERRUPTED", "MISUSED", "READER_LEFT", "CommandFailed", "Misuse", "code_of", "errors_line",
           "line_of", "one_line", "result_of"]  # fmt: skip

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130
READER_LEFT: Final = 141
"""What a shell reports of a program that SIGPIPE has ended."""

NAMES: Final = {
    "`client_authentication` and `extra`": "--client-id, --client-secret-file and --scope",
    "`client_id`, `client_secret` and `client_authentication`": "--client-id and --client-secret-file",
    "`client_id` and `client_secret`": "--client-id and --client-secret-file",
    "`connection_params`, or `auth`": "--connection-params, or --access-token-file",
    "`connection_params`": "--connection-params",
    "`idle_timeout`": "--idle-timeout",
    "`operation_name` to choose": "--operation-name to choose",
    "`refresh_timeout`": "--timeout",
    "check `scope`": "check --scope",
    "`timeout`": "--timeout",
    "`token_url` of oauth2_refresh": "--token-url",
    "`uri` of HttpLink": "the URL",
    "`uri` of SseLink": "the URL",
    "`url` of GraphQLWsLink": "the URL",
    "`url` of WebSocketLink": "the URL",
}
"""What options of the library are called on the command line, the longer ones first. A word that a server may say, such
as `scope`, is one of these only with what the library says beside it."""

NEXT_TRY: Final = re.compile(r"and the next try is in [0-9.]+ s")
"""Is true of a session that lives on, which that of a command does not."""

UNKNOWN_AUTHORITY: Final = frozenset({18, 19, 20, 21})
"""OpenSSL's codes (x509_vfy.h) for certificates that are self-signed, or whose issuer is not known."""

LONGEST_LINE: Final = 1000
"""Characters; a server may have written what is shown."""


class Misuse(Exception):
    """The command was given what cannot work; the message names the option and the cure, and shows no value."""


class CommandFailed(Exception):
    """The operation was run, and came to no good end."""


def code_of(error: Exception) -> int:
    """Return the exit code for what a command ended with."""
    return MISUSED if isinstance(error, (Misuse, InvariantError)) else FAILED


def line_of(error: Exception) -> str:
    """Return what is told of an error, as one line; it names options as the command line has them."""
    text = str(error) or type(error).__name__
    for option, name in NAMES.items():
        text = text.replace(option, name)
    text = NEXT_TRY.sub("and without --retry it is not tried again", text)
    if isinstance(error, ServerError) and (result := result_of(error)) is not None:
        text += f": {errors_line(result['errors'])}"
    if _is_unknown_authority(error):
        text += "; if you trust it, give the certificate of the authority that signed it as --ca-file"
    return one_line("; ".join([text, *getattr(error, "__notes__", ())]))


def errors_line(errors: Any) -> str:
    """Return what is told of a result's errors: how many, and the message of the first."""
    found = cast("list[Any]", errors) if isinstance(errors, list) else [errors]
    first = found[0]
    message: Any = cast("dict[str, Any]", first).get("message") if isinstance(first, dict) else first
    many = "an error" if len(found) == 1 else f"{len(found)} errors, the first"
    return one_line(f"the result has {many}: {message}")


def one_line(text: str) -> str:
    """Return text without line breaks, and without what a terminal would obey."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}..."


def result_of(error: BaseException | None) -> Mapping[str, Any] | None:
    """Return the GraphQL result with errors that an exception was made of, None where there was none."""
    if isinstance(error, CombinedGraphQLErrors):
        found: dict[str, Any] = {"errors": error.errors, "data": error.data, "extensions": error.extensions}
        return {name: value for name, value in found.items() if value is not None}
    if isinstance(error, ServerError):
        return error.result if error.result is not None and error.result.get("errors") else None
    if isinstance(error, AuthError):
        answer = error.auth_error
        if isinstance(answer, dict):
            return cast("dict[str, Any]", answer)
        return result_of(answer) if isinstance(answer, RxlinkError) else None
    return None


def _is_unknown_authority(error: BaseException | None) -> bool:
    """Tell whether a certificate was refused because nobody knows who signed it."""
    while error is not None:
        refused = getattr(error, "certificate_error", error)
        if isinstance(refused, ssl.SSLCertVerificationError):
            return refused.verify_code in UNKNOWN_AUTHORITY
        error = error.__cause__
    return False
