"""Mistakes that were once made at random and are now made on every run of CI: each must turn its test red.

    python tests/mutants_fixed.py                # all, two at a time
    python tests/mutants_fixed.py links/retry    # those of some modules; `transport` for a whole folder

`mutants.py` says what there could be. Each mistake is made in a copy of the tree; first the unbroken copy must be
green. Old text that is no longer found exactly once is a failure too. Exits with 1 if anything failed, or if a link
module has fewer than two.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from broken_copies import (
    AT_A_TIME,
    ROOT,
    Copies,
    check_unbroken,
    copies_of_the_tree,
    exchange,
    run_tests,
    why_not_red,
)

AT_LEAST = 2
"""For each public module in `links` and `transport`, and for those of `auth` that are links."""


@dataclass(frozen=True)
class Fixed:
    """One mistake.

    Attributes:
        module: Where, such as `links/retry`.
        old: The text as it is; with a neighbouring line where it is not unique.
        new: The text that takes its place.
        test: The test that must turn red, below `tests`.
    """

    module: str
    old: str
    new: str
    test: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.module}: {old} -> {new}"


MUTANTS: tuple[Fixed, ...] = (
    Fixed(
        "auth/credential",
        "self.epoch += 1",
        "self.epoch += 2",
        "auth/test_credential.py::TestGenerations::test_a_new_epoch_parts_with_all_that_was_learned",
    ),
    Fixed(
        "auth/credential",
        "lifetime.advisory_at is not None and now",
        "lifetime.advisory_at is None and now",
        "auth/test_credential.py::TestDue::test_a_token_is_due_by_its_windows_and_by_the_clock_at_that_moment",
    ),
    Fixed(
        "auth/expiry",
        "life * ADVISORY_SHARE",
        "life / ADVISORY_SHARE",
        "auth/test_expiry.py::TestWindows::test_the_windows_are_capped_by_the_life_of_the_token",
    ),
    Fixed(
        "auth/authorization",
        "if name.lower() != self._name:",
        "if name.lower() == self._name:",
        "auth/test_link.py::TestHeader::test_other_headers_stay_on_the_first_send_and_on_the_retry",
    ),
    Fixed(
        "auth/attempts",
        "elif not goes_again or keeper.wallet.credential is sent:",
        "elif not goes_again or keeper.wallet.credential is not sent:",
        "auth/test_link.py::TestOneRefreshForAll::test_a_late_refusal_of_the_old_token_starts_no_second_refresh",
    ),
    Fixed(
        "auth/attempts",
        "if self._answered or self._credential is None:",
        "if not (self._answered or self._credential is None):",
        "auth/test_link.py::TestRetry::test_fresh_tokens_that_keep_being_refused_start_a_pause",
    ),
    Fixed(
        "auth/pacing",
        "max: Duration = 10.0",
        "max: Duration = 11.0",
        "auth/test_pacing.py::TestBackoff::test_the_pauses_double_up_to_ten_seconds",
    ),
    Fixed(
        "auth/pending",
        "return len(self) - self.left",
        "return len(self)",
        "auth/test_pending.py::TestPlaces::test_who_waits_is_counted",
    ),
    Fixed(
        "auth/refresher",
        "isinstance(error, TimeoutError) and not",
        "isinstance(error, TimeoutError) or not",
        "auth/test_refresher.py::TestFinalFailures::test_what_would_fail_again_is_tried_once_and_keeps_the_session",
    ),
    Fixed(
        "auth/session",
        "refresh_timeout: Duration = 30.0",
        "refresh_timeout: Duration = 31.0",
        "auth/test_session.py::TestLoad::test_a_load_that_hangs_ends_at_the_time_limit",
    ),
    Fixed(
        "auth/gate",
        "(has_waited and reason is not",
        "(has_waited or reason is not",
        "auth/test_session.py::TestLoad::test_a_token_that_ended_while_it_was_stored_is_refreshed_before_it_is_used",
    ),
    Fixed(
        "auth/signals",
        "            if self._is_telling:\n                return\n",
        "",
        "auth/test_signals.py::test_all_hear_the_same_order_of_what_one_of_them_sets_off",
    ),
    Fixed(
        "auth/token_refresh",
        "        if is_waiting:",
        "        if not is_waiting:",
        "auth/test_token_refresh.py::TestContexts",
    ),
    Fixed(
        "auth/token_refresh",
        "if is_good or (is_outdated",
        "if is_good and (is_outdated",
        "auth/test_token_refresh.py::TestOneRefresh",
    ),
    Fixed(
        "auth/token_response",
        "token is not None and token is not False",
        "token is not None and token is False",
        "auth/test_token_response.py::TestLookingForTheToken::test_it_is_found",
    ),
    Fixed(
        "auth/tokens",
        ".hexdigest()[:8]",
        ".hexdigest()[:9]",
        "auth/test_tokens.py::test_neither_token_is_printed_but_tokens_can_be_told_apart",
    ),
    Fixed(
        "links/_batching",
        "self._sent[0].context.copy().run(self._run)",
        "pass",
        "links/test_batch.py::TestContexts",
    ),
    Fixed(
        "links/_persisted_query_errors",
        "if result is None or not _is_whole(result):",
        "if result is None and not _is_whole(result):",
        "links/test_persisted_query_errors.py::TestMisses::test_are_no_other_errors_which_change_nothing",
    ),
    Fixed(
        "links/_persisted_query_form",
        '_change(operation, "fetch_options", method="POST")',
        '_change(operation, "fetch_options", method="GET")',
        "links/test_persisted_query_form.py::TestATextAfterAHash::test_takes_the_hash_with_it_whatever_else_was_done_to_the_context",
    ),
    Fixed(
        "links/_batching",
        "batch.add(member)",
        "pass",
        "links/test_batch.py::TestABatch::test_goes_out_an_interval_after_its_first_operation",
    ),
    Fixed(
        "links/batch",
        "        source = self.context.copy().run(self._forward, operation)",
        "        source = self._forward(operation)",
        "links/test_batch.py::TestContexts",
    ),
    Fixed(
        "links/batch",
        "if isinstance(value, bool) or not isinstance(value, int):",
        "if isinstance(value, bool) and not isinstance(value, int):",
        "links/test_batch.py::TestBadOptions",
    ),
    Fixed(
        "links/client_awareness",
        "        if headers:\n            _put(headers, operation)",
        "        if not headers:\n            _put(headers, operation)",
        "links/test_client_awareness.py::TestTheApplication::test_is_named_in_the_headers",
    ),
    Fixed(
        "links/client_awareness",
        '{"clientLibrary": {**self._library}}',
        '{"XXclientLibrary": {**self._library}}',
        "links/test_client_awareness.py::TestTheLibrary::test_is_named_where_the_option_says",
    ),
    Fixed(
        "links/context",
        "                if type(update) is dict:",
        "                if type(update) is not dict:",
        "links/test_context.py::TestSetters::test_give_values_at_once_or_later",
    ),
    Fixed(
        "links/context",
        "setter(operation, context))",
        "setter(context, operation))",
        "links/test_context.py::TestSetters::test_of_the_older_order_get_the_operation_first",
    ),
    Fixed(
        "links/dedup",
        "and self._thing is other._thing",
        "and self._thing is not other._thing",
        "links/test_dedup.py::TestAnswers::test_reach_each_who_waits_to_the_end",
    ),
    Fixed(
        "links/dedup",
        "if kind is dict or kind is MappingProxyType:",
        "if kind is not dict or kind is MappingProxyType:",
        "links/test_dedup.py::TestAnswers::test_reach_an_error_link_of_each",
    ),
    Fixed(
        "links/error",
        "thinks = not isinstance(answer, Observable) and inspect.isawaitable(answer)",
        "thinks = not isinstance(answer, Observable) or inspect.isawaitable(answer)",
        "links/test_error.py::TestWhatTheHandlerSees::test_of_a_result_with_errors_in_both_vocabularies",
    ),
    Fixed(
        "links/error",
        "subscribe_foreign(answer, self._observer, self._root)",
        "pass",
        "links/test_error.py::TestAnswers::test_take_the_place_of_the_error",
    ),
    Fixed(
        "links/error",
        "self._root.cancel_resource()",
        "pass",
        "links/test_error.py::TestStreams::test_are_cancelled_and_muted_when_the_handler_answers_in_the_midst",
    ),
    Fixed(
        "links/persisted_queries",
        "not_supported or options.meta.persisted_query_not_found",
        "not_supported and options.meta.persisted_query_not_found",
        "links/test_persisted_queries.py::TestDisabled::test_links_send_the_text_alone_for_those_under_way",
    ),
    Fixed(
        "links/persisted_queries",
        "        answer.close()",
        "        pass",
        "links/test_persisted_query_errors.py::TestRetryAndDisable::test_that_return_awaitables_are_named_and_nothing_is_left_unawaited",
    ),
    Fixed(
        "links/polling",
        "given, may_be_zero=False)",
        "given, may_be_zero=True)",
        "links/test_polling.py::TestTheInterval::test_that_cannot_be_is_the_operations_error_and_nothing_is_sent",
    ),
    Fixed(
        "links/polling",
        "if timer is not None:",
        "if timer is None:",
        "links/test_polling.py::TestErrors::test_of_the_first_attempt_leave_nothing_behind",
    ),
    Fixed(
        "links/remove_typename",
        "all(copied[name] is value for",
        "all(copied[name] is not value for",
        "links/test_remove_typename.py::TestWithoutExceptions::test_every_typename_goes_at_any_depth",
    ),
    Fixed(
        "links/remove_typename",
        "if not isinstance(config, Mapping):",
        "if isinstance(config, Mapping):",
        "links/test_remove_typename.py::TestWithoutExceptions::test_a_typename_beside_the_variables_goes_too",
    ),
    Fixed(
        "links/retry",
        'return cast("DelayFunction", delay)',
        "return None",
        "links/test_retry_leaving.py::TestLeaving::test_while_a_function_is_awaited_stops_it_and_sends_nothing",
    ),
    Fixed(
        "links/retry",
        "self._attempt += 1",
        "pass",
        "links/test_retry.py::TestAttempts::test_end_with_the_first_answer",
    ),
    Fixed(
        "links/retry",
        "if not self._root.is_stopped:  # it may",
        "if self._root.is_stopped:  # it may",
        "links/test_retry_leaving.py::TestLeaving::test_sends_nothing_even_where_the_function_swallows_its_cancellation",
    ),
    Fixed(
        "transport/_body",
        'members["extensions"] = operation.extensions',
        'members["XXextensions"] = operation.extensions',
        "transport/test_body.py::test_has_apollos_parts_in_apollos_order",
    ),
    Fixed(
        "transport/_fetch_options",
        'method: Method = "POST"',
        'method: Method = "GET"',
        "transport/test_fetch_options.py::TestOptions::test_that_say_nothing_change_nothing",
    ),
    Fixed(
        "transport/_files",
        "inspect.isasyncgen(source) and source.ag_frame is None",
        "inspect.isasyncgen(source) or source.ag_frame is None",
        "transport/test_uploads_again.py::TestAfterARefresh::test_what_can_be_read_again_is_sent_whole",
    ),
    Fixed(
        "transport/_headers",
        "application/json;q=0.9",
        "application/json;q=1.9",
        "transport/test_request.py::TestHeaders::test_start_from_apollos",
    ),
    Fixed(
        "transport/_json_end",
        r"""piece.replace(b"\\\\", b"").replace(b'\\"', b"")""",
        r"""piece.replace(b'\\"', b"").replace(b"\\\\", b"")""",
        "transport/test_multipart_parts.py::TestAtOnce::test_a_json_object_comes_with_its_last_bracket",
    ),
    Fixed(
        "transport/_json_end",
        "piece[: len(piece) - backslashes % 2]",
        "piece",
        "transport/test_multipart_parts.py::TestAtOnce::test_a_long_object_is_followed_in_steps_that_part_no_escape",
    ),
    Fixed(
        "transport/_multipart",
        "if not part.is_replayable:",
        "if part.is_replayable:",
        "transport/test_uploads_again.py::TestAfterARefresh::test_what_can_be_read_again_is_sent_whole",
    ),
    Fixed(
        "transport/_multipart_parts",
        "self._begin, self._searched = end, max(end, self._searched)",
        "self._begin, self._searched = end, len(self._buffer)",
        "transport/test_multipart_parts.py::TestAtOnce::test_a_delimiter_may_have_begun_with_the_object",
    ),
    Fixed(
        "transport/_multipart_parts",
        "self._begin = max(begin, end - 1)",
        "self._begin = end",
        "transport/test_multipart_parts.py::TestBroken::test_a_body_is_refused_with_the_place_and_nothing_of_it",
    ),
    Fixed(
        "transport/_multipart_parts",
        "is_last = end == len(self._buffer)",
        "is_last = True",
        "transport/test_multipart_parts.py::TestBroken::test_a_body_is_refused_with_the_place_and_nothing_of_it",
    ),
    Fixed(
        "transport/_sse_parser",
        r'self._is_after_cr = chunk.endswith(b"\r")',
        "pass",
        "transport/test_sse_parser.py::TestAtOnce::test_a_carriage_return_alone_ends_a_line",
    ),
    Fixed(
        "transport/_sse_parser",
        "        self.last_id = self._next_id\n        event",
        "        event",
        "transport/test_sse_parser.py::TestIds::test_are_the_parsers_when_their_event_has_ended",
    ),
    Fixed(
        "transport/_body",
        "include_query: bool = True",
        "include_query: bool = False",
        "transport/test_request.py::TestHttpOptions::test_leave_out_query_and_extensions",
    ),
    Fixed(
        "transport/batch_http",
        'if method != "POST":',
        'if method == "POST":',
        "transport/test_batch_http.py::TestARequest",
    ),
    Fixed(
        "transport/batch_http",
        "has_own_uri=not callable(uri)",
        "has_own_uri=callable(uri)",
        "transport/test_batch_http.py::TestSharing",
    ),
    Fixed(
        "transport/_batch_sharing",
        "None if self._key.is_of_operation else key",
        "key",
        "transport/test_batch_http.py::TestSharing",
    ),
    Fixed(
        "transport/_batch_sharing",
        "_digest(request, request.identity, checked_key",
        "_digest(request, {}, checked_key",
        "transport/test_batch_http.py::TestSharing",
    ),
    Fixed(
        "transport/http",
        "                if sender.is_closed:",
        "                if not sender.is_closed:",
        "transport/test_http.py::TestClosing::test_leaves_a_given_session_open",
    ),
    Fixed(
        "transport/oauth2",
        'if url.scheme == "http" and not is_insecure_allowed',
        'if url.scheme == "http" and is_insecure_allowed',
        "transport/test_oauth2.py::TestRefuses::test_plain_http_to_other_hosts",
    ),
    Fixed(
        "transport/oauth2",
        "if target.authorization is not None:",
        "if target.authorization is None:",
        "transport/test_oauth2.py::TestAGrant::test_is_one_post_of_a_form",
    ),
    Fixed(
        "transport/schema",
        "if link.validate else None",
        "if not link.validate else None",
        "transport/test_schema.py::TestErrors::test_of_validation_are_only_looked_for_when_asked",
    ),
    Fixed(
        "transport/schema",
        "is_divided = HAS_PIECES and document_of",
        "is_divided = HAS_PIECES or document_of",
        "transport/test_schema.py::TestErrors::test_of_graphql_core_itself_are_the_operations",
    ),
    Fixed(
        "transport/_streamed",
        "if not self._is_ending and not task.cancelling():",
        "if not self._is_ending and task.cancelling():",
        "transport/test_schema_incremental_streams.py::test_a_generator_that_is_cut_runs_to_its_own_end_in_its_task",
    ),
    Fixed(
        "transport/_incremental",
        "root.release()",
        "pass",
        "transport/test_schema_incremental.py::TestPieces::test_a_link_above_may_send_again_where_it_hears_of_the_end",
    ),
    Fixed(
        "transport/schema",
        "        if callable(context):\n            try:",
        "        if not callable(context):\n            try:",
        "transport/test_schema.py::TestContext::test_is_made_for_each_attempt",
    ),
    Fixed(
        "transport/sse",
        "        if operation.was_lost:",
        "        if not operation.was_lost:",
        "transport/test_sse_resuming.py::TestSentAgain::test_where_its_stream_is_lost",
    ),
    Fixed(
        "transport/sse",
        "        if operation.operation_type is not OperationType.SUBSCRIPTION:",
        "        if operation.operation_type is OperationType.SUBSCRIPTION:",
        "transport/test_sse_resuming.py::TestNotSentAgain::test_are_queries_and_mutations",
    ),
    Fixed(
        "transport/http",
        "                    root.spawn(run(observer, operation, request, root, streaming), observer)",
        "                    root.spawn(run(observer, operation, request, root), observer)",
        "transport/test_streams.py::TestSubscription::test_gives_the_payloads_of_its_parts",
    ),
    Fixed(
        "transport/websocket",
        "        if sessions and self._tokens is None and",
        "        if not sessions and self._tokens is None and",
        "transport/test_websocket_auth_misuse.py::test_a_link_behind_the_auth_link_of_its_own_session_is_refused",
    ),
    Fixed(
        "transport/websocket",
        "        if not self._options.is_lazy and not self._connections.is_closed:",
        "        if self._options.is_lazy and not self._connections.is_closed:",
        "transport/test_websocket.py::TestAnEagerSocket::test_opens_by_itself_and_stays",
    ),
    Fixed(
        "transport/upload",
        '    if not hasattr(source, "read"):',
        '    if hasattr(source, "read"):',
        "transport/test_upload.py::TestNameAndType::test_come_from_an_open_file",
    ),
    Fixed(
        "transport/upload",
        "if isinstance(source, io.TextIOBase):",
        "if isinstance(source, io.TextIOBase) and source.closed:",
        "transport/test_upload.py::TestSource::test_opened_as_text_is_refused",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What became of one mistake."""

    fixed: Fixed
    problem: str | None
    seconds: float


def try_mutant(copies: Copies, fixed: Fixed) -> Verdict:
    begin = perf_counter()
    try:
        file = f"{fixed.module}.py"
        with copies.broken(file, exchange(file, fixed.old, fixed.new)) as copy:
            problem = why_not_red(run_tests(copy, [f"tests/{fixed.test}"]))
    except LookupError as error:
        problem = str(error)
    return Verdict(fixed, problem, perf_counter() - begin)


def report(verdict: Verdict) -> None:
    outcome = "ok  " if verdict.problem is None else "FAIL"
    print(f"{outcome} {verdict.seconds:5.1f} s  {verdict.fixed}", flush=True)
    if verdict.problem is not None:
        print(f"     {verdict.fixed.test}: {verdict.problem}", flush=True)


def neglected() -> list[str]:
    """Return the modules of links that have too few mistakes."""
    counts = Counter(fixed.module for fixed in MUTANTS)
    root = ROOT / "rxlink"
    files = [*(root / "links").glob("[!_]*.py"), *(root / "transport").glob("[!_]*.py")]
    names = [file.relative_to(root).with_suffix("").as_posix() for file in sorted(files)]
    return [name for name in [*names, "auth/attempts", "auth/token_refresh"] if counts[name] < AT_LEAST]


def chosen_from(mutants: Sequence[Fixed], starts: Sequence[str]) -> list[Fixed]:
    """Return the mistakes in these modules and folders; all where none is named."""
    return [
        fixed for fixed in mutants if not starts or any(f"{fixed.module}/".startswith(f"{start}/") for start in starts)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Make known mistakes and see their tests turn red.")
    parser.add_argument("modules", nargs="*", metavar="links/retry", help="only those of these modules or folders")
    options = parser.parse_args()
    chosen = chosen_from(MUTANTS, options.modules)
    failed = 0
    with copies_of_the_tree() as copies, ThreadPoolExecutor(AT_A_TIME) as threads:
        problem = check_unbroken(copies, sorted({f"tests/{fixed.test}" for fixed in chosen}))
        if problem is not None:
            print(problem)
            return 1
        for verdict in threads.map(partial(try_mutant, copies), chosen):
            report(verdict)
            failed += verdict.problem is not None
    missing = neglected()
    if missing:
        print(f"fewer than {AT_LEAST} mistakes in: {', '.join(missing)}")
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or missing or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
