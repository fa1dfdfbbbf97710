"""Each link that is no end of a chain, in a chain of its own, where nothing goes wrong.

What it adds to an operation is what the chain costs above the terminating link alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TypeAlias

import reactivex
from reactivex import Observable

from benchmarks._allowances import Bounds
from benchmarks._counting import OPERATIONS, Counted, calls_of, garbage_of, held_by
from benchmarks.four_links import (
    ANSWER,
    QUERY,
    Answering,
    Silent,
    four_links,
    let_pass,
    never_refresh,
    nothing,
    set_tenant,
    valid_session,
)
from rxlink.auth.link import AuthLink
from rxlink.auth.token_refresh import TokenRefreshLink
from rxlink.core.chain import execute, from_, split
from rxlink.core.link import ApolloLink
from rxlink.core.operation import GraphQLRequest
from rxlink.core.result import FetchResult
from rxlink.links.batch import BatchLink
from rxlink.links.client_awareness import ClientAwarenessLink
from rxlink.links.context import SetContextLink
from rxlink.links.dedup import DedupLink
from rxlink.links.error import ErrorLink
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.links.polling import PollingLink
from rxlink.links.remove_typename import RemoveTypenameFromVariablesLink
from rxlink.links.retry import RetryLink
from rxlink.trace.link import TraceLink
from rxlink.trace.recorder import Trace

__all__ = ["ALONE", "FOUR_LINKS", "LINKS", "LinkCase", "count_link"]

BATCH = 10
A_MINUTE = 60.0  # seconds: no timer is due while it is counted

MakeChain: TypeAlias = Callable[[ApolloLink], ApolloLink]
"""Gets the terminating link, and returns the chain."""


@dataclass(frozen=True, slots=True)
class LinkCase:
    """How one link is counted.

    Attributes:
        chain: Puts it before a terminating link.
        together: How many operations it needs until it lets them go on.
    """

    chain: MakeChain
    together: int = 1


def _in_front(make: Callable[[], ApolloLink]) -> LinkCase:
    return LinkCase(lambda last: from_([make(), last]))


def _batched(last: ApolloLink) -> ApolloLink:
    """Answer a batch as the terminating link would: RxPY's operators are not what is counted."""
    answers = isinstance(last, Answering)

    def handle(operations: Sequence[object], forwards: Sequence[object]) -> Observable[list[FetchResult]]:
        return reactivex.of([ANSWER] * len(operations)) if answers else reactivex.never()

    return BatchLink(batch_handler=handle, batch_max=BATCH, batch_interval=A_MINUTE)


def _with_token_refresh() -> ApolloLink:
    return TokenRefreshLink(
        is_token_valid_or_undefined=lambda operation: True,
        fetch_access_token=never_refresh,
        handle_fetch=nothing,
    )


LINKS: Mapping[str, LinkCase] = {
    "SetContextLink": _in_front(lambda: SetContextLink(set_tenant)),
    "ErrorLink": _in_front(lambda: ErrorLink(let_pass)),
    "RetryLink": _in_front(RetryLink),
    "AuthLink": _in_front(lambda: AuthLink(valid_session())),
    "TokenRefreshLink": _in_front(_with_token_refresh),
    "DedupLink": _in_front(DedupLink),
    f"BatchLink, {BATCH} together": LinkCase(_batched, together=BATCH),
    "PersistedQueryLink": _in_front(PersistedQueryLink),
    "RemoveTypenameFromVariablesLink": _in_front(RemoveTypenameFromVariablesLink),
    "ClientAwarenessLink": _in_front(lambda: ClientAwarenessLink(client_awareness={"name": "billing"})),
    "TraceLink": _in_front(lambda: TraceLink(Trace())),
    "PollingLink, one attempt": _in_front(lambda: PollingLink(lambda operation: A_MINUTE)),
    "split": LinkCase(lambda last: split(lambda operation: True, last, last)),
    "a user's handler": _in_front(lambda: ApolloLink(lambda operation, forward: forward(operation))),
}


ALONE = LinkCase(lambda last: last)
FOUR_LINKS = LinkCase(four_links)


async def count_link(case: LinkCase) -> Counted:
    """Count an operation that is answered at once, one that is not answered, and what very many leave."""
    answered, waiting = case.chain(Answering()), case.chain(Silent())
    requests = _requests()

    async def run() -> None:
        _run(answered, requests, case.together)

    calls = calls_of(lambda: _run(answered, requests, case.together))
    held = held_by(lambda: execute(waiting, next(requests)).subscribe(nothing, nothing, nothing))
    return Counted(Bounds(round(calls / case.together), *held), await garbage_of(run))


def _run(link: ApolloLink, requests: Iterator[GraphQLRequest], together: int) -> None:
    subscriptions = [execute(link, next(requests)).subscribe(nothing, nothing, nothing) for _ in range(together)]
    for subscription in subscriptions:
        subscription.dispose()  # of a link that goes on for ever


def _requests() -> Iterator[GraphQLRequest]:
    """Give requests without end, of which no two that wait together ask for the same."""
    return cycle([GraphQLRequest(QUERY, {"id": str(number)}) for number in range(2 * OPERATIONS)])
