"""DedupLink: many subscribers, leaving in any order, and whatever the server sends: each sees what a model says."""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from reactivex import Subject

from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.links.dedup import DedupLink
from tests.recording import END

DOWN = OSError("down")
KEYS = ["a", "b"]


class ConsumerError(Exception):
    """What a subscriber's callback raises."""


@dataclass(eq=False)
class Subscriber:
    """One of them, and what it does at its first result: nothing, `raise`, `leave` or `ask` again."""

    key: str
    habit: str
    seen: list[object] = field(default_factory=list)
    expected: list[object] = field(default_factory=list)
    subscription: object = None


@dataclass(eq=False)
class Flight:
    """What the model knows of a request."""

    key: str
    waiting: list[Subscriber] = field(default_factory=list)


class Sharing(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.requests = []  # a Subject for each
        self.flights = []  # the model's
        self.joinable = {}
        self.subscribers = []
        self.link = from_([DedupLink(), ApolloLink(self.serve)])

    def serve(self, operation, forward):
        self.requests.append(Subject())
        return self.requests[-1]

    # what really happens

    def really_subscribe(self, subscriber):
        results = execute(self.link, GraphQLRequest("query ($key: ID) { a }", {"key": subscriber.key}))

        def on_next(value):
            is_first = not subscriber.seen
            subscriber.seen.append(value)
            if is_first:
                self.follow_habit(subscriber)

        subscriber.subscription = results.subscribe(
            on_next, subscriber.seen.append, lambda: subscriber.seen.append(END)
        )

    def follow_habit(self, subscriber):
        if subscriber.habit == "raise":
            raise ConsumerError
        if subscriber.habit == "leave":
            subscriber.subscription.dispose()
        if subscriber.habit == "ask":
            self.subscribers.append(again := Subscriber(subscriber.key, "nothing"))
            self.really_subscribe(again)

    # what the model expects

    def expect_subscriber(self, subscriber):
        flight = self.joinable.get(subscriber.key)
        if flight is None:
            flight = self.joinable[subscriber.key] = Flight(subscriber.key)
            self.flights.append(flight)
        flight.waiting.append(subscriber)

    def close_door(self, flight):
        if self.joinable.get(flight.key) is flight:
            del self.joinable[flight.key]

    def expect_leaving(self, flight, subscriber):
        flight.waiting.remove(subscriber)
        if not flight.waiting:
            self.close_door(flight)

    def expect_result(self, flight, value):
        self.close_door(flight)
        for subscriber in list(flight.waiting):
            is_first = not subscriber.expected
            subscriber.expected.append(value)
            if is_first and subscriber.habit in ("raise", "leave"):
                self.expect_leaving(flight, subscriber)
            if is_first and subscriber.habit == "raise":
                subscriber.expected.append(ConsumerError)
            if is_first and subscriber.habit == "ask":
                self.expected_again.append(flight.key)

    # what is done

    @rule(key=st.sampled_from(KEYS), habit=st.sampled_from(["nothing", "nothing", "raise", "leave", "ask"]))
    def subscribe(self, key, habit):
        self.subscribers.append(subscriber := Subscriber(key, habit))
        self.really_subscribe(subscriber)
        self.expect_subscriber(subscriber)

    @precondition(lambda self: any(flight.waiting for flight in self.flights))
    @rule(data=st.data())
    def leave(self, data):
        flight = data.draw(st.sampled_from([flight for flight in self.flights if flight.waiting]))
        subscriber = data.draw(st.sampled_from(flight.waiting))
        self.expect_leaving(flight, subscriber)
        subscriber.subscription.dispose()

    @precondition(lambda self: any(flight.waiting for flight in self.flights))
    @rule(data=st.data(), what=st.sampled_from(["result", "result", "error", "end"]), number=st.integers())
    def answer(self, data, what, number):
        index = data.draw(st.sampled_from([i for i, flight in enumerate(self.flights) if flight.waiting]))
        flight, request = self.flights[index], self.requests[index]
        self.expected_again, known = [], len(self.subscribers)
        if what == "result":
            self.expect_result(flight, {"data": number})
            request.on_next({"data": number})
        else:
            self.close_door(flight)
            for subscriber in flight.waiting:
                subscriber.expected.append(DOWN if what == "error" else END)
            flight.waiting.clear()
            request.on_error(DOWN) if what == "error" else request.on_completed()
        assert self.expected_again == [subscriber.key for subscriber in self.subscribers[known:]]
        for subscriber in self.subscribers[known:]:
            self.expect_subscriber(subscriber)

    @invariant()
    def each_sees_what_the_model_says(self):
        for subscriber in self.subscribers:
            seen = [type(event) if isinstance(event, ConsumerError) else event for event in subscriber.seen]
            assert subscriber.expected == seen

    @invariant()
    def a_request_runs_exactly_while_somebody_waits(self):
        assert [bool(flight.waiting) for flight in self.flights] == [bool(r.observers) for r in self.requests]


TestSharing = Sharing.TestCase
