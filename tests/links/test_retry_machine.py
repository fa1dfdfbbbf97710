"""RetryLink: whatever the attempts do and whenever subscribers leave, each sees what a model of one page says."""

import math
from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from rxlink.core.chain import execute, from_
from rxlink.core.operation import GraphQLRequest
from rxlink.core.timing import sleep, start_timer
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing.virtual_time import VirtualTime
from tests.recording import DATA, END, Worker

INITIAL = 0.5
LONGEST = 1.5
MOST = 4
SECONDS = st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0, 2.0])


@dataclass(frozen=True)
class Attempt:
    """What the server does with one: None answers before `subscribe` returns."""

    latency: float | None
    results: int
    error: Exception | None
    is_retried: bool = True
    thinking: float | None = None  # seconds that `retry_if` takes; None for a plain function


ATTEMPTS = st.builds(
    Attempt,
    latency=st.none() | SECONDS | st.just(math.inf),
    results=st.integers(0, 2),
    error=st.just(OSError("down")) | st.just(OSError("down")) | st.none(),
    is_retried=st.sampled_from([True, True, True, False]),
    thinking=st.none() | SECONDS,
)


@dataclass(eq=False)
class Run:
    """One subscription: its script, what it got and when, and when it was sent."""

    script: list[Attempt]
    began: float
    left: float = math.inf
    seen: list[tuple[float, object]] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    under_way: int = 0
    subscription: object = None

    def expected(self, now):
        """Tell what it should have got, and when it should have been sent, up to now or to its leaving."""
        time, seen, sent = self.began, [], []
        for number, attempt in enumerate(self.script, start=1):
            sent.append(time)
            time += attempt.latency or 0
            seen += [(time, DATA)] * attempt.results
            if attempt.error is None:
                seen.append((time, END))
                break
            if number < MOST:
                time += attempt.thinking or 0
            if number == MOST or not attempt.is_retried:
                seen.append((time, attempt.error))
                break
            time += min(LONGEST, INITIAL * 2 ** (number - 1))
        last = min(now, self.left)
        return [event for event in seen if event[0] <= last], [moment for moment in sent if moment <= last]


class Retries(RuleBasedStateMachine):
    running = Bundle("running")

    def __init__(self):
        super().__init__()
        self.time = VirtualTime()
        self.runs = []
        attempts = AttemptsOptions(max=MOST, retry_if=self.retry_if)
        retry = RetryLink(delay=DelayOptions(initial=INITIAL, max=LONGEST, jitter=False), attempts=attempts)
        self.link = from_([retry, Worker(self.serve)])

    def retry_if(self, error, operation):
        run = operation.get_context()["run"]
        attempt = run.script[len(run.sent) - 1]

        async def think():
            await sleep(attempt.thinking)
            return attempt.is_retried

        return attempt.is_retried if attempt.thinking is None else think()

    def serve(self, operation, observer, root):
        run = operation.get_context()["run"]
        attempt = run.script[len(run.sent)]
        run.sent.append(self.time.monotonic())

        def answer():
            for _ in range(attempt.results):
                observer.on_next(DATA)
            observer.on_completed() if attempt.error is None else observer.on_error(attempt.error)

        def ring():
            run.under_way -= 1
            root.release()
            answer()

        if attempt.latency is None:
            answer()
        else:
            run.under_way += 1
            root.hold(_UnderWay(run, None if attempt.latency == math.inf else start_timer(attempt.latency, ring)))

    @rule(target=running, script=st.lists(ATTEMPTS, min_size=MOST, max_size=MOST))
    def subscribe(self, script):
        run = Run(script, self.time.monotonic())
        self.runs.append(run)

        def note(event):
            run.seen.append((self.time.monotonic(), event))

        results = execute(self.link, GraphQLRequest("{ a }", context={"run": run}))
        run.subscription = self.time.call(lambda: results.subscribe(note, note, lambda: note(END)))
        return run

    @rule(run=consumes(running))
    def leave(self, run):
        run.left = self.time.monotonic()
        self.time.call(run.subscription.dispose)

    @rule(seconds=SECONDS)
    def wait(self, seconds):
        self.time.advance(seconds)

    @invariant()
    def each_sees_what_the_model_says(self):
        now = self.time.monotonic()
        for run in self.runs:
            assert run.expected(now) == (run.seen, run.sent)

    def teardown(self):
        for run in self.runs:
            self.time.call(run.subscription.dispose)
        left, under_way = self.time.leftovers(), [run.under_way for run in self.runs]
        self.time.close()
        assert ([], [0] * len(self.runs)) == (left, under_way)


class _UnderWay:
    def __init__(self, run, timer):
        self.run = run
        self.timer = timer

    def cancel(self):
        self.run.under_way -= 1
        if self.timer is not None:
            self.timer.cancel()


TestRetries = Retries.TestCase
