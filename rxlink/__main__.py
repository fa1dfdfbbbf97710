"""``python -m rxlink``: the same as the program ``rxlink``."""

from __future__ import annotations

import sys

from rxlink.cli import main

if __name__ == "__main__":
    sys.exit(main())
