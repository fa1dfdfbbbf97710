"""The hashes of documents, by which a server can know them: each is computed once, at once or with waiting."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias, cast
from weakref import WeakKeyDictionary

from reactivex import Observable

from rxlink.core.documents import Document, DocumentNode, document_of
from rxlink.core.observables import from_future
from rxlink.core.options import kind_of
from rxlink.core.subscription import Subscription
from rxlink.errors import InvariantError, InvariantTypeError

__all__ = ["DocumentHashes", "HashFunction"]

HashFunction: TypeAlias = Callable[[DocumentNode], str | Awaitable[str]]


class _Pending(NamedTuple):
    """A hash that is being computed, for all who wait for it on that loop."""

    loop: asyncio.AbstractEventLoop
    outcome: Observable[str]


Known: TypeAlias = "WeakKeyDictionary[Document, str | _Pending]"


class DocumentHashes:
    """What a user's hash function makes of documents; a hash ends with its document.

    Those who need a hash that is being computed share the computation, and leaving never stops it. It belongs to its
    event loop: on another one it is begun anew.
    """

    __slots__ = ("_function", "_known", "_name")

    def __init__(self, name: str, function: HashFunction) -> None:
        """Make it.

        Args:
            name: What the function is called in error messages.
            function: Gets a document and returns its hash, or an awaitable of it.
        """
        self._name = name
        self._function = function
        self._known: Known = WeakKeyDictionary()

    def forget(self) -> None:
        """Compute each hash again when it is next asked for."""
        # Another mapping: what is still being computed ends up in this one.
        self._known = WeakKeyDictionary()

    def find(self, node: DocumentNode, root: Subscription) -> str | Observable[Any]:
        """Return the hash of a document, or the stream in which it will come, to be checked by ``checked``.

        Raises:
            Exception: What the function raises.
            InvariantTypeError: It returned no text.
            InvariantError: There is no event loop to wait on.
        """
        document = document_of(node)
        known = self._known.get(document)
        if isinstance(known, str):
            return known
        if known is not None and known.loop is root.event_loop():
            return known.outcome
        made = cast("object", self._function(node))
        if inspect.isawaitable(made) and not isinstance(made, Observable):
            return self._share(document, made, root)
        self._known[document] = hashed = self.checked(made)
        return hashed

    def checked(self, made: object) -> str:
        """Return what the function has made, if it can be a hash.

        Raises:
            InvariantTypeError: It is no text, or an empty one.
        """
        if isinstance(made, str) and made:
            return made
        what = "an empty text" if made == "" else f"{kind_of(made)}"
        raise InvariantTypeError(f"{self._name} returned {what}; return the hash of the document as text")

    def _share(self, document: Document, awaitable: Awaitable[Any], root: Subscription) -> Observable[Any]:
        try:
            loop = root.event_loop()
        except InvariantError:
            if inspect.iscoroutine(awaitable):
                awaitable.close()
            raise
        outcome = from_future(awaitable)
        self._known[document] = _Pending(loop, outcome)
        # Before those who wait, so that it is known when they go on; and for those who come when all have left.
        keeper = _Keeper(self._known, document)
        outcome.subscribe(keeper.on_next, keeper.on_error, scheduler=root.scheduler)
        return outcome


class _Keeper:
    """Keeps a hash when it comes, and nothing where it fails: whoever asks next tries again."""

    __slots__ = ("_document", "_known")

    def __init__(self, known: Known, document: Document) -> None:
        self._known = known
        self._document = document

    def on_next(self, made: object) -> None:
        if isinstance(made, str) and made:
            self._known[self._document] = made
        else:
            self._known.pop(self._document, None)

    def on_error(self, error: Exception) -> None:
        self._known.pop(self._document, None)
