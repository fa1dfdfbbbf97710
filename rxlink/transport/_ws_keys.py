"""What has come before, while two sockets are open, by the keys of a ``dedup_key``."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Hashable

from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.core.work import report_callback_error
from rxlink.errors import InvariantError

__all__ = ["Keys"]


class Keys:
    """The keys of an operation's results since a newer socket was opened.

    Args:
        key_of: Returns the key of a result, None for none; None to let all pass.
        operation: Whose they are.
    """

    __slots__ = ("_key_of", "_older", "_operation", "_seen")

    def __init__(self, key_of: Callable[[FetchResult], Hashable] | None, operation: Operation) -> None:
        self._key_of = key_of
        self._operation = operation
        self._seen: set[Hashable] | None = None
        self._older: set[Hashable] = set()

    def keep(self) -> None:
        """Keep keys from now on, beside those of the overlap before, if they are still kept."""
        self._older, self._seen = self._seen or set(), set()

    def forget(self) -> None:
        """Keep none."""
        self._seen, self._older = None, set()

    def has(self, result: FetchResult, *, is_noted: bool) -> bool:
        """Tell whether a result with this key has come before; note the key of one that has not.

        A result without a key passes. What comes from the newer socket is looked up, and not noted: it comes once.
        """
        if self._seen is None or self._key_of is None:
            return False
        try:
            key = self._key_of(result)
            if key is None:
                return False
            if key in self._seen or key in self._older:
                return True
            if is_noted:
                self._seen.add(key)
        except (Exception, CancelledError, GeneratorExit) as error:  # noqa: BLE001 - a user's, or a key without a hash
            failure = InvariantError(
                f"`dedup_key` failed with {type(error).__name__} for a result of {self._operation!r}, which is "
                "delivered as it is; let it return something that can be looked up, or None where a result has no key"
            )
            failure.__cause__ = error
            report_callback_error(failure)
        return False
