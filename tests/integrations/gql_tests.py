"""gql's own tests, from its source distribution, run with ``LinkTransport`` in the place of gql's transports.

They are fetched once into a folder that git ignores, by pip, which checks their hash. Without a way to them the tests
here skip and say why; with ``CI=true`` they fail.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.oracle.node import CannotInstall, one_at_a_time

__all__ = ["FILES", "Outcome", "fetched_tests", "outcomes"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = HERE / ".gql"
REQUIREMENT = HERE / "gql-sdist.txt"
PLUGIN = HERE / "gql_suite" / "links_for_gql.py"
MADE = "transports made"
FETCH_LIMIT = 120  # seconds
RUN_LIMIT = 200  # seconds; it takes ten

FILES = (
    "test_aiohttp.py",
    "test_aiohttp_batch.py",
    "test_aiohttp_multipart.py",
    "test_aiohttp_websocket_exceptions.py",
    "test_aiohttp_websocket_graphqlws_exceptions.py",
    "test_aiohttp_websocket_graphqlws_subscription.py",
    "test_aiohttp_websocket_query.py",
    "test_aiohttp_websocket_subscription.py",
)
"""All that are about aiohttp, but for those that ask a server on the internet."""


@dataclass
class Outcome:
    """What became of one test function, with whichever parameters.

    Attributes:
        complaint: The last line of what the first failure says; empty where all passed.
        transports: How many were made of links.
    """

    complaint: str = ""
    transports: int = 0


def fetched_tests() -> Path:
    """Return the folder that holds gql's ``tests``; they are fetched if the requirement has changed.

    Raises:
        CannotInstall: There is no way to them.
    """
    stamp = CACHE / "fetched-by"
    wanted = hashlib.sha256(REQUIREMENT.read_bytes()).hexdigest()
    with one_at_a_time(HERE):
        if not stamp.exists() or stamp.read_text() != wanted:
            with tempfile.TemporaryDirectory() as folder:
                _download(folder)
                (archive,) = Path(folder).glob("gql-*.tar.gz")
                _unpack(archive, CACHE)
            stamp.write_text(wanted)
    return CACHE


def outcomes() -> Mapping[str, Outcome]:
    """Run the files, one test at a time, and return what became of each function: ``file.py::name``.

    Raises:
        CannotInstall: They could not be fetched.
    """
    folder = fetched_tests()
    with tempfile.TemporaryDirectory() as reports:
        report = Path(reports) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-p", PLUGIN.stem, "-p", "no:cacheprovider", "-p", "no:xdist"]
        # Native tracebacks, since pytest's own cannot show the one of a KeyboardInterrupt on every Python.
        options = ["-q", "--tb=native", "--timeout=30", f"--junitxml={report}"]
        paths = os.pathsep.join([str(PLUGIN.parent), str(ROOT)])
        # Measuring coverage would make it slow, and test_gql.py covers all lines.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        done = subprocess.run(
            [*command, *options, *(f"tests/{name}" for name in FILES)],
            cwd=folder,
            env={**environment, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT,
            check=False,
        )
        assert report.exists(), f"gql's tests did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return _outcomes_in(ET.parse(report))  # noqa: S314 - pytest has just written it


def _outcomes_in(report: ET.ElementTree[ET.Element]) -> Mapping[str, Outcome]:
    found: dict[str, Outcome] = {}
    for case in report.iter("testcase"):
        file = case.attrib["classname"].rpartition(".")[2]
        outcome = found.setdefault(f"{file}.py::{case.attrib['name'].partition('[')[0]}", Outcome())
        outcome.transports += sum(int(entry.attrib["value"]) for entry in case.iter("property"))
        for kind in ("failure", "error", "skipped"):
            trouble = case.find(kind)
            if trouble is not None and not outcome.complaint:
                outcome.complaint = (trouble.text or kind).strip().splitlines()[-1]
    return found


def _download(folder: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--no-binary", "gql", "--requirement", REQUIREMENT, "--dest", folder],
            capture_output=True,
            text=True,
            timeout=FETCH_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"fetching gql's tests took more than {FETCH_LIMIT} s") from None
    if done.returncode:
        raise CannotInstall(f"gql's tests could not be fetched: {done.stderr.strip()[-500:]}")


def _unpack(archive: Path, folder: Path) -> None:
    """Take the tests and their settings alone: beside the package's own source they would be run with that."""
    with tarfile.open(archive) as tar:
        top = tar.getnames()[0].partition("/")[0]
        for member in tar.getmembers():
            path = member.name.removeprefix(f"{top}/")
            if path == "pyproject.toml" or path.startswith("tests/"):
                tar.extract(member.replace(name=path, deep=False), folder, filter="data")
