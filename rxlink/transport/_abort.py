"""A request and the signal that may abort it: whichever comes first ends the other.

Ports: ``@apollo/client`` 4.3.8 ``src/link/http/BaseHttpLink.ts``, how ``fetchOptions.signal`` is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import Observable

from rxlink.core.chain_observable import subscribe_foreign
from rxlink.core.result import FetchResult
from rxlink.core.subscription import ResultObserver, Subscription
from rxlink.core.work import report_callback_error
from rxlink.errors import AbortError

__all__ = ["Abortable"]


class Abortable:
    """One request that a signal may abort; each of the two has a scope of its own."""

    __slots__ = ("_is_aborted", "_is_over", "_observer", "_request", "_root", "_signal", "_what")

    def __init__(self, what: object, observer: ResultObserver, root: Subscription) -> None:
        """Begin with nothing running.

        Args:
            what: As text, which operation this is and where it goes.
            observer: Whom the request tells.
            root: What both run in.
        """
        self._what = what
        self._observer = observer
        self._root = root
        self._signal = root.open_scope()
        self._request = root.open_scope()
        self._is_aborted = False
        self._is_over = False

    def start(self, signal: Observable[Any], send: Callable[[ResultObserver, Subscription], None]) -> None:
        """Listen to the signal, and send; where it has come already, the scope for sending is closed by now."""
        try:
            subscribe_foreign(signal, _Listener(self), self._signal)
            send(self, self._request)
        except BaseException:  # such as of a task factory
            self._stop()
            raise

    def abort(self, reason: object) -> None:
        """Stop the request, and tell why; in the context of its own subscriber."""
        if not self._is_over:
            try:
                self._root.resume(self._abort, reason)
            except Exception as error:  # noqa: BLE001 - one subscriber's callback must not stop a signal of many
                report_callback_error(error)

    def on_next(self, result: FetchResult) -> None:
        if not self._is_aborted:  # middleware of a given session may go on in spite of its cancellation
            if not self._request.is_busy:  # nothing more will come
                self._stop()
            self._observer.on_next(result)

    def on_error(self, error: Exception) -> None:
        if not self._is_aborted:
            self._stop()
            self._observer.on_error(error)

    def on_completed(self) -> None:
        if not self._is_aborted:
            self._observer.on_completed()

    def _abort(self, reason: object) -> None:
        self._is_aborted = True
        self._stop()
        self._observer.on_error(reason if isinstance(reason, Exception) else AbortError(str(self._what)))

    def _stop(self) -> None:
        self._is_over = True
        self._signal.close()
        self._request.close()


class _Listener:
    """What the signal is told to."""

    __slots__ = ("_abortable",)

    def __init__(self, abortable: Abortable) -> None:
        self._abortable = abortable

    def on_next(self, reason: object) -> None:
        self._abortable.abort(reason)

    def on_error(self, error: Exception) -> None:
        self._abortable.abort(error)

    def on_completed(self) -> None:
        """Go on: this signal never comes."""
