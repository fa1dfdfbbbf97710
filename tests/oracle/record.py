"""Record what Apollo Client does in the hand-written scenarios, and show where rxlink does something else.

    python -m tests.oracle.record             # every file of scenarios
    python -m tests.oracle.record retry http  # some
    python -m tests.oracle.record --show retry "the name of a scenario"
                                              # print both traces instead; part of the name will do

Exits with 1 if traces differ.
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.oracle.apollo import FOLDER, Apollo, running_apollo
from tests.oracle.comparison import compare
from tests.oracle.golden import write_golden
from tests.oracle.node import CannotInstall, installed
from tests.oracle.player import play
from tests.oracle.scenario import Scenario, Trace, hand_written


def main() -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.record")
    parser.add_argument(
        "names", nargs="*", help="files in scenarios/, without .json; with --show a file and a scenario"
    )
    parser.add_argument("--show", action="store_true", help="print both traces of scenarios and record nothing")
    options = parser.parse_args()
    try:
        node = installed(FOLDER)
    except CannotInstall as reason:
        print(reason)
        return 2
    with running_apollo(node) as apollo:
        return _show(apollo, *options.names) if options.show else _record(apollo, options.names)


def _record(apollo: Apollo, names: list[str]) -> int:
    equal = differing = 0
    for name, scenarios in hand_written().items():
        if names and name not in names:
            continue
        traces = {title: apollo.play(scenario) for title, scenario in scenarios.items()}
        write_golden(name, traces)
        for title, scenario in scenarios.items():
            differences = _differences(scenario, traces[title])
            equal += not differences
            differing += bool(differences)
            if differences:
                print(f"{name}: {title}", differences, sep="\n", end="\n\n")
    print(f"{equal} equal, {differing} differ")
    return 1 if differing else 0


def _show(apollo: Apollo, file: str, part: str = "") -> int:
    found = {title: scenario for title, scenario in hand_written()[file].items() if part in title}
    for title, scenario in found.items():
        print(f"{title}\n\nApollo Client:")
        theirs = apollo.play(scenario)
        _print(theirs)
        print("\nrxlink:")
        _print(play(scenario))
        print(f"\ndifferences:\n{_differences(scenario, theirs) or 'none'}\n")
    return 0


def _differences(scenario: Scenario, theirs: Trace) -> str:
    try:
        return "\n".join(compare(scenario, theirs, play(scenario)).differences)
    except Exception as error:  # noqa: BLE001 - the other scenarios are shown all the same
        return f"rxlink could not play it: {type(error).__name__}: {error}"


def _print(trace: Trace) -> None:
    for event in trace:
        print(" ", json.dumps(event, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
