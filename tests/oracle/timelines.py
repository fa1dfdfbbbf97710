"""What a server sends in pieces in a scenario, and when: what must come of it whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.oracle.pair import Pair
from tests.oracle.scenario import Scenario

__all__ = ["Timeline", "timeline_of"]


@dataclass(frozen=True)
class Timeline:
    """The answer to the latest request of a subscription.

    Attributes:
        head: When its head comes.
        moments: When each of its pieces comes.
        texts: All that has come by then; empty texts where an answer is made of `parts`.
    """

    head: float
    moments: list[float]
    texts: list[str]

    @property
    def end(self) -> float:
        """When the body ends."""
        return self.moments[-1]

    def has_moment(self, at: float) -> bool:
        """Tell whether something comes at a moment."""
        return at == self.head or at in self.moments

    def results(self) -> Iterator[tuple[float, Any]]:
        """Yield each result of a subscription, and when its JSON is complete."""
        for start, stop, value in _objects_in(self.texts[-1]):
            if value.get("payload"):
                needed = self.texts[-1][start:stop]
                yield (
                    next(at for at, text in zip(self.moments, self.texts, strict=True) if needed in text),
                    value["payload"],
                )


def timeline_of(pair: Pair) -> Timeline | None:
    """Return what comes for a subscription; None where it has sent nothing, or the answer does not come in pieces."""
    requests = [event for event in pair.apollo if event["event"] == "request"]
    answers = _answers_to(pair.scenario, pair.key[0])
    if not requests or not answers:
        return None
    answer = answers[min(len(requests), len(answers)) - 1]
    pieces = answer.get("pieces") or answer.get("parts")
    if not pieces:
        return None
    head = requests[-1]["at"] + answer.get("after", 0)
    moments = [head + sum(after for after, _ in pieces[: place + 1]) for place in range(len(pieces))]
    data = [_bytes(piece) if "pieces" in answer else b"" for _, piece in pieces]
    return Timeline(head, moments, [b"".join(data[: place + 1]).decode(errors="ignore") for place in range(len(data))])


def _answers_to(scenario: Scenario, name: str) -> list[Any]:
    server = scenario.get("server") or {}
    return server.get(name) or server.get("*") or []


def _bytes(piece: Any) -> bytes:
    return piece.encode() if isinstance(piece, str) else piece["bytes"].encode("latin-1")


def _objects_in(text: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Yield the JSON objects that stand in a text, and where."""
    start, decoder = text.find("{"), json.JSONDecoder()
    while start >= 0:
        try:
            value, stop = decoder.raw_decode(text, start)
        except ValueError:
            stop = start + 1
        else:
            yield start, stop, value
        start = text.find("{", stop)
