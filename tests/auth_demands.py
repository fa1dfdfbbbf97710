"""What users of token-refreshing clients demand, a line each, and where a demand is met by something else than a test.

`auth_coverage.py` makes `docs/auth-coverage.md` of it. Tests cite the ids in their docstrings.
"""

from __future__ import annotations

__all__ = ["DEMANDS", "LATER", "NOT_OF_THIS_PAGE", "OPEN", "PAGES", "PROMISES", "SECTIONS"]

SECTIONS = {
    "S01": "The recipe, its comments, and the questions around it",
    "E01": "Recognising an auth failure",
    "E09": "One refresh, and not a second one for the same token",
    "E18": "When the refresh itself fails or stalls",
    "E29": "The refresh operation itself",
    "E35": "Sending again",
    "E41": "Leaving, asyncio and threads",
    "E58": "Refreshing ahead, and time",
    "E68": "Storage and rotation",
    "E78": "A session's life",
    "E86": "Subscriptions over a WebSocket",
    "E94": "Several identities, several services",
    "E98": "Secrets, observing, testing",
}
"""Under which heading the demands from this one on stand."""

_LINES = """
S01 a refresh takes its time: the operation stays open and emits only the retried result
S02 an error handler may be a coroutine function, return an awaitable, an Observable or nothing
S03 the retried operation carries the new token and all its other headers
S04 the header is written by a link behind the one that refreshes
S05 the pair is stored before anything is retried
S06 a place to react to a refresh that failed for good
S07 many failures at once, one refresh
S08 each of the others is kept and gets its own result
S09 a plain network error is no reason to refresh
S10 a failed refresh is an error for everyone who waits, never silence
S11 the auth error may stand anywhere in the list of errors
S12 errors without `extensions` break nothing
S13 who is refused while the waiting ones are released is not forgotten
S14 no queue written by hand
S15 every operation that waited is sent again
S16 it works at every expiry, not only at the first
S17 a second refusal of the same operation is delivered
S18 an auth failure that arrives as a transport error counts
S19 a WebSocket takes up the new token by reconnecting
S20 a header that is read from a slow storage is the one just saved
S21 a refresh that returns nothing is an error, not a wait
S22 an auth error known by its message alone
S23 what raises before the refresh proper leaves nothing stuck
S24 the scheme stands once, however the token was stored
S25 neither dedup nor a cache answers a refresh
S26 a predicate instead of observables returned from a loop
S27 succeeded, then saved, then sent again, in this order
S28 without a session no refresh is tried
S29 the operation that set off the refresh is sent again too
S30 and only once
S31 after a failed refresh nothing is sent with the dead token
S32 which versions the recipe works with
S33 a refresh callback shown in full: GraphQL, OAuth2, cookie
S34 a page for who has the symptom and not the cause
S35 the server's side explained
S36 a refresh token in an httpOnly cookie that rotates
S37 a refresh carries no access token
S38 a refresh through the guarded chain does not wait for itself
S39 an operation of the refresh passes untouched
S40 concurrent failures, once more
S41 a token close to its end is refreshed before it is used
S42 one shared refresh for that too
S43 an error never ends up as a token in a header
S44 a network blip signs nobody out
S45 another scheme, another header
S46 other headers stay
S47 nearly ended: refresh in the background; ended: wait
S48 a background refresh that fails disturbs nobody
S49 tokens without a known end, and garbled ones
S50 no second refresh while one runs
S51 the refresh token as the bearer of the refresh alone
S52 refresh tokens end: grants, client credentials, opaque ones
S53 a logout reaches every process of one storage
E01 a 401 as a transport error is seen
E02 both shapes of a 401 look the same to the classifier
E03 servers that answer 200 or 400 for an ended token
E04 permission denied is no reason to refresh
E05 a refresh cannot widen a scope: `invalid_token` against `insufficient_scope`
E06 the 401 of a login is its own
E07 data beside an auth error: a stated policy
E08 a predicate that raises breaks nothing
E09 a late refusal of the old token starts no second refresh
E10 who starts during a refresh waits for it
E11 a check is repeated after a wait
E12 links in the wrong order are refused
E13 no operation is sent twice by a refresh ahead of time
E14 a refresh that fails is tried once, not once for each that waits
E15 one refresh for several links over one session
E16 operations under way hold up nobody
E17 processes do not all refresh in the same moment
E18 nobody waits for ever
E19 a transient failure signs nobody out
E20 `invalid_grant` ends the session, once; `invalid_client` does not
E21 a dead refresh token is not sent again
E22 transient failures are paced, and `Retry-After` counts
E23 a refresh has a time limit of its own
E24 the cause reaches the caller
E25 fresh tokens that are refused start no storm
E26 a refusal counts for more than the clock
E27 a failure inside the advisory window fails no operation
E28 last known tokens during an outage, as a policy
E29 no loop and no deadlock through the guarded chain
E30 no stale access token on the refresh
E31 a refresh that is no HTTP call, or that blocks
E32 the refresh knows the tokens and the reason
E33 loading is not refreshing
E34 a load that failed is tried again
E35 retries are bounded and do not multiply
E36 bodies that cannot be sent again
E37 mutations: replayed or not, with the same idempotency key
E38 the result of the retry is the caller's, and nothing else
E39 of a batch only the refused operation is sent again
E40 an auth error in the middle of a stream
E41 leaving aborts the retry as well
E42 who has left is not sent
E43 leaving does not end the refresh of others
E44 who comes later joins the refresh that is under way
E45 leaving costs the same however many wait
E46 a refresh outlives the operation that set it off
E47 each wave has a refresh of its own (`share()` has not)
E48 a subscription is an attempt; without one nothing runs
E49 a cancellation is no answer
E50 a subscriber that raises does not starve the rest
E51 what a callback raises is reported
E52 leaving reaches every subscription inside
E53 timers run on the loop
E54 several event loops, one after another
E55 several threads, each with its loop
E56 the synchronous face inside a running loop
E57 closing during a refresh
E58 a token does not end on its way
E59 a leeway longer than the token's life
E60 a larger leeway never makes a refresh later
E61 a clock that is wrong
E62 the machine slept: ends are judged at the moment of use
E63 a background refresh holds up nobody
E64 one of many starts the background refresh
E65 where the life is not told
E66 opaque tokens are not decoded
E67 a JWT is read, and not verified
E68 rotated tokens are not lost
E69 a refresh without a new refresh token keeps the old one
E70 memory and storage never lag behind one another
E71 a save that fails loses nothing
E72 two processes and one refresh token that rotates
E73 the race was lost, and the storage has newer tokens
E74 a shared file survives a crash
E75 the OAuth2 refresh grant
E76 client credentials
E77 the answer was lost after the tokens rotated
E78 the state can be watched
E79 a logout during a refresh wins
E80 another login during a refresh wins
E81 an older refresh does not undo a newer refusal
E82 refresh, sign in, sign out by hand
E83 signing in again supplies those who wait
E84 an ended session is told once
E85 operations of nobody
E86 parameters of a connection are asked for at every connect
E87 a reconnect with a new token keeps every subscription, in order
E88 close codes and messages that mean the token: refresh, then reconnect
E89 the next socket before the token ends, and before the old one closes
E90 one subscription that is denied ends alone
E91 nobody is signed in: an error, not an endless reconnect
E92 a possible gap is told
E93 a slow refresh happens before the socket opens
E94 one client, many users at once
E95 one session a key: audience, scope, tenant
E96 results never cross
E97 header and metadata come from one snapshot
E98 no token in any log
E99 a token goes to its own origin only
E100 events for metrics and spans
E101 tests without waiting
E102 a class for each kind of failure
"""

DEMANDS = dict(line.split(" ", 1) for line in _LINES.strip().splitlines())
"""What is demanded, in a line, by id: S from the recipe and what was asked about it, E from other projects' issues."""

PROMISES = {
    "P1": "at most one refresh in flight a session",
    "P2": "every operation ends: a result, an error, or its subscriber left",
    "P3": "an operation is sent twice at most: once, and once after a refresh",
    "P4": "tokens are saved before anything is sent again; a save that fails fails no operation",
    "P5": "no refresh without a reason, and nobody waits without one",
    "P6": "leaving is a private matter",
    "P7": "no secret is told, and no token goes to another origin",
    "P8": "logins never mix",
    "P9": "a transient failure ends no session; a final one ends it once, with its cause",
    "P10": "after any outcome of a refresh the session works again",
    "P11": "callbacks run in the context of their own subscription",
}

PAGES = {
    "S32": "the [examples](examples.md) and every block of Python in these pages run in CI, with the oldest and the"
    " newest versions that `pyproject.toml` allows",
    "S33": "the [examples](examples.md), and [Keeping a token fresh](authentication.md#the-refresh-callback)",
    "S34": "[Troubleshooting](troubleshooting.md)",
    "S35": "`AuthServer`, which rotates and watches for reuse: [Security](security.md#refresh-tokens-that-rotate),"
    " [Testing](testing.md)",
}
"""Demands for documentation, and where it is. They may have tests as well."""

LATER = {
    "E56": "there is no synchronous face yet; it is the client's, not the session's",
}
"""Demands of a part that is not there yet, with the reason. They may have tests of what one process shows."""

OPEN: dict[str, str] = {}
"""Demands that are not met, or not wholly, with the reason; three at most."""

NOT_OF_THIS_PAGE = {f"E{number}" for number in range(103, 108)}
"""Ids that tests may cite and this page does not list: clients for who comes from gql."""
