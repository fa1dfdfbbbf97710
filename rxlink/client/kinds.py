"""Which of a client's methods is for which operations.

Ports: ``@apollo/client`` 4.3.8 ``src/utilities/internal/checkDocument.ts``, without what is for the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rxlink.core.documents import OperationType
from rxlink.core.operation import Operation
from rxlink.errors import InvariantError

__all__ = ["KINDS", "check_kind"]

KINDS: Final[Mapping[str, OperationType]] = {
    "query": OperationType.QUERY,
    "mutate": OperationType.MUTATION,
    "subscribe": OperationType.SUBSCRIPTION,
}
"""The type of operation that a method runs."""


def check_kind(method: str, operation: Operation) -> None:
    """Refuse an operation that is for another method.

    Raises:
        InvariantError: It is; the message names the method that it is for.
    """
    wanted, found = KINDS[method], operation.operation_type
    if found is not wanted:
        other = next(name for name, kind in KINDS.items() if kind is found)
        raise InvariantError(
            f"`{method}` runs a {wanted.value}, and {operation.operation_name or '(anonymous)'} is a {found.value}; "
            f"give it to `{other}`"
        )
