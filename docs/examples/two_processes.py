"""Two processes that share one login: by hand, and with a storage that they share.

By hand, as most scripts and workers do it: the tokens are in a file, and whoever finds the access token refused posts
the refresh token, writes the new pair into the file and tries again. A lock inside each process does not help: two
processes that are refused at the same moment present the same refresh token. An issuer that rotates takes the second
for a thief's, and ends the session of both.

With a shared storage the right to refresh is a lock in the same place as the tokens. Who gets it second reads the
tokens again, finds the new pair, and goes on with it. A sign-out in one process is one in the other.

Run it: python docs/examples/two_processes.py
"""

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp

from rxlink import (
    AuthLink,
    AuthSession,
    FileTokenStorage,
    GraphQLRequest,
    HttpLink,
    TokenSet,
    execute,
    from_,
    oauth2_refresh,
)
from rxlink.testing import AuthServer, Fault

VIEWER = "{ viewer { name } }"


class ByHand:
    """One process, with tokens in a file."""

    def __init__(self, url: str, token_url: str, path: str) -> None:
        """Take note of the addresses."""
        self.url, self.token_url, self.path = url, token_url, Path(path)

    async def view(self) -> str:
        """Ask who is signed in; refresh once if the token is refused."""
        async with aiohttp.ClientSession() as http:
            pair = json.loads(self.path.read_text())
            result = await self.post(http, pair)
            if "errors" in result:
                form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], "client_id": "app"}
                async with http.post(self.token_url, data=form) as response:
                    if not response.ok:
                        return "signed out"
                    pair = await response.json()
                self.path.write_text(json.dumps(pair))
                result = await self.post(http, pair)
        return "signed out" if "errors" in result else "answered"

    async def post(self, http: aiohttp.ClientSession, pair: dict[str, str]) -> dict[str, object]:
        """Send the operation."""
        headers = {"authorization": f"Bearer {pair['access_token']}"}
        async with http.post(self.url, json={"query": VIEWER}, headers=headers) as response:
            return dict(await response.json())


class Shared:
    """One process, with a session over a storage that the others share."""

    def __init__(self, url: str, token_url: str, path: str) -> None:
        """Make the session and its chain."""
        refresh = oauth2_refresh(token_url, client_id="app")
        self.session = AuthSession(refresh=refresh, storage=FileTokenStorage(path))
        self.link = from_([AuthLink(self.session), HttpLink(url)])

    async def view(self) -> str:
        """Ask who is signed in."""
        result = await execute(self.link, GraphQLRequest(VIEWER))
        return "signed out" if "errors" in result else "answered"

    async def leave(self) -> str:
        """Sign out."""
        await self.session.clear()
        return "signed out"


async def work(way: str, *addresses: str) -> None:
    """Do what the lines of the input say; this is what each of the two processes runs."""
    client = {"by-hand": ByHand, "shared": Shared}[way](*addresses)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        print(await getattr(client, line)(), flush=True)


async def start(way: str, server: AuthServer, path: Path) -> Process:
    """Start a process, and wait until it is ready."""
    program = (sys.executable, __file__, way, server.url, server.token_url, str(path))
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE, env=dict(os.environ))
    await answer_of(process)
    return process


async def answer_of(process: Process, line: str = "") -> str:
    """Tell a process what to do, and return what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(f"{line}\n".encode())
    return (await process.stdout.readline()).decode().strip()


async def both(server: AuthServer, what: str, processes: list[Process]) -> None:
    """Let both run an operation at once; print what came of it."""
    before = len(server.ledger.refresh_tries)
    answers = await asyncio.gather(*(answer_of(process, "view") for process in processes))
    tries = [refresh.why or refresh.outcome for refresh in server.ledger.refresh_tries[before:]]
    print(f"{what:38} {', '.join(sorted(answers)):23} refreshes: {' '.join(tries) or 'none'}")


async def tell(way: str, server: AuthServer, path: Path) -> None:
    """Tell the story of two processes."""
    processes = [await start(way, server, path) for _ in range(2)]
    await both(server, "with a good token", processes)

    server.revoke_access("ada")
    for seconds in (0.3, 0.6):  # both are on their way before the first answer arrives
        server.faults.add(Fault.delay(seconds))
    await both(server, "both are refused at the same moment", processes)
    await both(server, "the next operation of each", processes)

    server.faults.clear()
    if way == "shared":
        print("one of them signs out:", await answer_of(processes[0], "leave"))
        await both(server, "the next operation of each", processes)
    for process in processes:
        process.kill()
        await process.communicate()


async def main() -> None:
    """Tell it twice."""
    async with AuthServer(token_life=60) as server:
        with tempfile.TemporaryDirectory() as folder:
            print("-- by hand")
            pair = server.sign_in("ada")
            file = Path(folder) / "by-hand.json"
            file.write_text(json.dumps({"access_token": pair.access_token, "refresh_token": pair.refresh_token}))
            await tell("by-hand", server, file)

            print("-- with a storage that they share")
            pair = server.sign_in("ada")
            file = Path(folder) / "shared.json"
            await FileTokenStorage(file).save(TokenSet(pair.access_token, pair.refresh_token))
            await tell("shared", server, file)


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]) if sys.argv[1:] else main())
