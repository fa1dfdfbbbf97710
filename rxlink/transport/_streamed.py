"""The lists that an execution streams: what their resolvers have opened is closed with it.

graphql-core 3.3 closes them too, but not where it is cancelled before the first piece has come; it cancels the end of
an asynchronous generator once more, before that has come to its own end; and what is left of a plain iterator it runs
to its end, with all the coroutines that come out of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import GeneratorType
from typing import Any, cast

import graphql

from rxlink.core.work import close_unawaited, report_callback_error
from rxlink.errors import OperationCancelled

__all__ = ["StreamedLists"]

_pyutils: Any = graphql.pyutils


class StreamedLists:
    """The lists of one execution that are streamed; a middleware of graphql-core, which finds ``resolve``."""

    __slots__ = ("_is_over", "_open")

    def __init__(self) -> None:
        self._is_over = False
        self._open: dict[_Items | _Source, None] = {}  # used as an ordered set

    def resolve(self, resolver: Callable[..., Any], source: Any, info: Any, /, **arguments: Any) -> Any:
        """Call a resolver; hold the list that it returns if that is to be streamed."""
        value = resolver(source, info, **arguments)
        if not any(directive.name.value == "stream" for directive in info.field_nodes[0].directives or ()):
            return value
        return self._hold_later(value) if _pyutils.is_awaitable(value) else self._held(value)

    def stop(self) -> None:
        """Close what can be closed at once: plain iterators, those too that resolvers still open on their way out."""
        self._is_over = True
        for opened in list(self._open):
            if isinstance(opened, _Items):
                opened.close()

    async def aclose(self) -> None:
        """Close the others, and wait for that."""
        await asyncio.gather(*(opened.aclose() for opened in list(self._open) if isinstance(opened, _Source)))

    async def _hold_later(self, value: Any) -> Any:
        return self._held(await value)

    def _held(self, value: Any) -> Any:
        opened: _Items | _Source
        if _pyutils.is_async_iterable(value):
            opened = _Source(value, self._forget)
        elif _pyutils.is_iterable(value):
            opened = _Items(value, self._forget)
        else:
            return value
        self._open[opened] = None
        if self._is_over:
            self.stop()
        return opened

    def _forget(self, opened: _Items | _Source) -> None:
        self._open.pop(opened, None)


class _Items:
    """A plain iterable in the hands of graphql-core; it is at its end when it is closed."""

    __slots__ = ("_forget", "_iterable", "_iterator")

    def __init__(self, iterable: Iterable[Any], forget: Callable[[_Items], None]) -> None:
        self._iterable = iterable
        self._iterator: Iterator[Any] | None = iter(iterable)
        self._forget = forget

    def __iter__(self) -> _Items:
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            raise StopIteration
        try:
            return next(self._iterator)
        except BaseException:
            self._iterator = None
            self._forget(self)
            raise

    def close(self) -> None:
        iterator, self._iterator = self._iterator, None
        self._forget(self)
        try:
            if isinstance(self._iterable, GeneratorType):
                cast("GeneratorType[Any, Any, Any]", self._iterable).close()
            elif isinstance(self._iterable, (list, tuple)):
                for item in iterator or ():  # whatever else makes its items when it is asked
                    close_unawaited(item)
        except Exception as error:  # noqa: BLE001 - whatever a resolver does at its end
            report_callback_error(error)


class _Source:
    """An asynchronous iterable in the hands of graphql-core.

    It lives in a task of its own from its beginning to its end, which nobody cancels twice: so it can close what it has
    opened, in the task that has opened it.
    """

    __slots__ = ("_answer", "_asked", "_forget", "_is_ending", "_iterable", "_task")

    def __init__(self, iterable: AsyncIterable[Any], forget: Callable[[_Source], None]) -> None:
        self._iterable = iterable
        self._forget = forget
        self._asked = asyncio.Event()
        self._answer: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> Any:
        if self._is_ending:
            raise StopAsyncIteration
        self._answer = asyncio.get_running_loop().create_future()
        self._asked.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await self._answer

    async def aclose(self) -> None:
        """Close it, and wait for that: where this is cancelled, only the waiting is."""
        task = self._task
        if task is not None:
            if not self._is_ending and not task.cancelling():
                task.cancel()
            self._is_ending = True
            await asyncio.wait((task,))
        if task is None or task.cancelled():  # it has not come to its first step
            self._is_ending = True
            await _close(self._iterable)
        self._forget(self)

    async def _run(self) -> None:
        try:
            iterator = aiter(self._iterable)
        except Exception as error:  # noqa: BLE001 - of the user's class
            end: Exception = error
        else:
            end = await self._read(iterator)
            self._is_ending = True
            await _close(iterator)
        self._forget(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(end)

    async def _read(self, iterator: AsyncIterator[Any]) -> Exception:
        """Tell what is asked for, and return why that has ended."""
        try:
            while not self._is_ending:
                await self._asked.wait()
                self._asked.clear()
                self._tell(await anext(iterator))
        except Exception as error:  # noqa: BLE001 - at its end, or failed
            return error
        except asyncio.CancelledError:
            return OperationCancelled("the iterator of a streamed list")
        return StopAsyncIteration()

    def _tell(self, item: Any) -> None:
        if self._answer is None or self._answer.done():
            close_unawaited(item)
        else:
            self._answer.set_result(item)


async def _close(iterator: Any) -> None:
    close = getattr(iterator, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - whatever a resolver does at its end
        report_callback_error(error)
