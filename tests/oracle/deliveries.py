"""The payloads in which a server may deliver a result, in either format of incremental delivery, drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from itertools import count
from typing import Any, TypeAlias

from hypothesis import strategies as st

from tests.oracle.plans import SELDOM, SOMETIMES, Deferred, Fields, Plan, Planner, Streamed

__all__ = ["Delivery", "deliveries"]

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = list[str | int]


@dataclass
class Delivery:
    """What a server sends, and what comes of it.

    Attributes:
        chunks: Its payloads.
        result: What they come to in all.
        plan: What they were made of.
    """

    chunks: list[Json]
    result: Json
    plan: Fields


def deliveries(handler: str) -> st.SearchStrategy[Delivery]:
    """Return the strategy for a format, which has the name of Apollo's handler."""
    return _deliveries({"defer20220824": _ByPath, "graphql17Alpha9": _ById}[handler])


@st.composite
def _deliveries(draw: st.DrawFn, sender: Callable[[Planner], _Sender]) -> Delivery:
    planner = Planner(draw)
    plan = planner.fields()
    server = sender(planner)
    chunks = list(server.chunks(plan))
    return Delivery(chunks, {"data": plan.whole(), **server.beside}, plan)


@dataclass(eq=False)
class _Work:
    """What is still to come: a fragment, or the rest of a list."""

    id: str
    path: Path
    plan: Deferred | Streamed
    sent: int = 0

    @property
    def has_items(self) -> bool:
        return isinstance(self.plan, Streamed) and self.sent < len(self.plan.later)

    @property
    def is_over(self) -> bool:
        return isinstance(self.plan, Streamed) and not self.has_items and not self.plan.fails


class _Sender:
    """Delivers a plan, in an order that is drawn.

    Attributes:
        beside: The errors and extensions that were sent.
        works: What is begun.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.beside: Json = {}
        self.works: list[_Work] = []
        self._found: list[_Work] = []
        self._ids = map(str, count())
        self._numbers = count()

    def chunks(self, plan: Fields) -> Iterator[Json]:
        """Yield the payloads."""
        first = {"data": self.now(plan, []), **self.extras()}
        ends_alone = self.planner.is_drawn(SOMETIMES)
        yield {**self.first(first), "hasNext": bool(self.works) or ends_alone}
        while self.works:
            yield {**self.next(), "hasNext": bool(self.works) or ends_alone}
        if ends_alone:
            yield {"hasNext": False, **self.extensions()}

    def first(self, chunk: Json) -> Json:
        """Return the first payload with what belongs to it."""
        raise NotImplementedError

    def next(self) -> Json:
        """Return the next payload; something is left to be sent."""
        raise NotImplementedError

    def now(self, plan: Plan, path: Path) -> Any:
        """Return what is sent of a plan at once; what comes later is found."""
        if isinstance(plan, Fields):
            data = {name: self.now(value, [*path, name]) for name, value in plan.values.items()}
            self._found += [_Work(next(self._ids), path, fragment) for fragment in plan.deferred]
            return data
        if isinstance(plan, Streamed):
            self._found.append(_Work(next(self._ids), path, plan))
            plan = plan.initial
        return [self.now(item, [*path, index]) for index, item in enumerate(plan)] if isinstance(plan, list) else plan

    def begin_found(self) -> list[_Work]:
        """Begin what was found, and return it."""
        found, self._found = self._found, []
        self.works += found
        return found

    def some_works(self) -> Iterator[_Work]:
        """Yield some of what is begun: what the next payload is about."""
        for _ in range(self.planner.draw(st.integers(1, 3))):
            if self.works:
                yield self.planner.draw(st.sampled_from(self.works))

    def items(self, work: _Work, plan: Streamed) -> list[Any]:
        """Return the next items of a list, at least one."""
        size = self.planner.draw(st.integers(1, len(plan.later) - work.sent))
        start = len(plan.initial) + work.sent
        items = plan.later[work.sent : work.sent + size]
        work.sent += size
        return [self.now(item, [*work.path, start + index]) for index, item in enumerate(items)]

    def extras(self) -> Json:
        """Return errors and extensions, seldom."""
        return {**(self.failure() if self.planner.is_drawn(SELDOM) else {}), **self.extensions()}

    def failure(self) -> Json:
        """Return errors."""
        errors = [{"message": f"error {next(self._numbers)}"}]
        self.beside["errors"] = [*self.beside.get("errors", []), *errors]
        return {"errors": errors}

    def extensions(self) -> Json:
        """Return extensions, seldom."""
        if not self.planner.is_drawn(SELDOM):
            return {}
        extensions = {self.planner.draw(st.sampled_from("xyz")): next(self._numbers)}
        self.beside["extensions"] = {**self.beside.get("extensions", {}), **extensions}
        return {"extensions": extensions}


class _ByPath(_Sender):
    """The format of August 2022: entries have paths, and nothing tells that a list has ended."""

    def first(self, chunk: Json) -> Json:
        self.begin_found()
        return chunk

    def next(self) -> Json:
        return {"incremental": [self._entry(work) for work in self.some_works()]}

    def begin_found(self) -> list[_Work]:
        found = super().begin_found()
        self.works = [work for work in self.works if not work.is_over]
        return found

    def _entry(self, work: _Work) -> Json:
        plan = work.plan
        if isinstance(plan, Deferred):
            self.works.remove(work)
            entry = {"data": None, **self.failure()} if plan.fails else self._data(plan, work.path)
            entry["path"] = work.path
        else:
            entry = {"path": [*work.path, len(plan.initial) + work.sent], **self._items(work, plan)}
        self.begin_found()
        return entry if plan.label is None else {**entry, "label": plan.label}

    def _data(self, plan: Deferred, path: Path) -> Json:
        return {"data": self.now(plan.fields, path), **self.extras()}

    def _items(self, work: _Work, plan: Streamed) -> Json:
        if work.has_items:
            return {"items": self.items(work, plan), **self.extras()}
        self.works.remove(work)
        return {"items": None, **self.failure()}


class _ById(_Sender):
    """The format v0.2: what is pending has an id and is completed, and nothing is sent twice."""

    def __init__(self, planner: Planner) -> None:
        super().__init__(planner)
        self._sent: Json = {}
        self._ended: set[_Work] = set()

    def first(self, chunk: Json) -> Json:
        self._sent = deepcopy(chunk["data"])
        pending = self._pending()
        return {**chunk, "pending": pending} if pending else chunk

    def next(self) -> Json:
        entries: list[Json] = []
        pending: list[Json] = []
        completed: list[_Work] = []
        for work in self.some_works():
            entries += self._entries(work)
            pending += self._pending()
            if work in self._ended and not self.planner.is_drawn(SOMETIMES):
                self.works.remove(work)
                completed.append(work)
        ends = [{"id": work.id, **(self.failure() if work.plan.fails else {})} for work in completed]
        chunk = {"pending": pending, "incremental": entries, "completed": ends}
        return {name: value for name, value in chunk.items() if value}

    def _pending(self) -> list[Json]:
        return [
            {"id": work.id, "path": work.path, **({} if work.plan.label is None else {"label": work.plan.label})}
            for work in self.begin_found()
        ]

    def _entries(self, work: _Work) -> list[Json]:
        plan = work.plan
        if work in self._ended:
            return []
        if isinstance(plan, Streamed):
            entries = [{"items": self.items(work, plan)}] if work.has_items else []
            for entry in entries:
                _at(self._sent, work.path).extend(deepcopy(entry["items"]))
        else:
            entries = [] if plan.fails else self._new_data(plan, work.path)
        if not work.has_items:
            self._ended.add(work)
        return [{"id": work.id, **entry, **self.extras()} for entry in entries]

    def _new_data(self, plan: Deferred, path: Path) -> list[Json]:
        data, kept = self.now(plan.fields, path), _at(self._sent, path)
        entries = [
            {"data": part, **({"subPath": where} if where else {})} for where, part in _new_parts(data, kept, [])
        ]
        for entry in entries:
            _at(kept, entry.get("subPath", [])).update(deepcopy(entry["data"]))
        return entries


def _at(data: Any, path: Path) -> Any:
    return reduce(lambda inner, key: inner[key], path, data)


def _new_parts(data: Any, kept: Any, path: Path) -> list[tuple[Path, Json]]:
    """Return what is not there yet, with the places of the objects it belongs to."""
    if isinstance(data, list):
        parts = [_new_parts(item, kept[index], [*path, index]) for index, item in enumerate(data)]
    elif isinstance(data, dict):
        new = {name: value for name, value in data.items() if name not in kept}
        old = [_new_parts(value, kept[name], [*path, name]) for name, value in data.items() if name in kept]
        parts = [[(path, new)] if new else [], *old]
    else:
        parts = []
    return [part for found in parts for part in found]
