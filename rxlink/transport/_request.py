"""Everything that is decided about a request before it is sent.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/selectHttpOptionsAndBody.ts``, ``selectURI.ts`` and
``rewriteURIForGET.ts``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, cast, get_args

from reactivex import Observable

from rxlink.auth.origins import PROTECTED
from rxlink.core.documents import MUTATION, SUBSCRIPTION, Document
from rxlink.core.operation import Context, Operation, context_of
from rxlink.core.options import checked_function, kind_of, name_of
from rxlink.core.refreshes import is_inside_a_refresh, refreshes_here
from rxlink.errors import InvariantError, InvariantTypeError, SerializationError
from rxlink.transport._body import BodyWriter, Parts
from rxlink.transport._fetch_options import FetchOptions, fetch_options_over
from rxlink.transport._files import Files
from rxlink.transport._guarding import OriginGuard
from rxlink.transport._headers import (
    FALLBACK_HEADERS,
    checked_accept,
    checked_headers,
    unique_headers,
    with_headers,
)
from rxlink.transport._http_request import OF_REFRESH, UNWANTED, HttpRequest
from rxlink.transport._multipart import MultipartBody
from rxlink.transport._sessions import Credentials
from rxlink.transport._uri import Target, parse_uri, with_parameters

__all__ = ["Accepts", "HttpOptions", "RequestBuilder", "UriFunction"]

UriFunction: TypeAlias = Callable[[Operation], str]

CREDENTIALS = get_args(Credentials)
OVERRIDES = frozenset({"credentials", "fetch_options", "http", "uri"})
"""What few contexts hold; most hold headers at the most."""
NO_HEADERS: Mapping[str, str] = {}
TEXT = frozenset({str})
"""The type of most headers: a subclass may have an ``__eq__`` of its own."""
POST = FetchOptions()
FILES = "rxlink.transport.files"
"""Where the context keeps the files of an operation from one attempt to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions(Parts):
    """What the context's ``http`` can change for one operation.

    Attributes:
        include_extensions: Whether the operation's extensions are sent.
        include_query: Whether its query is sent.
        preserve_header_case: Whether names of headers are sent as they were given.
        accept: Media types to ask for before those that the ``accept`` header names.
    """

    preserve_header_case: bool = False
    accept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """Which media types are asked for before others, where an answer may come in pieces.

    Attributes:
        subscription: Of a subscription.
        incremental: Of another operation whose document defers or streams something.
    """

    subscription: Sequence[str]
    incremental: Sequence[str]

    def over(self, http: HttpOptions, operation: Operation, document: Document | None) -> HttpOptions:
        """Return options with those before the others that an operation asks for."""
        if operation.operation_type is SUBSCRIPTION:
            types = self.subscription  # alone: Strawberry reads all types as one
        elif document is not None and document.is_incremental:
            types = self.incremental
        else:
            return http
        return replace(http, accept=(*types, *http.accept))


class RequestBuilder:
    """Makes the requests of a link: its options, and over them those of each context."""

    __slots__ = ("_accepts", "_body", "_credentials", "_fetch", "_guard", "_headers", "_http", "_last_headers",
                 "_only_target", "_plain_headers", "_plain_target", "_takes_files", "_uri", "_uses_get_for_queries",
                 "_usual")  # fmt: skip

    def __init__(
        self,
        uri: str | UriFunction,
        *,
        headers: Mapping[str, str] | None,
        credentials: Credentials | None,
        http: HttpOptions,
        body: BodyWriter,
        fetch: FetchOptions = POST,
        uses_get_for_queries: bool = False,
        takes_files: bool = False,
        accepts: Accepts | None = None,
    ) -> None:
        self._uri = _checked_function(uri, body.link) if callable(uri) else parse_uri(uri, f"`uri` of {body.link}")
        self._only_target = self._uri if isinstance(self._uri, Target) else None
        self._guard = OriginGuard(self._only_target)
        self._credentials: Credentials | None = _checked_credentials(credentials, body.link)
        self._headers = {**FALLBACK_HEADERS, **checked_headers(headers or {}, body.link)}
        self._http = http
        self._body = body
        self._fetch = fetch
        self._uses_get_for_queries = uses_get_for_queries
        self._takes_files = takes_files
        self._accepts = accepts
        self._plain_headers = _merged(self._headers, http)
        # What an operation gets whose context says nothing else; None where a function is asked for the address.
        self._usual = None if self._only_target is None else (self._only_target, http, self._credentials, fetch)
        needs_no_user = self._only_target is not None and self._only_target.authorization is None
        self._plain_target = self._only_target if needs_no_user and not http.preserve_header_case else None
        # What the last context had, and what became of it: the next one mostly says the same.
        self._last_headers: tuple[Mapping[str, str], Mapping[str, str]] = {}, self._plain_headers

    @property
    def shown_uri(self) -> str:
        """Where requests go, without secrets, or the name of the function that says it."""
        uri = self._uri
        return str(uri) if isinstance(uri, Target) else name_of(uri)

    def signal_of(self, operation: Operation) -> Observable[Any] | None:
        """Return what may abort an operation, however often it is sent.

        Raises:
            InvariantError: The context asks for what cannot work; an InvariantTypeError where a type is wrong.
        """
        return fetch_options_over(self._fetch, operation.get_context().get("fetch_options"), "the context").signal

    def build(self, operation: Operation, has_usual_extensions: bool = False) -> HttpRequest:  # noqa: FBT001, FBT002, PLR0915 - a keyword costs, and a call
        """Decide everything about the request of an operation.

        Args:
            operation: The operation.
            has_usual_extensions: Whether it is known that its extensions name rxlink, and nothing else.

        Raises:
            InvariantError: The context holds what cannot be sent, or a token that must not go where it asks for.
            InvariantTypeError: A value in the context, or what a function of the link returned, has
                the wrong type.
            SerializationError: Variables or extensions are no JSON.
            UploadError: A file in the variables is not there, or is used up.
        """
        context = context_of(operation)
        usual = self._usual
        if usual is None or not OVERRIDES.isdisjoint(context):
            usual = self._overridden(operation, context)
        target, http, credentials, fetch = usual
        document = operation.known_document()
        if self._accepts is not None and (document is None or document.may_come_in_pieces):
            http = self._accepts.over(http, operation, document)
        own = context.get("headers") or NO_HEADERS
        if target is self._plain_target and http is self._http:
            known, headers = self._last_headers
            if own != known or (own and not TEXT.issuperset(map(type, own.values()))):
                headers = self._usual_headers(own)
        else:
            headers = self._special_headers(own, http, target)
        guarded: tuple[str, ...] = ()
        # What was cleared once for the link's own address is cleared for good.
        if PROTECTED in context and (context[PROTECTED] is not self._guard.cleared or target is not self._only_target):
            guarded = self._guard.check(operation, target, own)
        is_get = self._uses_get_for_queries and operation.operation_type is not MUTATION
        method = "GET" if is_get else fetch.method
        body = self._body.assemble(
            operation, http, document,
            has_usual_extensions and self._usual is not None,  # the function for the address may have changed them
        ) if method == "POST" else None  # fmt: skip
        request = HttpRequest(
            operation.operation_name, target, headers, body or b"", credentials, method, fetch.signal, guarded,
            operation.operation_type is SUBSCRIPTION, "" if fetch.redirect == "follow" else UNWANTED,
        )  # fmt: skip
        if refreshes_here.get() and is_inside_a_refresh():
            request.no_redirects = OF_REFRESH
        if body is None:
            self._look_closely(request, operation, http, fetch)
        return request

    def _overridden(
        self, operation: Operation, context: Context
    ) -> tuple[Target, HttpOptions, Credentials | None, FetchOptions]:
        """Return where an operation goes and how, with what its context says over what the link says."""
        return (
            self._target(operation, context),
            _http_of(context, self._http),
            _checked_credentials(context.get("credentials"), "the context") or self._credentials,
            fetch_options_over(self._fetch, context.get("fetch_options"), "the context"),
        )

    def _look_closely(self, request: HttpRequest, operation: Operation, parts: Parts, fetch: FetchOptions) -> None:
        """Give the request its body, or the parameters in its place, where that is not the usual one."""
        body, is_get = self._body, request.method == "GET"
        # First the files: an encoder may write anything as text, and errors are looked for in everything.
        if (body.encode is not None or not is_get) and self._add_files(request, operation, parts, fetch):
            return
        try:
            if is_get:
                request.target = with_parameters(request.target, body.write_parameters(operation, parts))
            else:
                request.body = body.write(operation, parts)
        except SerializationError:
            if not is_get or not self._add_files(request, operation, parts, fetch):
                raise

    def _add_files(self, request: HttpRequest, operation: Operation, parts: Parts, fetch: FetchOptions) -> bool:
        """Make a request of an operation with files, and tell whether it has any."""
        if not self._takes_files:
            return False
        known: Files = operation.get_context().get(FILES) or {}
        body, files = self._body.write_with_files(operation, known, parts)
        if not files:
            return False
        if fetch.method == "GET":
            raise InvariantError(
                f"{operation!r} holds files, which GET cannot carry; leave `fetch_options` to POST"
            ) from None
        operation.set_context({FILES: files})
        request.method = "POST"
        request.headers = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
        request.files = MultipartBody(
            body,
            list(files.values()),
            operation_name=operation.operation_name,
            note_spent=operation.spend,
        )
        return True

    def _target(self, operation: Operation, context: Context) -> Target:
        uri = context.get("uri")
        if uri:
            return parse_uri(uri, "`uri` of the context")
        if isinstance(self._uri, Target):
            return self._uri
        answer = cast("object", self._uri(operation))
        if inspect.iscoroutine(answer):
            answer.close()
        return parse_uri(answer, f"what {self.shown_uri} returned as `uri`")

    def _usual_headers(self, own: Mapping[Any, Any]) -> Mapping[str, str]:
        """Return the headers, and keep them for the next operation, whose context may say the same."""
        headers = with_headers(self._plain_headers, own, "the context")
        # Where a name came twice, their order counts, which a comparison of dicts does not see.
        if len(headers) == len(self._plain_headers) + len(own) and TEXT.issuperset(map(type, own.values())):
            self._last_headers = {**own}, headers
        return headers

    def _special_headers(self, own: Mapping[Any, Any], http: HttpOptions, target: Target) -> Mapping[str, str]:
        """Return the headers where the context has options for them, their case stays, or the address has a user."""
        if http is not self._http or http.preserve_header_case:
            headers = _merged({**self._headers, **checked_headers(own, "the context")}, http)
        else:
            headers = with_headers(self._plain_headers, own, "the context")
        if target.authorization is not None and not any(name.lower() == "authorization" for name in headers):
            headers["authorization"] = target.authorization
        return headers


def _checked_function(uri: UriFunction, link: str) -> UriFunction:
    cure = "put what has to be waited for into the context, with SetContextLink"
    return checked_function(f"`uri` of {link}", uri, "operation", or_else=", or an address", instead=cure)


def _checked_credentials(value: object, where: str) -> Credentials | None:
    """Return a choice about cookies; None and "" are none.

    Raises:
        InvariantError: It is not one of fetch's three words.
    """
    if not value:
        return None
    if value not in CREDENTIALS:
        raise InvariantError(f"`credentials` of {where} is {value!r}; give {', '.join(map(repr, CREDENTIALS))}")
    return cast("Credentials", value)


def _merged(headers: dict[str, str], http: HttpOptions) -> dict[str, str]:
    if http.accept:
        headers["accept"] = ",".join([*http.accept, headers["accept"]])
    return unique_headers(headers, preserve_case=http.preserve_header_case)


def _http_of(context: Context, options: HttpOptions) -> HttpOptions:
    """Return the link's options with what the context's ``http`` says; None in it says nothing."""
    changes = context.get("http")
    if changes is None:
        return options
    if not isinstance(changes, Mapping):
        raise InvariantTypeError(f"`http` of the context is {kind_of(changes)}; give a mapping of options")
    said = {name: value for name, value in cast("Mapping[str, Any]", changes).items() if value is not None}
    known = [option.name for option in fields(HttpOptions)]
    unknown = sorted(map(str, said.keys() - set(known)))
    if unknown:
        raise InvariantError(f"`http` of the context has no option {unknown[0]!r}; it has {', '.join(known)}")
    for name in said.keys() - {"accept"}:
        if not isinstance(said[name], bool):
            raise InvariantTypeError(f"`http` of the context has {said[name]!r} as `{name}`; give True or False")
    if "accept" in said:
        said["accept"] = tuple(checked_accept(said["accept"]))
    return replace(options, **said)
