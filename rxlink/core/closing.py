"""How links are entered and closed together: whatever one of them does, each is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rxlink.core.link import ApolloLink

__all__ = ["close_all", "enter_or_close", "links_below"]


def links_below(link: ApolloLink) -> Iterator[ApolloLink]:
    """Walk the single links that a chain is made of, each once however often it stands there; none of a single link."""
    return (single for single in _single_links(link, set()) if single is not link)


async def close_all(links: Iterable[ApolloLink]) -> None:
    """Close links one after the other; where one is interrupted, by a cancellation mostly, the others still are closed.

    Raises:
        BaseException: The first interruption, caused by the failures if there were any.
        Exception: Closing one failed.
        ExceptionGroup: Closing several failed.
    """
    failures: list[Exception] = []
    interruption: BaseException | None = None
    for link in links:
        try:
            await link.aclose()
        except Exception as failure:  # noqa: BLE001 - raised when the others are closed
            failures.append(failure)
        except GeneratorExit:  # whoever awaited this has gone, and nothing can be awaited any more
            raise
        except BaseException as reason:  # noqa: BLE001 - the same
            interruption = interruption or reason
    failure = _together(failures)
    try:
        if interruption is not None:
            raise interruption from failure
        if failure is not None:
            raise failure
    finally:
        del interruption, failures, failure  # their tracebacks hold this frame: no cycles


async def enter_or_close(enter: Callable[[], Awaitable[object]], close: Callable[[], Awaitable[None]]) -> None:
    """Enter; or else close, and raise what entering has raised, with what closing may have raised as its context."""
    try:
        await enter()
    except BaseException as error:
        try:
            await close()
        except Exception:  # noqa: BLE001 - the context of the first
            raise error  # noqa: B904 - the same
        raise


def _single_links(link: ApolloLink, seen: set[int]) -> Iterator[ApolloLink]:
    if id(link) in seen:
        return
    seen.add(id(link))
    children = link.children()
    if not children:
        yield link
    for child in children:
        yield from _single_links(child, seen)


def _together(failures: list[Exception]) -> Exception | None:
    return ExceptionGroup("closing a chain failed", failures) if len(failures) > 1 else next(iter(failures), None)
