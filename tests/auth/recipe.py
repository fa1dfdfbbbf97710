"""Apollo's recipe for a concurrent token refresh, faithful to the tutorial, in a scripted world.

`onError` whose handler returns `fromPromise(...).filter(Boolean).flatMap(() => forward(operation))`, a flag
`isRefreshing`, a pending-request Subject, and an auth link behind it that reads the token again. Its defects are the
original's: `test_recipe.py` names them.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from reactivex import Observable, Subject

from rxlink.auth.classify import is_auth_error
from rxlink.core.chain import from_
from rxlink.core.link import ApolloLink
from rxlink.core.observables import from_future, resolve
from rxlink.core.operation import Operation
from rxlink.core.result import FetchResult
from rxlink.links.context import set_context
from rxlink.links.error import ErrorResponse, on_error
from tests.auth.promise_world import World


class Recipe:
    """The flag, the Subject, and the handler between them."""

    def __init__(self, world: World) -> None:
        assert world.current is not None
        self._world = world
        self._token = world.current.text
        self._is_refreshing = False
        self._pending_requests: Subject[str] = Subject()
        self.link: ApolloLink = from_([on_error(self._refresh_and_retry), set_context(self._authorize)])

    def _authorize(self, operation: Operation, context: Any) -> dict[str, Any]:
        return {"headers": {**context.get("headers", {}), "authorization": f"Bearer {self._token}"}}

    def _get_new_token(self) -> Awaitable[Any]:
        """May raise before there is anything to wait for, as a function that reads a store first does."""
        return resolve(self._world.issuer.refresh(None, "rejected"))

    async def _refresh(self, new_token: Awaitable[Any]) -> str | None:
        """`.then(resolve the pending) .catch(forget the pending) .finally(lower the flag)`."""
        try:
            tokens = await new_token
        except Exception:  # noqa: BLE001 - as in the tutorial
            self._pending_requests = Subject()
            return None
        else:
            self._token = tokens.access_token
            self._pending_requests.on_next(self._token)
            return self._token
        finally:
            self._is_refreshing = False

    def _refresh_and_retry(self, response: ErrorResponse) -> Observable[FetchResult] | None:
        if not is_auth_error(response.error if response.result is None else response.result):
            return None
        token: Observable[Any]
        if self._is_refreshing:
            token = self._pending_requests.take(1)
        else:
            self._is_refreshing = True
            token = from_future(self._refresh(self._get_new_token())).filter(bool)
        return token.flat_map(lambda _: response.forward(response.operation))


def recipe_chain(world: World) -> ApolloLink:
    return Recipe(world).link
