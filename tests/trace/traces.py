"""What the tests of traces share: chains that are traced, and a storm of refused operations on virtual time."""

import asyncio

from reactivex.testing import TestScheduler

from rxlink.auth.link import AuthLink
from rxlink.auth.session import AuthSession
from rxlink.auth.tokens import TokenSet
from rxlink.core.chain import execute, from_
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.links.retry import AttemptsOptions, DelayOptions, RetryLink
from rxlink.testing import MockedResponse, MockLink
from rxlink.trace.link import TraceLink, traced
from rxlink.trace.recorder import Trace
from tests.recording import DATA, FAILED, subscribed

VIEWER = GraphQLRequest("query Viewer { viewer { name } }")
COUNT = GraphQLRequest("mutation Count { count }")


def traced_run(*links, request=VIEWER, seconds=None, trace=None):
    """Runs one operation through a traced chain on a scheduler of its own; gives the trace."""
    trace = Trace() if trace is None else trace
    scheduler = TestScheduler()
    subscribed(execute(traced(from_(links), trace), request), scheduler)
    scheduler.start() if seconds is None else scheduler.advance_to(seconds)
    return trace


def retrying(*answers, max_attempts=5):
    """A retry link without chance, above a mock."""
    retry = RetryLink(delay=DelayOptions(initial=1, jitter=False), attempts=AttemptsOptions(max=max_attempts))
    return retry, MockLink(answers, default_delay=0.5)


def steps(trace):
    """What is recorded, as short text."""
    return [
        " ".join(map(str, filter(None, (event.operation, event.kind.value, event.place, event.outcome))))
        for event in trace.events
    ]


def times(trace, kind):
    return [round(event.seconds, 3) for event in trace.events if event.kind == kind]


async def refused_storm(count=3, *, refresh_seconds=0.3, refresh=None, tokens=None, requests=None, trace=None):
    """Operations at once whose token is refused, and go on after one refresh; gives the trace and its session."""

    async def get_new_tokens(old, reason):
        await asyncio.sleep(refresh_seconds)
        return TokenSet("new-token", "new-refresh-token")

    trace = trace or Trace()
    session = AuthSession(refresh=refresh or get_new_tokens, tokens=tokens or TokenSet("old-token", "refresh-token"))
    trace.watch(session)
    answers = [MockedResponse(result=FAILED)] * count + [MockedResponse(result=DATA)] * count
    link = traced(from_([AuthLink(session), MockLink(answers, default_delay=0.1)]), trace)
    requests = requests or [VIEWER] * count
    results = await asyncio.gather(*(execute(link, request) for request in requests), return_exceptions=True)
    await session.aclose()
    return trace, results


SCRIPT = "</script><script>document.title='broken'</script>"
IMAGE = "<img src=x onerror=\"document.title='broken'\">"


def planted():
    """A trace with names of operations and of errors that would break out of a page; GraphQL allows none of them."""

    def rename(operation, forward):
        operation.operation_name = IMAGE
        return forward(operation)

    trace = Trace()
    failure = type(SCRIPT, (Exception,), {})("message")
    link = from_(
        [ApolloLink(rename), TraceLink(trace, name=f"{IMAGE}]]>--><!--"), MockLink([MockedResponse(error=failure)])]
    )
    subscribed(execute(link, VIEWER), TestScheduler())
    return trace
