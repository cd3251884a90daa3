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

# A job that has nothing to do for long may have ended by the time that it is looked at.
_MASKS = (
    (r"(?<=testjob start\n)testjob stop/waiting", "testjob start/running, process PID"),
    (r"[^\s=:]*/upstartd-tutorial-\w+", "/srv/tutorial"),
    (r"(127\.0\.0\.1:|PORT=)\d+", r"\g<1>8124"),
    (r"(process \(?)\d+", r"\g<1>PID"),
    (r"(upstart-session/)\d+/\d+", r"\g<1>UID/PID"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]{8} \w+ \d{4}", "DATE"),
    (r"^(\$ kill )?\d+$", r"\g<1>PID"),
)


def masked(text: str) -> str:
    """What was printed, with the same word for all that is another one each time."""
    for pattern, mask in _MASKS:
        text = re.sub(pattern, mask, text, flags=re.MULTILINE)
    return text


def play() -> str:
    """Play the tutorial without a terminal; gives what it prints, masked. CalledProcessError where it fails."""
    done = subprocess.run([sys.executable, str(HERE / "run.py")], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=True)
    return masked(done.stdout)


if __name__ == "__main__":
    TRANSCRIPT.write_text(play())
