"""A program: many threads call through one SyncClient while tokens expire, and nobody closes anything.

Prints what came of it as JSON.
"""

import asyncio
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from rxlink import AuthLink, AuthSession, HttpLink, SyncClient, TokenSet, from_, oauth2_refresh
from rxlink.testing import AuthServer

THREADS, CALLS, TOKEN_LIFE = 8, 200, 0.4
ECHO = "query Echo($value: String!) { echo(value: $value) }"


@contextmanager
def serving():
    """A server on a loop and a thread of its own, as it is in another process."""
    server = AuthServer(token_life=TOKEN_LIFE)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield server
    asyncio.run_coroutine_threadsafe(server.aclose(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def main(server):
    pair = server.sign_in("ada")
    session = AuthSession(
        refresh=oauth2_refresh(server.token_url, client_id="service"),
        tokens=TokenSet(pair.access_token, pair.refresh_token, expires_in=TOKEN_LIFE),
    )
    client = SyncClient(from_([AuthLink(session), HttpLink(server.url)]))

    def call_often(thread):
        values = [f"{thread}-{number}" for number in range(CALLS)]
        return Counter(client.query(ECHO, {"value": value}).data["echo"] == value for value in values)

    with ThreadPoolExecutor(THREADS) as threads:
        answered = sum(threads.map(call_often, range(THREADS)), Counter())
    return client, answered[True]


with serving() as server:
    client, answered = main(server)
ledger = server.ledger  # when nothing is under way to it any more
outcome = {"answered": answered, "refreshes": ledger.refreshes, "expiries": ledger.expiries}
print(json.dumps({**outcome, "violations": ledger.violations()}))
