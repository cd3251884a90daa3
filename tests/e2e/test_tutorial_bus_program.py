"""The program in the README that watches jobs over D-Bus does what the README says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from support.daemon import Daemon
from support.dbus_daemon import DBusDaemon
from support.stage import TO_POST_STOP, TO_RUNNING, TO_SPAWNED
from support.tutorial import ROOT, copy_job, free_port
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

LIFE = f"starting {TO_SPAWNED} {TO_RUNNING} {TO_POST_STOP} waiting".split()


def program() -> str:
    """The README's one block of Python."""
    blocks = [part.partition("```")[0] for part in (ROOT / "README.md").read_text().split("```python\n")[1:]]
    assert len(blocks) == 1
    return blocks[0]


def test_the_readme_s_program_is_short() -> None:
    assert len(program().splitlines()) <= 32


def test_the_readme_s_program_prints_the_life_of_a_job(tmp_path: Path) -> None:
    (tmp_path / "watch.py").write_text(program())
    shown = tmp_path / "shown"
    with (
        DBusDaemon(tmp_path) as bus,
        Daemon(tmp_path, "--session", "--no-startup-event", bus=bus) as daemon,
        shown.open("w") as output,
        subprocess.Popen([sys.executable, tmp_path / "watch.py", "--session"], env=daemon.environ, stdout=output,
                         stderr=output) as watcher,
    ):
        try:
            wait_until(lambda: shown.read_text().startswith("Watching"), "the program to listen")
            copy_job("testjob", daemon.init, tmp_path, free_port())
            daemon.run("initctl", "--session", "start", "testjob")
            wait_until(lambda: "waiting\n" in shown.read_text(), "the job's end")
        finally:
            watcher.kill()
    assert shown.read_text().splitlines()[1:] == [f"testjob {state}" for state in LIFE]
