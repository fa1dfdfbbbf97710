"""What the tests of PersistedQueryLink share: answers, what would go over the wire, and a hash function that waits."""

import asyncio
import hashlib

from rxlink.core.chain import execute, from_
from rxlink.errors import ServerError
from rxlink.links.persisted_queries import PersistedQueryLink
from rxlink.testing import MockedResponse, MockLink
from tests.recording import REQUEST, seen_of

TEXT = "query Viewer {\n  viewer {\n    name\n  }\n}"
HASH = hashlib.sha256(TEXT.encode()).hexdigest()
AS_HASH = (HASH, "hash alone", "POST")
AS_TEXT = (None, "text", "POST")
AS_BOTH = (HASH, "text", "POST")

NOT_FOUND = [
    {"message": "PersistedQueryNotFound"},
    {"message": "Other", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}},
]
NOT_SUPPORTED = [
    {"message": "PersistedQueryNotSupported"},
    {"message": "Other", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}},
]
MISS = {"errors": [NOT_FOUND[0]]}
REFUSAL = {"errors": [NOT_SUPPORTED[0]]}
OTHER_ERROR = {"errors": [{"message": "no"}]}


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


def failed(result, status=400):
    return ServerError("no", status_code=status, headers={}, body_text="...", result=result)


def answered(*answers):
    """A server that gives one answer after another: results, and exceptions."""
    kinds = [{"error": answer} if isinstance(answer, Exception) else {"result": answer} for answer in answers]
    return MockLink([MockedResponse(**kind) for kind in kinds])


def wire(operation):
    """What a transport would send: the hash, whether with text, and the method."""
    context = operation.get_context()
    http = context.get("http") or {}
    persisted = operation.extensions.get("persistedQuery", {}) if http.get("include_extensions", True) else {}
    text = "text" if http.get("include_query", True) else "hash alone"
    return persisted.get("sha256Hash"), text, (context.get("fetch_options") or {}).get("method", "POST")


def wires(server):
    return [wire(operation) for operation in server.operations]


def run(server, *requests, **options):
    """Run requests one after another through one link, and return what their subscribers saw."""
    link = from_([PersistedQueryLink(**options), server])
    return [seen_of(execute(link, request)) for request in requests or [REQUEST]]


class Hasher:
    """An asynchronous hash function that answers when the test says so."""

    def __init__(self):
        self.asked = []
        self.answers = asyncio.Queue()

    async def __call__(self, text):
        self.asked.append(text)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer
