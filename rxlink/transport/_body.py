"""What of an operation is sent, as JSON, and where a value stands in it that JSON cannot carry."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias, cast

from rxlink.core.documents import Document, DocumentNode, document_of, json_head
from rxlink.core.operation import Operation
from rxlink.errors import InvariantTypeError, SerializationError
from rxlink.links.client_awareness import usual_extensions
from rxlink.transport._files import Files, find_files

__all__ = ["BodyWriter", "JsonEncoder", "Parts", "Printer", "checked_function"]

Printer: TypeAlias = Callable[[DocumentNode, Callable[[DocumentNode], str]], str]
JsonEncoder: TypeAlias = Callable[[Any], bytes | str]

Body: TypeAlias = dict[str, Any]

_encode_compactly = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_encode_for_address = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Which parts of an operation are sent, beside its name and its variables.

    Attributes:
        include_extensions: Whether its extensions are sent, if it has any.
        include_query: Whether its query is sent.
    """

    include_extensions: bool = True
    include_query: bool = True


class BodyWriter(NamedTuple):
    """How a link writes bodies.

    Attributes:
        print: Prints a document, given it and the default printer; None prints each document once.
        encode: Encodes a body, None for compact JSON.
        includes_unused_variables: Whether variables are sent that the document does not use.
    """

    print: Printer | None
    encode: JsonEncoder | None
    includes_unused_variables: bool

    def write(self, operation: Operation, parts: Parts) -> bytes:
        """Return the body that sends an operation; its parts are in Apollo's order.

        Args:
            operation: The operation.
            parts: Which parts of it.

        Raises:
            SerializationError: Variables or extensions hold what the encoder does not take.
            InvariantTypeError: The encoder or the printer returned no text.
        """
        if self.print is None and self.encode is None and parts.include_query:
            try:
                return self._assembled(operation, parts)
            except Exception:  # noqa: BLE001, S110 - it is told below, with the place where it happened
                pass
        body = self._members(operation, parts)
        if parts.include_query:
            body["query"] = self._printed(operation.query)
        return _encoded(self.encode or _encode_compactly, body, operation)

    def write_parameters(self, operation: Operation, parts: Parts) -> list[tuple[str, str]]:
        """Return the same parts as parameters of an address, in Apollo's order for these.

        Args:
            operation: The operation.
            parts: Which parts of it.

        Raises:
            SerializationError: Variables or extensions hold what the encoder does not take.
            InvariantTypeError: The encoder or the printer returned no text.
        """
        parameters = [("query", self._printed(operation.query))] if parts.include_query else []
        members = self._members(operation, parts)
        for name, part in members.items():
            if name == "operationName":
                text = part
            else:
                encode = self.encode or _encode_for_address
                text = _encoded(encode, part, operation, name).decode(errors="backslashreplace")
            parameters.append((name, text))
        return parameters

    def write_with_files(self, operation: Operation, known: Files, parts: Parts) -> tuple[bytes, Files]:
        """Return the body of an operation with None in the place of each file, and the files.

        Without files it returns no body. Where the link has an encoder of its own, only an ``Upload`` is a file: it
        may know how to write a path, or bytes.

        Args:
            operation: The operation.
            known: The files that an earlier attempt has found.
            parts: Which parts of it.

        Raises:
            SerializationError: Variables or extensions hold what the encoder does not take, apart from files.
            InvariantTypeError: The encoder or the printer returned no text, or a file is opened as text.
        """
        body = self._members(operation, parts)
        body["variables"], files = find_files(body["variables"], known, only_marked=self.encode is not None)
        if not files:
            return b"", files
        if parts.include_query:
            body["query"] = self._printed(operation.query)
        return _encoded(self.encode or _encode_compactly, body, operation), files

    def _assembled(self, operation: Operation, parts: Parts) -> bytes:
        """Return the usual body: what is the same each time was encoded when its document was first sent."""
        document = document_of(operation.query)
        variables: Mapping[str, Any] = operation.variables
        if variables and not (self.includes_unused_variables or variables.keys() <= document.used_variables):
            variables = _used(variables, document)
        extensions = operation.extensions if parts.include_extensions else None
        text = "{}" if variables == {} else _encode_compactly(variables)
        if extensions:
            usual, usual_text = _usual_extensions()
            extensions_text = usual_text if extensions == usual else _encode_compactly(extensions)
            text = f'{text},"extensions":{extensions_text}'
        name = operation.operation_name
        head = document.json_heads[name] if name in document.json_heads else json_head(name)
        return f"{head}{text}{document.json_tail}".encode()

    def _members(self, operation: Operation, parts: Parts) -> Body:
        """Return all but the query."""
        members: Body = {} if operation.operation_name is None else {"operationName": operation.operation_name}
        variables: Mapping[str, Any] = operation.variables
        if variables and not self.includes_unused_variables:
            variables = _used(variables, document_of(operation.query))
        members["variables"] = variables
        if parts.include_extensions and operation.extensions:
            members["extensions"] = operation.extensions
        return members

    def _printed(self, document: DocumentNode) -> str:
        if self.print is None:
            return _default_printer(document)
        text = cast("object", self.print(document, _default_printer))
        if not isinstance(text, str):
            raise InvariantTypeError(f"`print` of HttpLink returned a {type(text).__name__} instead of GraphQL text")
        return text


def checked_function(name: str, function: object) -> None:
    """Check an option that is a function, or None.

    Raises:
        InvariantTypeError: It is something else.
    """
    if function is not None and not callable(function):
        raise InvariantTypeError(f"`{name}` of HttpLink is {function!r}; give a function, or None")


@cache
def _usual_extensions() -> tuple[Mapping[str, Any], str]:
    """Return what most operations have as extensions, and that as JSON."""
    extensions = usual_extensions()
    return extensions, _encode_compactly(extensions)


def _used(variables: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
    return {name: value for name, value in variables.items() if name in document.used_variables}


def _default_printer(document: DocumentNode) -> str:
    return document_of(document).text


def _encoded(encode: Callable[[Any], object], body: Body, operation: Operation, name: str = "") -> bytes:
    """Return the body as JSON, or that part of it which has the name."""
    try:
        text = encode(body)
        if isinstance(text, str):
            return text.encode(errors="backslashreplace")
    except Exception as error:
        steps = 1 if isinstance(error, RecursionError) else None
        path, kind = _culprit(encode, {name: body} if name else body, steps)
        raise SerializationError(path=path, type_name=kind, operation_name=operation.operation_name) from error
    if isinstance(text, bytes):
        return text
    raise InvariantTypeError(f"`encode` of HttpLink returned a {type(text).__name__}; return JSON as bytes or text")


def _culprit(encode: Callable[[Any], object], body: Body, steps: int | None) -> tuple[str, str]:
    """Find the innermost value that does not encode: its path, and what it is.

    Args:
        encode: The encoder that failed.
        body: What it failed on.
        steps: How far to go in; None for all the way.
    """
    path, value = "", cast("object", body)
    around = {id(body)}
    while (part := _failing_part(encode, value)) is not None:
        path, value = path + part[0], part[1]
        if id(value) in around:
            return path.removeprefix("."), f"{type(value).__name__} that holds itself"
        around.add(id(value))
        if len(around) - 1 == steps:
            return path.removeprefix("."), "value nested too deeply"
    return path.removeprefix(".") or "the body", _described(value)


def _failing_part(encode: Callable[[Any], object], value: object) -> tuple[str, object] | None:
    for step, part in _parts(value):
        try:
            encode(part)
        except Exception:  # noqa: BLE001 - whatever it raises, it is the part that was looked for
            return step, part
    return None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, part in cast("Mapping[object, object]", value).items():
            yield f".{name}" if isinstance(name, str) else f"[{type(name).__name__}]", part
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(cast("list[object]", value)):
            yield f"[{index}]", part


def _described(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "float that is not finite"
    if isinstance(value, dict):
        for name in cast("dict[object, object]", value):
            if name is not None and not isinstance(name, (str, int, float)):
                return f"dict with a {type(name).__name__} as a name"
    return type(cast("object", value)).__name__
