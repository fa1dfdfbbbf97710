"""Scenarios drawn at random: chains, answers of the server, when operations start, leave and come again.

What a link adds to the draw stands in its module in `links/`: `MIDDLE` and `ENDS` map words to strategies.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

from hypothesis import strategies as st

from tests.oracle.registry import LINKS

__all__ = ["scenarios"]

Json: TypeAlias = dict[str, Any]

IDS = "ABCD"
MOMENTS = st.integers(0, 30)

ERRORS = {"data": None, "errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}
CONTENTS: list[Json] = [
    {},
    {"body": {"data": {"a": 1}, "extensions": {"cost": 1}}},
    {"body": {"data": {"a": None}, "errors": [{"message": "partly", "path": ["a"]}]}},
    {"body": ERRORS},
    {"body": {"errors": [{"message": "PersistedQueryNotFound"}]}},
    {"status": 401, "body": ERRORS},
    {"status": 401, "headers": {"content-type": "application/graphql-response+json"}, "body": ERRORS},
    {"status": 503, "text": "down"},
    {"status": 500, "body": {"errors": [{"message": "internal"}]}},
    {"text": "no JSON"},
    {"body": {"other": 1}},
    {"fail": True},
    {"never": True},
]
TIMES: list[Json] = [{"after": 0}, {"after": 3}, {"after": 5}, {"after": 10}, {"after": 5, "bodyAfter": 5}]
BROKEN: list[Json] = [{"after": 5, "bodyAfter": 5, "cut": True}]
PARTS: list[list[Json]] = [
    [{"data": {"a": 1}}, {}, {"data": {"a": 2}}],
    [{"payload": {"data": {"a": 1}}}, {"payload": {"data": {"a": None}, "errors": [{"message": "partly"}]}}],
    [{"payload": {"data": {"a": 1}}}, {"payload": None}, {"payload": {"data": {"a": 2}}}],
    [{"data": {"a": 1}, "hasNext": True}, {"incremental": [{"path": [], "data": {"b": 1}}], "hasNext": False}],
]
STREAMS: list[Json] = [
    {"after": after, "parts": [[gap, part] for part in parts], **end}
    for parts in PARTS
    for after, gap in [(0, 0), (5, 0), (3, 5)]
    for end in ({}, {"cut": True})
]
# One draw for an answer and not one for each part of it: drawing takes longer than playing.
ANSWERS = st.lists(
    st.sampled_from([{**content, **time} for content in CONTENTS for time in TIMES] + BROKEN + STREAMS),
    min_size=1,
    max_size=3,
)


def scenarios() -> st.SearchStrategy[Json]:
    """Return the strategy."""
    return st.builds(
        _scenario,
        st.lists(_links("MIDDLE"), max_size=4),
        _links("ENDS"),
        st.lists(st.tuples(_operations(), ANSWERS), min_size=1, max_size=len(IDS)),
        ANSWERS,
    )


def _scenario(middle: list[Json], end: Json, operations: list[tuple[Json, list[Json]]], others: list[Json]) -> Json:
    chain = _answering_once([*_with_one_of_a_kind(middle), end])
    is_batch = end["link"].startswith("batch")
    others = [answer for answer in others if not is_batch or _may_answer_a_batch(answer)]
    scenario: Json = {
        "chain": [_for_batches(link) for link in chain] if is_batch else chain,
        "server": {"*": _for_chain(others, chain)},
        "operations": [],
        "until": 2000,
    }
    for name, (operation, answers) in zip(IDS, operations, strict=False):
        # A second subscription would share its place in a batch there, or meet with what is sent for the first one
        # although it has left; both are accepted differences that change what comes after them.
        is_single = is_batch or _waits_for_a_promise(chain)
        left_out = {"resubscribe"} if is_single else set[str]()
        if _may_answer_at_once(chain):
            left_out.add("take")
        known = {word: operation[word] for word in operation if word not in left_out}
        scenario["operations"].append({**known, "id": name})
        scenario["server"][name] = _for_chain(answers, chain)
    return scenario


def _links(table: str) -> st.SearchStrategy[Json]:
    found: dict[str, st.SearchStrategy[Json]] = {}
    for path in sorted(LINKS.glob("*.py")):
        found |= getattr(importlib.import_module(f"tests.oracle.links.{path.stem}"), table, {})
    return st.one_of([strategy.map(lambda spec, word=word: {"link": word, **spec}) for word, strategy in found.items()])


def _with_one_of_a_kind(links: list[Json]) -> list[Json]:
    """Leave out a second link for persisted queries: nobody sends the hash of a hash."""
    hashing = [place for place, link in enumerate(links) if link["link"] == "persisted-queries"]
    return [link for place, link in enumerate(links) if place not in hashing[1:]]


def _answering_once(chain: list[Json]) -> list[Json]:
    """Let one result come to an error link that answers.

    In Apollo the rest of the stream changes the answer; hand-written scenarios show that.
    """
    answers = [index for index, link in enumerate(chain) if _answers_errors([link])]
    if not answers:
        return chain
    start = answers[0] + 1
    return [*chain[:start], *map(_once, chain[start:])]


def _once(link: Json) -> Json:
    if link.get("do") == "answer" and link["values"]:
        return {"link": link["link"], "do": "answer", "values": link["values"][:1]}
    return _forwarding_once(link)


def _waits_for_a_promise(chain: list[Json]) -> bool:
    """Tell whether a link waits for a promise, after which Apollo goes on for those too who have left."""
    return any(
        (link["link"] == "persisted-queries" and "after" in link)
        or (link["link"] == "retry" and "'after'" in str(link["attempts"]))
        for link in chain
    )


def _may_answer_at_once(chain: list[Json]) -> bool:
    """Tell whether an answer may come before `subscribe` has returned, and in Apollo later, after a promise.

    A subscriber can then leave inside its first result there, and only after it here.
    """
    waits_there = any(link["link"] in ("context", "persisted-queries") for link in chain)
    is_ready = chain[-1]["link"] == "handler" or any("throws" in link for link in chain)
    return waits_there and is_ready


def _for_chain(answers: list[Json], chain: list[Json]) -> list[Json]:
    """Leave out answers in pieces where nobody reads them, or where an error link would answer one of several results.

    A link that has no handler gives increments as they come there, and merges them here.
    """
    end = chain[-1]
    is_read = end["link"] in ("http", "base-http") and not _answers_errors(chain)
    return [
        answer
        for answer in answers
        if "parts" not in answer or (is_read and ("incremental" in end or "hasNext" not in str(answer)))
    ] or [{}]


def _answers_errors(chain: list[Json]) -> bool:
    return any(rule["do"] != "pass" for link in chain for rule in link.get("handler", []))


def _may_answer_a_batch(answer: Json) -> bool:
    """Leave out single responses whose error is another one here.

    Persisted queries leave a single response alone, whose error has a body here and none there; one with a status that
    says more than its length has that status here.
    """
    is_read_whatever_its_status = "headers" in answer and answer.get("status", 200) != 200
    return "PersistedQuery" not in str(answer.get("body")) and not is_read_whatever_its_status


def _for_batches(link: Json) -> Json:
    """Leave out GET, and who is sent in Apollo after having left: others' batches would have one member more."""
    if link["link"] == "persisted-queries":
        return {"link": link["link"], "hash": "name"}
    if link["link"] == "retry":
        return {**link, "attempts": {"max": 2, "retryIf": ["always"]}}
    return _forwarding_once(link)


def _forwarding_once(link: Json) -> Json:
    return {**link, "do": "forward"} if link.get("do") == "forward-twice" else link


def _operations() -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"start": st.integers(0, 10)},
        optional={
            "unsubscribe": st.lists(st.none() | MOMENTS, min_size=1, max_size=2),
            "resubscribe": st.lists(st.integers(11, 40), min_size=1, max_size=2),
            "take": st.integers(1, 2),
            "context": st.just({"headers": {"x-own": "1"}}),
        },
    )
