"""Batches as a state machine: members join and leave, batches are answered in any order and fail, time passes."""

from dataclasses import dataclass, field

import reactivex
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reactivex import Subject
from reactivex import operators as ops

from rxlink.core.chain import execute
from rxlink.core.operation import GraphQLRequest
from rxlink.errors import InvariantError
from rxlink.links.batch import BatchLink
from rxlink.testing.virtual_time import VirtualTime
from tests.recording import END, Recorder

INTERVAL = 0.5  # seconds, as all times here a sum of powers of two
KEYS = ("red", "blue")


@dataclass(eq=False)
class Member:
    """One operation, and what it should have seen."""

    name: str
    recorder: Recorder
    expected: list = field(default_factory=list)


@dataclass(eq=False)
class Waiting:
    """A batch that should not have gone out yet."""

    due: float
    turn: int
    members: list = field(default_factory=list)


@dataclass(eq=False)
class Sent:
    """A batch that should be under way; the places of those who have left or ended are empty."""

    places: list


class Batches(RuleBasedStateMachine):
    """Runs a BatchLink on virtual time beside a plain account of what should happen."""

    def __init__(self):
        super().__init__()
        self.time = VirtualTime()
        self.turn = 0
        self.members = []
        self.waiting = {}
        self.sent = []
        self.sync_answer = None
        # What was seen of the link, and what should have been:
        self.batches, self.expected_batches = [], []
        self.subjects = []
        self.stopped, self.expected_stopped = [], []

    @initialize(batch_max=st.integers(0, 3), is_debounced=st.booleans())
    def make(self, batch_max, is_debounced):
        self.batch_max = batch_max
        self.is_debounced = is_debounced
        self.link = BatchLink(
            batch_handler=self.handle,
            batch_interval=INTERVAL,
            batch_max=batch_max,
            batch_debounce=is_debounced,
            batch_key=lambda operation: operation.get_context()["key"],
        )

    def handle(self, operations, forwards):
        place = len(self.batches)
        self.batches.append([operation.operation_name for operation in operations])
        if self.sync_answer == "raise":
            self.subjects.append(None)
            raise OSError
        if self.sync_answer == "results":
            self.subjects.append(None)
            return reactivex.of([f"{place}.{name}" for name in self.batches[-1]])
        subject = Subject()
        self.subjects.append(subject)
        return subject.pipe(ops.finally_action(lambda: self.stopped.append(place)))

    # What happens, and the account of it.

    @rule(key=st.sampled_from(KEYS))
    def join(self, key):
        member = Member(f"Q{len(self.members)}", Recorder())
        request = GraphQLRequest(f"query {member.name} {{ a }}", context={"key": key})
        batch = self.waiting.get(key)
        if batch is None:
            batch = self.waiting[key] = Waiting(0.0, 0)
        batch.members.append(member)
        if len(batch.members) == 1 or self.is_debounced:
            self.turn += 1
            batch.due, batch.turn = self.time.monotonic() + INTERVAL, self.turn
        if len(batch.members) == self.batch_max:
            self.send(key)
        self.members.append(member)

        def subscribe():
            member.recorder.subscription = execute(self.link, request).subscribe(member.recorder)

        self.time.call(subscribe)

    def send(self, key):
        members = self.waiting.pop(key).members
        place = len(self.expected_batches)
        self.expected_batches.append([member.name for member in members])
        self.sent.append(Sent(list(members)))
        if self.sync_answer == "raise":
            self.end(place, lambda member: OSError)
        elif self.sync_answer == "results":
            for member in members:
                member.expected.append(f"{place}.{member.name}")
            self.end(place, lambda member: END)

    def end(self, place, expected):
        """End all members of a batch that are left."""
        places = self.sent[place].places
        for index, member in enumerate(places):
            if member is not None:
                member.expected.append(expected(member))
                places[index] = None

    @rule(steps=st.integers(1, 5))
    def pass_time(self, steps):
        until = self.time.monotonic() + steps / 8
        while due := sorted((batch.due, batch.turn, key) for key, batch in self.waiting.items() if batch.due <= until):
            self.send(due[0][2])
        self.time.advance(steps / 8)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data):
        member = data.draw(st.sampled_from(self.members))
        for key, batch in tuple(self.waiting.items()):
            if member in batch.members:
                batch.members.remove(member)
                if not batch.members:
                    del self.waiting[key]
        for place, sent in enumerate(self.sent):
            if member in sent.places:
                sent.places[sent.places.index(member)] = None
                self.stop_if_empty(place)
        self.time.call(member.recorder.subscription.dispose)

    def stop_if_empty(self, place):
        if not any(self.sent[place].places):
            self.expected_stopped.append(place)

    @rule(answer=st.sampled_from([None, "results", "raise"]))
    def answer_at_once_from_now_on(self, answer):
        self.sync_answer = answer

    def under_way(self):
        return [place for place, sent in enumerate(self.sent) if any(sent.places)]

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), failing=st.sets(st.integers(0, 3)))
    def answer(self, data, failing):
        """Send a list of results, with exceptions in some places."""
        place = data.draw(st.sampled_from(self.under_way()))
        places = self.sent[place].places
        answers = [OSError() if index in failing else index for index in range(len(places))]
        for index, member in enumerate(tuple(places)):
            if member is not None:
                member.expected.append(OSError if index in failing else index)
                if index in failing:
                    places[index] = None
        self.stop_if_empty(place)
        self.time.call(self.subjects[place].on_next, answers)

    @precondition(lambda self: self.under_way())
    @rule(data=st.data(), how=st.sampled_from(["error", "completion", "short", "long"]))
    def finish(self, data, how):
        place = data.draw(st.sampled_from(self.under_way()))
        subject, size = self.subjects[place], len(self.sent[place].places)
        self.end(place, lambda member: {"error": KeyError, "completion": END}.get(how, InvariantError))
        self.expected_stopped.append(place)
        if how == "error":
            self.time.call(subject.on_error, KeyError())
        elif how == "completion":
            self.time.call(subject.on_completed)
        else:
            self.time.call(subject.on_next, [0] * (size + (1 if how == "long" else -1)))

    # What must be true all the time.

    @invariant()
    def batches_are_as_expected(self):
        assert self.expected_batches == self.batches
        assert self.expected_stopped == self.stopped

    @invariant()
    def each_member_saw_its_own(self):
        for member in self.members:
            seen = [type(item) if isinstance(item, Exception) else item for item in member.recorder.seen]
            assert member.expected == seen

    @invariant()
    def there_is_one_timer_for_each_batch_that_waits(self):
        assert len(self.waiting) == len(self.time.leftovers())

    @invariant()
    def nobody_listens_to_a_batch_without_members(self):
        for place, sent in enumerate(self.sent):
            subject = self.subjects[place]
            if subject is not None:
                assert any(sent.places) == bool(subject.observers)

    def teardown(self):
        for member in self.members:
            self.time.call(member.recorder.subscription.dispose)
        left = self.time.leftovers()
        self.time.close()
        assert [] == left


TestBatches = Batches.TestCase
TestBatches.settings = settings(stateful_step_count=40)
