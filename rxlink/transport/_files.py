"""The files of an operation: finding them in its variables, and reading each as often as it can be read."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary, WeakSet

from rxlink.core.options import kind_of
from rxlink.transport.upload import Upload, is_file, parts_of

__all__ = ["FilePart", "Files", "Write", "find_files"]

CHUNK: Final = 2**16  # bytes

Write: TypeAlias = Callable[[bytes], Awaitable[None]]


class FilePart:
    """One file of one operation, through all its attempts.

    Attributes:
        upload: The file.
        paths: Where it stands in the body, such as ``variables.file``.
        is_replayable: Whether it can be read more than once.
        is_spent: Whether it was read and cannot be read again.
    """

    __slots__ = ("_start", "_value", "is_replayable", "is_spent", "paths", "upload")

    def __init__(self, value: object) -> None:
        self._value = value  # held, so that no other object takes its place in memory
        self.upload = value if isinstance(value, Upload) else Upload(cast("Any", value))
        self.paths: list[str] = []
        source = self.upload.source
        self._start = _position(source)
        is_stream = _is_stream(source) or hasattr(source, "read")
        self.is_replayable = self._start is not None or not is_stream
        self.is_spent = (inspect.isasyncgen(source) and source.ag_frame is None) or _is_used_up(source)

    @property
    def is_taken(self) -> bool:
        """Whether another operation has begun to read what can be read once."""
        return not self.is_replayable and not self.is_spent and _is_used_up(self.upload.source)

    def size(self) -> int | None:
        """Return how many bytes will be sent, None where only the end will tell.

        Raises:
            OSError: There is no such file, or it cannot be read.
            ValueError: The file is closed.
        """
        source = self.upload.source
        if _is_in_memory(source):
            return memoryview(source).nbytes
        if _is_path(source):
            return Path(source).stat().st_size
        if _is_closed(source):
            raise ValueError("the file is closed")
        if self._start is None:
            return None
        with _lock_of(source):
            return source.seek(0, os.SEEK_END) - self._start

    async def send(self, write: Write, size: int | None) -> None:
        """Read it from its start, and write it.

        Args:
            write: Takes the next bytes.
            size: What :meth:`size` has said.

        Raises:
            Exception: Whatever reading raises; ``EOFError`` where it has become shorter.
        """
        self.is_spent = not self.is_replayable
        source = self.upload.source
        if self.is_spent:
            _use_up(source)
        if _is_in_memory(source):
            view = memoryview(source).cast("B")
            for at in range(0, len(view), CHUNK):
                await write(bytes(view[at : at + CHUNK]))
        elif _is_path(source):
            # Opened on the loop: where it is cancelled while a thread opens the file, nobody would close it.
            with Path(source).open("rb") as file:  # noqa: ASYNC230 - as above
                await _send_file(file, write, size)
        elif hasattr(source, "read"):  # also of those that iterate: an open file's steps are lines
            if self._start is not None:
                source = _Cursor(source, self._start)
            await _send_file(source, write, size)
        else:
            await _send_stream(source() if callable(source) else source, write)


class _Cursor:
    """Reads a file from a place of its own: other operations may read the same file meanwhile, in other threads."""

    def __init__(self, source: Any, start: int) -> None:
        self._source = source
        self._lock = _lock_of(source)
        self._place = start

    def read(self, size: int) -> Any:
        with self._lock:
            self._source.seek(self._place)
            chunk = self._source.read(size)
            self._place = self._source.tell()
            return chunk


Files: TypeAlias = dict[int, FilePart]
"""The files of an operation, by the identity of what stands in its variables."""


def find_files(variables: Mapping[str, Any], known: Files, *, only_marked: bool) -> tuple[Any, Files]:
    """Take the files out of variables.

    Args:
        variables: The variables, which stay as they are.
        known: The files that an earlier attempt has found: where one is read from is decided once.
        only_marked: Whether only an :class:`Upload` is a file, and not what could be one.

    Returns:
        The variables with None in the place of each file, and the files.

    Raises:
        InvariantTypeError: A file is opened as text.
    """
    found: Files = {}

    def without_files(value: Any, path: str) -> Any:
        parts = parts_of(value)
        if parts is not None:
            copied = {step: without_files(part, f"{path}.{step}") for step, part in parts}
            return copied if isinstance(value, Mapping) else list(copied.values())
        if not is_file(value, only_marked=only_marked):
            return value
        part = found.get(id(value))
        if part is None:
            part = found[id(value)] = known.get(id(value)) or FilePart(value)
            part.paths = []
        part.paths.append(path)
        return None

    try:
        return without_files(variables, "variables"), found
    except RecursionError:  # which encoding will tell of, with the place
        return variables, {}


# Functions, because a type that is told by `isinstance` is only partly known.


def _is_in_memory(value: object) -> bool:
    return isinstance(value, (bytes, bytearray, memoryview))


def _is_path(value: object) -> bool:
    return isinstance(value, os.PathLike)


def _is_stream(value: object) -> bool:
    return isinstance(value, AsyncIterable)


_used_up: WeakSet[Any] = WeakSet()
"""The streams that were read, by whichever operation: most cannot tell themselves."""


_locks: WeakKeyDictionary[Any, Lock] = WeakKeyDictionary()
"""Held while somebody moves about in an open file."""


def _lock_of(source: object) -> Lock:
    try:
        return _locks.setdefault(source, Lock())
    except TypeError:  # as below
        return Lock()


def _is_used_up(source: object) -> bool:
    try:
        return source in _used_up
    except TypeError:  # it has no hash, or no weak references
        return False


def _use_up(source: object) -> None:
    with suppress(TypeError):
        _used_up.add(source)


def _is_closed(source: object) -> bool:
    return getattr(source, "closed", False) is True


def _position(source: Any) -> int | None:
    """Return where a file stands that can be read from there again, which an asynchronous one cannot tell in time."""
    if not hasattr(source, "read") or iscoroutinefunction(source.read):
        return None
    return source.tell() if hasattr(source, "seekable") and not _is_closed(source) and source.seekable() else None


async def _send_file(file: Any, write: Write, size: int | None) -> None:
    """Send what is left of a file, or as many bytes as were announced; where reading does not wait, a thread does."""
    read = file.read if iscoroutinefunction(file.read) else partial(asyncio.to_thread, file.read)
    left = size
    while left != 0:
        chunk = await read(CHUNK if left is None else min(CHUNK, left))
        if not chunk and left is None:
            return
        if not chunk:
            raise EOFError("the file has become shorter")
        await write(_checked(chunk))
        left = None if left is None else left - len(chunk)


async def _send_stream(stream: Any, write: Write) -> None:
    async with AsyncExitStack() as stack:
        if hasattr(stream, "aclose"):
            await stack.enter_async_context(aclosing(stream))
        async for chunk in stream:
            await write(_checked(chunk))


def _checked(chunk: Any) -> bytes:
    if _is_in_memory(chunk):
        return bytes(chunk)
    raise TypeError(f"it gave {kind_of(chunk)} instead of bytes")
