"""Tell the server which application sends an operation, and which library it uses.

Ports: ``@apollo/client`` 4.3.8 ``src/link/client-awareness/ClientAwarenessLink.ts``.
Differs: the library's name is ``rxlink``. Links know no client whose options could come first; those of the link
and of the context remain. Where there is nothing to say, the context's headers stay as they are (Apollo puts an empty
mapping there). Options are checked: Apollo sends nothing where the transport is a word that it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation, context_of
from rxlink.core.options import kind_of
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "Awareness",
    "ClientAwarenessLink",
    "ClientAwarenessOptions",
    "EnhancedClientAwarenessOptions",
    "usual_extensions",
]

LIBRARY: Final = "rxlink"
NOT_IN_HEADERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""Control characters, which HTTP forbids, and halves of surrogate pairs, which cannot be encoded."""

ClientTransport: TypeAlias = Literal["headers", False]
LibraryTransport: TypeAlias = Literal["headers", "extensions", False]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAwarenessOptions:
    """Which application sends, for the server's statistics; what is None is not said.

    Attributes:
        name: The application's name, such as ``billing``.
        version: The application's version, such as ``1.2``; not that of rxlink.
        transport: ``"headers"``: name and version go into ``apollographql-client-name`` and
            ``apollographql-client-version``. False: they are not sent. None: ``"headers"``.

    Raises:
        InvariantTypeError: Name or version is no text.
        InvariantError: The transport is none of these, or name or version cannot stand in a header.
    """

    name: str | None = None
    version: str | None = None
    transport: ClientTransport | None = None

    def __post_init__(self) -> None:
        for option, value in (("name", self.name), ("version", self.version)):
            if value is None:
                continue
            if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may not be typed
                raise InvariantTypeError(f"`{option}` of client_awareness is {value!r}; give text, or None")
            if NOT_IN_HEADERS.search(value):
                raise InvariantError(
                    f"`{option}` of client_awareness is {value!r}, which cannot stand in a header; give text without "
                    "line breaks and other control characters"
                )
        _check_transport("client_awareness", self.transport, ("headers",))

    def headers(self) -> dict[str, str]:
        """Return the headers that say it."""
        if self.transport is False:
            return {}
        said = {"apollographql-client-name": self.name, "apollographql-client-version": self.version}
        return {name: value for name, value in said.items() if value is not None}

    def changed_by(self, other: ClientAwarenessOptions) -> ClientAwarenessOptions:
        """Return these options with what the others say over them."""
        return ClientAwarenessOptions(
            name=self.name if other.name is None else other.name,
            version=self.version if other.version is None else other.version,
            transport=self.transport if other.transport is None else other.transport,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EnhancedClientAwarenessOptions:
    """Whether the server is told about rxlink itself, and how.

    Attributes:
        transport: ``"extensions"``: the operation's extensions get ``clientLibrary``, with ``name`` and ``version``.
            ``"headers"``: they go into ``apollographql-library-name`` and ``apollographql-library-version``.
            False: neither. None: ``"extensions"``.

    Raises:
        InvariantError: The transport is none of these.
    """

    transport: LibraryTransport | None = None

    def __post_init__(self) -> None:
        _check_transport("enhanced_client_awareness", self.transport, ("extensions", "headers"))


class ClientAwarenessLink(ApolloLink):
    """Add the application's name and version to the headers, and rxlink's to the extensions.

    What the operation brings wins: its headers of the same name, its ``clientLibrary``. Its context may hold
    ``client_awareness``, options for this operation over those of the link.

    Errors:
        :class:`~rxlink.errors.InvariantError`: the context holds what the link cannot use; nothing was sent.

    Example:
        >>> from rxlink import GraphQLRequest, execute, from_
        >>> from rxlink.testing import MockedResponse, MockLink
        >>> server = MockLink([MockedResponse(result={"data": {"answer": 42}})])
        >>> awareness = ClientAwarenessLink(client_awareness=ClientAwarenessOptions(name="billing", version="1.2"))
        >>> subscription = execute(from_([awareness, server]), GraphQLRequest("{ answer }")).subscribe()
        >>> server.operations[0].get_context()["headers"]
        {'apollographql-client-name': 'billing', 'apollographql-client-version': '1.2'}
        >>> server.operations[0].extensions["clientLibrary"]["name"]
        'rxlink'
    """

    def __init__(
        self,
        *,
        client_awareness: ClientAwarenessOptions | Mapping[str, Any] | None = None,
        enhanced_client_awareness: EnhancedClientAwarenessOptions | Mapping[str, Any] | None = None,
    ) -> None:
        """Make the link.

        Args:
            client_awareness: The application; a mapping of the options will do. None says nothing about it.
            enhanced_client_awareness: How rxlink itself is named; None does it in the extensions.

        Raises:
            InvariantError: An option is unknown, or has a value that it cannot have.
            InvariantTypeError: A value has the wrong type.
        """
        super().__init__()
        self._awareness = Awareness(client_awareness, enhanced_client_awareness)

    def connect(self, forward: Forward) -> Connect:
        """Prepare to run operations; see :meth:`ApolloLink.connect`."""
        proceed = forward.connect
        awareness = self._awareness

        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            try:
                awareness.add_to(operation)
            except Exception as error:  # noqa: BLE001 - the context holds what somebody else put there
                observer.on_error(error)
                return
            proceed(operation, observer, root)

        return start


class Awareness:
    """What is added to each operation: by the link, and by the transports that do the same.

    Args:
        client: The application: its options, a mapping of them, or None.
        library: How rxlink is named, likewise.

    Attributes:
        usual_headers: The headers where an operation's context holds no options.

    Raises:
        InvariantError: An option is unknown, or has a value that it cannot have.
        InvariantTypeError: A value has the wrong type.
    """

    __slots__ = ("_client", "_library", "_library_headers", "_library_in_extensions", "usual_headers")

    def __init__(self, client: object, library: object) -> None:
        self._client = _options("client_awareness", client, ClientAwarenessOptions)
        how = _options("enhanced_client_awareness", library, EnhancedClientAwarenessOptions).transport
        self._library = {"name": LIBRARY, "version": _library_version()}
        self._library_in_extensions = how is None or how == "extensions"
        self._library_headers: dict[str, str] = {}
        if how == "headers":
            self._library_headers = {f"apollographql-library-{part}": said for part, said in self._library.items()}
        self.usual_headers = {**self._library_headers, **self._client.headers()}

    def add_to(self, operation: Operation, headers: Mapping[str, str] | None = None) -> bool:
        """Add it to an operation's headers and extensions, below what is there.

        Args:
            operation: The operation.
            headers: Its headers; None where they depend on its context.

        Returns:
            Whether its extensions are the usual ones: rxlink is named in them, and there is nothing else.

        Raises:
            InvariantError: The context holds options that there are not.
            InvariantTypeError: The context's options, or its headers, have the wrong type.
        """
        if headers is None:
            headers = self.usual_headers
            of_operation = context_of(operation).get("client_awareness")
            if of_operation is not None:
                options = self._client.changed_by(_options("client_awareness", of_operation, ClientAwarenessOptions))
                headers = {**self._library_headers, **options.headers()}
        if headers:
            _put(headers, operation)
        if not self._library_in_extensions:
            return False
        others = operation.extensions
        if others:
            operation.extensions = {"clientLibrary": {**self._library}, **others}
            return False
        operation.extensions = {"clientLibrary": {**self._library}}
        return True


def usual_extensions() -> dict[str, Any]:
    """Return what most operations have as extensions, where nobody said how rxlink is to be named."""
    return {"clientLibrary": {"name": LIBRARY, "version": _library_version()}}


OptionsType = TypeVar("OptionsType", ClientAwarenessOptions, EnhancedClientAwarenessOptions)


def _options(where: str, given: object, kind: type[OptionsType]) -> OptionsType:
    if given is None:
        return kind()
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvariantTypeError(f"`{where}` is {kind_of(given)}; give {kind.__name__}, or a mapping of them")
    options = cast("Mapping[str, Any]", given)
    known = [option.name for option in fields(kind)]
    unknown = sorted(str(name) for name in options if name not in known)
    if unknown:
        raise InvariantError(f"`{where}` has no option {unknown[0]!r}; it has {', '.join(known)}")
    return kind(**options)


def _check_transport(where: str, transport: object, words: tuple[str, ...]) -> None:
    if transport is None or transport is False or (isinstance(transport, str) and transport in words):
        return
    raise InvariantError(f"`transport` of {where} is {transport!r}; give {', '.join(map(repr, words))}, False or None")


def _put(headers: Mapping[str, str], operation: Operation) -> None:
    """Put headers into the context, below those that are there."""
    given = cast("object", operation.get_context().get("headers") or {})
    if not isinstance(given, Mapping):
        raise InvariantTypeError(f"`headers` of the context is {kind_of(given)}; give a mapping of text by name")
    if headers:
        operation.set_context({"headers": {**headers, **cast("Mapping[str, str]", given)}})


@cache
def _library_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # which takes longer to import than this module

    try:
        return version(LIBRARY)
    except PackageNotFoundError:  # the files alone were copied somewhere, which is no reason to send nothing
        return "unknown"
