"""What is told of an operation: the name and attributes of its span, its errors, and headers for whoever gets it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, Tracer

from rxlink.core.operation import Operation
from rxlink.errors import CombinedGraphQLErrors
from rxlink.integrations._otel_instruments import OperationInstruments

__all__ = ["Telemetry", "codes_of", "error_type"]

CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+){0,7}")
WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
LONGEST_CODE: Final = 50
MOST_CODES: Final = 8
"""How many codes of one result are told."""


class Telemetry:
    """What a link tells of its operations.

    Args:
        tracer: Makes the spans.
        instruments: What is counted and measured; None for attempts.
        has_names: Whether the name of an operation is a part of its span's.
        propagates: Whether the span's context goes into the headers.
        propagator: How; None for the global one.
    """

    __slots__ = ("_has_names", "_propagates", "_propagator", "_tracer", "instruments")

    def __init__(
        self,
        tracer: Tracer,
        instruments: OperationInstruments | None,
        *,
        has_names: bool,
        propagates: bool,
        propagator: TextMapPropagator | None,
    ) -> None:
        self._tracer = tracer
        self.instruments = instruments
        self._has_names = has_names
        self._propagates = propagates
        self._propagator = propagator

    def start_span(self, operation: Operation, caller: Context, attributes: Mapping[str, str | int]) -> Span:
        """Begin the span of an operation, as a child of the caller's."""
        kind, name = operation.operation_type.value, operation.operation_name
        told: dict[str, str | int] = {"graphql.operation.type": kind, **attributes}
        if name is not None:
            told["graphql.operation.name"] = name
        shown = f"{kind} {name}" if self._has_names and name is not None else kind
        shown = f"{shown} attempt" if self.instruments is None else shown
        return self._tracer.start_span(shown, caller, SpanKind.CLIENT, told)

    def propagate(self, operation: Operation, here: Context) -> None:
        """Write the span's context into the headers of the operation, over what an earlier attempt has left there."""
        if not self._propagates:
            return
        carrier: dict[str, str] = {}
        inject = (self._propagator or get_global_textmap()).inject
        cast("Callable[[dict[str, str], Context], None]", inject)(carrier, here)  # its own default has another type
        given: object = operation.get_context().get("headers") or {}
        if carrier and isinstance(given, Mapping):  # else the transport will say what is wrong with it
            names = {name.lower() for name in carrier}
            others = {
                name: value
                for name, value in cast("Mapping[Any, Any]", given).items()
                if str(name).lower() not in names
            }
            operation.set_context({"headers": {**others, **carrier}})


def codes_of(errors: Sequence[Any], operation: Operation) -> tuple[str, ...]:
    """Return the codes of GraphQL errors, each once, as far as they look like codes and were not sent in a header."""
    headers: object = operation.get_context().get("headers") or {}
    values = " ".join(map(str, cast("Mapping[Any, Any]", headers).values())) if isinstance(headers, Mapping) else ""
    sent = set(WORD.findall(values))
    codes = dict.fromkeys(filter(None, map(_code_of, errors)))
    return tuple(code for code in codes if code not in sent)[:MOST_CODES]


def error_type(error: Exception | None, *, has_errors: bool) -> str | None:
    """Return the class of an operation's error, None where it has none."""
    if error is not None:
        return type(error).__qualname__
    return CombinedGraphQLErrors.__qualname__ if has_errors else None


def _code_of(error: object) -> str | None:
    extensions = cast("Mapping[str, object]", error).get("extensions") if isinstance(error, dict) else None
    code = cast("Mapping[str, object]", extensions).get("code") if isinstance(extensions, dict) else None
    return code if isinstance(code, str) and len(code) <= LONGEST_CODE and CODE.fullmatch(code) else None
