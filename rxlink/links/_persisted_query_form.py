"""How an operation says that its hash, or its text, is to be sent: its extensions, and a context that transports read.

The context has Apollo's shape: ``http`` with ``include_query`` and ``include_extensions``, and ``fetch_options`` with
``method``. What else is there stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from rxlink.core.operation import Operation
from rxlink.core.options import kind_of
from rxlink.errors import InvariantTypeError

__all__ = ["put_hash", "put_text", "undo_earlier_attempt"]

VERSION: Final = 1
"""Of the protocol, as Apollo Server, Yoga and others speak it."""

FetchOptions = Mapping[str, Any]


def put_hash(operation: Operation, hashed: str, *, is_get: bool) -> FetchOptions | None:
    """Ask for the hash, without the text.

    Returns:
        Where it is asked for with GET, the fetch options as they were; else None.

    Raises:
        InvariantTypeError: The context has something else than mappings there.
    """
    persisted = {"version": VERSION, "sha256Hash": hashed}
    # A new dict: whoever was handed the extensions keeps them as they were.
    operation.extensions = {**operation.extensions, "persistedQuery": persisted}
    _change(operation, "http", include_query=False, include_extensions=True)
    if not is_get:
        return None
    fetch_options = _given(operation, "fetch_options")
    _change(operation, "fetch_options", method="GET")
    return fetch_options


def put_text(operation: Operation, fetch_options: FetchOptions | None, *, with_hash: bool) -> None:
    """Ask for the text.

    Args:
        operation: The operation.
        fetch_options: What ``put_hash`` has returned.
        with_hash: Whether the hash goes with it, so that the server knows it from then on.
    """
    if with_hash:
        _change(operation, "http", include_query=True, include_extensions=True)
    else:
        _remove_hash(operation)
        _change(operation, "http", include_query=True)
    if fetch_options is None:
        _change(operation, "fetch_options", method="POST")  # a text may be too long for a URL
    else:
        operation.set_context({"fetch_options": fetch_options})


def undo_earlier_attempt(operation: Operation, *, uses_get: bool) -> None:
    """Take back what an earlier subscription to the same operation has left in it."""
    if "persistedQuery" not in operation.extensions:
        return
    _remove_hash(operation)
    _change(operation, "http", include_query=True)
    fetch_options = _given(operation, "fetch_options")
    if uses_get and fetch_options.get("method") == "GET":
        others = {name: value for name, value in fetch_options.items() if name != "method"}
        operation.set_context({"fetch_options": others})


def _remove_hash(operation: Operation) -> None:
    operation.extensions = {name: value for name, value in operation.extensions.items() if name != "persistedQuery"}


def _change(operation: Operation, key: str, **options: object) -> None:
    operation.set_context({key: {**_given(operation, key), **options}})


def _given(operation: Operation, key: str) -> Mapping[str, Any]:
    given = cast("object", operation.get_context().get(key))
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvariantTypeError(f"`{key}` of the context is {kind_of(given)}; give a mapping of options")
    return cast("Mapping[str, Any]", given)
