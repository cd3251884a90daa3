"""Write transcript.txt: what the tutorial prints when it is played, with all that changes from play to play masked.

`make docs` runs it; a test holds the file against another play.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TRANSCRIPT = HERE / "transcript.txt"

_MASKS = (
    (r"[^\s=]*/upstartd-tutorial-\w+", "/srv/tutorial"),
    (r"(127\.0\.0\.1:|PORT=)\d+", r"\g<1>8124"),
    (r"process \(?\d+\)?", "process PID"),
    (r"(upstart-session/)\d+/\d+", r"\g<1>UID/PID"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]{8} \w+ \d{4}", "DATE"),
    (r"^(\$ kill )?\d+$", r"\g<1>PID"),
)


def play() -> str:
    """Play the tutorial without a terminal; gives what it prints, masked. CalledProcessError where it fails."""
    done = subprocess.run([sys.executable, str(HERE / "run.py")], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=True)
    text = done.stdout
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text, flags=re.MULTILINE)
    return text


if __name__ == "__main__":
    TRANSCRIPT.write_text(play())
