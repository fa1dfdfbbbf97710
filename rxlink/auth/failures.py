"""The errors of those who waited together."""

from __future__ import annotations

from typing import TypeVar

from reactivex import operators as ops

from rxlink.auth.pending import PendingRequests
from rxlink.core.observables import from_error
from rxlink.core.work import report_callback_error
from rxlink.errors import AuthError, ClientClosed

__all__ = ["outcome_of", "own_error"]

T = TypeVar("T")


def own_error(
    error: Exception, operation_name: str | None = None, auth_error: object | None = None, *, is_call: bool = False
) -> Exception:
    """Make the error of a wave anew for one of those who waited.

    One exception object must not travel through many operations: each raise adds to its traceback.

    Args:
        error: What the wave ended with.
        operation_name: The name of the operation that gets it, if it has one.
        auth_error: What the server had answered to that operation.
        is_call: Whether it is no operation that gets it, but a call on the session.
    """
    if isinstance(error, AuthError):
        try:
            return error.made_anew() if is_call else error.for_operation(operation_name, auth_error)
        except Exception as failure:  # noqa: BLE001 - a user's own subclass may not be made like ours
            report_callback_error(failure)
            return error
    return ClientClosed("the AuthSession") if isinstance(error, ClientClosed) else error


async def outcome_of(wave: PendingRequests[T]) -> T:
    """Wait with the others.

    Raises:
        Exception: What the wave ends with, made anew.
    """
    return await wave.pipe(ops.catch(lambda error, _: from_error(own_error(error, is_call=True))))
