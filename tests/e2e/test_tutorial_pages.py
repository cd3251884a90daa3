"""The tutorial and the README's short one, every command as it is written there, as root in a terminal.

They are played on a host of their own, with a mount namespace and a network: `/etc/init`, `/srv` and ports are theirs.
"""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from support.host import Host, host
from support.pages import blocks, section, steps
from support.terminal import run_in_terminal
from support.tutorial import ROOT, TUTORIAL, masked
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Host]:
    with host(tmp_path) as running:
        assert running.there("mount", "-t", "tmpfs", "tmpfs", "/srv").returncode == 0
        yield running


def play(machine: Host, block: str) -> None:
    """Type what a block of a page shows; what comes back is what it shows below."""
    enter = ["nsenter", f"--mount=/proc/{machine.process.pid}/ns/mnt", f"--wd={TUTORIAL}", "sh", "-c"]
    for command, expected in steps(block):
        def output(typed: str = command) -> str:
            _, shown = run_in_terminal([*enter, typed], {**machine.environ, "NO_COLOR": "1"})
            return str(masked(f"$ {typed}\n" + shown.replace("\r\n", "\n")))

        wanted = masked(f"$ {command}\n{expected}")
        if command.startswith("cat "):  # what a job writes comes when it comes
            wait_until(lambda: output() == wanted, wanted)  # noqa: B023 (called before the loop goes on)
        else:
            assert output() == wanted


@pytest.mark.skipif(shutil.which("node") is None, reason="the tutorial's service needs node.js")
def test_the_tutorial_s_commands_answer_what_its_page_says(machine: Host) -> None:
    page = (TUTORIAL / "README.md").read_text()
    for block in blocks(page.partition("## Your own jobs")[0]):
        play(machine, block)
    assert {path.name for path in machine.init.iterdir()} == {"testjob.conf", "nodetest.conf", "broken.conf"}


def test_the_tutorial_s_page_shows_the_files_that_it_has() -> None:
    shown = blocks((TUTORIAL / "README.md").read_text())
    for name in ("testjob", "nodetest"):
        assert (TUTORIAL / f"{name}.conf").read_text() in shown


def test_the_readme_s_short_tutorial_answers_what_it_says(machine: Host) -> None:
    names = iter(("testjob", "web"))
    for block in blocks(section((ROOT / "README.md").read_text(), "The tutorial, in short")):
        if block.startswith("# "):
            play(machine, block)
        else:
            machine.write_job(next(names), block.replace("python3", sys.executable))
    assert next(names, None) is None
    written = machine.there("cat", "/srv/web/index.html")
    assert re.search(r"\d{4}\n", written.stdout), written
