"""Operations with their subscribers, and the server that answers them when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rxlink.core.link import ApolloLink, Forward
from rxlink.core.operation import Operation
from rxlink.core.subscription import Connect, ResultObserver, Subscription
from rxlink.errors import NetworkError, ServerError
from tests.auth.promise_records import REQUEST_ID, ObserverRaised, Send

if TYPE_CHECKING:
    from tests.auth.promise_world import World


@dataclass(eq=False)
class Op:
    """One operation and its subscriber."""

    world: World
    id: int
    parts: int
    reaction: str
    raises_in_setter_of_send: int = 0
    is_mutation: bool = False
    retry_mutations: bool | None = None
    """What its context says."""
    is_outside: bool = False
    """Whether it is none of the session's business."""
    is_nobodys: bool = False
    """Whether that is so since its key is None; else its context says it."""
    login: int | None = None
    exits: list[int] = field(default_factory=list)
    """The login of each time that the link under test has let it pass."""
    left_as_nobody_with_a_user: bool = False
    """Whether it last passed without a token although somebody was signed in."""
    left_with_refused_token: bool = False
    """Whether it last passed with a token that was known to be refused; below, a setter may take its time."""
    sends: list[Send] = field(default_factory=list)
    seen: list[tuple[str, int | None]] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    ends: list[Exception | None] = field(default_factory=list)
    own_errors: list[Exception] = field(default_factory=list)
    refusals: list[Any] = field(default_factory=list)
    late_calls: list[str] = field(default_factory=list)
    has_left: bool = False
    leaves_when_it_can: bool = False
    is_inner: bool = False
    is_held: bool = False
    """Whether the link under test has it: neither sent, nor answered."""
    must_be_retried: bool = False
    subscription: Any = None

    @property
    def name(self) -> str:
        return f"Work{self.id}"

    @property
    def is_open(self) -> bool:
        return not self.ends and not self.has_left

    @property
    def expected(self) -> list[Any]:
        return [{"data": {"operation": self.id, "part": part}} for part in range(self.parts)]

    @property
    def is_untouched(self) -> bool:
        """Whether the link under test must let it pass as it is."""
        return self.is_inner or self.is_outside

    @property
    def may_be_retried(self) -> bool:
        choice = self.retry_mutations
        return not self.is_mutation or (self.world.options.retry_mutations if choice is None else choice)

    def leave(self) -> None:
        if self.subscription is None:
            self.leaves_when_it_can = True  # `subscribe` has not returned yet
        elif self.is_open:
            self.has_left = True
            self.subscription.dispose()

    def on_next(self, result: Any) -> None:
        self._hear("on_next")
        self.results.append(result)
        self._react()

    def on_error(self, error: Exception) -> None:
        self._hear("on_error")
        self.ends.append(error)
        self._react()

    def on_completed(self) -> None:
        self._hear("on_completed")
        self.ends.append(None)

    def _hear(self, what: str) -> None:
        self.is_held = False
        if not self.is_open:
            self.late_calls.append(what)
        self.seen.append((what, REQUEST_ID.get()))

    def _react(self) -> None:
        reaction, self.reaction = self.reaction, "nothing"
        self.world.react(reaction, self)


class Attempt:
    """One send that waits for the server, in the slot of its subscription."""

    def __init__(self, send: Send, observer: ResultObserver, root: Subscription) -> None:
        self.send = send
        self._observer = observer
        self._root = root
        self._parts_sent = 0
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True

    def answer(self, how: str) -> None:
        """Answer in the context of the subscription, as the task of a transport does."""
        try:
            self._root.resume(self._answer, how)
        except ObserverRaised as error:
            # A transport dies of its consumer's exception: what follows is the engine's rule for its own tasks.
            if not self.is_over:
                self._end()
                self._root.resume(self._root.on_error, error)

    def _answer(self, how: str) -> None:
        if self.is_over:
            return
        if how == "as deserved":
            how = "accept" if self.send.is_good else "refuse"
        getattr(self, how.replace(" ", "_"))()

    def accept(self) -> None:
        while not self.is_over and self._parts_sent < self.send.op.parts:
            self.accept_a_part()
        if not self.is_over:
            self._end()
            self._observer.on_completed()

    def accept_a_part(self) -> None:
        if self._parts_sent < self.send.op.parts:
            self._parts_sent += 1
            self._observer.on_next(self.send.op.expected[self._parts_sent - 1])

    def refuse(self) -> None:
        """Refuse as a status or as a result, by turns."""
        if (self.send.op.id + len(self.send.op.sends)) % 2:
            self.refuse_by_status()
        else:
            self.refuse_by_result()

    def refuse_by_status(self) -> None:
        error = ServerError("401", status_code=401, headers={}, body_text="")
        self.send.op.own_errors.append(error)
        self._note_refusal()
        self._end()
        self._observer.on_error(error)

    def refuse_by_result(self) -> None:
        problem = {"message": f"operation {self.send.op.id}", "extensions": {"code": "UNAUTHENTICATED"}}
        result = {"data": None, "errors": [problem]}
        self.send.op.refusals.append(result)
        self._note_refusal()
        self._observer.on_next(result)
        if not self.is_over:
            self._end()
            self._observer.on_completed()

    def accept_a_part_and_refuse_by_result(self) -> None:
        self.accept_a_part()
        if not self.is_over:
            self.refuse_by_result()

    def break_down(self) -> None:
        error = NetworkError("connection reset")
        self.send.op.own_errors.append(error)
        self._end()
        self._observer.on_error(error)

    def _note_refusal(self) -> None:
        op, token = self.send.op, self.send.token
        op.is_held = True
        if token is None or self._parts_sent or op.is_untouched:
            return
        if not token.is_known_refused:
            token.is_known_refused = True
            op.world.note_refusal(token)
        op.must_be_retried = op.may_be_retried and not op.world.may_cool_down

    def _end(self) -> None:
        self.is_over = True
        self._root.release()


class Server(ApolloLink):
    """The end of every chain: keeps the ledger of sends, and answers at once or when told to."""

    is_terminating = True

    def __init__(self, find: Callable[[Operation], Op]) -> None:
        super().__init__()
        self._find = find

    def connect(self, forward: Forward) -> Connect:
        def start(operation: Operation, observer: ResultObserver, root: Subscription) -> None:
            header = (operation.get_context().get("headers") or {}).get("authorization")
            op = self._find(operation)
            op.seen.append(("send", REQUEST_ID.get()))
            attempt = Attempt(op.world.note_send(op, header), observer, root)
            op.world.attempts.append(attempt)
            root.hold(attempt)
            if op.world.server_policy == "at once":
                attempt.answer("as deserved")

        return start
