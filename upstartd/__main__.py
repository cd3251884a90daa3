"""`python -m upstartd`: the daemon."""

from __future__ import annotations

import sys

from upstartd.cli import main

if __name__ == "__main__":
    sys.exit(main())
