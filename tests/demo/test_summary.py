"""What the demo adds up, and when it calls itself a success."""

from rxlink.demo.calls import Call, Outcome
from rxlink.demo.summary import Summary, Tally, problems_of
from rxlink.testing.auth_server import Generation, Ledger, RefreshTry, Send


def generation(index, ends):
    return Generation(
        family=0,
        index=index,
        user="ada",
        issued=0.0,
        ends=ends,
        refresh_ends=None,
        issued_why="refresh" if index else "sign-in",
        access_fingerprint="00000000",
        refresh_fingerprint="00000000",
    )


def send(operation_id):
    return Send(at=1.0, operation_id=operation_id, operation_name="Look", generation=None, outcome="accepted")


def test_sends_beyond_the_first_are_retries():
    # given
    tally = Tally(results=2, failed=[Outcome(Call(3, is_mutation=False), "got errors")])
    ledger = Ledger(all_sends=[send("query 1"), send("query 2"), send("query 1"), send("query 3")])

    # when
    summary = Summary.of(5, tally, ledger, 1.0)

    # then
    assert (2, 1, 2) == (summary.results, summary.errors, summary.unfinished)
    assert (1, 2) == (summary.retries, summary.max_sends_per_operation)
    assert ["query 3 got errors", "2 operations did not end"] == problems_of(summary, tally, ledger)


def test_a_refresh_against_the_rules_is_a_problem_even_if_all_operations_have_their_results():
    # given: refreshed at the very beginning of a long life
    old, new = generation(0, ends=100.0), generation(1, ends=200.0)
    early = RefreshTry(at=1.0, via="graphql", generation=old, outcome="granted", granted=new)
    ledger = Ledger(generations=[old, new], refresh_tries=[early])
    tally = Tally(results=1)

    # when
    (problem,) = problems_of(Summary.of(1, tally, ledger, 1.0), tally, ledger)

    # then
    assert "refreshed before its window opened" in problem
