"""The options of a client's calls, and how a call's own go over the client's.

Ports: ``@apollo/client`` 4.3.8 ``src/core/watchQueryOptions.ts``, ``src/core/ApolloClient.ts`` (``DefaultOptions``) and
``src/utilities/internal/mergeOptions.ts``: what a call gives takes the place of the default, and variables are merged
by name.
Differs: subscriptions have defaults too. ``headers``, ``timeout`` and ``operation_name`` are options of the call (there
headers are a part of the context), and headers are merged by name as well. What needs the cache is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Required, TypeAlias, TypedDict, cast, get_args

from rxlink.core.documents import DocumentNode
from rxlink.core.operation import Context, GraphQLRequest
from rxlink.core.options import kind_of
from rxlink.core.timing import Duration, to_seconds_or_none
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = [
    "CallOptions",
    "DefaultOptions",
    "ErrorPolicy",
    "FetchPolicy",
    "OperationDefaults",
    "SentOptions",
    "Settings",
    "StrictCallOptions",
    "TolerantCallOptions",
    "Variables",
    "check_mapping",
    "merged",
    "settings_of",
]

ErrorPolicy: TypeAlias = Literal["none", "ignore", "all"]
"""What becomes of errors. ``none`` ends the call with them, ``ignore`` drops them, ``all`` puts them into results."""

FetchPolicy: TypeAlias = Literal["network-only", "no-cache"]
"""Where results come from. Without a cache, which rxlink does not have yet, both mean the network."""

Variables: TypeAlias = Mapping[str, Any] | None
"""The variables of an operation, by name."""

OF_THE_CACHE: Final = ("cache-first", "cache-and-network", "cache-only", "standby")


class SentOptions(TypedDict, total=False):
    """What calls and defaults have in common.

    Attributes:
        headers: For the request: over those of the context, and those of a call over the default ones, by name.
        context: The first context of the operation: whatever the links of the chain read. Each value goes over that of
            the client's ``default_context``. That of a call takes the place of a default one.
        extensions: Sent beside the query, unless the transport is told not to.
        timeout: Seconds, or a ``timedelta``, that the whole call may take, with its waits for refreshes and its
            retries; of a subscription, until its first result. None for any time, which is the default.
        fetch_policy: ``"network-only"`` (the default) or ``"no-cache"``.
    """

    headers: Mapping[str, str] | None
    context: Context | None
    extensions: Mapping[str, Any] | None
    timeout: Duration | None
    fetch_policy: FetchPolicy


class CallOptions(SentOptions, total=False):
    """What a call may give beside its document, its variables and ``result_type``.

    Attributes:
        operation_name: Which operation of the document to run; needed where it has several.
        error_policy: ``"none"`` (the default) ends the call with the first error; ``"ignore"`` gives the data that
            came, without the errors; ``"all"`` gives both. Subscriptions go on with ``"none"`` too.
    """

    operation_name: str | None
    error_policy: ErrorPolicy


class StrictCallOptions(SentOptions, total=False):
    """Those of a call whose results have data, for a type checker; see :class:`CallOptions`."""

    operation_name: str | None
    error_policy: Literal["none"]


class TolerantCallOptions(SentOptions, total=False):
    """Those of a call whose results may have none, for a type checker; see :class:`CallOptions`."""

    operation_name: str | None
    error_policy: Required[Literal["ignore", "all"]]


class OperationDefaults(SentOptions, total=False):
    """What all calls of a kind give that do not give it themselves.

    Attributes:
        variables: Merged by name with those of the call.
        error_policy: As for a call.
    """

    variables: Mapping[str, Any] | None
    error_policy: ErrorPolicy


class DefaultOptions(TypedDict, total=False):
    """Defaults for each kind of call."""

    query: OperationDefaults
    mutate: OperationDefaults
    subscribe: OperationDefaults


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a call, checked and merged."""

    default_context: Context
    error_policy: ErrorPolicy = "none"
    timeout: float | None = None
    variables: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None
    context: Context | None = None
    extensions: Mapping[str, Any] | None = None
    operation_name: str | None = None

    def with_options(self, options: Mapping[str, Any], where: str) -> Settings:
        """Return these settings with other options over them.

        Args:
            options: By name; None says nothing, except as a timeout.
            where: Whose options these are, for the error message.

        Raises:
            InvariantError: An option has a value that makes no sense, or one that needs the cache.
            InvariantTypeError: An option has a value of a wrong type, or there is none of that name.
        """
        changes: dict[str, Any] = {}
        for name, value in options.items():
            if name == "timeout":
                changes[name] = to_seconds_or_none(name, value)
            elif name in _MERGED:
                changes[name] = merged(getattr(self, name), value, name)
            elif name in _CHECKS:
                _CHECKS[name](name, value)
                if name != "fetch_policy" and value is not None:
                    changes[name] = value
            else:
                raise InvariantTypeError(f"{where} has no option {name!r}; it has {', '.join(OPTIONS)}")
        return replace(self, **changes) if changes else self

    def request(self, document: str | DocumentNode, variables: Mapping[str, Any] | None) -> GraphQLRequest:
        """Return the request of a call.

        Raises:
            InvariantTypeError: Something that is to be merged is no mapping.
        """
        context = self.default_context if self.context is None else {**self.default_context, **self.context}
        if self.headers:
            context = {**context, "headers": merged(context.get("headers"), self.headers, "headers")}
        if self.variables:
            variables = merged(self.variables, variables, "variables")
        return GraphQLRequest(document, variables, self.operation_name, self.extensions, context)


def settings_of(defaults: object, default_context: Context | None) -> dict[str, Settings]:
    """Return the settings of each kind of call, from a client's defaults.

    Raises:
        InvariantError: As :meth:`Settings.with_options`.
        InvariantTypeError: As there; or the defaults are no mapping of such options by kind.
    """
    check_mapping("default_context", default_context)
    check_mapping("default_options", defaults)
    by_kind = cast("Mapping[str, Any]", defaults or {})
    kinds = DefaultOptions.__annotations__
    for kind, options in by_kind.items():
        if kind not in kinds:
            raise InvariantTypeError(f"`default_options` has {kind!r} in it; its keys are {', '.join(kinds)}")
        check_mapping(f"default_options[{kind!r}]", options)
        if "operation_name" in (options or {}):
            raise InvariantTypeError(f"`default_options[{kind!r}]` has an operation_name; only a call can choose one")
    settings = Settings(default_context={**(default_context or {})})
    return {kind: settings.with_options(by_kind.get(kind) or {}, f"default_options[{kind!r}]") for kind in kinds}


def check_mapping(name: str, value: object) -> None:
    """Refuse what is neither a mapping nor None.

    Raises:
        InvariantTypeError: It is neither.
    """
    if value is not None and not isinstance(value, Mapping):
        raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give a mapping, or None")


def _check_name(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise InvariantTypeError(f"`{name}` is {kind_of(value)}; give text, or None")


def _check_error_policy(name: str, value: object) -> None:
    if value is not None and value not in get_args(ErrorPolicy):
        raise InvariantError(f"`{name}` is {value!r}; give 'none', 'ignore' or 'all'")


def _check_fetch_policy(name: str, value: object) -> None:
    if value in OF_THE_CACHE:
        raise InvariantError(
            f"`{name}` is {value!r}, which needs the cache, and rxlink does not have one yet; "
            "give 'network-only' or 'no-cache'"
        )
    if value is not None and value not in get_args(FetchPolicy):
        raise InvariantError(f"`{name}` is {value!r}; give 'network-only' or 'no-cache'")


_MERGED: Final = ("variables", "headers")
_CHECKS: Final = {
    "error_policy": _check_error_policy,
    "fetch_policy": _check_fetch_policy,
    "context": check_mapping,
    "extensions": check_mapping,
    "operation_name": _check_name,
}
OPTIONS: Final = (*_MERGED, *_CHECKS, "timeout")


def merged(under: object, over: object, name: str) -> Mapping[str, Any] | None:
    """Return what is given by name over what was there; of headers in any case.

    Raises:
        InvariantTypeError: One of both is no mapping.
    """
    check_mapping(name, under)
    check_mapping(name, over)
    if not under or not over:
        return cast("Mapping[str, Any] | None", over or under)
    below, above = cast("Mapping[Any, Any]", under), cast("Mapping[Any, Any]", over)
    if name == "headers":
        taken = {str(header).lower() for header in above}
        below = {header: value for header, value in below.items() if str(header).lower() not in taken}
    return {**below, **above}
