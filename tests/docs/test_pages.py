"""The Python in the README and in the pages runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDS_GQL = pytest.mark.skipif(find_spec("gql") is None, reason="gql is not there: it wants a newer graphql-core")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _programs() -> list[object]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        pytest.param(
            block, id=f"{page.relative_to(ROOT)}-{number}", marks=[NEEDS_GQL] if "integrations.gql" in block else []
        )
        for page in pages
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), start=1)
    ]


@pytest.mark.parametrize("program", _programs())
def test_each_block_of_python_in_the_documentation_runs_by_itself(program: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=15, check=False
    )

    assert (0, "") == (finished.returncode, finished.stderr)
