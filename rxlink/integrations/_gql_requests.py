"""What gql gives to a transport, as rxlink's requests: operations, files, and the arguments of a single call."""

from __future__ import annotations

import io
import warnings
from collections.abc import AsyncIterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import gql
from gql import FileVar

from rxlink.client.options import check_mapping, merged
from rxlink.core.documents import SUBSCRIPTION, document_of, parsed
from rxlink.core.operation import GraphQLRequest
from rxlink.core.options import checked_flag, kind_of
from rxlink.errors import InvariantError, InvariantTypeError
from rxlink.transport.upload import Upload

__all__ = ["is_subscription", "request_of"]

KNOWN_ARGUMENTS: Final = frozenset({"headers", "allow_redirects"})


def request_of(
    request: gql.GraphQLRequest,
    extra_args: Mapping[str, Any] | None,
    context: Mapping[str, Any] | None,
    *,
    has_files: bool,
) -> GraphQLRequest:
    """Return what a chain runs for an operation of gql.

    Args:
        request: The operation.
        extra_args: Of gql's ``execute``: ``headers`` and ``allow_redirects`` for this operation.
        context: The operation's first context.
        has_files: Whether files are looked for in the variables.

    Raises:
        InvariantTypeError: An argument has the wrong type.
        InvariantError: ``extra_args`` holds what only aiohttp's ``post`` knows; a file has a bad media type.
    """
    if not isinstance(request, gql.GraphQLRequest):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
        raise InvariantTypeError(f"the request is {kind_of(request)}; give a GraphQLRequest of gql, or use gql(...)")
    variables = request.variable_values
    if has_files and variables is not None:
        with suppress(RecursionError):  # the link says it of what is nested so deeply
            variables = _Files().uploads_in(variables)
    name = request.operation_name or None
    document = request.document
    if isinstance(name, str):
        document = document_of(document).with_name(name)  # gql sends it beside a document that has none
    return GraphQLRequest(document, variables, name, request.extensions, _context_of(extra_args, context))


def is_subscription(request: GraphQLRequest) -> bool:
    """Tell whether an operation, which a chain has accepted, may have any number of results."""
    return parsed(request.query)[1].choose(request.operation_name)[1] is SUBSCRIPTION


def _context_of(extra_args: Mapping[str, Any] | None, context: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    check_mapping("context", context)
    check_mapping("extra_args", extra_args)
    if not extra_args:
        return context
    others = sorted(map(str, extra_args.keys() - KNOWN_ARGUMENTS))
    if others:
        raise InvariantError(
            f"`extra_args` holds {', '.join(others)}; of what gql hands to aiohttp's `post`, a chain takes `headers` "
            "and `allow_redirects`: give the link of the chain the option that does it, or this call a `context`"
        )
    said = dict(context or {})
    if extra_args.get("headers") is not None:
        said["headers"] = merged(said.get("headers"), _headers_of(extra_args), "headers") or {}
    if "allow_redirects" in extra_args:
        follows = checked_flag("allow_redirects", extra_args["allow_redirects"])
        redirect = {"redirect": "follow" if follows else "error"}
        said["fetch_options"] = merged(said.get("fetch_options"), redirect, "fetch_options")
    return said


def _headers_of(extra_args: Mapping[str, Any]) -> Mapping[str, Any]:
    given = extra_args["headers"]
    try:
        return dict(given)  # aiohttp takes pairs too
    except (TypeError, ValueError) as error:
        raise InvariantTypeError(
            f"`headers` of `extra_args` is {kind_of(given)}; give a mapping of names to text, or pairs of both"
        ) from error


class _Files:
    """Makes uploads of the files of one operation; one that stands in two places is sent once."""

    def __init__(self) -> None:
        self._made: dict[int, Upload] = {}

    def uploads_in(self, value: Any) -> Any:
        """Return a value of variables with an ``Upload`` in the place of each file; the value stays as it is."""
        if isinstance(value, Mapping):
            return {name: self.uploads_in(part) for name, part in cast("Mapping[str, Any]", value).items()}
        if isinstance(value, (list, tuple)):
            return [self.uploads_in(part) for part in cast("list[Any]", value)]
        if not _is_file(value):
            return value
        if id(value) not in self._made:
            self._made[id(value)] = _upload_of(value)
        return self._made[id(value)]


def _is_file(value: object) -> bool:
    return isinstance(value, (FileVar, io.IOBase, AsyncIterable))


def _upload_of(value: Any) -> Upload:
    if isinstance(value, FileVar):
        # Streaming or not, a path is read piece by piece.
        source = Path(value.f) if isinstance(value.f, str) else value.f
        return Upload(source, filename=value.filename, content_type=value.content_type)
    warnings.warn(
        "Not using FileVar for file upload is deprecated in gql; write gql.FileVar(file)",
        DeprecationWarning,
        stacklevel=2,
    )
    return Upload(value, content_type=getattr(value, "content_type", None))
