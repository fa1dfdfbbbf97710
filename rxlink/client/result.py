"""What a client's call brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_origin

from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError

__all__ = ["OperationResult", "check_result_type"]

Data = TypeVar("Data")


@dataclass(slots=True)
class OperationResult(Generic[Data]):
    """The result of a query or a mutation, or one of a subscription.

    Ports: ``ApolloClient.QueryResult``, ``MutateResult`` and ``SubscribeResult``, which are one type here. Where it has
    errors, and which data beside them, the error policy says.

    Attributes:
        data: The wire's ``data``, with the type that ``result_type`` gave it. None where nothing came, or where the
            error policy leaves it out.
        error: What went wrong: :class:`~rxlink.errors.CombinedGraphQLErrors` for the ``errors`` of the result, else
            what the chain ended with, such as :class:`~rxlink.errors.NetworkError`. None for nothing, and always with
            the error policy ``"ignore"``.
        extensions: The result's ``extensions``, None if it has none.
    """

    data: Data
    error: Exception | None = None
    extensions: Mapping[str, Any] | None = None


def check_result_type(result_type: object) -> None:
    """Refuse a type that says of ``data`` what it is not: it stays a dict, whatever its type is said to be.

    Raises:
        InvariantTypeError: It is no dict.
    """
    origin: object = get_origin(result_type) or result_type
    if origin is not None and not (isinstance(origin, type) and issubclass(origin, dict)):
        raise InvariantTypeError(
            f"`result_type` is {kind_of(result_type)}; `data` stays the wire's dict: give a TypedDict, and convert it "
            "yourself where you want something else"
        )
