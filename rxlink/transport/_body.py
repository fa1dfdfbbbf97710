"""What of an operation is sent, as JSON, and where a value stands in it that JSON cannot carry."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from rxlink.core.documents import Document, DocumentNode, document_of, json_head
from rxlink.core.operation import Operation
from rxlink.core.options import checked_function, kind_of
from rxlink.core.work import close_unawaited
from rxlink.errors import InvariantTypeError, SerializationError
from rxlink.links.client_awareness import usual_extensions
from rxlink.transport._compact_json import encode_compactly, encode_quickly
from rxlink.transport._files import Files, find_files

__all__ = ["BodyWriter", "JsonEncoder", "Parts", "Printer", "checked_functions", "culprit"]

Printer: TypeAlias = Callable[[DocumentNode, Callable[[DocumentNode], str]], str]
JsonEncoder: TypeAlias = Callable[[Any], bytes | str]

Body: TypeAlias = dict[str, Any]

JSON: Final = ("body",)
"""What encoders and decoders get."""
NOT_AWAITED: Final = "what it returns is not awaited: give a plain function"

PLAIN: Final = frozenset({str, int, float, bool, type(None)})

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


def _value_encoder(encode: JsonEncoder) -> Callable[[Any], str] | None:
    """Return what encodes a part of a body by itself; None where nobody knows whether the encoder wants the whole.

    What orjson writes of a value does not depend on where that stands. But it writes more than JSON has, such as
    dataclasses, and a file could be among it: a part with anything but plain values is an error here.
    """
    if getattr(encode, "__module__", None) != "orjson":
        return None

    def encode_plain(part: Mapping[str, Any]) -> str:
        if not PLAIN.issuperset(map(type, part.values())):
            raise TypeError
        text = encode(part)
        return text if isinstance(text, str) else text.decode()

    return encode_plain


class BodyWriter:
    """How a link writes bodies.

    Attributes:
        print: Prints a document, given it and the default printer; None prints each document once.
        encode: Encodes a body, None for compact JSON.
        includes_unused_variables: Whether variables are sent that the document does not use.
        link: What the link is called in error messages.
    """

    __slots__ = ("_encode_value", "_usual_extensions", "encode", "includes_unused_variables", "link", "print")

    def __init__(
        self,
        print: Printer | None,
        encode: JsonEncoder | None,
        includes_unused_variables: bool,  # noqa: FBT001 - one of four parts, in their order
        link: str,
    ) -> None:
        self.print = print
        self.encode = encode
        self.includes_unused_variables = includes_unused_variables
        self.link = link
        self._encode_value = None
        if print is None:
            self._encode_value = encode_quickly if encode is None else _value_encoder(encode)
        self._usual_extensions = f',"extensions":{encode_compactly(usual_extensions())}'

    def assemble(
        self,
        operation: Operation,
        parts: Parts,
        document: Document | None = None,
        has_usual_extensions: bool = False,  # noqa: FBT001, FBT002 - a keyword costs at each request
    ) -> bytes | None:
        """Return the usual body, with what is the same each time as it was encoded when its document was first sent.

        Args:
            operation: The operation.
            parts: Which parts of it.
            document: What is known of its document; None where that is still to be looked up.
            has_usual_extensions: Whether it is known that its extensions name rxlink, and nothing else.

        Returns:
            What ``write`` returns; None where the link has a printer or an encoder of its own, the query is not sent,
            or something does not encode, so that it has to be looked at more closely. With orjson's encoder also
            where a variable is no plain value: it writes more than JSON has, and a file could be among it.
        """
        encode = self._encode_value
        if encode is None or not parts.include_query:
            return None
        variables: Mapping[str, Any] = operation.variables
        extensions = operation.extensions
        try:
            document = document or document_of(operation.query)
            name, heads, tail = operation.operation_name, document.json_heads, document.json_tail
            head = heads[name] if name in heads else json_head(name)
            if variables and not (self.includes_unused_variables or variables.keys() <= document.used_variables):
                variables = _used(variables, document)
            text = encode(variables) if variables or variables != {} else "{}"
            said = ""
            if extensions and parts.include_extensions:
                said = self._usual_extensions if has_usual_extensions else f',"extensions":{encode(extensions)}'
        except Exception:  # noqa: BLE001 - who looks closely will meet it again, and tell the place
            return None
        return f"{head}{text}{said}{tail}".encode()

    def write(self, operation: Operation, parts: Parts) -> bytes:
        """Return the body that sends an operation; its parts are in Apollo's order.

        Args:
            operation: The operation.
            parts: Which parts of it.

        Raises:
            SerializationError: Variables or extensions hold what the encoder does not take.
            InvariantTypeError: The encoder or the printer returned no text.
        """
        body = self._members(operation, parts)
        if parts.include_query:
            body["query"] = self._printed(operation.query)
        return self._encoded(self.encode or encode_compactly, body, operation)

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
                text = self._encoded(encode, part, operation, name).decode(errors="backslashreplace")
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
        return self._encoded(self.encode or encode_compactly, body, operation), files

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
        text: Any = self.print(document, _default_printer)
        if not isinstance(text, str):
            close_unawaited(text)
            raise InvariantTypeError(f"`print` of {self.link} returned {kind_of(text)} instead of GraphQL text")
        return text

    def _encoded(self, encode: Callable[[Any], object], body: Body, operation: Operation, name: str = "") -> bytes:
        """Return the body as JSON, or that part of it which has the name."""
        try:
            text: Any = encode(body)
            if isinstance(text, str):
                return text.encode(errors="backslashreplace")
        except Exception as error:
            steps = 1 if isinstance(error, RecursionError) else None
            path, kind = culprit(encode, {name: body} if name else body, steps)
            raise SerializationError(path=path, type_name=kind, operation_name=operation.operation_name) from error
        if isinstance(text, bytes):
            return text
        close_unawaited(text)
        raise InvariantTypeError(f"`encode` of {self.link} returned {kind_of(text)}; return JSON as bytes or text")


def checked_functions(
    link: str, *, print: Printer | None, encode: JsonEncoder | None, decode: Callable[[bytes], Any] | None
) -> None:
    """Check the options of a link that are functions, or None.

    Raises:
        InvariantTypeError: One is something else, takes other arguments, or is a coroutine function.
    """
    printing = ("document", "default_printer")
    for name, function, arguments in (("print", print, printing), ("encode", encode, JSON), ("decode", decode, JSON)):
        if function is not None:
            checked_function(f"`{name}` of {link}", function, *arguments, or_else=", or None", instead=NOT_AWAITED)


def _used(variables: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
    if variables.keys() <= document.used_variables:
        return variables
    return {name: value for name, value in variables.items() if name in document.used_variables}


def _default_printer(document: DocumentNode) -> str:
    return document_of(document).text


def culprit(encode: Callable[[Any], object], body: Body, steps: int | None) -> tuple[str, str]:
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
