"""What an option is that nobody gives: as the guide says, and as applications have come to rely on."""

from __future__ import annotations

import inspect
from typing import Any

import rxlink

OF_BATCHES = {"batch_interval": 0.01, "batch_debounce": False}
OF_REQUESTS = {
    "timeout": 30,
    "include_unused_variables": False,
    "preserve_header_case": False,
    "max_response_size": 32 * 2**20,
}
OF_SOCKETS = {
    "on_new_token": "overlap",
    "allow_insecure": False,
    "lazy": True,
    "lazy_close_timeout": 0,
    "keep_alive": 30,
    "keep_alive_timeout": 10,
    "connection_ack_wait_timeout": 30,
    "retry_attempts": 5,
    "retry_mutations": True,
    "missing_subprotocol": "refuse",
    "max_msg_size": 4 * 2**20,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "AttemptsOptions": {"max": 5},
    "AuthErrorClassifier": {"partial_data": "deliver"},
    "AuthLink": {
        "scheme": "Bearer",
        "header": "authorization",
        "retry_mutations": True,
        "allow_insecure": False,
    },
    "AuthSession": {
        "obtain_first": False,
        "advisory_window": 60,
        "mandatory_window": 10,
        "jitter": 0.1,
        "refresh_timeout": 30,
        "on_refresh_outage": "wait",
    },
    "BackoffOptions": {"initial": 0.5, "max": 10},
    "BatchHttpLink": {**OF_BATCHES, **OF_REQUESTS, "batch_max": 10, "batch_hybrid_requests": False},
    "BatchLink": {**OF_BATCHES, "batch_max": 0},
    "CoolDownOptions": {"after": 3, "duration": 30},
    "DelayOptions": {"initial": 0.3, "jitter": True},
    "ErrorMeta": {"persisted_query_not_found": False, "persisted_query_not_supported": False},
    "FileTokenStorage": {"lease": 3},
    "GraphQLWsLink": OF_SOCKETS,
    "HttpLink": {**OF_REQUESTS, "use_get_for_queries": False, "idle_timeout": 60, "damaged_parts": "error"},
    "KeyringTokenStorage": {"lease": 3},
    "MemoryTokenStorage": {"lease": 3},
    "NetworkTimeout": {"option": "timeout"},
    "OpenTelemetryLink": {"per": "operation", "name_spans": False, "propagate": True},
    "PersistedQueryLink": {"use_get_for_hashed_queries": False},
    "RedisTokenStorage": {"lease": 3},
    "SchemaLink": {"validate": False},
    "SessionEnded": {"reason": "refresh token rejected"},
    "SharedTokenStorage": {"lease": 3},
    "to_async_iterator": {"max_buffer": 1000, "overflow": "error"},
    "oauth2_refresh": {"grant_type": "refresh_token", "timeout": 10, "allow_insecure": False},
    "SocketClosed": {"reason": "", "meaning": "", "retryable": False},
    "SseLink": {
        "single_connection": False,
        "retry_attempts": 5,
        "idle_timeout": 60,
        **{name: OF_REQUESTS[name] for name in OF_REQUESTS},
    },
    "to_html": {"title": "What happened"},
    "to_svg": {"title": "What happened"},
    "to_text": {"width": 100},
    "TokenRefreshLink": {"access_token_field": "access_token", "refresh_timeout": 30},
    "Trace": {"max_events": 10_000},
    "TraceEvent": {"depth": 0, "attempt": 1, "is_transport": False},
    "TraceLink": {"name": "TraceLink", "is_transport": False},
    "WebSocketLink": OF_SOCKETS,
}
"""Numbers, words and switches; None is for what the docstring of the option says, and a function for itself."""


def defaults_of(name: str) -> dict[str, Any]:
    thing = getattr(rxlink, name)
    function = thing.__init__ if isinstance(thing, type) else thing
    if not inspect.isfunction(function):
        return {}
    return {
        option.name: option.default
        for option in inspect.signature(function).parameters.values()
        if isinstance(option.default, bool | int | float | str)
    }


def test_the_defaults_of_all_that_is_public_are_these() -> None:
    found = {name: defaults_of(name) for name in rxlink.__all__}

    assert DEFAULTS == {name: defaults for name, defaults in found.items() if defaults}
