"""What the reports of workers and the ledger of a server must say of a fleet."""

from __future__ import annotations

from typing import Any

__all__ = ["MOST_AUTH_ERRORS", "auth_errors", "check_operations", "check_refreshes", "shown"]

MOST_AUTH_ERRORS = 0.001
"""Of all operations."""


def check_operations(reports: list[dict[str, Any]]) -> None:
    """Every operation of every worker has ended, and none with another's result."""
    for report in reports:
        assert [] == report["wrong"], report
        assert [] == report["unfinished"], report
        assert report["started"] == report["own"] + len(report["failed"]), report


def auth_errors(reports: list[dict[str, Any]], ledger: dict[str, Any]) -> int:
    """Return how many operations failed; each was sent twice, each time with a token that had ended by then."""
    failed = [each for report in reports for each in report["failed"]]
    for each in failed:
        assert "UNAUTHENTICATED" == each["kind"], each
        sends = ledger["refused"][each["name"]]
        assert 2 == len(sends), (each, sends)
        assert all(send["why"] == "expired" and send["at"] >= send["ends"] for send in sends), (each, sends)
    return len(failed)


def check_refreshes(ledger: dict[str, Any]) -> None:
    """One refresh an expiry, each with the newest refresh token."""
    tries = ledger["tries"]
    assert [] == ledger["violations"]
    assert ["granted"] * len(tries) == [each["outcome"] for each in tries], tries
    assert list(range(len(tries))) == [each["of"] for each in tries]
    assert len(ledger["generations"]) - 1 == ledger["refreshes"] == ledger["expiries"] == len(tries)
    assert ledger["sends_at_most"] <= 2


def shown(reports: list[dict[str, Any]], ledger: dict[str, Any]) -> str:
    """Return for a person what happened."""
    lines = [
        f"{report['name']}: {report['started']} started, {report['own']} own results, failures {report['failures']}, "
        f"at most {report['most_in_flight']} in flight, longest {report['longest']} s, cpu {report['cpu']} s, "
        f"events {report['events']}"
        for report in reports
    ]
    summary = {
        key: len(value) if isinstance(value, (list, dict)) and key != "violations" else value
        for key, value in ledger.items()
    }
    return "\n".join([*lines, f"server: {summary}"])
