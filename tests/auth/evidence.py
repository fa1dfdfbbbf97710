"""All that could show a secret, kept as text: log records, warnings, errors with their causes, printed objects."""

import asyncio
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rxlink.errors import RxlinkError

PLANTED = "pl4nted"
"""In every secret of these tests, more than once."""


class Evidence:
    """What was gathered.

    Attributes:
        records: Log records of everybody, from DEBUG on.
        things: What is looked at as it would be printed; add to it.
        errors: The same, but of these only what each says itself, and not what stands in its attributes.
        marks: What gives a secret away.
    """

    def __init__(self, records: list[logging.LogRecord], caught: list[warnings.WarningMessage]) -> None:
        self.records = records
        self.warnings = caught
        self.things: list[Any] = []
        self.errors: list[BaseException] = []
        self.complaints: list[dict[str, Any]] = []
        self.marks = [PLANTED]

    def texts(self) -> Iterator[str]:
        formatter = logging.Formatter("%(message)s %(args)s %(exc_info)s %(stack_info)s")
        for record in self.records:
            yield formatter.format(record)
            yield repr(record.__dict__)
        for thing in [*self.things, *self.complaints]:
            yield from (repr(thing), str(thing), f"{thing}")
            if isinstance(thing, BaseException):
                yield from _texts_of(thing)
                yield from (repr(vars(each)) for each in _chain_of(thing))
        for error in self.errors:
            yield from _texts_of(error)
        yield from (str(warning.message) for warning in self.warnings)

    def own_words(self) -> Iterator[str]:
        """What rxlink says itself, and not what the exceptions say that it keeps as causes and hands on."""
        for record in self.records:
            if record.name.startswith("rxlink"):
                yield from (record.getMessage(), repr(record.args))
        yield from (str(complaint["message"]) for complaint in self.complaints)
        for thing in self.things:
            yield from (repr(thing), str(thing))
        for error in self.errors:
            for each in _chain_of(error):
                if isinstance(each, RxlinkError):
                    yield from (repr(each), str(each), repr(each.args))

    def with_a_secret(self) -> list[str]:
        return [text for text in self.texts() if any(mark in text for mark in self.marks)]

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep what the loop's exception handler is told, and let asyncio log the repr of all that it runs."""
        show_all(loop)

        def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            self.complaints.append(context)
            loop.default_exception_handler(context)

        loop.set_exception_handler(handle)


def _texts_of(error: BaseException) -> Iterator[str]:
    yield "".join(traceback.format_exception(error))
    for each in _chain_of(error):
        yield from (repr(each), str(each), repr(each.args), repr(getattr(each, "__notes__", None)))


def _chain_of(error: BaseException) -> list[BaseException]:
    """Return an error with all that led to it, also what is not shown."""
    found: list[BaseException] = []
    rest: list[BaseException | None] = [error]
    while rest:
        each = rest.pop()
        if each is not None and each not in found:
            found.append(each)
            rest += [each.__cause__, each.__context__]
    return found


class Collector(logging.Handler):
    """Keeps every record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def gathered() -> Iterator[Evidence]:
    """Keep everything at DEBUG, from everybody; warnings are recorded instead of raised."""
    root, collector = logging.getLogger(), Collector()
    before = root.level
    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield Evidence(collector.records, caught)
    finally:
        root.removeHandler(collector)
        root.setLevel(before)


def show_all(loop: asyncio.AbstractEventLoop) -> None:
    """Let asyncio log the repr of every callback that it runs, and of every task in it."""
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
