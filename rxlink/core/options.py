"""Options that links check when they are made, and the words with which they refuse one.

A message shows a value only where it cannot be a secret; of all others it says what they are.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast, get_args

from reactivex import abc

from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "checked_flag",
    "checked_function",
    "checked_scheduler",
    "checked_word",
    "is_coroutine_function",
    "kind_of",
    "name_of",
    "require_extra",
    "signature_of",
    "takes",
]

Option = TypeVar("Option")

SOUNDS_LIKE_A_VOWEL: Final = re.compile(r"_*([aeio]|u[np](?!i))", re.IGNORECASE)
"""An Upload, an int; but a UUID, a Union, a User."""


def checked_flag(name: str, value: object) -> bool:
    """Return an option that is yes or no; text such as ``"false"``, which is true in Python, is neither.

    Raises:
        InvariantTypeError: It is no bool; the message names option and value.
    """
    if not isinstance(value, bool):
        raise InvariantTypeError(f"`{name}` is {value!r}; give True or False")
    return value


def checked_word(name: str, value: object, choices: Any) -> Any:
    """Return an option that is one of a few words.

    Args:
        name: The option.
        value: What was given.
        choices: The type of the option, a ``Literal``.

    Raises:
        InvariantError: It is none of them; the message names option, value and choices.
    """
    words = get_args(choices)
    if value not in words:
        raise InvariantError(f"`{name}` is {value!r}; give one of {', '.join(map(repr, words))}")
    return value


def checked_scheduler(name: str, value: abc.SchedulerBase | None) -> abc.SchedulerBase | None:
    """Return an option that is a scheduler of RxPY, or None.

    Raises:
        InvariantTypeError: It is neither.
    """
    if value is not None and not isinstance(cast("object", value), abc.SchedulerBase):
        raise InvariantTypeError(
            f"`{name}` is {_shown(value)}; give a scheduler of RxPY, or None for the running event loop's time"
        )
    return value


def checked_function(
    where: str,
    function: Option,
    *arguments: str,
    or_else: str = "",
    instead: str | None = None,
    shows_text: bool = False,
) -> Option:
    """Return an option that is a function, which can take the arguments that it will get.

    Args:
        where: Which option of what, for the message, such as ```print` of HttpLink``.
        function: The option.
        arguments: What it will get, by position: one name for each, for the message.
        or_else: What else may be given, for the end of the message, such as ``, or None``.
        instead: What to do instead of giving a coroutine function, where the answer is not awaited; None where one
            will do.
        shows_text: Whether the message shows text in its place, which is then known to be no token or the like.

    Raises:
        InvariantTypeError: It cannot be called, not with these arguments, or it is a coroutine function that nobody
            awaits; the message names option and function, and says what to give.
    """
    taken = f"of ({', '.join(arguments)})" if arguments else "without arguments"
    cure = f"give a function {taken}{or_else}"
    if not callable(function):
        if inspect.iscoroutine(function):
            function.close()
        is_shown = shows_text and isinstance(function, str)
        raise InvariantTypeError(f"{where} is {repr(function) if is_shown else _shown(function)}; {cure}")
    if instead is not None and is_coroutine_function(function):
        raise InvariantTypeError(f"{where} is the coroutine function {name_of(function)}; {instead}")
    if not takes(function, *arguments):
        raise InvariantTypeError(f"{where} is {name_of(function)}, which takes other arguments; {cure}")
    return function


def takes(function: object, *arguments: str) -> bool:
    """Tell whether a function can be called with so many arguments; where it does not say, the call will tell."""
    signature = signature_of(function)
    if signature is None:
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def signature_of(function: object) -> inspect.Signature | None:
    """Return the parameters of a function, None where it does not say: many of C do not.

    Those of a decorated one are the decorator's own: it may give to the function inside more than it gets.
    """
    try:
        return inspect.signature(cast("Callable[..., Any]", function), follow_wrapped=False)
    except Exception:  # noqa: BLE001 - a `__signature__` may be anything, and annotations may name what is not there
        return None


def is_coroutine_function(function: object) -> bool:
    """Tell whether calling it gives a coroutine: a function, a method, an object that is called, a partial of these."""
    while isinstance(function, partial):
        function = cast("object", function.func)
    called: object = getattr(type(function), "__call__", None)  # noqa: B004 - where an object's own is
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def name_of(function: object) -> str:
    """Return the name of a user's function for a message, without what it carries: that may be secret."""
    if isinstance(function, partial):
        return f"a partial of {name_of(cast('object', function.func))}"
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else kind_of(function)


def kind_of(value: object) -> str:
    """Return what a value is, for a message, and nothing of what is in it: ``None``, ``an int``, ``a list``."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    if name == "bytes":
        return name
    return f"{'an' if SOUNDS_LIKE_A_VOWEL.match(name) else 'a'} {name}"


def _shown(value: object) -> str:
    """Return a number as it is, which is no secret; of anything else what it is."""
    return repr(value) if isinstance(value, (bool, int, float)) else kind_of(value)


def require_extra(what: str, extra: str, *packages: str) -> None:
    """Import what a class or function needs beyond rxlink's own dependencies.

    Raises:
        InvariantError: It is not installed; the message says how to.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InvariantError(
                f"{what} needs the extra `{extra}`, which is not installed: pip install 'rxlink[{extra}]'"
            ) from error
