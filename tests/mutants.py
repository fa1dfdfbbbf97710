"""Break the code at random, one operator at a time, and see how much of it the tests notice.

    python tests/mutants.py                       # 300 mutants of links, auth and transport
    python tests/mutants.py --seed 7 --count 50   # others
    python tests/mutants.py --module links/retry  # of one module; `transport` for a whole folder

Each mutant is tried in a copy of the tree, with the tests that mirror its module and those of what the module is a
private part of. One dies if a test fails, or if the tests take more than a minute. Prints how many died in each module,
and the survivors: lines that a test should pin, or that make no difference, with the reason from `mutants_reasons.py`.
All count, with a reason or without: exits with 1 if fewer than 85 % died.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from broken_copies import AT_A_TIME, Copies, copies_of_the_tree, run_tests, why_not_red
from mutants_reasons import reason_of
from mutations import Mutation, mutations_of

FOLDERS = ("links", "auth", "transport")
COUNT = 300
SEED = 3
TIME_LIMIT = 60  # seconds for the tests of one mutant
BASELINE_LIMIT = 300  # seconds for the same tests on the unbroken copy
FLOOR = 0.85
UPLOADS = ("transport/test_upload*.py", "transport/test_multipart.py")
STORIES = "auth/test_promise_by_promise.py"
HOSTILE = "auth/test_hostile.py"
PUBLIC = ("test_defaults.py", "test_function_options.py")
"""Of the options of all public modules."""
SHARED = (
    "auth/test_shared.py",
    "auth/test_shared_lease.py",
    "auth/test_shared_outage.py",
    "auth/test_shared_attacked.py",
)
SESSION = ("auth/test_session*.py", "auth/test_vault.py", STORIES)
SOCKETS = ("transport/test_ws*.py", "transport/test_websocket*.py")
STREAMS = ("transport/test_streams*.py",)
EVENTS = ("transport/test_sse*.py",)
ALSO = {
    "incremental/defer20220824": STREAMS,
    "incremental/detecting": STREAMS,
    "incremental/graphql17_alpha9": STREAMS,
    "incremental/handlers": STREAMS,
    "incremental/merging": STREAMS,
    "auth/adoption": SHARED,
    "auth/announcer": (
        "auth/test_announcer.py",
        "auth/test_session*.py",
        "auth/test_refresher.py",
        "auth/test_signals.py",
    ),
    "auth/attempts": ("auth/test_link*.py", STORIES),
    "auth/authorization": ("auth/test_link*.py", STORIES),
    "auth/challenges": ("auth/test_classify*.py",),
    "auth/clock": (HOSTILE, "auth/test_link_hostile.py"),
    "auth/dead_tokens": ("auth/test_refresh_limits.py",),
    "auth/expiry": ("auth/test_windows*.py", "auth/test_clock_offset.py"),
    "auth/failures": ("auth/test_refresher.py",),
    "auth/flight": ("auth/test_single_flight*.py", "auth/test_threads.py"),
    "auth/gate": (*SESSION, "auth/test_outage.py"),
    "auth/keeper": (*SESSION, *SHARED),
    "auth/link": (STORIES,),
    "auth/loop_end": SHARED,
    "auth/pacing": (HOSTILE,),
    "auth/pending": (STORIES,),
    "auth/oauth2_client": ("auth/test_oauth2*.py", "transport/test_oauth2*.py"),
    "auth/oauth2": ("transport/test_oauth2*.py",),
    "auth/permit": SHARED,
    "auth/refresh": SHARED,
    "auth/refresh_callback": ("auth/test_refresher*.py",),
    "auth/refresher": (HOSTILE, STORIES),
    "auth/relogin": ("auth/test_session*.py",),
    "auth/session": (STORIES,),
    "auth/session_options": SESSION,
    "auth/single_flight": (STORIES,),
    "auth/time_limit": ("auth/test_vault.py", *SESSION),
    "auth/token_refresh": ("auth/test_token_renewal*.py",),
    "auth/token_renewal": ("auth/test_token_refresh*.py",),
    "auth/token_response": ("auth/test_token_renewal*.py",),
    "auth/storage/_locks": ("auth/storage/test_file*.py", "auth/storage/test_keyring.py"),
    "auth/storage/depot": ("auth/test_session.py", "auth/test_vault.py", *SHARED),
    "auth/storage/plain": ("auth/storage/test_memory.py",),
    "auth/storage/redis_clients": ("auth/storage/test_redis*.py",),
    "auth/storage/shared": ("auth/storage/test_contracts.py", *SHARED),
    "auth/storage/shared_depot": SHARED,
    "auth/tokens": ("auth/test_secrets.py",),
    "auth/unsaved": ("auth/test_session.py", "auth/test_vault.py", *SHARED),
    "auth/watch": ("auth/storage/test_redis_watch.py", *SHARED),
    "auth/vault_owner": SESSION,
    "auth/vault": (*SHARED, HOSTILE, "auth/test_session.py", "auth/test_secrets.py", STORIES),
    "links/_batching": ("links/test_batch.py",),
    "links/_persisted_query_errors": ("links/test_persisted_query_secrets.py",),
    "links/_persisted_query_form": ("links/test_persisted_queries.py",),
    "links/persisted_queries": ("links/test_persisted_query_*.py",),
    "transport/_batch_sharing": ("transport/test_batch_http.py", "transport/test_batched_tokens.py"),
    "transport/_batched": ("transport/test_batch_http.py",),
    "transport/_body": ("transport/test_fetch_options.py", "test_function_options.py", *UPLOADS),
    "transport/_execution": ("transport/test_schema*.py",),
    "transport/_incremental": ("transport/test_schema_incremental*.py",),
    "transport/_files": UPLOADS,
    "transport/_guarding": ("transport/test_origins.py", "transport/test_redirected_tokens.py"),
    "transport/_http_request": ("transport/test_request*.py", "transport/test_batch_http.py"),
    "transport/_headers": ("transport/test_request.py", "transport/test_http.py", "transport/test_secrets.py"),
    "transport/_multipart": UPLOADS,
    "transport/_request": (
        "transport/test_fetch_options.py",
        "transport/test_http*.py",
        "transport/test_batch_http.py",
        *UPLOADS,
    ),
    "transport/_sending": (
        "transport/test_http.py",
        "transport/test_edges.py",
        "transport/test_response.py",
        "transport/test_secrets.py",
        *UPLOADS,
    ),
    "transport/_json_end": ("transport/test_multipart_parts*.py",),
    "transport/_multipart_answer": STREAMS,
    "transport/_pieces": STREAMS,
    "transport/_streaming": STREAMS,
    "transport/_retry_wait": ("transport/test_sse.py", "transport/test_websocket_options.py"),
    "transport/_sse_answer": EVENTS,
    "transport/_sse_auth": EVENTS,
    "transport/_sse_connection": EVENTS,
    "transport/_sse_events": EVENTS,
    "transport/_sse_operation": EVENTS,
    "transport/_sse_sharing": EVENTS,
    "transport/_streamed": ("transport/test_schema_incremental*.py",),
    "transport/_sessions": ("transport/test_request.py",),
    "transport/_token_requests": ("transport/test_oauth2*.py",),
    "transport/_uri": ("transport/test_request.py", "transport/test_http.py", "transport/test_secrets.py"),
    "transport/batch_http": ("transport/test_http_options.py",),
    "transport/http": ("transport/test_edges.py", "transport/test_fetch_options.py"),
    "transport/_ws_alarm": SOCKETS,
    "transport/_ws_client": SOCKETS,
    "transport/_ws_closes": SOCKETS,
    "transport/_ws_connections": SOCKETS,
    "transport/_ws_events": SOCKETS,
    "transport/_ws_handover": SOCKETS,
    "transport/_ws_handshake": SOCKETS,
    "transport/_ws_keys": SOCKETS,
    "transport/_ws_operation": SOCKETS,
    "transport/_ws_opening": SOCKETS,
    "transport/_ws_options": SOCKETS,
    "transport/_ws_outbox": SOCKETS,
    "transport/_ws_parting": SOCKETS,
    "transport/_ws_pings": SOCKETS,
    "transport/_ws_placement": SOCKETS,
    "transport/_ws_protocol": SOCKETS,
    "transport/_ws_resumption": SOCKETS,
    "transport/_ws_retrying": SOCKETS,
    "transport/_ws_silence": SOCKETS,
    "transport/_ws_socket": SOCKETS,
    "transport/_ws_sockets": SOCKETS,
    "transport/_ws_succession": SOCKETS,
    "transport/_ws_token_watch": SOCKETS,
    "transport/_ws_tokens": SOCKETS,
}
"""Which tests a module has beside those that are named after it: of what it is a part of, and of promises."""


@dataclass(frozen=True)
class Mutant:
    """A module, such as `links/retry`, with one mistake in it."""

    module: str
    mutation: Mutation

    def __str__(self) -> str:
        return f"rxlink/{self.module}.py:{self.mutation.line}: {self.mutation}"


def modules(tree: Path, chosen: Sequence[str]) -> list[str]:
    """Return the modules of a tree that can be broken, or those of them that were chosen."""
    root = tree / "rxlink"
    files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.py"))]
    names = [file.relative_to(root).with_suffix("").as_posix() for file in files if file.name != "__init__.py"]
    return [name for name in names if not chosen or any(f"{name}/".startswith(f"{start}/") for start in chosen)]


def tests_of(tree: Path, module: str) -> list[str]:
    """Return the files of a module's tests.

    Raises:
        LookupError: It has none.
    """
    folder, _, name = module.rpartition("/")
    patterns = [f"{folder}/test_{name.removeprefix('_')}*.py", *ALSO.get(module, ())]
    patterns += [] if name.startswith("_") else PUBLIC
    files = [file for pattern in patterns for file in sorted((tree / "tests").glob(pattern))]
    if not {file.name for file in files} - set(PUBLIC):
        raise LookupError(f"rxlink/{module}.py has no tests; say in ALSO which are its")
    return list(dict.fromkeys(file.relative_to(tree).as_posix() for file in files))


def sample(tree: Path, names: Sequence[str], *, count: int, seed: int) -> list[Mutant]:
    """Return some mutants of these modules, in the order of the sources."""
    everything = [
        Mutant(name, mutation)
        for name in names
        for mutation in mutations_of((tree / "rxlink" / f"{name}.py").read_text(encoding="utf-8"))
    ]
    dice = random.Random(seed)  # noqa: S311 - a sample, no secret
    chosen = dice.sample(range(len(everything)), min(count, len(everything)))
    return [everything[number] for number in sorted(chosen)]


def survives(copies: Copies, mutant: Mutant) -> bool:
    """Tell whether a module's tests stay green with the mistake in it."""
    with copies.broken(f"{mutant.module}.py", lambda _: mutant.mutation.source) as copy:
        try:
            run = run_tests(copy, tests_of(copy, mutant.module), time_limit=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            return False
    return run.returncode == 0


def baseline(copies: Copies, module: str) -> str | None:
    """Return what is wrong with a module's tests before anything is broken."""
    with copies.unbroken() as copy:
        run = run_tests(copy, tests_of(copy, module), time_limit=BASELINE_LIMIT)
    return None if run.returncode == 0 else f"the tests of {module} are not green:\n{why_not_red(run) or run.stdout}"


def report(mutants: Sequence[Mutant], survivors: Sequence[Mutant]) -> float:
    """Print what came out, and return the share of mutants that died, whether or not there is a reason to survive."""
    made, left = (Counter(mutant.module for mutant in some) for some in (mutants, survivors))
    print(f"\n{'module':36} killed survived")
    for module in made:
        print(f"{module:36} {made[module] - left[module]:6} {left[module]:8}")
    share = 1 - len(survivors) / len(mutants)
    print(f"\n{len(mutants) - len(survivors)} of {len(mutants)} killed: {share:.1%}")
    reasons = {mutant: reason_of(mutant.module, mutant.mutation) for mutant in mutants}
    unexplained = [survivor for survivor in survivors if reasons[survivor] is None]
    if survivors:
        print(f"\n{len(survivors)} survivors, {len(unexplained)} of them without a reason:")
    for survivor in survivors:
        print(f"  {survivor}\n      {reasons[survivor] or '- no reason: a test is missing -'}")
    refuted = [mutant for mutant in mutants if reasons[mutant] is not None and mutant not in survivors]
    if refuted:
        print("\nkilled, although there is a reason why not:")
    for mutant in refuted:
        print(f"  {mutant}\n      {reasons[mutant]}")
    return share


def main() -> int:
    parser = argparse.ArgumentParser(description="Break the code at random and count what the tests notice.")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--module", action="append", default=[], help="such as links/retry, or a folder; repeatable")
    parser.add_argument("--jobs", type=int, default=AT_A_TIME)
    options = parser.parse_args()
    with copies_of_the_tree(options.jobs) as copies, ThreadPoolExecutor(options.jobs) as threads:
        with copies.unbroken() as tree:
            mutants = sample(tree, modules(tree, options.module), count=options.count, seed=options.seed)
        if not mutants:
            parser.error(f"there is nothing to break in {', '.join(options.module)}")
        broken = dict.fromkeys(mutant.module for mutant in mutants)
        problems = list(filter(None, threads.map(partial(baseline, copies), broken)))
        if problems:
            print("\n".join(problems))
            return 1
        survivors = []
        for mutant, has_survived in zip(mutants, threads.map(partial(survives, copies), mutants), strict=True):
            print("s" if has_survived else ".", end="", flush=True)
            survivors += [mutant] if has_survived else []
    return 0 if report(mutants, survivors) >= FLOOR else 1


if __name__ == "__main__":
    sys.exit(main())
