"""The examples of docs/reference/library.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.waiting import LIMIT

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "library.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
# What each example prints, in the order of the page.
PRINTED = [
    r"Status\(job='web', instance='', goal='start', state='running', processes=\[\('main', \d+\)\]\)\n",
    r"web  running \[\d+\]\n",
    r"starting JOB=web INSTANCE=\n",
    "",
    "",
]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_an_example_of_the_page_does_what_it_says(number: int, tmp_path: Path) -> None:
    assert len(EXAMPLES) == len(PRINTED)
    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        daemon.write_job("web", "start on net-up\nexec sleep 1000\n")
        done = subprocess.run([sys.executable, "-W", "error", "-c", EXAMPLES[number]], capture_output=True, text=True,
                              env={**os.environ, **daemon.environ}, cwd=tmp_path, timeout=LIMIT, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(PRINTED[number], done.stdout), done.stdout


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    with Daemon(tmp_path, "--user", "--no-startup-event") as daemon:
        daemon.write_job("web", "pre-start exec false\n")
        done = subprocess.run([sys.executable, "-c", EXAMPLES[3]], capture_output=True, text=True, check=True,
                              env={**os.environ, **daemon.environ}, cwd=tmp_path, timeout=LIMIT)
        assert done.stdout == "web: Job failed to start\n"
