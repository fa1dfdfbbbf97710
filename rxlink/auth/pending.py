"""The pending-request subject: operations that wait for one refresh.

In the recipe this is ``pendingRequests``, a list of callbacks, or a ``Subject`` that every waiting operation
subscribes with ``filter`` and ``take(1)``. This one is a ``Subject`` too, and can be subscribed and composed like any
other; what is hardened:

- the operations that wait *are* its entries, and each knows where it stands: joining and leaving cost the same however
  many wait (RxPY's Subject scans a list);
- they are released in order, each in the ``contextvars.Context`` of its own subscription, one whose callback raises
  does not stop the others, and in slices, so that the event loop never stalls;
- whoever joins after the end gets the outcome at once, so no one can fall between draining and resetting.

One subject per wave: a value and a completion, or an error; it is never used again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from reactivex import Subject, abc
from reactivex.internal.exceptions import SequenceContainsNoElementsError

from rxlink.core.subscription import Subscription
from rxlink.core.work import report_callback_error

__all__ = ["Callbacks", "PendingRequests", "Place", "Places"]

T = TypeVar("T")

SLICE = 256
"""How many are released in one turn of the event loop: a few milliseconds of work."""


class Places(list["Place[T] | None"]):
    """A slice of those who wait, in order, with None for each that has left.

    Attributes:
        left: How many have.
    """

    __slots__ = ("left",)

    def __init__(self) -> None:
        super().__init__()
        self.left = 0

    @property
    def waiting(self) -> int:
        """How many have not."""
        return len(self) - self.left


class PendingRequests(Subject[T]):
    """A Subject of one outcome whose waiters leave in O(1) and are released in isolation, in order, in slices.

    They join the slice that they will be released with: nothing has to be gone through for all of them at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slices: deque[Places[T]] = deque()
        self._in_hand: Places[T] | None = None
        self._most_slices = 1  # when there are so many, the empty ones are dropped
        self._values: tuple[T, ...] = ()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(places.waiting for places in [*self._slices])  # a copy: another thread may ask

    def wait(self, place: Place[T]) -> None:
        """Let an operation wait, in the slot of its subscription; it is told one thing, or leaves first."""
        slices = self._slices
        if self.is_stopped and not slices:
            self._settle(place)
            return
        # Who joins the slice that is in hand is released with it, behind the others.
        places = slices[-1] if slices and len(slices[-1]) < SLICE else self._begin_slice()
        place.places = places
        place.index = len(places)
        places.append(place)
        place.root.hold(place)

    def _begin_slice(self) -> Places[T]:
        if len(self._slices) >= self._most_slices:
            self._slices = deque(places for places in self._slices if places.waiting or places is self._in_hand)
            self._most_slices = 2 * len(self._slices) + 1
        places = Places[T]()
        self._slices.append(places)
        return places

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """Subscribe as to any Subject: the subscriber waits like an operation does."""
        root = Subscription(observer.on_next, observer.on_error, observer.on_completed, scheduler)

        def on_next(value: T) -> None:
            root.on_next(value)
            root.on_completed()

        self.wait(_Subscriber(root, on_next, root.on_error))
        return root

    def _on_next_core(self, value: T) -> None:
        self._values = (value,)

    def _on_error_core(self, error: Exception) -> None:
        self.exception = error
        self._drain()

    def _on_completed_core(self) -> None:
        self._drain()

    def _drain(self) -> None:
        room = SLICE
        while self._slices:
            places = self._slices[0]
            if places.waiting > room and self._goes_on_later():  # where many have left, several fit in one turn
                return
            self._in_hand = places
            room -= self._release(places)
            self._slices.popleft()
            places.clear()  # a first attempt may live on, and lead here
            self._in_hand = None

    def _goes_on_later(self) -> bool:
        """Leave the rest to the next turn of the loop; without a loop there is nothing that could stall."""
        try:
            asyncio.get_running_loop().call_soon(self._drain)
        except RuntimeError:
            return False
        return True

    def _release(self, places: Places[T]) -> int:
        released = 0
        for index, place in enumerate(places):
            if place is not None:  # one that is released may make others leave
                places[index] = None
                places.left += 1
                place.root.release()
                self._settle(place)
                released += 1
        return released

    def _settle(self, place: Place[T]) -> None:
        try:
            if self.exception is not None:
                place.root.resume(place.fail, self.exception)
            elif self._values:
                place.root.resume(place.go_on, *self._values)
            else:
                place.root.resume(place.go_without)
        except Exception as error:  # noqa: BLE001 - one waiter's callback must not stop the others
            report_callback_error(error)


class Place(Generic[T]):
    """One operation in the queue, and in the slot of its subscription, so that leaving takes it out.

    Very many may wait, so a subclass says with methods how its operation goes on, and holds nothing that it can do
    without. By the time that one of them is called, the slot is empty.

    Attributes:
        root: The operation's subscription.
        places: All that wait with it, once it waits.
        index: Where among them.
    """

    __slots__ = ("index", "places", "root")

    places: Places[T]
    index: int

    def __init__(self, root: Subscription) -> None:
        self.root = root

    def go_on(self, value: T) -> None:
        """Go on with the value."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """End with the error."""
        raise NotImplementedError

    def go_without(self) -> None:
        """End: there was no value, and no error."""
        self.fail(SequenceContainsNoElementsError())

    def cancel(self) -> None:
        """Leave."""
        places = self.places
        places[self.index] = None
        places.left += 1


class Callbacks(Place[T]):
    """A place whose operation goes on in functions.

    Args:
        root: The operation's subscription.
        on_next: Called with the value.
        on_error: Called with the error.
    """

    __slots__ = ("_on_error", "_on_next")

    def __init__(self, root: Subscription, on_next: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        super().__init__(root)
        self._on_next = on_next
        self._on_error = on_error

    def go_on(self, value: T) -> None:
        """Go on with the value."""
        self._on_next(value)

    def fail(self, error: Exception) -> None:
        """End with the error."""
        self._on_error(error)


class _Subscriber(Callbacks[T]):
    """The place of one who has subscribed as to any Subject."""

    __slots__ = ()

    def go_without(self) -> None:
        self.root.on_completed()
