"""What operations get that shared one request, one batch or one wait: each an error of its own."""

from __future__ import annotations

from rxlink.errors import RxlinkError

__all__ = ["own_error"]


def own_error(error: Exception) -> Exception:
    """Make an error of ours anew for one of those who share it: each raise of a shared one adds to its traceback.

    Foreign errors, and users' own subclasses that are not made like ours, are returned as they are.
    """
    if not isinstance(error, RxlinkError):
        return error
    try:
        own = type(error).__new__(type(error))
    except Exception:  # noqa: BLE001 - a user's own subclass
        return error
    own.args = error.args
    own.__dict__.update(error.__dict__)
    own.__cause__ = error.__cause__
    return own.with_traceback(error.__traceback__)
