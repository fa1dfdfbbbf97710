"""What a scenario has in it: where an accepted difference may appear."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.oracle.scenario import Scenario, links_of

__all__ = [
    "answers_have",
    "both",
    "error_handler_does",
    "handler_does",
    "has",
    "has_default_attempts",
    "has_handler",
    "has_no_end",
    "has_signal",
    "is_subscribed_again",
    "merges",
    "parameters_of",
    "payloads_of",
    "pieces_of",
    "sends_several",
    "server_knows_no_hashes",
    "server_says",
    "sockets_have",
    "sockets_say",
    "text_of_pieces",
    "thrown_by_batch_handlers",
    "waits_for_a_promise",
]


def has(*words: str) -> Callable[[Scenario], bool]:
    return lambda scenario: any(link["link"] in words for link in links_of(scenario))


def both(*conditions: Callable[[Scenario], bool]) -> Callable[[Scenario], bool]:
    return lambda scenario: all(condition(scenario) for condition in conditions)


def handler_does(*actions: str) -> Callable[[Scenario], bool]:
    """Some plain handler does one of these."""
    return lambda scenario: any(link.get("do") in actions for link in links_of(scenario))


def error_handler_does(*actions: str) -> Callable[[Scenario], bool]:
    """Some rule of an error link does one of these."""
    return lambda scenario: any(rule["do"] in actions for rule in _rules(scenario))


def _rules(scenario: Scenario) -> list[Any]:
    return [rule for link in links_of(scenario) if link["link"] == "error" for rule in link["handler"]]


def sends_several(scenario: Scenario) -> bool:
    return any(len(link.get("values", [])) > 1 for link in links_of(scenario) if link["link"] == "handler")


def has_no_end(scenario: Scenario) -> bool:
    return all(link["link"] in ("observe", "split") for link in links_of(scenario)) and bool(scenario["chain"])


def is_subscribed_again(scenario: Scenario) -> bool:
    return any(operation.get("resubscribe") for operation in scenario["operations"])


def server_says(test: Callable[[Any], bool]) -> Callable[[Scenario], bool]:
    """Some answer's body passes a test."""

    def says(scenario: Scenario) -> bool:
        bodies = [
            json.loads(answer["text"]) if answer.get("text") == "null" else answer.get("body", {})
            for answer in _answers(scenario)
        ]
        return any(test(body) for body in bodies)

    return says


def answers_have(*names: str) -> Callable[[Scenario], bool]:
    """Some answer has one of these."""
    return lambda scenario: any(name in answer for answer in _answers(scenario) for name in names)


def has_handler(*words: str) -> Callable[[Scenario], bool]:
    """Some link asks for increments in one of these formats."""
    return lambda scenario: any(link.get("incremental") in words for link in links_of(scenario))


def merges(scenario: Scenario) -> bool:
    """Some link merges increments, and an answer comes in pieces."""
    return has_handler("defer20220824", "graphql17Alpha9")(scenario) and bool(pieces_of(scenario))


def pieces_of(scenario: Scenario) -> list[Any]:
    """Return the answers that come in pieces."""
    return [answer for answer in _answers(scenario) if "pieces" in answer or "parts" in answer]


def payloads_of(scenario: Scenario) -> list[Any]:
    """Return the JSON of all `parts`."""
    return [value for answer in pieces_of(scenario) for _, value in answer.get("parts", [])]


def text_of_pieces(scenario: Scenario) -> str:
    """Return all that comes in pieces, one after the other, without the JSON of `parts`."""
    return "".join(str(piece) for answer in pieces_of(scenario) for _, piece in answer.get("pieces", []))


def _answers(scenario: Scenario) -> list[Any]:
    return [answer for answers in (scenario.get("server") or {}).values() for answer in answers]


def has_signal(scenario: Scenario) -> bool:
    contexts = [operation.get("context") or {} for operation in scenario["operations"]]
    return any("signal" in context.get("fetchOptions", {}) for context in contexts)


def has_default_attempts(link: Any) -> bool:
    attempts = link.get("attempts", {})
    return isinstance(attempts, dict) and "retryIf" not in attempts


def waits_for_a_promise(scenario: Scenario) -> bool:
    """Some retry link asks an asynchronous predicate, or a hash takes its time."""
    return any(
        (link["link"] == "persisted-queries" and "after" in link)
        or (link["link"] == "retry" and '"after"' in json.dumps(link.get("attempts")))
        for link in links_of(scenario)
    )


def server_knows_no_hashes(scenario: Scenario) -> bool:
    said = json.dumps(scenario.get("server"))
    return "PersistedQueryNotSupported" in said or "PERSISTED_QUERY_NOT_SUPPORTED" in said


def thrown_by_batch_handlers(scenario: Scenario) -> list[str]:
    return [link["batchHandler"].get("throws") for link in links_of(scenario) if link["link"] == "batch"]


def parameters_of(scenario: Scenario) -> Any:
    """Return how the parameters of a WebSocket link are made; {} where they are not."""
    made = [link.get("connectionParams") for link in links_of(scenario)]
    return next((parameters for parameters in made if isinstance(parameters, dict) and "byCall" in parameters), {})


def sockets_have(*names: str) -> Callable[[Scenario], bool]:
    """Some script of a WebSocket has one of these."""
    return lambda scenario: any(name in socket for socket in scenario.get("sockets", []) for name in names)


def sockets_say(*words: str) -> Callable[[Scenario], bool]:
    """Some script of a WebSocket has one of these words in its steps."""
    return lambda scenario: any(word in json.dumps(scenario.get("sockets", [])) for word in words)
